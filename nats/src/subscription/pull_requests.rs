//! Pull requests: the messages by which a reader requests the next messages from the server.
//!
//! Owns: their text, their reply subjects, their waiting time at the server. Does not own: the time to send one
//! (`subscription`), its size (`pull_account`).
//! Source: <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-37.md>.

use std::time::Duration;

use async_nats::Client;
use async_nats::client::PublishError;

use crate::phase::PullKind;
use crate::pull_account::PullSize;

/// Interval of the heartbeats that the server sends while a pull waits.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);
/// A pull that waits at the server.
const LONG_EXPIRES: Duration = Duration::from_secs(30);
/// A pull while memory is scarce, which holds its credit no longer than this.
const SHORT_EXPIRES: Duration = Duration::from_millis(50);

/// The pull requests of one subscription to one consumer.
pub(super) struct PullRequests {
    client: Client,
    subject: String,
    inbox: String,
    count: u64,
}

impl PullRequests {
    /// The requests for a consumer that receives them on `subject`; the answers arrive on subjects below `inbox`.
    pub(super) fn new(client: Client, subject: String, inbox: String) -> Self {
        Self { client, subject, inbox, count: 0 }
    }

    /// Sends one. Dropping the future before its end sends nothing.
    pub(super) async fn send(&mut self, size: PullSize, kind: PullKind) -> Result<(), PublishError> {
        let number = self.count + 1;
        let reply = format!("{}.{number}", self.inbox);
        self.client.publish_with_reply(self.subject.clone(), reply, text(size, kind).into()).await?;
        self.count = number;
        Ok(())
    }
}

fn text(size: PullSize, kind: PullKind) -> String {
    let (batch, bytes) = (size.batch, size.bytes_max);
    let asked = |expires: Duration| format!(r#""batch":{batch},"max_bytes":{bytes},"expires":{}"#, expires.as_nanos());
    match kind {
        PullKind::Long => format!(r#"{{{},"idle_heartbeat":{}}}"#, asked(LONG_EXPIRES), HEARTBEAT.as_nanos()),
        PullKind::Short => format!("{{{}}}", asked(SHORT_EXPIRES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_pull_asks_for_heartbeats() {
        let size = PullSize { batch: 7, bytes_max: 1_000 };
        let long = r#"{"batch":7,"max_bytes":1000,"expires":30000000000,"idle_heartbeat":5000000000}"#;
        assert_eq!(text(size, PullKind::Long), long);
        assert_eq!(text(size, PullKind::Short), r#"{"batch":7,"max_bytes":1000,"expires":50000000}"#);
    }
}
