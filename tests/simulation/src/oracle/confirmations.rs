//! Checks of records whose commit was confirmed to their producers.
//!
//! Owns: comparing a confirmation with the rows that are committed, at its moment and at the end of the run.
//! Does not own: the wait (`ingester::Commits`), the commits (`commits`).
//!
//! Outside the promise: a commit that a lagging server never received, and a loss of the stream's tail that nobody can
//! notice.

use std::sync::Arc;

use common::{Message, OutgoingMessage};
use ingester::{Before, Fate};

use super::{Inner, Known, Oracle, Violation, broken};
use crate::rows::{self, Place, Row};

/// A record and the answer that its producer got.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// Its partition, before it was published.
    pub before: Before,
    /// The offset that the queue confirmed.
    pub offset: u64,
    /// True if the queue said that it had the message already.
    pub is_duplicate: bool,
    /// The message.
    pub message: OutgoingMessage,
    /// The answer.
    pub fate: Fate,
    /// [`Oracle::failovers`] when the wait began.
    pub failovers: u64,
}

/// How a confirmation holds.
enum Held {
    /// The rows of its record are committed.
    Shown,
    /// Nobody can tell that they are not.
    Unnoticeable,
}

impl Oracle {
    /// Lagging servers that took the catalog over so far.
    pub fn failovers(&self) -> u64 {
        self.lock().failovers
    }

    /// A producer was answered: the record must be committed now, and stay so.
    pub fn confirmed(&self, confirmation: Confirmation) {
        let mut inner = self.lock();
        if confirmation.failovers != inner.failovers {
            return;
        }
        inner.figures.confirmed += 1;
        match inner.confirmation_holds(&confirmation) {
            Ok(Held::Shown) => inner.confirmations.push(confirmation),
            // What nobody could notice then may be noticeable later: it is no promise.
            Ok(Held::Unnoticeable) => {}
            Err(violation) => inner.broken(violation.invariant, violation.found),
        }
    }
}

impl Inner {
    /// 19: at the end of a run.
    pub(super) fn confirmations_hold(&self) -> Result<(), Violation> {
        self.confirmations.iter().try_for_each(|confirmation| self.confirmation_holds(confirmation).map(|_| ()))
    }

    /// 19: it is below the watermark of its incarnation, and its rows are committed as the answer says.
    fn confirmation_holds(&self, confirmation: &Confirmation) -> Result<Held, Violation> {
        let Confirmation { before, offset, fate, .. } = confirmation;
        let (partition, incarnation) = (before.partition(), before.incarnation());
        let what = format!("offset {offset} of {partition} in incarnation {incarnation} was confirmed as {fate:?}");
        let watermark = self.view.watermarks.get(&(partition.clone(), incarnation)).copied().unwrap_or_default();
        if *offset >= watermark {
            return broken(19, format!("{what}, and the watermark is {watermark}"));
        }
        let message = as_stored(confirmation);
        let wanted: Vec<Row> = rows::expected(self.format, &message);
        let place =
            |row| Place { partition_id: partition.partition_id, incarnation: incarnation.0, offset: *offset, row };
        let found: Vec<&Row> = (0..wanted.len()).filter_map(|row| self.rows.get(&place(row as u32))).collect();
        let is_whole =
            found.len() == wanted.len() && wanted.iter().zip(&found).all(|(wanted, row)| is_same(wanted, row));
        let is_condemned = found.first().is_some_and(|row| is_same(&rows::condemned(&message), row));
        if !is_whole && !is_condemned {
            if self.is_unnoticeable(confirmation, &wanted, watermark) {
                return Ok(Held::Unnoticeable);
            }
            return broken(19, format!("{what}, and its rows are {found:?}"));
        }
        let is_good = found.iter().all(|row| row.is_good);
        if is_good != (*fate == Fate::Committed) {
            return broken(19, format!("{what}, and its rows are {found:?}"));
        }
        Ok(Held::Shown)
    }

    /// True if nobody can tell that the stream lost a tail, and that another record has the offset. Either the tail held
    /// the record; or the record came after the loss, and the stream grew and discarded the message with which the writer
    /// or the wait was to compare it. An offset that was below the watermark before the publish shows
    /// it too, unless the queue had the message already: an earlier request may have published it.
    fn is_unnoticeable(&self, confirmation: &Confirmation, wanted: &[Row], watermark: u64) -> bool {
        let Confirmation { before, offset, is_duplicate, .. } = confirmation;
        let histories = self.histories.of(before.partition());
        let holds = |known: &Known| {
            known.rows.len() == wanted.len() && known.rows.iter().zip(wanted).all(|(row, wanted)| is_same(wanted, row))
        };
        let last = histories.iter().rposition(|history| history.messages.get(offset).is_some_and(holds));
        let Some(last) = last.filter(|_| *is_duplicate || *offset >= before.high_watermark()) else { return false };
        match histories.get(last + 1) {
            Some(next) => !next.is_recreated,
            None => {
                // Any message from this offset on may have been the last one read, or the last of a commit, at the look.
                let mut later = histories[last].messages.range(offset..&watermark);
                !histories[last].is_recreated && later.any(|(_, known)| known.is_removed)
            }
        }
    }
}

/// The message without its queue time, which the producer does not know.
fn as_stored(confirmation: &Confirmation) -> Message {
    let OutgoingMessage { key, headers, payload, is_awaited, .. } = confirmation.message.clone();
    let subject = Arc::from("");
    Message { offset: confirmation.offset, timestamp_us: 0, key, headers, subject, payload, is_awaited }
}

fn is_same(wanted: &Row, found: &Row) -> bool {
    (wanted.is_good, &wanted.key, &wanted.content) == (found.is_good, &found.key, &found.content)
}
