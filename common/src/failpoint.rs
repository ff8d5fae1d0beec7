//! Failpoints: named places between two steps, where a test makes the process crash, wait or fail.
//!
//! Owns: the names, parsing the environment, the crash, wait or failure itself. Does not own: the meaning of a
//! failure, which stands at each place. A debug build reads `SILTSTONE_FAILPOINTS` once, for example
//! `commit.before=crash@3;put.reply=error;fetch.received=delay(500)`: `@3` is the third time only, without it every
//! time. `batch.decode=crash[text]` crashes only at an input that contains the text. In a release build every
//! failpoint is an empty function, and a process with the variable set refuses to start.

/// The variable that holds the failpoints and their actions.
pub const VARIABLE: &str = "SILTSTONE_FAILPOINTS";

/// Every failpoint, in the order in which a message passes them.
pub const NAMES: &[&str] = &[
    "takeover.done",
    "heartbeat.before",
    "fetch.attached",
    "fetch.received",
    "batch.decode",
    "batch.sealed",
    "intent.before",
    "intent.reply",
    "intent.done",
    "put.before",
    "put.reply",
    "put.done",
    "commit.before",
    "commit.in_transaction",
    "commit.reply",
    "commit.done",
    "ack.before",
    "ack.done",
    "release.before",
    "release.done",
    "compact.merged",
    "compact.put",
    "compact.replaced",
    "publish.manifests",
    "publish.list",
    "publish.before",
    "publish.done",
    "janitor.before_delete",
    "janitor.deleted",
];

/// Checks the variable. Call it once at start, so that a mistyped name is refused.
///
/// # Errors
/// A text that names the invalid part and the allowed values.
pub fn check() -> Result<(), String> {
    imp::check()
}

/// Crashes or waits here, if the environment requests it.
#[inline]
pub async fn hit(name: &'static str) {
    if let Some(wait) = imp::hit(name) {
        tokio::time::sleep(wait).await;
    }
}

/// Crashes here if the environment requests it for a text that `holds` finds.
#[inline]
pub fn hit_at(name: &'static str, holds: impl Fn(&str) -> bool) {
    imp::hit_at(name, holds);
}

#[cfg(debug_assertions)]
pub use imp::panic_at;

/// True if the step must fail here: its reply is lost, or it returns an error. Crashes or waits as [`hit`] does.
#[inline]
pub async fn fails(name: &'static str) -> bool {
    hit(name).await;
    imp::fails(name)
}

#[cfg(not(debug_assertions))]
mod imp {
    use std::time::Duration;

    pub(super) fn check() -> Result<(), String> {
        match std::env::var_os(super::VARIABLE) {
            Some(_) => Err(format!("{} is set, but a release build has no failpoints", super::VARIABLE)),
            None => Ok(()),
        }
    }

    #[inline]
    pub(super) fn hit(_name: &'static str) -> Option<Duration> {
        None
    }

    #[inline]
    pub(super) fn hit_at(_name: &'static str, _holds: impl Fn(&str) -> bool) {}

    #[inline]
    pub(super) fn fails(_name: &'static str) -> bool {
        false
    }
}

#[cfg(debug_assertions)]
mod imp {
    use std::cell::RefCell;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::{NAMES, VARIABLE};

    /// The action at a failpoint, and its time.
    #[derive(Debug)]
    pub(super) struct Point {
        name: &'static str,
        action: Action,
        /// Only this time, counted from 1; every time if absent.
        only: Option<u64>,
        hits: AtomicU64,
        failures: AtomicU64,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Action {
        Crash,
        CrashAt(String),
        Error,
        Delay(Duration),
    }

    static POINTS: LazyLock<Result<Vec<Point>, String>> =
        LazyLock::new(|| std::env::var(VARIABLE).map_or(Ok(Vec::new()), |text| parse(&text)));

