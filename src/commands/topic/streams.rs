//! The arguments of `topic create` about streams of NATS.
//!
//! Owns: their names and meaning, and the refusal where there are no streams. Does not own: the rules for options
//! (`common::topic`), where reading begins (`beginning`).

use std::time::Duration;

use common::config::Settings;
use common::topic::{BoundStream, StreamLimits, TopicOptions};
use service::connect;

use super::beginning::{Beginning, parse_beginning};
use crate::output::UsageError;
use crate::units::{parse_duration, parse_size};

/// Streams that exist, and limits of those that are made.
#[derive(Debug, clap::Args)]
pub(super) struct StreamArgs {
    /// Read this existing stream, optionally only some of its subjects, instead of making one; repeat it for
    /// more partitions
    #[arg(long = "stream", value_name = "STREAM[:SUBJECT,…]", value_parser = parse_stream)]
    streams: Vec<BoundStream>,
    /// Where to begin in the streams of --stream: `begin` (the default), `end` (only new messages), an OFFSET, or at the
    /// first message since a TIME such as 2026-01-31T00:00:00Z. What lies before is recorded as skipped
    #[arg(long, value_name = "begin|end|OFFSET|TIME", requires = "streams", value_parser = parse_beginning)]
    pub(super) from: Option<Beginning>,
    /// Copies of each stream in a NATS cluster
    #[arg(long, value_name = "1..5", value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: Option<u8>,
    /// Streams discard messages older than this, committed or not
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_age: Option<Duration>,
    /// Publishing fails when a partition's stream holds this many bytes
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_bytes: Option<u64>,
    /// How long streams remember message ids
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    duplicate_window: Option<Duration>,
}

impl StreamArgs {
    /// Refuses arguments that a queue without streams would pass over.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), UsageError> {
        let given = [
            ("--stream", !self.streams.is_empty()),
            ("--replicas", self.replicas.is_some()),
            ("--max-age", self.max_age.is_some()),
            ("--max-bytes", self.max_bytes.is_some()),
            ("--duplicate-window", self.duplicate_window.is_some()),
        ];
        if let Some((name, _)) = given[1..].iter().find(|(_, is_given)| *is_given && !self.streams.is_empty()) {
            let text = format!("{name} is for streams that are made; those of --stream exist, and are never changed");
            return Err(UsageError::new(text));
        }
        match given.iter().find(|(_, is_given)| *is_given && !connect::is_shared(settings)) {
            None => Ok(()),
            Some((name, _)) => Err(UsageError::new(format!(
                "{name} is about streams of NATS, and QUEUE_TYPE=memory has none; set QUEUE_TYPE=nats"
            ))),
        }
    }

    pub(super) fn apply(self, options: &mut TopicOptions) {
        if !self.streams.is_empty() {
            options.streams = self.streams;
        }
        let limits = StreamLimits {
            replicas: self.replicas.map(usize::from),
            age_max_secs: self.max_age.map(whole_seconds),
            bytes_max: self.max_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            duplicate_window_secs: self.duplicate_window.map(whole_seconds),
        };
        if limits != StreamLimits::default() {
            options.stream_limits = Some(merged(limits, options.stream_limits.take().unwrap_or_default()));
        }
    }
}

fn merged(set: StreamLimits, from_schema: StreamLimits) -> StreamLimits {
    StreamLimits {
        replicas: set.replicas.or(from_schema.replicas),
        age_max_secs: set.age_max_secs.or(from_schema.age_max_secs),
        bytes_max: set.bytes_max.or(from_schema.bytes_max),
        duplicate_window_secs: set.duplicate_window_secs.or(from_schema.duplicate_window_secs),
    }
}

/// Rounded up: a limit is never shorter than asked for.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn parse_stream(text: &str) -> Result<BoundStream, String> {
    let (stream, subjects) = text.split_once(':').unwrap_or((text, ""));
    if stream.is_empty() {
        return Err(format!("{text:?} names no stream; expected is STREAM or STREAM:subject,subject"));
    }
    let subjects = subjects.split(',').filter(|subject| !subject.is_empty()).map(str::to_owned).collect();
    Ok(BoundStream { stream: stream.to_owned(), subjects, from_offset: None })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use common::config::QueueType;

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCli {
        #[command(flatten)]
        args: StreamArgs,
    }

    #[test]
    fn a_queue_in_memory_has_no_streams() {
        let of = |queue_type| Settings { queue_type, ..Settings::default() };
        let (memory, nats) = (of(QueueType::Memory), of(QueueType::Nats));
        let parsed = |args: &[&str]| TestCli::try_parse_from([&["create"], args].concat()).expect("valid").args;
        parsed(&[]).check(&memory).expect("nothing is asked for");
        let options = [("--stream", "A"), ("--replicas", "3"), ("--max-age", "1h"), ("--max-bytes", "1GB")];
        for (name, value) in options.into_iter().chain([("--duplicate-window", "5m")]) {
            let error = parsed(&[name, value]).check(&memory).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains("QUEUE_TYPE=nats"), "{error}");
            parsed(&[name, value]).check(&nats).expect("NATS has streams");
            if name != "--stream" {
                let error = parsed(&["--stream", "A", name, value]).check(&nats).expect_err(name).to_string();
                assert!(error.contains(name) && error.contains("never changed"), "{error}");
            }
        }
    }
}
