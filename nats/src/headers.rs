//! A message's key, id, headers and mark of a waiting producer on the wire.
//!
//! Owns: the names of Siltstone's own headers, the allowed headers, and that headers are read exactly as sent.
//! Does not own: subjects and payloads.

use async_nats::StatusCode;
use async_nats::header::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use common::message::{Headers, OutgoingMessage};
use common::queue::QueueError;

const KEY: &str = "Siltstone-Key";
const KEY_BASE64: &str = "Siltstone-Key-Base64";
/// A producer waits for the commit, if the value is [`IS_AWAITED`].
const AWAITED: &str = "Siltstone-Awaited";
const IS_AWAITED: &str = "1";
/// Most bytes of a message's headers that JetStream stores.
const HEADER_BYTES_MAX: usize = 65_535;
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Headers that a direct get adds to the published ones.
const DIRECT_GET: [&str; 7] = [
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
];

/// The fields of a message that travel as headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) key: Option<Bytes>,
    /// The producer's headers.
    pub(super) headers: Headers,
    pub(super) is_awaited: bool,
}

/// The headers to send with `message`, and their size on the wire in bytes (0 without any).
pub(super) fn encode(message: &OutgoingMessage) -> Result<(Option<HeaderMap>, usize), QueueError> {
    let OutgoingMessage { message_id, key, headers, is_awaited, .. } = message;
    if headers.is_empty() && key.is_none() && message_id.is_none() && !is_awaited {
        return Ok((None, 0));
    }
    let mut map = HeaderMap::new();
    let mut bytes = "NATS/1.0\r\n\r\n".len();
    let mut append = |name: &str, value: &str| -> Result<(), QueueError> {
        let (name, value) = (check_name(name)?, check_value(name, value)?);
        bytes += AsRef::<str>::as_ref(&name).len() + value.as_str().len() + ": \r\n".len();
        map.append(name, value);
        Ok(())
    };
    if let Some(id) = message_id {
        append(MESSAGE_ID, id)?;
    }
    if *is_awaited {
        append(AWAITED, IS_AWAITED)?;
    }
    if let Some(key) = key {
        match plain_key(key) {
            Some(key) => append(KEY, key)?,
            None => append(KEY_BASE64, &STANDARD.encode(key))?,
        }
    }
    for (name, value) in headers {
        if is_reserved(name) {
            return Err(QueueError::unsendable(format!(
                "header name {name:?} is reserved; not allowed are names starting with Nats-, {KEY}, {KEY_BASE64} and \
                 {AWAITED}"
            )));
        }
        append(name, value)?;
    }
    if bytes > HEADER_BYTES_MAX {
        return Err(QueueError::unsendable(format!(
            "headers and key take {bytes} bytes; NATS takes at most {HEADER_BYTES_MAX} of them in a message"
        )));
    }
    Ok((Some(map), bytes))
}

/// The fields of a received message. The order of headers' names is lost on the wire: they are sorted by name, values of
/// one name in the order sent.
pub(super) fn decode(map: &HeaderMap) -> Decoded {
    let pairs = map.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value.as_str())));
    sort_out(pairs)
}

/// The same from the bytes as stored, whatever their content: a line that is no header is left out, and invalid UTF-8
/// is replaced. Lines are split and continued as by the client; else a message's anchor would depend on the way of
/// reading.
pub(super) fn decode_stored(bytes: &[u8]) -> Decoded {
    let text = String::from_utf8_lossy(bytes);
    let pairs: Vec<_> = fields(text.lines().skip(1)).flatten().collect();
    sort_out(pairs.iter().map(|(name, value)| (*name, value.trim_end())))
}

/// Names and values of the headers that stand in these lines; `None` for a line that is no header.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Option<(&'a str, String)>> {
    let mut lines = lines.peekable();
    std::iter::from_fn(move || {
        let line = lines.find(|line| !line.is_empty())?;
        let field = line.split_once(':').map(|(name, value)| {
            let mut value = value.trim_start().to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
                value.push_str(more);
            }
            (name, value)
        });
        Some(field)
    })
}

/// False if the client, async-nats 0.51, gives up the connection that brings a message with these stored headers.
pub(super) fn are_readable(bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.lines();
    let Some(status) = lines.next().and_then(|line| line.strip_prefix("NATS/1.0")) else { return false };
    let status = status.split_whitespace().next();
    status.is_none_or(|status| status.parse::<StatusCode>().is_ok())
        && fields(lines).all(|field| field.is_some_and(|(name, _)| name.parse::<HeaderName>().is_ok()))
}

