//! Waiting for the commits of a request's records.
//!
//! Owns: how many are waited for at once, and the outcome of a record that is not committed. Does not own: the look at the
//! catalog (`commits`).

use std::collections::BTreeMap;
use std::time::Duration;

use common::queue::PublishAck;
use futures::future::join_all;
use tokio::time::Instant;

use super::super::answer::{Outcome, Place, RecordCode};
use super::{Sender, scrubbed};
use crate::commits::{Fate, WaitError};

/// Records whose commits are waited for at once: one look at the catalog answers all of them.
const WAITS_MAX: usize = 5_000;

/// Shortest wait for a commit, so that the catalog is asked.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl Sender<'_> {
    /// Waits for the commit of every record that is stored, within one time for all of them.
    pub(super) async fn await_commits(&mut self) {
        let deadline = Instant::now() + self.api.options.timeout;
        let mut stored: BTreeMap<u32, Vec<(PublishAck, usize)>> = BTreeMap::new();
        for (index, outcome) in self.outcomes.iter().enumerate() {
            if let Some(Place { partition, offset, duplicate, .. }) = outcome.as_ref().and_then(|outcome| outcome.place)
            {
                stored.entry(partition).or_default().push((PublishAck { offset, duplicate }, index));
            }
        }
        let this = &*self;
        let waits = stored.into_iter().map(|(partition, mut acks)| async move {
            // A duplicate may lie before the records of this request.
            acks.sort_unstable_by_key(|(ack, _)| ack.offset);
            this.failed_waits(&partition, &acks, deadline).await
        });
        for (index, code, reason) in join_all(waits).await.into_iter().flatten() {
            let place = self.outcomes[index].as_ref().and_then(|outcome| outcome.place);
            self.outcomes[index] = Some(Outcome { place, ..Outcome::failed(code, reason) });
        }
    }

    /// The records of a partition, in order, that are not committed without a remark.
    async fn failed_waits(
        &self,
        partition: &u32,
        acks: &[(PublishAck, usize)],
        deadline: Instant,
    ) -> Vec<(usize, RecordCode, String)> {
        let history = &self.histories[partition];
        let mut failed = Vec::new();
        for (at, waited) in acks.chunks(WAITS_MAX).enumerate() {
            // What was committed meanwhile is seen, also when the time is over.
            let left = deadline.saturating_duration_since(Instant::now()).max(LAST_LOOK);
            let waits = waited.iter().map(|(ack, _)| self.api.commits.wait(history, *ack, left));
            let mut late = None;
            for (fate, (_, index)) in join_all(waits).await.into_iter().zip(waited) {
                match fate {
                    Ok(Fate::Committed) => {}
                    Ok(Fate::Quarantined { reason }) => {
                        failed.push((*index, RecordCode::Quarantined, format!("it is in quarantine: {reason}")));
                    }
                    Err(error) => {
                        failed.push((*index, code_of_wait(&error), scrubbed(&error)));
                        late = Some(error).filter(|error| matches!(error, WaitError::NotInTime { .. })).or(late);
                    }
                }
            }
            // Records behind one that is not committed are not committed before it.
            if let Some(error) = late {
                let rest = acks.iter().skip((at + 1) * WAITS_MAX);
                failed.extend(rest.map(|(_, index)| (*index, RecordCode::NotCommitted, scrubbed(&error))));
                break;
            }
        }
        failed
    }
}

fn code_of_wait(error: &WaitError) -> RecordCode {
    match error {
        WaitError::QuarantineUnread { .. } => RecordCode::Quarantined,
        WaitError::TopicGone { .. }
        | WaitError::Halted { .. }
        | WaitError::OtherHistory { .. }
        | WaitError::Lost { .. } => RecordCode::Lost,
        WaitError::NotInTime { .. } | WaitError::Catalog(_) | WaitError::Queue(_) => RecordCode::NotCommitted,
    }
}
