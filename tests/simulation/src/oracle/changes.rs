//! Checks of each change of the catalog, right after it.
//!
//! Owns: the rules for each kind of change, and those for every row after any of them.
//! Does not own: the checks of a commit (`commits`).

use ::catalog::CommitRequest;

use super::retention::is_of_age;
use super::{Inner, Violation, broken};
use crate::catalog::{CatalogState, Change, Event, ObjectName};

impl Inner {
    pub(super) fn check(&mut self, state: &CatalogState, event: &Event, change: &Change) -> Result<(), Violation> {
        let by = event.writer.map_or_else(|| "world".to_owned(), |writer| format!("w{writer}"));
        match change {
            Change::Committed(request) => {
                self.count_commit(&by, request);
                self.committed(state, std::slice::from_ref(request))?;
            }
            Change::CommittedTogether(requests) => {
                requests.iter().for_each(|request| self.count_commit(&by, request));
                self.figures.shared += 1;
                self.committed(state, requests)?;
            }
            Change::Intended(intent) => {
                self.trace.note("catalog", format!("{by} intends {}", intent.key));
                self.intended(ObjectName::new(&intent.bucket, &intent.key))?;
            }
            Change::ReplacementIntended(object) => {
                self.trace.note("catalog", format!("{by} intends {}", object.key));
                self.intended(object.clone())?;
            }
            Change::Replaced(replacement, file_id) => {
                let inputs: Vec<_> = replacement.inputs.iter().map(|input| input.file_id).collect();
                let key = &replacement.output.key;
                self.trace.note("catalog", format!("{by} replaced {inputs:?} by {file_id} {key}"));
                self.figures.replacements += 1;
                self.replaced(state, replacement, *file_id)?;
            }
            Change::SegmentsDeleted(objects) => {
                self.trace.note("catalog", format!("{by} expired {} objects", objects.len()));
                self.figures.expired += objects.len() as u64;
            }
            Change::Aged(objects, retention_ms) => {
                self.trace.note("catalog", format!("{by} expired {objects:?} by age"));
                self.figures.aged += objects.len() as u64;
                is_of_age(state, event.at_ms, objects, *retention_ms)?;
            }
            Change::HistoryFolded(folded) => {
                self.trace.note("catalog", format!("{by} folded {folded:?}"));
                self.figures.folded += folded.commits;
            }
            Change::Doomed(object) => {
                self.trace.note("catalog", format!("{by} dooms {}", object.key));
                if self.view.listed.contains(object) && state.is_listed(object) {
                    return broken(8, format!("{} is listed and was doomed", object.key));
                }
                self.view.listed.remove(object);
                self.view.doomed.insert(object.clone());
            }
            Change::Acquired(_) | Change::Released(..) | Change::Halted(..) | Change::Resumed(_) => {
                self.ownership_changed(state, &by, change)?;
            }
            Change::Published(table) => self.published(state, &by, *table)?,
            Change::Withdrawn(topic) => {
                self.trace.note("catalog", format!("{by} withdrew the tables of {topic}"));
                self.view.shown.retain(|table, _| state.iceberg_heads.contains_key(table));
            }
            Change::Swept(object) => self.trace.note("catalog", format!("{by} swept {}", object.key)),
            Change::ClockJumped(milliseconds) => {
                self.trace.note("catalog", format!("the clock jumped by {milliseconds} ms"));
            }
            Change::Restored => self.trace.note("catalog", "another server took over"),
            Change::TopicCreated(_)
            | Change::TopicDeleted(_)
            | Change::WatermarkMoved(..)
            | Change::SegmentAdded(_)
            | Change::Other(_) => {}
        }
        self.rows_hold(state)
    }

    fn ownership_changed(&mut self, state: &CatalogState, by: &str, change: &Change) -> Result<(), Violation> {
        match change {
            Change::Acquired(held) => {
                let (partition, epoch, watermark) = (&held.partition, held.epoch, held.high_watermark);
                self.trace.note("catalog", format!("{by} acquired {partition} epoch {epoch} at {watermark}"));
                self.figures.takeovers += u64::from(held.takeovers > 0);
            }
            Change::Released(partition, _) => self.trace.note("catalog", format!("{by} released {partition}")),
            Change::Halted(partition, reason) => {
                self.trace.note("catalog", format!("{by} halted {partition}: {reason}"));
                self.figures.halts += 1;
                if reason.trim().is_empty() {
                    return broken(14, format!("{partition} is halted without a reason"));
                }
            }
            Change::Resumed(partition) => {
                self.trace.note("catalog", format!("{by} resumed {partition}"));
                let row = &state.partitions[partition].partition;
                let current = self.histories.current(partition);
                self.view.begun.insert((partition.clone(), row.incarnation), current);
                self.view.watermarks.insert((partition.clone(), row.incarnation), row.high_watermark);
            }
            _ => {}
        }
        Ok(())
    }

    fn count_commit(&mut self, by: &str, request: &CommitRequest) {
        let (partition, range, epoch, gaps) = (&request.partition, request.range, request.epoch, request.gaps.len());
        let (base, end) = (range.base(), range.end());
        self.trace.note("catalog", format!("{by} committed {partition} [{base}, {end}] epoch {epoch} gaps {gaps}"));
        self.figures.commits += 1;
        self.figures.messages += request.message_count;
        self.figures.gaps += gaps as u64;
    }

    /// 8, 11: the key is new.
    fn intended(&mut self, object: ObjectName) -> Result<(), Violation> {
        if self.view.listed.contains(&object) {
            return broken(8, format!("{} is listed and was intended again", object.key));
        }
        // A request that was delayed until after both sweeps, which the clock brought forward: nobody acts on it, and the next
        // takeover dooms it again.
        let is_late = self.swept_early.contains(&object.key);
        if self.view.doomed.contains(&object) && !is_late {
            return broken(11, format!("{} is doomed and was intended again", object.key));
        }
        self.ever_intended.insert(object.clone());
        self.view.intended.insert(object);
        Ok(())
    }

    fn rows_hold(&mut self, state: &CatalogState) -> Result<(), Violation> {
        for (partition, row) in &state.partitions {
            let key = (partition.clone(), row.partition.incarnation);
            let now = row.partition.high_watermark;
            let before = self.view.watermarks.insert(key, now).unwrap_or_default();
            if let Some(suspect) = row.suspect {
                let times = self.suspects.entry((partition.clone(), suspect.offset)).or_default();
                *times = suspect.times.max(*times);
            }
            if now < before {
                return broken(5, format!("the watermark of {partition} went back from {before} to {now}"));
            }
        }
        Ok(())
    }
}
