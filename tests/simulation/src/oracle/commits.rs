//! Checks of one commit, and of everything once a run has settled.
//!
//! Owns: comparing a commit with the tables, with the objects it lists and with the histories of its stream.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{CommitRequest, NewObject, NewSegment, SegmentKind};
use common::checksum::crc32c;
use common::{Incarnation, TopicPartition};

use super::{History, Inner, Known, Violation, broken};
use crate::catalog::{CatalogState, ObjectName};
use crate::rows::{self, Place, PlacedRows, Row, Rows};

/// Number of notes after which a message may be set aside undecoded.
const DEATHS_TO_CONDEMN: u32 = 2;

type Suspects = BTreeMap<(TopicPartition, u64), u32>;

impl Inner {
    /// Requests of one transaction, whose objects hold their rows and no others.
    pub(super) fn committed(&mut self, state: &CatalogState, requests: &[CommitRequest]) -> Result<(), Violation> {
        for request in requests {
            let watermarks = self.committed.entry((request.partition.clone(), request.epoch)).or_default();
            watermarks.insert(request.range.end() + 1);
            row_agrees(state, request)?;
            chain_goes_on(state, request)?;
        }
        let objects = objects_of(requests);
        self.objects_are_new(state, &objects)?;
        let mut placed = PlacedRows::new();
        for segment in &objects {
            self.read_object(&segment.object, segment.kind, &mut placed)?;
        }
        for request in requests {
            let rows = self.take_rows(request, &mut placed);
            self.content_agrees(request, &rows)?;
        }
        match placed.keys().next() {
            Some(place) => broken(6, format!("{place:?} was committed, and no request is of its partition")),
            None => Ok(()),
        }
    }

    /// 8, 11.
    fn objects_are_new(&mut self, state: &CatalogState, segments: &[&NewSegment]) -> Result<(), Violation> {
        for segment in segments {
            let new = &segment.object;
            let object = ObjectName::new(&new.bucket, &new.key);
            if self.is_forgotten(&object) {
                return broken(8, format!("{} is listed by a catalog that never heard of it", new.key));
            }
            if self.view.doomed.contains(&object) {
                return broken(11, format!("{} was doomed and is committed", new.key));
            }
            if state.uploads.contains_key(&object) {
                return broken(8, format!("{} is listed and still an intent", new.key));
            }
            if !self.view.listed.insert(object) {
                return broken(8, format!("{} is listed twice", new.key));
            }
        }
        Ok(())
    }

    /// The rows that are of the partition and incarnation of the request, in its range or not.
    fn take_rows(&mut self, request: &CommitRequest, placed: &mut PlacedRows) -> Rows {
        let (partition_id, incarnation) = (request.partition.partition_id, request.incarnation.0);
        let is_of = |place: &Place| (place.partition_id, place.incarnation) == (partition_id, incarnation);
        let of_request: PlacedRows = placed.extract_if(.., |place, _| is_of(place)).collect();
        let range = rows::range(partition_id, incarnation, request.range);
        let known: Vec<Place> = self.rows.range(range.clone()).map(|(place, _)| *place).collect();
        known.iter().for_each(|place| drop(self.rows.remove(place)));
        let of_range = of_request.iter().filter(|(place, _)| range.contains(place));
        self.rows.extend(of_range.map(|(place, row)| (*place, row.clone())));
        of_request.into_iter().map(|(place, row)| ((place.offset, place.row), row)).collect()
    }

    /// 6, 7: adds the rows of an object, which must equal its listing.
    pub(super) fn read_object(
        &self,
        listed: &NewObject,
        kind: SegmentKind,
        rows: &mut PlacedRows,
    ) -> Result<(), Violation> {
        let Some(object) = self.store.object(&listed.key) else {
            return broken(7, format!("{} is listed and does not exist", listed.key));
        };
        if (object.bytes.len() as u64, crc32c(&object.bytes)) != (listed.size_bytes, listed.checksum) {
            return broken(7, format!("{} is not of the size and checksum listed", listed.key));
        }
        let before = rows.len();
        if let Err(error) = rows::read(self.format, kind, object.bytes, rows) {
            return broken(6, format!("{}: {error}", listed.key));
        }
        if (rows.len() - before) as u64 != listed.record_count {
            return broken(
                6,
                format!("{} holds {} rows, listed {}", listed.key, rows.len() - before, listed.record_count),
            );
        }
        Ok(())
    }

