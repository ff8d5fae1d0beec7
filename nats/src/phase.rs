//! Phase: the state of reading one partition, and the one function that changes it. Pure.
//!
//! Owns: the states, the events, the accepted transitions, the pauses between pulls, and the step that the
//! subscription takes after each transition. Does not own: taking the step (`subscription`), the meaning of frames
//! (`intake`), the clock: times are arguments.

use std::time::Duration;

use tokio::time::Instant;

use crate::pull_account::{PullAccount, PullSize};

/// Pause after a short pull that brought nothing; doubled up to `SHORT_PAUSE_MAX` while nothing arrives.
const SHORT_PAUSE_MIN: Duration = Duration::from_millis(250);
const SHORT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The waiting time of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PullKind {
    /// It waits at the server, which sends heartbeats.
    Long,
    /// It ends at once, because memory is scarce.
    Short,
}

/// The state of reading. `pause` follows the next short pull that brings nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No pull is outstanding, and the next one may be requested.
    Idle { pause: Duration },
    /// The server may send messages.
    Pulling {
        account: PullAccount,
        /// The kind of the last pull.
        kind: PullKind,
        /// A message arrived since the last pull was requested.
        is_flowing: bool,
        pause: Duration,
    },
    /// No pull is outstanding, and none may be requested before this time.
    Resting { until: Instant, pause: Duration },
    /// The subscription ended permanently.
    Lost { reason: String },
}

/// A fact that may change the phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A pull was sent to the server.
    Requested { size: PullSize, kind: PullKind },
    /// A message of `bytes` on the wire arrived.
    Delivered { bytes: usize },
    /// A pull ended in good order and left this part unserved, as far as the server reports it.
    PullEnded { messages_left: Option<usize>, bytes_left: Option<usize>, now: Instant },
    /// The server refuses pulls for now.
    PullRefused { now: Instant },
    /// The rest ended.
    RestEnded,
    /// The subscription can no longer be trusted or served.
    Lost { reason: String },
}

/// The step that follows a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// No step.
    Nothing,
    /// Give back the memory that neither ready messages nor pulls need.
    ReleaseFree,
    /// Drop all messages that were not handed over, and give back all memory.
    Forget,
}

/// A transition that the subscription must never request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefusedTransition {
    phase: Phase,
    event: Event,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Idle { pause: SHORT_PAUSE_MIN }
    }
}

impl Phase {
    /// Changes the phase by `event`, and returns the step that follows.
    ///
    /// # Panics
    /// If the event cannot occur in this phase: the account of memory or the pauses would be wrong.
    pub(super) fn apply(&mut self, event: Event) -> Step {
        let (phase, step) = match std::mem::take(self).after(event) {
            Ok(after) => after,
            Err(refused) => panic!("a subscription in phase {:?} cannot take {:?}", refused.phase, refused.event),
        };
        *self = phase;
        step
    }

