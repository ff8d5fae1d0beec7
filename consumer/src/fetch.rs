//! Records of a partition from a place on: out of its segments, and then, without a seam, out of the queue.
//!
//! Owns: the order of the two, the seam, and the wait. Does not own: requests and answers (`fetch::request`), places (`plan`,
//! `fetch::start`), a segment's rows (`rows`), decoding the queue's messages (whoever implements [`TailSource`]).
//!
//! The seam: segments and watermark are of one transaction of the catalog, and the queue is read from that watermark on.
//! Messages that are committed meanwhile may leave the queue; then the queue's answer has holes, the catalog is asked again,
//! and the records are found in a segment.

mod behind;
mod request;
mod skipped;
mod start;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use catalog::{MetadataStore, Position, ReadAhead, ReadFrom};
use common::TopicPartition;
use common::queue::Announcements;
use lake::Storage;
use lake::schema::table_schema;
use lake::tail::TailSource;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::request::{FetchRequest, Fetched, LastRead, Limits, Seen};
pub use self::skipped::Skipped;
pub use self::start::{OutOfRange, Start};
use crate::error::FetchError;
use crate::objects::{CacheOptions, Objects, Wanted};
use crate::plan;
use crate::rows::{Room, Taken, take};
use crate::wait::{Wake, deadline_of};

/// Segments that are asked for at once: the one that is read, and the next ones.
const SEGMENTS_AHEAD: u32 = 4;
/// Looks at an object that left the list before it was read: each look finds its successor.
const LOOKS_MAX: u32 = 3;

/// The parts that records are read from.
#[derive(Clone, Debug)]
pub struct FetchParts {
    /// Says which objects have the records.
    pub catalog: Arc<dyn MetadataStore>,
    /// Has the objects.
    pub storage: Storage,
    /// Has the records that are not committed yet; without it, records come when they are committed. If the queue is
    /// in memory, a group stops once a process ended with records that the group had read and no writer had committed.
    pub tail: Option<Arc<dyn TailSource>>,
    /// Changes with each commit of a writer in this process.
    pub commits: Option<watch::Receiver<u64>>,
    /// Announcements of writers elsewhere.
    pub announcements: Option<Arc<dyn Announcements>>,
    /// The bounds of the read cache.
    pub cache: CacheOptions,
}

/// Reads records. Clones share the cache.
#[derive(Clone, Debug)]
pub struct Fetcher {
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) tail: Option<Arc<dyn TailSource>>,
    objects: Objects,
    pub(crate) wake: Arc<Wake>,
}

/// An answer that is being put together.
#[derive(Debug)]
struct Work {
    at: Position,
    room: Room,
    taken: Taken,
    schema: SchemaRef,
    end: Option<u64>,
    only_committed: Option<String>,
    /// The last message that was read out of the queue.
    last: Option<LastRead>,
}

impl Work {
    fn new(at: Position, room: Room, last: Option<LastRead>) -> Self {
        let schema = Arc::new(arrow_schema::Schema::empty());
        Self { at, room, taken: Taken::default(), schema, end: None, only_committed: None, last }
    }

    /// Moves behind the last message that was taken since there were so many records; stays where none was. The last message of
    /// the history before says nothing of a place in this one.
    fn advance(&mut self, records_before: usize) {
        if self.taken.records > records_before {
            self.at.offset = self.taken.last_offset.map_or(self.at.offset, |last| last + 1);
        }
    }
}

/// What a look at the catalog led to.
enum Look {
    /// The answer is full, or there is nothing more now.
    Done(Box<ReadAhead>),
    /// The catalog is to be asked again.
    Again,
}

impl Fetcher {
    /// Reads with these parts.
    ///
    /// # Errors
    /// When the directory of the read cache cannot be used.
    pub fn open(parts: FetchParts) -> Result<Self, FetchError> {
        let FetchParts { catalog, storage, tail, commits, announcements, cache } = parts;
        let objects = Objects::open(storage, &cache)?;
        let wake = Arc::new(Wake::new(commits, announcements, tail.is_some()));
        Ok(Self { catalog, tail, objects, wake })
    }

    /// The same, of committed records alone. It shares the cache.
    pub fn without_tail(&self) -> Self {
        Self { tail: None, ..self.clone() }
    }

    /// True if records are read before they are committed.
    pub fn has_tail(&self) -> bool {
        self.tail.is_some()
    }

    /// Records from a place on, as many as the limits allow. Waits for the first one if there is none.
    ///
    /// # Errors
    /// [`FetchError`]: see its variants. Those of kind `Unavailable` pass.
    pub async fn fetch(&self, request: &FetchRequest) -> Result<Fetched, FetchError> {
        Ok(self.fetch_within(request, || Some(())).await?.0)
    }