    /// 1, 2, 6, 9: the range is exactly that of one history, the same one for the whole incarnation.
    fn content_agrees(&mut self, request: &CommitRequest, rows: &Rows) -> Result<(), Violation> {
        let key = (request.partition.clone(), request.incarnation);
        let histories = self.histories.of(&request.partition);
        let begun = self.view.begun.get(&key).copied().unwrap_or_default();
        let agreeing = self.view.agreeing.remove(&key).unwrap_or_else(|| (begun..histories.len()).collect());
        // Histories that began after the last commit may agree as well, where they are the same so far.
        let known = agreeing.last().copied().unwrap_or(begun);
        let newer = (known + 1).max(begun)..histories.len();
        let mut same_until = u64::MAX;
        let newer = newer.filter(|index| {
            same_until = same_until.min(histories[*index].same_until);
            agreeing.contains(&known) && same_until.saturating_add(1) >= request.range.base()
        });
        let candidates: Vec<usize> = agreeing.iter().copied().chain(newer).collect();
        let mut agree = Vec::new();
        let mut reasons = Vec::new();
        for index in candidates {
            match compare(&histories[index], request, rows, &self.suspects) {
                Ok(()) => agree.push(index),
                Err(violation) => reasons.push(violation),
            }
        }
        if agree.is_empty() {
            // Several histories may agree with the earlier commits; the range may begin in any of them, and continue in
            // several that are the same so far.
            let follows = |known: &usize| follow_unnoticed(histories, *known, request, rows, &self.suspects);
            agree = agreeing.iter().flat_map(follows).collect::<BTreeSet<usize>>().into_iter().collect();
            self.figures.unnoticed += u64::from(!agree.is_empty());
        }
        if let (true, Some(violation)) = (agree.is_empty(), reasons.pop()) {
            return Err(violation);
        }
        self.figures.condemned += agree.last().map_or(0, |last| condemned(&histories[*last], rows));
        self.view.agreeing.insert(key, agree);
        Ok(())
    }

    /// 2, 6, 7, 14, 17, 19: at the end of a run.
    pub(super) fn settled(&self, state: &CatalogState) -> Result<(), Violation> {
        for row in state.objects.values() {
            self.holds_its_rows(state, &row.object)?;
        }
        for partition in state.segments.keys() {
            let row = &state.partitions[partition].partition;
            let agreeing = self.view.agreeing.get(&(partition.clone(), row.incarnation));
            let current = self.histories.current(partition);
            if agreeing.is_some_and(|agreeing| !agreeing.contains(&current))
                && !self.is_same(partition, row.incarnation)
            {
                return broken(
                    14,
                    format!("{partition} follows a history that the queue no longer has, and is not halted"),
                );
            }
        }
        self.shown_is_there()?;
        self.confirmations_hold()
    }

    /// True when the committed messages of the incarnation are a part of the present history.
    fn is_same(&self, partition: &TopicPartition, incarnation: Incarnation) -> bool {
        let key = (partition.clone(), incarnation);
        let watermark = self.view.watermarks.get(&key).copied().unwrap_or_default();
        let last = self.view.agreeing.get(&key).and_then(|agreeing| agreeing.last().copied()).unwrap_or_default();
        self.histories.same_until(partition, last).saturating_add(1) >= watermark
    }
}

/// One segment of each object that the requests list.
fn objects_of(requests: &[CommitRequest]) -> Vec<&NewSegment> {
    let mut seen = BTreeSet::new();
    let segments = requests.iter().flat_map(|request| &request.segments);
    segments.filter(|segment| seen.insert((&segment.object.bucket, &segment.object.key))).collect()
}

/// The histories that the range follows after an unnoticeable loss of the one before: the stream lost its tail and kept
/// its name and its time of creation, was filled again, and discarded the offset of the message read last before a
/// writer looked. A loss that no writer can notice is outside the promise.
fn follow_unnoticed(
    histories: &[History],
    known: usize,
    request: &CommitRequest,
    rows: &Rows,
    suspects: &Suspects,
) -> Vec<usize> {
    let later = (known + 1..histories.len()).take_while(|index| !histories[*index].is_recreated);
    let follows = |index: &usize| {
        let next = &histories[*index];
        // The message read last is the one before the range, or in it: then the range begins in the old history.
        (request.range.base().saturating_sub(1)..=request.range.end()).any(|last_read| {
            let is_gone = next.messages.get(&last_read).is_some_and(|message| message.is_removed);
            is_gone && compare(&joined(&histories[known], next, last_read), request, rows, suspects).is_ok()
        })
    };
    later.filter(follows).collect()
}

/// Number of the history's messages that were set aside undecoded.
fn condemned(history: &History, rows: &Rows) -> u64 {
    let is_condemned = |known: &Known, row: &Row| known.condemned == *row && known.rows.first() != Some(row);
    let first_rows = rows.iter().filter(|((_, number), _)| *number == 0);
    let known = |offset: &u64| history.messages.get(offset);
    first_rows.filter(|((offset, _), row)| known(offset).is_some_and(|known| is_condemned(known, row))).count() as u64
}

