//! Tenure: the state of one partition in this writer, and the one function that changes it. Pure.
//!
//! Owns: the states, the events, the accepted transitions and the step that the supervisor takes after each of them.
//! Does not own: taking the step (`supervise`), the tasks of pipelines (`pipeline_tasks`), the clock: times are arguments.

use std::time::Duration;

use catalog::{Ownership, PartitionOwner};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::pipeline::context::Stop;

/// Rest of a partition whose pipeline failed by a defect, so that it does not disturb the others.
pub(crate) const REST_AFTER_DEFECT: Duration = Duration::from_secs(30);

/// The state of one partition in this writer.
#[derive(Clone, Debug)]
pub(crate) enum Tenure {
    /// No pipeline, and no reason against one.
    Free,
    /// A pipeline works on it. The pipeline also drains if its topic or the whole writer stops, since its token is
    /// their child, and then stays `Running` until its end.
    Running {
        ownership: Ownership,
        /// Lets the pipeline drain.
        stop: CancellationToken,
    },
    /// The pipeline commits the messages that it has fetched, and then ends.
    Draining(Ownership),
    /// The pipeline was aborted and has not ended yet.
    Aborting(Ownership),
    /// The pipeline committed everything and ended; the catalog still names this writer as the owner.
    Drained(Ownership),
    /// The pipeline failed by a defect; the next one starts at this time at the earliest.
    Resting { until: Instant },
    /// The partition takes no commits until an operator resumes it.
    Halted,
}

/// A fact that may change the state of a partition.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The catalog made this writer the owner. The token is the new pipeline's.
    Acquired { ownership: Ownership, stop: CancellationToken },
    /// The catalog refused to make this writer the owner, because the partition is halted.
    FoundHalted { reason: String },
    /// The ownership view shows the partition as not halted.
    SeenActive,
    /// The ownership view contradicts the pipeline.
    Lost(Loss),
    /// The plan gives the partition to a writer with fewer partitions.
    Surplus,
    /// The pipeline ended at this time.
    Ended { end: Result<(), Stop>, now: Instant },
    /// The catalog confirmed the release of the partition.
    Released,
    /// The current time.
    Time(Instant),
}

/// A contradiction between the ownership view and a running pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Another owner, or a later ownership, has this epoch.
    Taken { epoch: u64 },
    /// The catalog's watermark is below an earlier one that it confirmed to this writer.
    WentBack { known: u64, committed: u64 },
}

/// The step that follows a transition.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Do nothing.
    Nothing,
    /// Start the pipeline.
    Start { ownership: Ownership, stop: CancellationToken },
    /// Let the pipeline drain.
    Drain { stop: CancellationToken },
    /// Abort the pipeline.
    Abort(Loss),
    /// Give the drained partition back.
    GiveBack,
    /// Report that the pipeline was fenced.
    ReportFenced { reason: String },
    /// Record in the catalog that the partition is halted, and report it.
    RecordHalt { ownership: Ownership, reason: String },
    /// Report a halt that the catalog has recorded before.
    ReportHalt { reason: String },
    /// Report that the halt is over.
    ReportResumed,
    /// Report the defect.
    ReportDefect { reason: String },
    /// End the process.
    Exit { reason: String },
}

/// A transition that the supervisor must never ask for.
#[derive(Debug, thiserror::Error)]
#[error("a partition in state {state:?} cannot take the event {event:?}")]
pub(crate) struct RefusedTransition {
    state: Box<Tenure>,
    event: Box<Event>,
}

