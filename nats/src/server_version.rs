//! Server versions: those tested, untested and refused.
//!
//! Owns: the judgement of a version's text. Does not own: the request for it (`connection`).

/// The judgement of a server's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The tests run with such versions.
    Tested,
    /// Nothing is known against it.
    Untested(String),
    /// It must not be used.
    Refused(String),
}

type Version = (u64, u64, u64);

/// The first version with all requests that this crate makes.
const OLDEST: Version = (2, 10, 0);
/// The versions of the tests: from the first, up to every patch of the second's minor version.
const TESTED: (Version, Version) = ((2, 14, 0), (2, 15, 0));
/// Releases that were replaced within two weeks for their own faults, each with its replacement.
const BAD: [(Version, &str); 2] = [((2, 12, 14), "2.12.15"), ((2, 14, 4), "2.14.5")];

/// Judges the version that a server reports.
pub(super) fn judge(version: &str) -> Judgement {
    let Some(parsed) = parse(version) else {
        return Judgement::Untested(format!("nats-server calls its version {version:?}, which says nothing"));
    };
    if let Some((_, better)) = BAD.iter().find(|(bad, _)| *bad == parsed) {
        return Judgement::Refused(format!("nats-server {version} is known to be faulty; use {better} or later"));
    }
    if parsed < OLDEST {
        let (major, minor, _) = OLDEST;
        return Judgement::Refused(format!("nats-server {version} is too old; {major}.{minor} or later is needed"));
    }
    let (from, to) = TESTED;
    if (from..(to.0, to.1 + 1, 0)).contains(&parsed) {
        return Judgement::Tested;
    }
    Judgement::Untested(format!(
        "nats-server {version} is outside the tested versions, {}.{} to {}.{}",
        from.0, from.1, to.0, to.1
    ))
}

/// The numbers of `2.14.4`, `v2.14.4` or `2.15.0-RC.1`.
fn parse(version: &str) -> Option<Version> {
    let version = version.trim().trim_start_matches('v');
    let plain = version.split(['-', '+']).next()?;
    let mut numbers = plain.split('.').map(|number| number.parse().ok());
    let parsed = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bad_versions_are_refused_and_unknown_ones_warned_of() {
        for version in ["2.14.0", "2.14.3", "2.14.5", "v2.15.1", "2.15.99", "2.15.0-RC.1"] {
            assert_eq!(judge(version), Judgement::Tested, "{version}");
        }
        for (version, better) in [("2.12.14", "2.12.15"), ("2.14.4", "2.14.5"), ("v2.14.4", "2.14.5")] {
            let judged = judge(version);
            assert!(matches!(&judged, Judgement::Refused(why) if why.contains(better)), "{judged:?}");
        }
        for version in ["2.9.25", "1.4.1", "0.0.0"] {
            assert!(matches!(judge(version), Judgement::Refused(why) if why.contains("2.10")), "{version}");
        }
        for version in ["2.10.0", "2.12.13", "2.13.9", "2.16.0", "3.0.0", "", "dev", "2.14", "2.14.4.1"] {
            assert!(matches!(judge(version), Judgement::Untested(_)), "{version}");
        }
    }
}