fn sort_out<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Decoded {
    // Sorted before the key is chosen: the client returns the names in a different order each time.
    let mut pairs: Vec<_> = pairs.filter(|(name, _)| !DIRECT_GET.contains(name)).collect();
    pairs.sort_by_key(|(name, _)| *name);
    let Decoded { mut key, mut headers, mut is_awaited } = Decoded::default();
    for (name, value) in pairs {
        if (name, value) == (AWAITED, IS_AWAITED) {
            is_awaited = true;
            continue;
        }
        let decoded = match name {
            KEY => Some(Bytes::copy_from_slice(value.as_bytes())),
            KEY_BASE64 => STANDARD.decode(value).ok().map(Bytes::from),
            _ => None,
        };
        match decoded {
            Some(decoded) if key.is_none() => key = Some(decoded),
            _ => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    Decoded { key, headers, is_awaited }
}

fn is_reserved(name: &str) -> bool {
    let starts_with = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts_with("Nats-") || [KEY, KEY_BASE64, AWAITED].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The key as text, if it survives the wire as text: printable ASCII without spaces at the ends.
fn plain_key(key: &[u8]) -> Option<&str> {
    let key = std::str::from_utf8(key).ok()?;
    (key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && key.trim() == key).then_some(key)
}

fn check_name(name: &str) -> Result<HeaderName, QueueError> {
    let parsed = if name.is_empty() { None } else { name.parse().ok() };
    parsed.ok_or_else(|| {
        QueueError::unsendable(format!(
            "header name {name:?} is invalid; allowed are printable ASCII characters except space and colon"
        ))
    })
}

fn check_value(name: &str, value: &str) -> Result<HeaderValue, QueueError> {
    let refuse = |reason| Err(QueueError::unsendable(format!("the value of header {name:?} {reason}")));
    if value.contains(['\r', '\n', '\0']) {
        return refuse("holds a line break or a NUL, which no header can carry");
    }
    if value.trim() != value {
        return refuse("starts or ends with a space, which the wire would drop; trim it");
    }
    value.parse().map_err(|_| QueueError::unsendable(format!("the value of header {name:?} is invalid")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_wire_would_change_is_refused_by_name() {
        let reserved = [("nats-rollup", "all"), ("siltstone-awaited", "1")];
        let wrong = [("a b", "x"), ("", "x"), ("a:", "x"), ("a", "x\r\ny"), ("a", " x")];
        for (name, value) in wrong.into_iter().chain(reserved) {
            let message = OutgoingMessage {
                headers: vec![(name.to_owned(), value.to_owned())],
                ..OutgoingMessage::new("payload")
            };
            let error = encode(&message).expect_err(name).to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_not_base64_stays_a_header() {
        let mut map = HeaderMap::new();
        map.append(KEY_BASE64, "not base64!");
        let headers = vec![(KEY_BASE64.to_owned(), "not base64!".to_owned())];
        assert_eq!(decode(&map), Decoded { headers, ..Decoded::default() });
    }

    #[test]
    fn a_mark_of_another_kind_stays_a_header() {
        let mut map = HeaderMap::new();
        map.append(AWAITED, "perhaps");
        let headers = vec![(AWAITED.to_owned(), "perhaps".to_owned())];
        assert_eq!(decode(&map), Decoded { headers, ..Decoded::default() });
    }

    #[test]
    fn two_keys_give_the_same_one_however_they_are_read() {
        let stored = b"NATS/1.0\r\nSiltstone-Key-Base64: YQ==\r\nSiltstone-Key: b\r\n\r\n";
        // Each map iterates in a different order.
        for _ in 0..64 {
            let mut map = HeaderMap::new();
            map.append(KEY_BASE64, "YQ==");
            map.append(KEY, "b");
            assert_eq!(decode(&map), decode_stored(stored));
        }
    }

    #[test]
    fn headers_that_end_the_connection_are_known() {
        for stored in
            ["", "NATS/1.0\r\n\r\n", "NATS/1.0\r\na: b\r\n c\r\n: d\r\ne:\r\n\r\n", "NATS/1.0 409 Gone\r\n\r\n"]
        {
            assert!(are_readable(stored.as_bytes()), "{stored:?}");
        }
        let unreadable: [&[u8]; 6] = [
            b"NATS/1.0\r\na: \xff\r\n\r\n",
            b"NATS/1.0\r\na: b\r\n\r\n c\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nbad name: b\r\n\r\n",
            b"NATS/2.0\r\na: b\r\n\r\n",
            b"NATS/1.0 often\r\n\r\n",
        ];
        for stored in unreadable {
            assert!(!are_readable(stored), "{}", String::from_utf8_lossy(stored));
        }
    }

    #[test]
    fn stored_lines_end_and_go_on_as_the_client_reads_them() {
        let mut map = HeaderMap::new();
        map.append(KEY, "a b");
        map.append("x", "1");
        assert_eq!(decode(&map), decode_stored(b"NATS/1.0\r\nSiltstone-Key: a\r\n b\r\nx:1\r\n\r\n"));
        assert_eq!(decode(&map), decode_stored(b"NATS/1.0\r\nSiltstone-Key: a b\nx: 1\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn keys_and_headers_come_back(key: Vec<u8>, is_awaited: bool, values in prop::collection::vec("([!-~é]([\u{1}-\u{8}\t\u{b}\u{c}\u{e}-~é]{0,7}[!-~é])?)?", 0..4)) {
            let headers: Headers = values.into_iter().map(|value| ("x-trace".to_owned(), value)).collect();
            let message = OutgoingMessage { headers, is_awaited, ..OutgoingMessage::new("").with_key(key) };
            let map = encode(&message).expect("valid").0.expect("some");
            let stored: String = map.iter().flat_map(|(name, values)| values.iter().map(move |value| {
                let name: &str = name.as_ref();
                format!("{name}: {}\r\n", value.as_str())
            })).collect();
            prop_assert_eq!(decode(&map), decode_stored(format!("NATS/1.0\r\n{stored}\r\n").as_bytes()));
            let OutgoingMessage { key, headers, .. } = message;
            prop_assert_eq!(decode(&map), Decoded { key, headers, is_awaited });
        }

        #[test]
        fn any_stored_bytes_are_read(bytes: Vec<u8>) {
            let _ = decode_stored(&bytes);
        }
    }
}