impl Tenure {
    /// The state after `event`, and the step that the supervisor takes now.
    ///
    /// # Errors
    /// [`RefusedTransition`] for an event that cannot occur in this state: the supervisor has a defect.
    pub(crate) fn after(self, event: Event) -> Result<(Self, Step), RefusedTransition> {
        use Tenure::{Aborting, Drained, Draining, Free, Halted, Resting, Running};
        let after = match (self, event) {
            // The only start of a pipeline. From any other state there could be two pipelines for one partition, which
            // fence each other, or one that starts before its rest is over.
            (Free, Event::Acquired { ownership, stop }) => {
                (Running { ownership: ownership.clone(), stop: stop.clone() }, Step::Start { ownership, stop })
            }
            // A partition that stayed free would be acquired in vain, and its halt reported, at every look at the
            // catalog.
            (Free, Event::FoundHalted { reason }) => (Halted, Step::ReportHalt { reason }),

            // A partition that stayed halted would have no reader after the operator's resume.
            (Halted, Event::SeenActive) => (Free, Step::ReportResumed),
            // An active row is the normal case.
            (
                tenure @ (Free | Running { .. } | Draining(_) | Aborting(_) | Drained(_) | Resting { .. }),
                Event::SeenActive,
            ) => (tenure, Step::Nothing),

            // A lost pipeline can commit nothing and would hold memory until its next message. If the catalog has lost
            // a pipeline's commits, their rows would be absent from the catalog until its next message.
            (Running { ownership, .. } | Draining(ownership), Event::Lost(loss)) => {
                (Aborting(ownership), Step::Abort(loss))
            }

            // Without this transition a new writer never gets a share.
            (Running { ownership, stop }, Event::Surplus) => (Draining(ownership), Step::Drain { stop }),
            // The view still names this writer as the owner, so the plan repeats itself; the pipeline already ends, or
            // there is none to drain.
            (tenure @ (Free | Draining(_) | Aborting(_) | Drained(_) | Resting { .. } | Halted), Event::Surplus) => {
                (tenure, Step::Nothing)
            }

            // Without this transition the partition would count as running, and no writer would read it again. An
            // aborted pipeline may have reached its own end first, so its end counts like any other.
            (Running { ownership, .. } | Draining(ownership) | Aborting(ownership), Event::Ended { end, now }) => {
                ended(ownership, end, now)
            }

            // A partition that stayed drained would be released again and again. One that became free before the
            // catalog's confirmation would keep an owner that does not read it, and its next takeover would count as a
            // death.
            (Drained(_), Event::Released) => (Free, Step::Nothing),

            // Without this transition a rest never ends.
            (Resting { until }, Event::Time(now)) if now >= until => (Free, Step::Nothing),
            // Only a rest waits for a time.
            (
                tenure @ (Free | Running { .. } | Draining(_) | Aborting(_) | Drained(_) | Resting { .. } | Halted),
                Event::Time(_),
            ) => (tenure, Step::Nothing),

            // Only free partitions are acquired; only working pipelines are lost or end; only drained ones are
            // released.
            (
                state @ (Running { .. } | Draining(_) | Aborting(_) | Drained(_) | Resting { .. } | Halted),
                event @ (Event::Acquired { .. } | Event::FoundHalted { .. }),
            )
            | (state @ (Free | Aborting(_) | Drained(_) | Resting { .. } | Halted), event @ Event::Lost(_))
            | (state @ (Free | Drained(_) | Resting { .. } | Halted), event @ Event::Ended { .. })
            | (
                state @ (Free | Running { .. } | Draining(_) | Aborting(_) | Resting { .. } | Halted),
                event @ Event::Released,
            ) => return Err(RefusedTransition { state: Box::new(state), event: Box::new(event) }),
        };
        Ok(after)
    }

    /// The contradiction between this state and a row of the ownership view. `committed` is the watermark that the catalog
    /// confirmed to this writer, read before the view; zero if there is none.
    pub(crate) fn loss(&self, row: &PartitionOwner, committed: u64) -> Option<Loss> {
        let (Self::Running { ownership, .. } | Self::Draining(ownership)) = self else { return None };
        if (row.owner, row.epoch) != (Some(ownership.owner), ownership.epoch) {
            return Some(Loss::Taken { epoch: row.epoch.0 });
        }
        let known = row.high_watermark;
        (known < committed).then_some(Loss::WentBack { known, committed })
    }
}

/// The state and the step after the pipeline of `ownership` ended.
fn ended(ownership: Ownership, end: Result<(), Stop>, now: Instant) -> (Tenure, Step) {
    match end {
        // Its topic may be gone as well; then the release changes nothing, which is no error.
        Ok(()) => (Tenure::Drained(ownership), Step::GiveBack),
        // The catalog would refuse a release: another writer is the owner, or the catalog does not know this one.
        Err(Stop::Fenced(reason)) => (Tenure::Free, Step::ReportFenced { reason }),
        // Continuing could lose or double messages.
        Err(Stop::Halted(reason)) => (Tenure::Halted, Step::RecordHalt { ownership, reason }),
        // An immediate new pipeline would fail in the same way and take CPU time from the others.
        Err(Stop::Internal(reason)) => {
            (Tenure::Resting { until: now + REST_AFTER_DEFECT }, Step::ReportDefect { reason })
        }
        // The process ends without a release, and the next start takes over from the stored state.
        Err(Stop::Exit(reason)) => (Tenure::Free, Step::Exit { reason }),
        // The pipeline was aborted, and the next look at the catalog shows the owner.
        Err(Stop::Neighbour) => (Tenure::Free, Step::Nothing),
    }
}

#[cfg(test)]
mod tests;
