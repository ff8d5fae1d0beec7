//! The pace of compaction: when it leaves the machine to ingest.
//!
//! Owns: this decision, as a plain rule over the lag. Does not own: the numbers (`status`), memory (`common::memory`).

/// Messages that a writer may lag behind without being short of anything.
const LAG_MIN: u64 = 10_000;

/// The lag of a writer at its last looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    before: [u64; 2],
}

impl Pace {
    /// True if a job may begin, with this lag of all partitions together: it does not rise from look to look.
    pub(super) fn allows(&mut self, lag: u64) -> bool {
        let [first, second] = self.before;
        self.before = [second, lag];
        // One batch that waits makes the lag rise and fall; a writer that cannot keep up makes it rise alone.
        !(first < second && second < lag && lag > LAG_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_that_rises_look_after_look_holds_jobs_back_until_it_falls() {
        let mut pace = Pace::default();
        let allowed = [20_000, 30_000, 40_000, 35_000, 50_000, 60_000, 60_000].map(|lag| pace.allows(lag));
        assert_eq!(allowed, [true, false, false, true, true, false, true]);
    }

    #[test]
    fn a_small_lag_never_does() {
        let mut pace = Pace::default();
        assert!([1, 2, 30, 400, 5_000, LAG_MIN].into_iter().all(|lag| pace.allows(lag)));
    }
}
