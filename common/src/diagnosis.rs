//! Findings about the parts of a deployment, each with advice on the change to make.
//!
//! Owns: the shape of a finding, the verdict over all of them, the comparison of clocks.
//! Does not own: the checks (queue, catalog and store each have their own), the display (the binary).

pub mod filesystem;

use serde::Serialize;

use crate::secret::scrubbed;

/// Largest unreported difference of two clocks. Safety never depends on it; dates in keys, retention and all times
/// that people compare do.
pub const CLOCK_SKEW_MS_MAX: i64 = 5_000;

/// A part of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// The queue that messages come from.
    Queue,
    /// The SQL catalog.
    Catalog,
    /// The object store.
    Store,
    /// The clocks of all of them.
    Clock,
}

impl Area {
    /// Its name in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Catalog => "catalog",
            Self::Store => "store",
            Self::Clock => "clock",
        }
    }
}

/// The grade of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No problem.
    Ok,
    /// Works, but deserves attention.
    Warn,
    /// Does not work.
    Fail,
}

impl Verdict {
    /// Its name in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The part of the deployment that was checked.
    pub area: Area,
    /// The subject of the check, in a word or two.
    pub check: String,
    /// Its grade.
    pub verdict: Verdict,
    /// True if the promise of exactly once is weaker because of this finding.
    pub reduces: bool,
    /// The observed state.
    pub found: String,
    /// Its meaning and the change to make; empty when there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Finding {
    /// A finding without a problem.
    pub fn ok(area: Area, check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(area, check.into(), Verdict::Ok, found.into(), String::new())
    }

    /// A finding that deserves attention and does not weaken the promise.
    pub fn warn(area: Area, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(area, check.into(), Verdict::Warn, found.into(), advice.into())
    }

    /// A finding about a part that works, but weakens the promise.
    pub fn reduced(area: Area, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { reduces: true, ..Self::warn(area, check, found, advice) }
    }

    /// A finding about a part that does not work.
    pub fn fail(area: Area, check: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(area, check.into(), Verdict::Fail, found.into(), advice.into())
    }

    fn new(area: Area, check: String, verdict: Verdict, found: String, advice: String) -> Self {
        let found = scrubbed(&found).into_owned();
        Self { area, check, verdict, reduces: false, found, advice }
    }
}

/// The promise that a deployment can keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "promise", rename_all = "snake_case")]
pub enum Promise {
    /// Exactly once for everything that the queue confirmed.
    Strong,
    /// A weaker promise, for these reasons.
    Reduced {
        /// Each reason with the change to make.
        reasons: Vec<String>,
    },
    /// No verdict, because some checks failed.
    Unknown {
        /// The failed checks.
        failures: Vec<String>,
    },
}

/// The promise that a deployment with these findings can keep.
pub fn promise(findings: &[Finding]) -> Promise {
    let texts = |wanted: &dyn Fn(&Finding) -> bool| {
        let text = |finding: &Finding| format!("{} {}: {}", finding.area.word(), finding.check, finding.found);
        findings.iter().filter(|finding| wanted(finding)).map(text).collect::<Vec<_>>()
    };
    let failures = texts(&|finding| finding.verdict == Verdict::Fail);
    if !failures.is_empty() {
        return Promise::Unknown { failures };
    }
    let reasons = texts(&|finding| finding.reduces);
    if reasons.is_empty() { Promise::Strong } else { Promise::Reduced { reasons } }
}

/// Compares another clock, read between `before_ms` and `after_ms`, with this machine's. `resolution_ms` is the unit
/// to which the other clock is rounded.
pub fn clock(whose: &str, other_ms: i64, before_ms: i64, after_ms: i64, resolution_ms: i64) -> Finding {
    let off_ms = match other_ms {
        behind if behind.saturating_add(resolution_ms) < before_ms => before_ms - behind - resolution_ms,
        ahead if ahead > after_ms.saturating_add(resolution_ms) => ahead - after_ms - resolution_ms,
        _ => 0,
    };
    if off_ms <= CLOCK_SKEW_MS_MAX {
        return Finding::ok(Area::Clock, whose, format!("within {CLOCK_SKEW_MS_MAX} ms of this machine's"));
    }
    let side = if other_ms < before_ms { "behind" } else { "ahead of" };
    Finding::reduced(
        Area::Clock,
        whose,
        format!("{off_ms} ms {side} this machine's"),
        "no commit depends on a clock, but leases, dates in keys, retention and every comparison of times do; run NTP \
         (chrony) on both",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(of: fn(Area, String, String, String) -> Finding) -> Finding {
        of(Area::Queue, "copies".to_owned(), "one".to_owned(), "make more".to_owned())
    }

    #[test]
    fn the_promise_is_as_strong_as_its_weakest_part() {
        let good = Finding::ok(Area::Store, "put", "works");
        assert_eq!(promise(std::slice::from_ref(&good)), Promise::Strong);
        let noted = finding(Finding::warn);
        assert_eq!(promise(&[good.clone(), noted]), Promise::Strong);
        let weak = finding(Finding::reduced);
        let reasons = vec!["queue copies: one".to_owned()];
        assert_eq!(promise(&[good.clone(), weak.clone()]), Promise::Reduced { reasons });
        let broken = finding(Finding::fail);
        assert!(matches!(promise(&[good, weak, broken]), Promise::Unknown { failures } if failures.len() == 1));
    }

    #[test]
    fn a_clock_is_off_beyond_the_time_that_asking_took() {
        let skew = CLOCK_SKEW_MS_MAX;
        assert_eq!(clock("the server's", 1_000, 900, 1_100, 0).verdict, Verdict::Ok);
        assert_eq!(clock("the server's", 900 - skew, 900, 60_000, 0).verdict, Verdict::Ok);
        let behind = clock("the server's", 899 - skew, 900, 1_100, 0);
        assert!(behind.reduces && behind.found.contains("behind"), "{behind:?}");
        let ahead = clock("the server's", 1_101 + skew, 900, 1_100, 0);
        assert!(ahead.reduces && ahead.found.contains("5001 ms ahead"), "{ahead:?}");
        assert_eq!(clock("the store's", 1_101 + skew, 900, 1_100, 1_000).verdict, Verdict::Ok);
    }
}
