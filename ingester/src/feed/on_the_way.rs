//! The messages of a feed that are on their way.
//!
//! Owns: counting each outcome once, and the first failure. Does not own: the counts (`tally`), sending (`feed`).

use std::collections::VecDeque;

use futures::FutureExt;

use super::tally::Tally;
use crate::error::ProducerError;
use crate::outcome::{SendFailure, SendOutcome};
use crate::producer::SendHandle;

/// Known outcomes are counted after so many messages, even if the stream does not pause: few are kept, and a failure
/// ends the feed soon.
const MESSAGES_BETWEEN_LOOKS: u32 = 128;

/// The messages without a known outcome, in order.
pub(super) struct OnTheWay<'a> {
    tally: &'a mut Tally,
    progress: &'a (dyn Fn(u64) + Sync),
    sent: VecDeque<Sent>,
    since_look: u32,
    /// The line of the first message that failed, and its failure.
    failure: Option<(u64, SendFailure)>,
}

struct Sent {
    handle: SendHandle,
    line: u64,
    bytes: u64,
}

impl<'a> OnTheWay<'a> {
    pub(super) fn new(tally: &'a mut Tally, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { tally, progress, sent: VecDeque::new(), since_look: 0, failure: None }
    }

    /// Adds the message of a line, with the bytes of its payload.
    pub(super) fn add(&mut self, handle: SendHandle, line: u64, bytes: u64) {
        self.sent.push_back(Sent { handle, line, bytes });
        self.since_look += 1;
        if self.since_look < MESSAGES_BETWEEN_LOOKS {
            return;
        }
        self.since_look = 0;
        while let Some(outcome) = self.sent.front_mut().and_then(|first| (&mut first.handle).now_or_never()) {
            self.count_first(outcome);
        }
    }

    /// True if a failure is known.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Waits for `ready`, and counts outcomes as they come meanwhile, up to the first failure.
    pub(super) async fn count_until<T>(&mut self, ready: impl Future<Output = Result<(), T>>) -> Result<(), T> {
        tokio::pin!(ready);
        while let Some(first) = self.sent.front_mut() {
            tokio::select! {
                biased;
                ready = &mut ready => return ready,
                outcome = &mut first.handle => self.count_first(outcome),
            }
            if self.has_failed() {
                return Ok(());
            }
        }
        ready.await
    }

    /// Waits for every outcome; returns the line and the failure of the first message that failed. Calls `at_failure` once
    /// if there is one, as soon as it is known.
    pub(super) async fn all_outcomes(mut self, at_failure: impl FnOnce()) -> Option<(u64, SendFailure)> {
        let mut at_failure = Some(at_failure);
        loop {
            if self.has_failed()
                && let Some(at_failure) = at_failure.take()
            {
                at_failure();
            }
            let Some(first) = self.sent.front_mut() else { return self.failure };
            let outcome = (&mut first.handle).await;
            self.count_first(outcome);
        }
    }

    fn count_first(&mut self, outcome: SendOutcome) {
        let Sent { line, bytes, .. } = self.sent.pop_front().expect("it has just had an outcome");
        (self.progress)(bytes);
        match outcome {
            Ok(sent) => self.tally.add_confirmed(&sent, bytes),
            Err(failure) if matches!(*failure.error, ProducerError::Quarantined { .. }) => {
                self.tally.add_quarantined(bytes);
            }
            Err(failure) => {
                let count = if failure.is_not_stored { &mut self.tally.not_sent } else { &mut self.tally.failed };
                *count += 1;
                self.failure.get_or_insert((line, failure));
            }
        }
    }
}
