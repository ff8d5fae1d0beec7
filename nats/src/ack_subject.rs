//! The reply subject of a delivered message: the delivery's numbers and the address of its ack.
//!
//! Owns: parsing both forms of `$JS.ACK…` without allocation, and building one for another delivery of the same
//! consumer. Does not own: the use of the numbers by the subscription (`contiguity`, `runs`).
//! Source: <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md>.

/// The numbers in the reply subject of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryInfo {
    /// Number of deliveries of this message, this one included.
    pub delivered_count: u64,
    /// Sequence in the stream: the offset.
    pub stream_sequence: u64,
    /// Number of this delivery in its consumer, from 1.
    pub consumer_sequence: u64,
    /// Time at which the stream stored it, nanoseconds since the Unix epoch.
    pub timestamp_ns: i64,
}

/// Tokens of `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`.
const TOKENS_V1: usize = 9;
/// The same with `<domain>.<account hash>` after `$JS.ACK`, and optionally a random token at the end.
const TOKENS_V2_MIN: usize = 11;
const TOKENS_MAX: usize = 12;

/// True if `reply` belongs to a delivery, and not to a status message.
pub(super) fn is_delivery(reply: &str) -> bool {
    reply.starts_with("$JS.ACK.")
}

/// Index of the `<delivered>` token among `token_count`.
fn delivered_index(token_count: usize) -> Option<usize> {
    match token_count {
        TOKENS_V1 => Some(4),
        TOKENS_V2_MIN..=TOKENS_MAX => Some(6),
        _ => None,
    }
}

/// Parses the reply subject of a delivery.
pub(super) fn parse(reply: &str) -> Option<DeliveryInfo> {
    let mut tokens = [""; TOKENS_MAX];
    let mut count = 0;
    for token in reply.split('.') {
        *tokens.get_mut(count)? = token;
        count += 1;
    }
    if tokens[0] != "$JS" || tokens[1] != "ACK" {
        return None;
    }
    let at = delivered_index(count)?;
    Some(DeliveryInfo {
        delivered_count: tokens[at].parse().ok()?,
        stream_sequence: tokens[at + 1].parse().ok()?,
        consumer_sequence: tokens[at + 2].parse().ok()?,
        timestamp_ns: tokens[at + 3].parse().ok()?,
    })
}

/// The common part of the ack subjects of one consumer's first deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AckPattern {
    head: String,
    tail: String,
}

impl AckPattern {
    /// The pattern of the consumer that sent `reply`.
    pub(super) fn of(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.split('.').collect();
        let at = delivered_index(tokens.len())?;
        Some(Self { head: format!("{}.1.", tokens[..at].join(".")), tail: format!(".{}", tokens[at + 3..].join(".")) })
    }

    /// The subject that acks the first delivery of a message.
    pub(super) fn subject(&self, stream_sequence: u64, consumer_sequence: u64) -> String {
        format!("{}{stream_sequence}.{consumer_sequence}{}", self.head, self.tail)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V1: &str = "$JS.ACK.orders-0.reader.1.42.7.1700000000123456789.3";

    #[test]
    fn all_three_forms_say_the_same() {
        let expected = DeliveryInfo {
            delivered_count: 1,
            stream_sequence: 42,
            consumer_sequence: 7,
            timestamp_ns: 1_700_000_000_123_456_789,
        };
        let tail = "orders-0.reader.1.42.7.1700000000123456789.3";
        for reply in [V1.to_owned(), format!("$JS.ACK._.hash.{tail}"), format!("$JS.ACK.hub.hash.{tail}.random")] {
            assert_eq!(parse(&reply), Some(expected), "{reply}");
        }
    }

    #[test]
    fn another_delivery_keeps_everything_else() {
        let other = AckPattern::of(V1).expect("a delivery").subject(100, 65);
        assert_eq!(other, "$JS.ACK.orders-0.reader.1.100.65.1700000000123456789.3");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(reply in "[$A-Za-z0-9_.]{0,120}") {
            let _ = (parse(&reply), AckPattern::of(&reply));
        }

        #[test]
        fn numbers_are_read_back(
            stream_sequence: u64, consumer_sequence: u64, domain in prop::option::of("[a-z]{1,8}"), random: bool,
        ) {
            let domain = domain.map(|domain| format!("{domain}.hash.")).unwrap_or_default();
            let random = if random && !domain.is_empty() { ".rnd" } else { "" };
            let reply = format!("$JS.ACK.{domain}s.c.1.1.1.5.0{random}");
            let other = AckPattern::of(&reply).expect("a delivery").subject(stream_sequence, consumer_sequence);
            let info = parse(&other).expect("reads back");
            prop_assert_eq!((info.stream_sequence, info.consumer_sequence), (stream_sequence, consumer_sequence));
        }
    }
}