    pub(super) fn check() -> Result<(), String> {
        POINTS.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn points(name: &'static str) -> impl Iterator<Item = &'static Point> {
        POINTS.as_ref().map_or(&[][..], Vec::as_slice).iter().filter(move |point| point.name == name)
    }

    pub(super) fn hit(name: &'static str) -> Option<Duration> {
        let mut wait = None;
        for point in points(name) {
            match point.action {
                Action::Crash if point.is_due(&point.hits) => crash(name),
                Action::Delay(delay) if point.is_due(&point.hits) => wait = Some(delay),
                _ => {}
            }
        }
        wait
    }

    pub(super) fn hit_at(name: &'static str, holds: impl Fn(&str) -> bool) {
        for point in points(name) {
            if matches!(&point.action, Action::CrashAt(text) if holds(text)) {
                crash(name);
            }
        }
        let panics = PANICS.with_borrow(|panics| panics.iter().any(|(at, text)| *at == name && holds(text)));
        assert!(!panics, "failpoint {name}: panic");
    }

    thread_local! {
        static PANICS: RefCell<Vec<(&'static str, &'static str)>> = const { RefCell::new(Vec::new()) };
    }

    /// From now on these failpoints panic in this thread, each at an input that contains its text. For simulations,
    /// in which one process runs many writers and must not crash.
    pub fn panic_at(points: &[(&'static str, &'static str)]) {
        PANICS.set(points.to_vec());
    }

    fn crash(name: &str) -> ! {
        eprintln!("failpoint {name}: crash");
        std::process::abort();
    }

    pub(super) fn fails(name: &'static str) -> bool {
        let mut points = points(name).filter(|point| point.action == Action::Error);
        points.any(|point| point.is_due(&point.failures))
    }

    impl Point {
        fn is_due(&self, counter: &AtomicU64) -> bool {
            let times = counter.fetch_add(1, Ordering::Relaxed) + 1;
            self.only.is_none_or(|only| only == times)
        }
    }

    fn parse(text: &str) -> Result<Vec<Point>, String> {
        text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(parse_point).collect()
    }

    fn parse_point(part: &str) -> Result<Point, String> {
        let wrong = |reason: String| format!("{VARIABLE}: {part:?}: {reason}");
        let (name, rest) = part
            .split_once('=')
            .ok_or_else(|| wrong("allowed is name=crash, crash[text], error or delay(ms)".to_owned()))?;
        let name = NAMES
            .iter()
            .find(|known| **known == name.trim())
            .ok_or_else(|| wrong(format!("no such failpoint; there are {}", NAMES.join(", "))))?;
        let (action, only) = match rest.split_once('@') {
            Some((action, times)) => {
                let times = times.trim().parse::<u64>().ok().filter(|times| *times > 0);
                (action, Some(times.ok_or_else(|| wrong("behind @ stands a number from 1 on".to_owned()))?))
            }
            None => (rest, None),
        };
        let within = |text: &str| Some(text.strip_prefix("crash[")?.strip_suffix(']')?.to_owned());
        let delay = |text: &str| text.strip_prefix("delay(")?.strip_suffix(')')?.trim().parse().ok();
        let action = match action.trim() {
            "crash" => Action::Crash,
            "error" => Action::Error,
            other if within(other).is_some() => Action::CrashAt(within(other).unwrap_or_default()),
            other => Action::Delay(Duration::from_millis(
                delay(other)
                    .ok_or_else(|| wrong(format!("{other:?} is not crash, crash[text], error or delay(ms)")))?,
            )),
        };
        Ok(Point { name, action, only, hits: AtomicU64::new(0), failures: AtomicU64::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_asked_for_is_read() {
            let points =
                parse(" commit.before=crash@3; put.reply=error ;fetch.received=delay(500);batch.decode=crash[x]")
                    .expect("valid");
            let read: Vec<_> = points.iter().map(|point| (point.name, point.action.clone(), point.only)).collect();
            let delay = Action::Delay(Duration::from_millis(500));
            let expected = [
                ("commit.before", Action::Crash, Some(3)),
                ("put.reply", Action::Error, None),
                ("fetch.received", delay, None),
                ("batch.decode", Action::CrashAt("x".to_owned()), None),
            ];
            assert_eq!(read, expected);
            let due: Vec<bool> = (0..4).map(|_| points[0].is_due(&points[0].hits)).collect();
            assert_eq!(due, [false, false, true, false]);
        }

        #[test]
        fn mistakes_are_named() {
            for (text, part) in [
                ("commit.befor=crash", "commit.before"),
                ("commit.before", "name=crash"),
                ("commit.before=boom", "boom"),
                ("commit.before=delay(x)", "delay(ms)"),
                ("commit.before=crash@0", "number from 1"),
            ] {
                let message = parse(text).expect_err(text);
                assert!(message.contains(part) && message.contains(VARIABLE), "{message}");
            }
        }
    }
}
