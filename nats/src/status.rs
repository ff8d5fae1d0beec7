//! Status messages of a pull.
//!
//! Owns: parsing the server's codes and texts. Does not own: the consequence.
//! Source: <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-37.md>.

use async_nats::Message;

/// The content of a status message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// The pull still waits.
    Heartbeat {
        /// Number of the last delivery that was sent.
        last_consumer_sequence: Option<u64>,
    },
    /// A pull ended in good order.
    PullEnded {
        /// The unserved part, if the server reports it.
        messages_left: Option<usize>,
        bytes_left: Option<usize>,
        /// The next message was larger than the bytes left.
        is_oversized: bool,
    },
    /// No pull is possible now; a later one may be.
    PullRefused { reason: String },
    /// The consumer is gone or no longer trusted.
    Lost { reason: String },
}

/// Parses a message that is no delivery.
pub(super) fn read(message: &Message) -> Status {
    let code = message.status.map_or(0, |status| status.as_u16());
    let words = message.description.as_deref().unwrap_or_default();
    let number = |name: &str| -> Option<u64> { message.headers.as_ref()?.get_last(name)?.as_str().parse().ok() };
    let left = |name: &str| number(name).and_then(|left| usize::try_from(left).ok());
    let ended = |is_oversized| Status::PullEnded {
        messages_left: left("Nats-Pending-Messages"),
        bytes_left: left("Nats-Pending-Bytes"),
        is_oversized,
    };
    let said = || format!("the server said {code} {words}");
    match (code, words.to_ascii_lowercase().as_str()) {
        (100, _) => Status::Heartbeat { last_consumer_sequence: number("Nats-Last-Consumer") },
        (404 | 408, _) | (409, "batch completed") => ended(false),
        (409, "message size exceeds maxbytes") => ended(true),
        (409, "exceeded maxackpending" | "exceeded maxwaiting") => Status::PullRefused { reason: said() },
        _ => Status::Lost { reason: said() },
    }
}

#[cfg(test)]
mod tests {
    use async_nats::{HeaderMap, StatusCode};

    use super::*;

    fn message(code: u16, words: &str, headers: &[(&str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.append(*name, *value));
        Message {
            subject: "_INBOX.1.1".into(),
            reply: None,
            payload: "".into(),
            headers: Some(map),
            status: Some(StatusCode::from_u16(code).expect("valid")),
            description: Some(words.to_owned()),
            length: 0,
        }
    }

    #[test]
    fn each_status_is_understood() {
        let left = [("Nats-Pending-Messages", "3"), ("Nats-Pending-Bytes", "500")];
        let ended = |is_oversized| Status::PullEnded { messages_left: Some(3), bytes_left: Some(500), is_oversized };
        assert_eq!(read(&message(408, "Request Timeout", &left)), ended(false));
        assert_eq!(read(&message(409, "Batch Completed", &left)), ended(false));
        assert_eq!(read(&message(409, "Message Size Exceeds MaxBytes", &left)), ended(true));
        let heartbeat = message(100, "Idle Heartbeat", &[("Nats-Last-Consumer", "17")]);
        assert_eq!(read(&heartbeat), Status::Heartbeat { last_consumer_sequence: Some(17) });
        assert!(matches!(read(&message(409, "Exceeded MaxWaiting", &[])), Status::PullRefused { .. }));
        for (code, words) in [
            (409, "Consumer Deleted"),
            (409, "Leadership Change"),
            (409, "Server Shutdown"),
            (409, "Consumer is push based"),
            (400, "Bad Request"),
            (503, "No Responders"),
        ] {
            assert!(matches!(read(&message(code, words, &[])), Status::Lost { .. }), "{code} {words}");
        }
    }
}
