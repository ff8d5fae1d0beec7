//! The place to begin at: a name for it becomes an incarnation and an offset.
//!
//! Owns: the ways to name a place, and the way out if there is nothing at it. Does not own: reading on (`fetch`).

use std::str::FromStr;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use catalog::{Position, ReadFrom};
use common::{Incarnation, TopicPartition};
use lake::schema::{INCARNATION, OFFSET, TIMESTAMP};
use lake::tail::TailError;
use serde::{Deserialize, Serialize};

use super::{FetchRequest, Fetcher, Limits, Seen, Work};
use crate::error::FetchError;
use crate::plan;
use crate::rows::Room;

/// Rows that are looked at in one step of a search by time.
const SEARCHED: Room = Room { records: 65_536, bytes: 32 << 20 };

/// A place to begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first record that is left, in the earliest incarnation.
    Begin,
    /// Behind the last record.
    End,
    /// This offset of the current incarnation.
    Offset(u64),
    /// The first record of this queue time or a later one, in microseconds UTC.
    Time(i64),
    /// The place that an earlier answer ended at.
    Position(Position),
}

/// The way out if there is nothing at the place: it was never reached, retention took it, or it is of another history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutOfRange {
    /// An error.
    #[default]
    Error,
    /// Begin at the first record that is left.
    Begin,
    /// Begin behind the last record.
    End,
}

impl FromStr for OutOfRange {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "error" => Ok(Self::Error),
            "begin" => Ok(Self::Begin),
            "end" => Ok(Self::End),
            other => Err(format!("{other:?} is unknown; allowed is begin, end or error")),
        }
    }
}

impl Fetcher {
    /// The place that a name means now.
    ///
    /// # Errors
    /// As of [`Fetcher::fetch`] with [`OutOfRange::Error`].
    pub async fn position(&self, partition: &TopicPartition, start: Start) -> Result<Position, FetchError> {
        let request = FetchRequest {
            partition: partition.clone(),
            start,
            limits: Limits::default(),
            wait: Duration::ZERO,
            out_of_range: OutOfRange::Error,
            seen: Seen::default(),
        };
        if start != Start::Begin {
            return self.resolve(&request).await;
        }
        let at = Position::default();
        let ahead = self.ahead(&request, at).await?;
        let first = ahead.segments.first().map(|segment| plan::enter(segment, at));
        Ok(first.unwrap_or_else(|| plan::behind_segments(&ahead, at)))
    }

    /// The place that the request begins at.
    pub(super) async fn resolve(&self, request: &FetchRequest) -> Result<Position, FetchError> {
        let named = match request.start {
            Start::Begin => return Ok(Position::default()),
            Start::End => return Ok(self.end(request).await?.0),
            Start::Time(us) => return self.at_time(request, us).await,
            Start::Offset(offset) => self.in_range(request, ReadFrom::Offset(offset), offset).await,
            Start::Position(at) => self.in_range(request, ReadFrom::Position(at), at.offset).await,
        };
        match (named, request.out_of_range) {
            (Err(error), OutOfRange::Begin) if error.is_out_of_range() => Ok(Position::default()),
            (Err(error), OutOfRange::End) if error.is_out_of_range() => Ok(self.end(request).await?.0),
            (named, _) => named,
        }
    }

    /// The place, if it can have records now or later.
    async fn in_range(&self, request: &FetchRequest, from: ReadFrom, offset: u64) -> Result<Position, FetchError> {
        let of = &request.partition;
        let ahead = self.catalog.segments_from(of, from, 1).await?;
        let ahead = ahead.ok_or_else(|| FetchError::PartitionNotFound(of.clone()))?;
        request.check_same(&ahead)?;
        let now = &ahead.partition;
        let at = match from {
            ReadFrom::Position(at) => at,
            _ => Position { incarnation: now.incarnation, offset },
        };
        plan::check(of, &ahead, at)?;
        if at.incarnation < now.incarnation || at.offset <= now.high_watermark {
            return Ok(at);
        }
        let (end, is_known) = self.end(request).await?;
        if !is_known && matches!(from, ReadFrom::Position(_)) {
            // Somebody who reads the queue was there: the records come with their commit.
            return Ok(at);
        }
        if at.offset > end.offset && at.incarnation == end.incarnation {
            return Err(FetchError::AboveEnd { partition: of.clone(), offset, end: end.offset, has_tail: is_known });
        }
        Ok(at)
    }

    /// The place behind the last record, and true if it is the queue's end; otherwise it is the high watermark.
    async fn end(&self, request: &FetchRequest) -> Result<(Position, bool), FetchError> {
        let at = Position { incarnation: Incarnation(u32::MAX), offset: 0 };
        let ahead = self.ahead(request, at).await?;
        let now = &ahead.partition;
        let mut end = Position { incarnation: now.incarnation, offset: now.high_watermark };
        match self.end_of(&ahead.topic, now).await {
            Ok(Some(found)) => {
                end.offset = found.next_offset.max(end.offset);
                Ok((end, true))
            }
            Ok(None) | Err(FetchError::Tail(TailError::Unsupported { .. } | TailError::OtherHistory { .. })) => {
                Ok((end, false))
            }
            Err(error) => Err(error),
        }
    }

    /// The place of the first record of this time or a later one; the end if there is none.
    async fn at_time(&self, request: &FetchRequest, us: i64) -> Result<Position, FetchError> {
        let of = &request.partition;
        let found = self.catalog.segments_from(of, ReadFrom::Time(us), 1).await?;
        let ahead = found.ok_or_else(|| FetchError::PartitionNotFound(of.clone()))?;
        let mut at = match ahead.segments.first() {
            Some(segment) => Position { incarnation: segment.incarnation, offset: segment.range.base() },
            None => plan::behind_segments(&ahead, Position::default()),
        };
        loop {
            let (work, _) = self.read(request, Work::new(at, SEARCHED, None)).await?;
            if let Some(found) = first_of_time(&work, us) {
                return Ok(found);
            }
            if work.taken.records == 0 {
                return Ok(work.at);
            }
            at = work.at;
        }
    }
}

/// The place of the first row of this time or a later one.
fn first_of_time(work: &Work, us: i64) -> Option<Position> {
    work.taken.batches.iter().find_map(|rows| {
        let times = rows.column_by_name(TIMESTAMP)?.as_primitive::<TimestampMicrosecondType>();
        let offsets = rows.column_by_name(OFFSET)?.as_primitive::<Int64Type>();
        let incarnations = rows.column_by_name(INCARNATION)?.as_primitive::<Int32Type>();
        let row = times.values().iter().position(|time| *time >= us)?;
        let incarnation = Incarnation(incarnations.value(row).cast_unsigned());
        Some(Position { incarnation, offset: offsets.value(row).cast_unsigned() })
    })
}