    /// As [`Fetcher::fetch`], with memory for the answer: it is taken when there may be something to read, and not held while waiting.
    ///
    /// # Errors
    /// [`FetchError::Busy`] if there is no memory; those of [`Fetcher::fetch`].
    pub async fn fetch_within<M>(
        &self,
        request: &FetchRequest,
        memory: impl Fn() -> Option<M>,
    ) -> Result<(Fetched, M), FetchError> {
        let deadline = deadline_of(request.wait);
        let mut held = memory().ok_or(FetchError::Busy)?;
        let start = self.resolve(request).await?;
        let room = Room { records: request.limits.records_max, bytes: request.limits.bytes_max };
        // Behind a place that was out of range, nothing that was seen before counts.
        let is_moved = matches!(request.start, Start::Position(at) if at != start);
        let (mut at, mut last) = (start, request.seen.last.filter(|_| !is_moved));
        loop {
            let mut waiting = self.wake.begin();
            let (work, ahead) = self.read(request, Work::new(at, room, last)).await?;
            if work.taken.records > 0 || Instant::now() >= deadline {
                return Ok((self.answer(request, start, work, &ahead).await?, held));
            }
            (at, last) = (work.at, work.last);
            drop(held);
            waiting.pause(deadline).await;
            while self.is_unchanged(&request.partition, &work, &ahead).await? && Instant::now() < deadline {
                waiting.pause(deadline).await;
            }
            held = memory().ok_or(FetchError::Busy)?;
        }
    }

    /// True if neither the catalog nor the queue has more than before.
    async fn is_unchanged(&self, of: &TopicPartition, work: &Work, before: &ReadAhead) -> Result<bool, FetchError> {
        let Some(now) = self.catalog.get_partition(of).await? else { return Ok(false) };
        let is_same = |a: &catalog::Partition| (a.incarnation, a.high_watermark, a.created_at);
        if is_same(&now) != is_same(&before.partition) {
            return Ok(false);
        }
        let Some(end) = work.end else { return Ok(true) };
        let found = self.end_of(&before.topic, &now).await?;
        Ok(found.is_none_or(|found| found.next_offset == end))
    }

    /// Reads what is there from a place on.
    async fn read(&self, request: &FetchRequest, mut work: Work) -> Result<(Work, Box<ReadAhead>), FetchError> {
        let mut failures = 0;
        loop {
            match self.look(request, &mut work).await {
                Ok(Look::Done(ahead)) => return Ok((work, ahead)),
                Ok(Look::Again) => {}
                // The object may have left the list after the look at the catalog.
                Err(FetchError::Lake(_)) if failures + 1 < LOOKS_MAX && work.taken.records == 0 => failures += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn look(&self, request: &FetchRequest, work: &mut Work) -> Result<Look, FetchError> {
        let ahead = Box::new(self.ahead(request, work.at).await?);
        let table = table_schema(&ahead.topic.config);
        if work.taken.records > 0 && table != work.schema {
            // All rows of an answer have the same columns; the rest comes with the next one.
            return Ok(Look::Done(ahead));
        }
        work.schema = table;
        for (index, segment) in ahead.segments.iter().enumerate() {
            work.at = plan::enter(segment, work.at);
            let wanted = |segment: &catalog::SegmentInfo| Wanted {
                segment: Arc::new(segment.clone()),
                table: Arc::clone(&work.schema),
                schema_version: ahead.topic.schema_version,
            };
            if let Some(next) = ahead.segments.get(index + 1) {
                self.objects.open_ahead(&wanted(next)).await;
            }
            let (wanted, before) = (wanted(segment), work.taken.records);
            let is_end = take(&self.objects, &wanted, work.at.offset, work.room, &mut work.taken).await?;
            if !is_end {
                work.advance(before);
                return Ok(Look::Done(ahead));
            }
            work.at.offset = segment.range.next();
        }
        if ahead.segments.len() == SEGMENTS_AHEAD as usize {
            return Ok(Look::Again);
        }
        work.at = plan::behind_segments(&ahead, work.at);
        self.look_behind(request, work, ahead).await
    }

    /// The next segments from a place on.
    async fn ahead(&self, request: &FetchRequest, at: Position) -> Result<ReadAhead, FetchError> {
        let of = &request.partition;
        let found = self.catalog.segments_from(of, ReadFrom::Position(at), SEGMENTS_AHEAD).await?;
        let ahead = found.ok_or_else(|| FetchError::PartitionNotFound(of.clone()))?;
        request.check_same(&ahead)?;
        Ok(ahead)
    }

    async fn answer(
        &self,
        request: &FetchRequest,
        first: Position,
        work: Work,
        ahead: &ReadAhead,
    ) -> Result<Fetched, FetchError> {
        let skipped = self.skipped(&request.partition, ahead, (first, work.at)).await?;
        Ok(Fetched {
            schema: work.schema,
            records: work.taken.records,
            batches: work.taken.batches,
            first,
            next: work.at,
            high_watermark: ahead.partition.high_watermark,
            end: work.end,
            skipped,
            only_committed: work.only_committed,
            seen: Seen { topic_created_at: Some(ahead.topic.created_at), last: work.last },
        })
    }
}
