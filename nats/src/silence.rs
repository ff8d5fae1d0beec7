//! When a pull that brings nothing means that nothing is there, and when that something is wrong.
//!
//! Owns: the deadlines. Does not own: asking the stream.
//!
//! Heartbeats show that the server still serves the pull. Whether it *should* have something is asked of the stream
//! itself now and then: a consumer that has silently stopped keeps beating.

use std::time::Duration;

use tokio::time::Instant;

/// The stream is asked after so long without a message.
const ASK_AFTER: Duration = Duration::from_secs(30);

/// What the silence means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet.
    Wait,
    /// Ask the stream whether messages are waiting.
    Ask,
    /// The subscription is not served.
    Lost(&'static str),
}

#[derive(Debug)]
enum Watch {
    /// No message since.
    Quiet(Instant),
    /// The stream held messages at that time, and none came since.
    Suspect(Instant),
}

#[derive(Debug)]
pub(super) struct Silence {
    heartbeat: Duration,
    heard: Instant,
    watch: Watch,
    is_long: bool,
}

impl Silence {
    pub(super) fn new(heartbeat: Duration, now: Instant) -> Self {
        Self { heartbeat, heard: now, watch: Watch::Quiet(now), is_long: false }
    }

    /// A pull was requested; a long one has heartbeats and may follow on another, a short one starts over.
    pub(super) fn pulled(&mut self, now: Instant, is_long: bool) {
        self.heard = now;
        if !(is_long && self.is_long) {
            self.watch = Watch::Quiet(now);
        }
        self.is_long = is_long;
    }

    /// Any frame came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A message came.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.heard = now;
        self.watch = Watch::Quiet(now);
    }

    /// The stream answered whether it holds messages that should have come.
    pub(super) fn answered(&mut self, now: Instant, is_something_waiting: bool) {
        self.watch = if is_something_waiting { Watch::Suspect(now) } else { Watch::Quiet(now) };
    }

    /// Whether the last pull was a long one.
    pub(super) fn is_long(&self) -> bool {
        self.is_long
    }

    /// When to ask for the verdict, if nothing comes.
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
        silence.pulled(start, true);
        assert_eq!(silence.verdict(after(start, 12)), Verdict::Wait);
        assert!(matches!(silence.verdict(after(start, 13)), Verdict::Lost(_)));
        silence.heard(after(start, 5));
        assert_eq!(silence.verdict(after(start, 13)), Verdict::Wait);
    }

    #[tokio::test]
    async fn a_beating_consumer_that_delivers_nothing_is_found_out() {
        let start = Instant::now();
        let mut silence = Silence::new(HEARTBEAT, start);
        silence.pulled(start, true);
        silence.heard(after(start, 30));
        assert_eq!(silence.verdict(after(start, 30)), Verdict::Ask);
        silence.answered(after(start, 30), true);
        silence.heard(after(start, 45));
        assert!(matches!(silence.verdict(after(start, 45)), Verdict::Lost(_)));
        silence.delivered(after(start, 45));
        assert_eq!(silence.verdict(after(start, 45)), Verdict::Wait);
    }
}