    /// The phase after `event`, and the step that follows; the error is a defect of the subscription.
    fn after(self, event: Event) -> Result<(Self, Step), Box<RefusedTransition>> {
        use Phase::{Idle, Lost, Pulling, Resting};
        Ok(match (self, event) {
            // Without an account, no memory would be taken for the coming messages.
            (Idle { pause }, Event::Requested { size, kind }) => {
                (Pulling { account: PullAccount::new(size), kind, is_flowing: false, pause }, Step::Nothing)
            }
            // A second pull while the first is served: without it the server waits for this process after each pull.
            (Pulling { mut account, pause, .. }, Event::Requested { size, kind }) => {
                account.add(size);
                (Pulling { account, kind, is_flowing: false, pause }, Step::Nothing)
            }

            // A message resets the pause of empty pulls; a longer pause would delay the next message. A pull ends
            // with its last message, without a status: none would ever arrive.
            (Pulling { account, kind, .. }, Event::Delivered { bytes }) => {
                let pause = SHORT_PAUSE_MIN;
                let rest_of_pull = account.delivered(bytes);
                let pulling = rest_of_pull.map(|account| Pulling { account, kind, is_flowing: true, pause });
                (pulling.unwrap_or(Idle { pause }), Step::Nothing)
            }
            // A pull whose unserved part is unknown ends the whole account, although its other pulls may still be
            // served. Their messages are good; refusing them would end a healthy subscription.
            (Idle { .. }, Event::Delivered { .. }) => (Phase::default(), Step::Nothing),
            (Resting { until, .. }, Event::Delivered { .. }) => {
                (Resting { until, pause: SHORT_PAUSE_MIN }, Step::Nothing)
            }

            (Pulling { account, kind, is_flowing, pause }, Event::PullEnded { messages_left, bytes_left, now }) => {
                match account.ended(messages_left, bytes_left) {
                    Some(account) => (Pulling { account, kind, is_flowing, pause }, Step::Nothing),
                    None => pulled(kind, is_flowing, pause, now),
                }
            }
            // The end of a pull that already counts as ended.
            (phase @ (Idle { .. } | Resting { .. }), Event::PullEnded { .. }) => (phase, Step::Nothing),

            // An immediate pull would be refused again, as fast as the server answers.
            (Idle { pause } | Pulling { pause, .. } | Resting { pause, .. }, Event::PullRefused { now }) => {
                (Resting { until: now + SHORT_PAUSE_MAX, pause }, Step::ReleaseFree)
            }

            // Without this a rest never ends.
            (Resting { pause, .. }, Event::RestEnded) => (Idle { pause }, Step::Nothing),

            // A lost subscription that continued could hand over messages out of order, or hold memory without use.
            (Idle { .. } | Pulling { .. } | Resting { .. }, Event::Lost { reason }) => (Lost { reason }, Step::Forget),
            // The first reason is the cause; later ones are consequences.
            (lost @ Lost { .. }, Event::Lost { .. }) => (lost, Step::Nothing),

            // A pull during a rest would defeat the rest; only a rest can end; a lost subscription reads nothing.
            (phase @ (Resting { .. } | Lost { .. }), event @ Event::Requested { .. })
            | (phase @ (Idle { .. } | Pulling { .. } | Lost { .. }), event @ Event::RestEnded)
            | (
                phase @ Lost { .. },
                event @ (Event::Delivered { .. } | Event::PullEnded { .. } | Event::PullRefused { .. }),
            ) => return Err(Box::new(RefusedTransition { phase, event })),
        })
    }

    /// True if the server may still send messages for a pull.
    pub(super) fn is_outstanding(&self) -> bool {
        matches!(self, Self::Pulling { .. })
    }

    /// True if another pull may be requested before the reader runs dry.
    pub(super) fn wants_more(&self) -> bool {
        match self {
            Self::Idle { .. } => true,
            Self::Pulling { account, .. } => account.is_half_served(),
            Self::Resting { .. } | Self::Lost { .. } => false,
        }
    }

    /// The end of the rest, if there is one.
    pub(super) fn resting_until(&self) -> Option<Instant> {
        match self {
            Self::Resting { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// The reason for the end of the subscription, if it ended.
    pub(super) fn lost(&self) -> Option<&str> {
        match self {
            Self::Lost { reason } => Some(reason),
            _ => None,
        }
    }

    /// Memory that outstanding pulls may need.
    pub(super) fn credit_bytes(&self) -> usize {
        match self {
            Self::Pulling { account, .. } => account.credit_bytes(),
            _ => 0,
        }
    }
}

/// The phase after the last outstanding pull ended.
fn pulled(kind: PullKind, is_flowing: bool, pause: Duration, now: Instant) -> (Phase, Step) {
    match kind {
        // More messages are likely. The memory stays for the next pull, which follows at once.
        _ if is_flowing => (Phase::Idle { pause }, Step::Nothing),
        // The pull itself waited long enough; a pause would only delay the next message.
        PullKind::Long => (Phase::Idle { pause }, Step::ReleaseFree),
        // Without a rest, short pulls would query the server twenty times a second while memory is scarce.
        PullKind::Short => {
            let rest = Phase::Resting { until: now + pause, pause: (pause * 2).min(SHORT_PAUSE_MAX) };
            (rest, Step::ReleaseFree)
        }
    }
}

#[cfg(test)]
mod tests;