/// The one history up to this offset, the other one from there on.
fn joined(old: &History, new: &History, until: u64) -> History {
    let (old, new) = (old.messages.range(..=until), new.messages.range(until + 1..));
    let messages = old.chain(new).map(|(offset, known)| (*offset, known.clone())).collect();
    History { messages, ..History::default() }
}

/// 3, 4, 9, 12: the partition's row after the commit.
fn row_agrees(state: &CatalogState, request: &CommitRequest) -> Result<(), Violation> {
    let row = &state.partitions[&request.partition].partition;
    let partition = &request.partition;
    if row.high_watermark != request.range.end() + 1 {
        return broken(
            3,
            format!("{partition}: watermark {} after a commit to {}", row.high_watermark, request.range.end()),
        );
    }
    if row.epoch != request.epoch || row.owner != Some(request.owner) {
        let (epoch, now) = (request.epoch, row.epoch);
        return broken(12, format!("{partition}: committed at epoch {epoch} by {}, owned at {now}", request.owner));
    }
    if row.incarnation != request.incarnation {
        return broken(
            12,
            format!("{partition}: committed in incarnation {}, now {}", request.incarnation, row.incarnation),
        );
    }
    if row.anchor != Some(request.anchor) || request.anchor.offset != request.range.end() {
        return broken(9, format!("{partition}: the anchor is not the message at {}", request.range.end()));
    }
    Ok(())
}

/// 3, 4: the commit before.
fn chain_goes_on(state: &CatalogState, request: &CommitRequest) -> Result<(), Violation> {
    let partition = &request.partition;
    let commits = state.commits.get(partition).map_or(&[][..], Vec::as_slice);
    let of_incarnation = commits.iter().rev().filter(|commit| commit.incarnation == request.incarnation);
    let [this, before] = [0, 1].map(|index| of_incarnation.clone().nth(index));
    let Some(this) = this.filter(|this| this.range.end() == request.range.end()) else {
        return broken(3, format!("{partition}: the commit to {} has no row", request.range.end()));
    };
    let start = state.incarnations.get(partition).into_iter().flatten();
    let start = start.filter(|start| start.incarnation == request.incarnation).map(|start| start.start_offset).next();
    let expected = before.map_or(start.unwrap_or_default(), |before| before.range.end() + 1);
    if this.range.base() != expected || this.range.end() < this.range.base() {
        let (base, end) = (this.range.base(), this.range.end());
        return broken(3, format!("{partition}: [{base}, {end}] was committed where {expected} is next"));
    }
    let Some(before) = commits.iter().rev().nth(1) else { return Ok(()) };
    if before.epoch > this.epoch || (before.epoch == this.epoch && before.owner != this.owner) {
        return broken(4, format!("{partition}: epoch {} was committed after epoch {}", this.epoch, before.epoch));
    }
    Ok(())
}

/// Compares the range with this history, which it must match exactly.
fn compare(history: &History, request: &CommitRequest, rows: &Rows, suspects: &Suspects) -> Result<(), Violation> {
    let partition = &request.partition;
    let is_gap = |offset| request.gaps.iter().any(|gap| (gap.range.base()..=gap.range.end()).contains(&offset));
    let (mut message_count, mut row_count) = (0, 0);
    for offset in request.range.base().max(1)..=request.range.end() {
        let Some(known) = history.messages.get(&offset) else {
            return broken(6, format!("{partition}: offset {offset} was committed and never existed"));
        };
        if is_gap(offset) {
            if !known.is_removed {
                return broken(2, format!("{partition}: offset {offset} is a gap, and the queue holds it"));
            }
            continue;
        }
        message_count += 1;
        let is_suspect = suspects.get(&(partition.clone(), offset)).is_some_and(|times| *times >= DEATHS_TO_CONDEMN);
        if is_suspect && rows.get(&(offset, 0)) == Some(&known.condemned) {
            row_count += 1;
        } else {
            row_count += compare_rows(partition, offset, &known.rows, rows)?;
        }
        if offset == request.range.end() && known.anchor != request.anchor {
            return broken(9, format!("{partition}: the anchor at {offset} is not that of the message"));
        }
    }
    if row_count != rows.len() {
        return broken(1, format!("{partition}: {} rows are not of the range's messages", rows.len() - row_count));
    }
    if message_count != request.message_count {
        return broken(6, format!("{partition}: {message_count} messages, recorded {}", request.message_count));
    }
    Ok(())
}

/// Compares rows with the expected ones; returns their number.
fn compare_rows(partition: &TopicPartition, offset: u64, expected: &[Row], rows: &Rows) -> Result<usize, Violation> {
    for (number, expected) in expected.iter().enumerate() {
        match rows.get(&(offset, number as u32)) {
            Some(row) if row == expected => {}
            Some(_) => return broken(6, format!("{partition}: row {number} of offset {offset} has other content")),
            None => return broken(2, format!("{partition}: row {number} of offset {offset} is missing")),
        }
    }
    Ok(expected.len())
}
