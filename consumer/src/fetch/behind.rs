//! Records behind the segments: those of the queue, from the watermark on.
//!
//! Owns: the seam, where messages are committed while the queue is read. Does not own: the segments (`fetch`), decoding
//! (whoever implements [`TailSource`](lake::tail::TailSource)).

use catalog::{Partition, Position, ReadAhead, Topic};
use lake::tail::{TailEnd, TailError, TailLimits, TailRequest, bytes_of};

use super::{FetchRequest, Fetcher, LastRead, Look, Work};
use crate::error::FetchError;

impl Work {
    /// An answer of what is committed, where the queue cannot be read: records that were taken are given out, and a queue of which
    /// nothing can be read is no error.
    fn without_tail(&mut self, error: FetchError, ahead: Box<ReadAhead>) -> Result<Look, FetchError> {
        match error {
            FetchError::Tail(TailError::Unsupported { reason, .. }) => self.only_committed = Some(reason),
            _ if self.taken.records > 0 => {}
            error => return Err(error),
        }
        Ok(Look::Done(ahead))
    }
}

impl Fetcher {
    /// Reads the queue from the watermark on.
    pub(super) async fn look_behind(
        &self,
        request: &FetchRequest,
        work: &mut Work,
        ahead: Box<ReadAhead>,
    ) -> Result<Look, FetchError> {
        let Some(tail) = &self.tail else { return Ok(Look::Done(ahead)) };
        let (topic, partition) = (&ahead.topic, &ahead.partition);
        let end = match self.end_of(topic, partition).await {
            // The queue of a halted partition, for example. Records up to here are committed, and may be followed by others.
            Err(FetchError::Tail(TailError::OtherHistory { reason, .. }))
                if work.at.offset <= partition.high_watermark =>
            {
                work.only_committed = Some(reason);
                return Ok(Look::Done(ahead));
            }
            Err(error) => return work.without_tail(error, ahead),
            Ok(end) => end,
        };
        let Some(end) = end else { return Ok(Look::Done(ahead)) };
        work.end = Some(end.next_offset);
        let from_offset = work.at.offset.max(end.first_offset);
        let room = work.room.records.saturating_sub(work.taken.records);
        if from_offset >= end.next_offset || (room == 0 && work.taken.records > 0) {
            return Ok(Look::Done(ahead));
        }
        let limits = TailLimits {
            messages_max: room.max(1),
            bytes_max: work.room.bytes.saturating_sub(work.taken.bytes).max(1),
        };
        let to_offset = end.next_offset;
        // A message of an earlier incarnation is none of this history.
        let after = work.last.filter(|last| last.incarnation == partition.incarnation).map(|last| last.anchor);
        let wanted = TailRequest { topic, partition, from_offset, to_offset, end: &end, after, limits };
        let read = match tail.read(wanted).await {
            Err(error) => return work.without_tail(error.into(), ahead),
            Ok(read) => read,
        };
        work.last = read.last.map(|anchor| LastRead { incarnation: partition.incarnation, anchor }).or(work.last);
        if read.has_holes {
            let now = self.ahead(request, Position { offset: from_offset, ..work.at }).await?;
            let is_same =
                now.partition.incarnation == partition.incarnation && now.topic.created_at == topic.created_at;
            if !is_same || now.partition.high_watermark > from_offset {
                return Ok(Look::Again);
            }
            if read.gone_before.is_some_and(|gone| gone > now.partition.high_watermark.max(from_offset)) {
                // They are lost. The writer records a gap for them, and reading goes on behind it.
                return Ok(Look::Done(ahead));
            }
        }
        let before = work.taken.records;
        for rows in &read.rows {
            let row_bytes = bytes_of(rows) / rows.num_rows().max(1);
            if !work.taken.add(rows, row_bytes, work.room) {
                work.advance(before);
                return Ok(Look::Done(ahead));
            }
        }
        work.at.offset = read.next_offset.max(from_offset);
        // Messages that are no records of the table, such as quarantined ones, are no end: others may follow them.
        let goes_on = work.taken.records == 0 && read.next_offset > from_offset && read.next_offset < to_offset;
        Ok(if goes_on { Look::Again } else { Look::Done(ahead) })
    }

    /// The end of the partition's queue; `None` if the queue is not read here.
    ///
    /// # Errors
    /// Those of the queue, and of a queue that cannot be read as a tail.
    pub(crate) async fn end_of(&self, topic: &Topic, partition: &Partition) -> Result<Option<TailEnd>, FetchError> {
        let Some(tail) = &self.tail else { return Ok(None) };
        Ok(tail.ends(topic, &[partition]).await.pop().transpose()?)
    }
}
