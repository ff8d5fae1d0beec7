//! Back-off: the waits between attempts, one policy for everything that is retried.
//!
//! Owns: first wait, growth, ceiling, jitter. Does not own: which errors are worth retrying (each error's `kind`).

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Endless waits of 100 ms (or another first wait), then twice as long each, up to 10 s; each with a random addition of
/// at most its own length.
#[derive(Debug)]
pub struct Backoff {
    waits: ExponentialBackoff,
    attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::starting_at(FIRST_WAIT)
    }
}

impl Backoff {
    /// Waits of which the first is `first_wait` with its random addition.
    pub fn starting_at(first_wait: Duration) -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(first_wait)
            .with_max_delay(LONGEST_WAIT)
            .without_max_times()
            .with_jitter()
            .build();
        Self { waits, attempts: 0 }
    }

    /// Number of waits so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.attempts += 1;
        self.waits.next().unwrap_or(LONGEST_WAIT)
    }

    /// Sleeps for the next wait.
    pub async fn wait(&mut self) {
        let wait = self.next_wait();
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_ceiling_and_never_end() {
        let mut backoff = Backoff::default();
        assert!((FIRST_WAIT..=2 * FIRST_WAIT).contains(&backoff.next_wait()));
        let late: Vec<Duration> = (0..200).map(|_| backoff.next_wait()).skip(20).collect();
        assert!(late.iter().all(|wait| (LONGEST_WAIT..=2 * LONGEST_WAIT).contains(wait)), "{late:?}");
        assert_eq!(backoff.attempts(), 201);
    }
}
