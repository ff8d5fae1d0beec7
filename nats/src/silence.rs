//! Silence: distinguishes an empty stream from a consumer that is no longer served.
//!
//! Owns: the deadlines. Does not own: querying the stream, the phase of reading (`phase`).
//!
//! Heartbeats show that the server still serves the pull. A consumer that has silently stopped keeps sending them, so
//! the stream itself is queried at intervals for messages that should have arrived.

use std::time::Duration;

use tokio::time::Instant;

use crate::phase::PullKind;

/// Time without a message after which the stream is queried.
const ASK_AFTER: Duration = Duration::from_secs(30);

/// The meaning of the silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No conclusion yet.
    Wait,
    /// Query the stream for waiting messages.
    Ask,
    /// The subscription is not served.
    Lost(&'static str),
}

#[derive(Debug)]
enum Watch {
    /// No message arrived since.
    Quiet(Instant),
    /// The stream held messages at that time, and none arrived since.
    Suspect(Instant),
}

#[derive(Debug)]
pub(super) struct Silence {
    heartbeat: Duration,
    heard: Instant,
    watch: Watch,
    last_pull: Option<PullKind>,
}

impl Silence {
    pub(super) fn new(heartbeat: Duration, now: Instant) -> Self {
        Self { heartbeat, heard: now, watch: Watch::Quiet(now), last_pull: None }
    }

    /// Records a pull. The silence of a long pull continues in the next long one; a short one restarts it.
    pub(super) fn pulled(&mut self, now: Instant, kind: PullKind) {
        self.heard = now;
        if (self.last_pull, kind) != (Some(PullKind::Long), PullKind::Long) {
            self.watch = Watch::Quiet(now);
        }
        self.last_pull = Some(kind);
    }

    /// Records a frame of any kind.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Records a message.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.heard = now;
        self.watch = Watch::Quiet(now);
    }

    /// Records the stream's answer: true if it holds messages that should have arrived.
    pub(super) fn answered(&mut self, now: Instant, is_something_waiting: bool) {
        self.watch = if is_something_waiting { Watch::Suspect(now) } else { Watch::Quiet(now) };
    }

    /// Time of the next verdict, if no frame arrives.
    pub(super) fn deadline(&self) -> Instant {
        self.heard_until().min(self.watch_until())
    }

    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        match self.watch {
            _ if now >= self.heard_until() => Verdict::Lost("no heartbeat came"),
            _ if now < self.watch_until() => Verdict::Wait,
            Watch::Quiet(_) => Verdict::Ask,
            Watch::Suspect(_) => Verdict::Lost("the stream holds messages and the consumer delivers none"),
        }
    }

    fn heard_until(&self) -> Instant {
        self.heard + self.heartbeat * 5 / 2
    }

    fn watch_until(&self) -> Instant {
        match self.watch {
            Watch::Quiet(since) => since + ASK_AFTER,
            Watch::Suspect(since) => since + self.heartbeat * 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(5);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn missed_heartbeats_end_the_subscription() {
        let start = Instant::now();
        let mut silence = Silence::new(HEARTBEAT, start);
        silence.pulled(start, PullKind::Long);
        assert_eq!(silence.verdict(after(start, 12)), Verdict::Wait);
        assert!(matches!(silence.verdict(after(start, 13)), Verdict::Lost(_)));
        silence.heard(after(start, 5));
        assert_eq!(silence.verdict(after(start, 13)), Verdict::Wait);
    }

    #[tokio::test]
    async fn a_beating_consumer_that_delivers_nothing_is_found_out() {
        let start = Instant::now();
        let mut silence = Silence::new(HEARTBEAT, start);
        silence.pulled(start, PullKind::Long);
        silence.heard(after(start, 30));
        assert_eq!(silence.verdict(after(start, 30)), Verdict::Ask);
        silence.answered(after(start, 30), true);
        silence.heard(after(start, 45));
        assert!(matches!(silence.verdict(after(start, 45)), Verdict::Lost(_)));
        silence.delivered(after(start, 45));
        assert_eq!(silence.verdict(after(start, 45)), Verdict::Wait);
    }
}
