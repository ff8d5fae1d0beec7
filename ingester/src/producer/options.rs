//! The options of a producer.
//!
//! Owns: their defaults, and the values that are allowed. Does not own: their use.

use std::fmt::{Debug, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::acks::Acks;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// An option of a producer that is missing, or has a value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("producer option {option} = {value}: allowed is {allowed}")]
pub struct ConfigError {
    /// Name of the option: that of the builder's method.
    pub option: &'static str,
    /// The value given; `none` if it is missing.
    pub value: String,
    /// The values that are allowed.
    pub allowed: String,
}

/// Options that have defaults; each is documented at the builder's method of its name.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) batch_size: usize,
    pub(crate) batch_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) retry_backoff: Duration,
    pub(crate) metadata_refresh: Duration,
    pub(crate) buffer_bytes: usize,
    pub(crate) acks: Acks,
    pub(crate) commit_timeout: Duration,
    pub(crate) compression_enabled: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_size: 100,
            batch_timeout: Duration::from_millis(100),
            request_timeout: Duration::from_secs(30),
            max_attempts: 3,
            retry_backoff: Duration::from_millis(100),
            metadata_refresh: Duration::from_secs(30),
            buffer_bytes: 32 * 1024 * 1024,
            acks: Acks::Queued,
            commit_timeout: Duration::from_secs(30),
            compression_enabled: true,
        }
    }
}

impl Options {
    /// Refuses the first value outside of its range.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        within("batch_size", &self.batch_size, 1..=100_000)?;
        time_within("batch_timeout", self.batch_timeout, Duration::ZERO..=MINUTE)?;
        time_within("request_timeout", self.request_timeout, MILLISECOND..=DAY)?;
        within("max_attempts", &self.max_attempts, 1..=100)?;
        time_within("retry_backoff", self.retry_backoff, MILLISECOND..=10 * SECOND)?;
        time_within("metadata_refresh", self.metadata_refresh, SECOND..=DAY)?;
        within("buffer_bytes", &self.buffer_bytes, 4096..=1 << 40)?;
        time_within("commit_timeout", self.commit_timeout, MILLISECOND..=DAY)
    }
}

fn within<T: PartialOrd + Display>(
    option: &'static str,
    value: &T,
    range: RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(value) {
        return Ok(());
    }
    let allowed = format!("{} to {}", range.start(), range.end());
    Err(ConfigError { option, value: value.to_string(), allowed })
}

pub(crate) fn time_within(
    option: &'static str,
    value: Duration,
    range: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let allowed = format!("{:?} to {:?}", range.start(), range.end());
    Err(ConfigError { option, value: format!("{value:?}"), allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed() {
        assert_eq!(Options::default().check(), Ok(()));
    }

    #[test]
    fn each_value_beyond_its_range_is_refused_by_name() {
        type Change = fn(&mut Options);
        let wrong: [(Change, &str); 15] = [
            (|o| o.batch_size = 0, "batch_size = 0: allowed is 1 to 100000"),
            (|o| o.batch_size = 100_001, "batch_size = 100001: allowed is 1 to 100000"),
            (|o| o.batch_timeout = MINUTE + MILLISECOND, "batch_timeout = 60.001s: allowed is 0ns to 60s"),
            (|o| o.request_timeout = Duration::ZERO, "request_timeout = 0ns: allowed is 1ms to 86400s"),
            (|o| o.request_timeout = 2 * DAY, "request_timeout = 172800s: allowed is 1ms to 86400s"),
            (|o| o.max_attempts = 0, "max_attempts = 0: allowed is 1 to 100"),
            (|o| o.max_attempts = 101, "max_attempts = 101: allowed is 1 to 100"),
            (|o| o.retry_backoff = Duration::ZERO, "retry_backoff = 0ns: allowed is 1ms to 10s"),
            (|o| o.retry_backoff = MINUTE, "retry_backoff = 60s: allowed is 1ms to 10s"),
            (|o| o.metadata_refresh = MILLISECOND, "metadata_refresh = 1ms: allowed is 1s to 86400s"),
            (|o| o.metadata_refresh = 2 * DAY, "metadata_refresh = 172800s: allowed is 1s to 86400s"),
            (|o| o.buffer_bytes = 4095, "buffer_bytes = 4095: allowed is 4096 to 1099511627776"),
            (|o| o.buffer_bytes = 1 << 41, "buffer_bytes = 2199023255552: allowed is 4096 to 1099511627776"),
            (|o| o.commit_timeout = Duration::ZERO, "commit_timeout = 0ns: allowed is 1ms to 86400s"),
            (|o| o.commit_timeout = 2 * DAY, "commit_timeout = 172800s: allowed is 1ms to 86400s"),
        ];
        for (change, expected) in wrong {
            let mut options = Options::default();
            change(&mut options);
            let error = options.check().expect_err(expected);
            assert_eq!(error.to_string(), format!("producer option {expected}"));
        }
    }
}
