//! The messages of a bench.
//!
//! Owns: their shape: JSON of five columns filled up with text that does not compress to nothing, or that text alone.
//! Does not own: publishing them (`publish`, `live`).

use bytes::Bytes;
use catalog::TopicConfig;
use common::TopicName;
use common::topic::{Format, TopicOptions};
use fastrand::Rng;

use crate::columns::parse_column;

const COLUMNS: &[&str] = &["id:int64!", "at:timestamp_ms!", "user:string!", "amount:decimal(12,2)", "note:string"];

/// A topic for these messages.
pub(super) fn topic(name: TopicName, partition_count: u32, format: Format) -> TopicConfig {
    let declared: &[&str] = if format.fixed_rows().is_some() { &[] } else { COLUMNS };
    let columns = declared.iter().map(|text| parse_column(text).expect("the bench's columns are valid")).collect();
    let config = TopicOptions { format, columns, ..TopicOptions::default() };
    TopicConfig { name, partition_count, retention_ms: None, config }
}

/// Makes payloads of one size, the same in every run.
#[derive(Debug)]
pub(super) struct Payloads {
    rng: Rng,
    format: Format,
    bytes: usize,
    next_id: u64,
}

impl Payloads {
    /// Payloads of about `bytes` bytes; JSON is never shorter than its five members.
    pub(super) fn new(format: Format, bytes: usize, seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), format, bytes, next_id: 0 }
    }

    /// The next payload.
    pub(super) fn next(&mut self) -> Bytes {
        self.next_id += 1;
        let mut text = String::with_capacity(self.bytes);
        if self.format == Format::Json {
            let (id, rng) = (self.next_id, &mut self.rng);
            let (user, cents) = (rng.u32(..100_000), rng.u32(..1_000_000));
            text = format!(
                r#"{{"id":{id},"at":{},"user":"user-{user}","amount":"{}.{:02}","note":""#,
                1_767_225_600_000 + id,
                cents / 100,
                cents % 100
            );
        }
        let end = if self.format == Format::Json { "\"}" } else { "" };
        while text.len() + end.len() < self.bytes {
            // Words repeat now and then, as in real text: about four to one under zstd, not a thousand to one.
            let left = self.bytes - text.len() - end.len();
            let word = format!("{:05x} ", self.rng.u32(..0x10_0000));
            text.push_str(&word[..word.len().min(left)]);
        }
        text.push_str(end);
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_size_asked_for_and_json_is_valid() {
        let mut json = Payloads::new(Format::Json, 200, 1);
        let mut raw = Payloads::new(Format::Raw, 77, 1);
        for _ in 0..100 {
            let payload = json.next();
            assert_eq!(payload.len(), 200);
            let value: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
            assert_eq!(value.as_object().expect("an object").len(), COLUMNS.len());
            assert_eq!(raw.next().len(), 77);
        }
    }
}
