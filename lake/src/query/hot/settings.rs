//! Settings of the hot tail, which a session changes with SET and shows with SHOW.
//!
//! Owns: their names, values and defaults. Does not own: their effect (`hot`, `scan`).

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{LogicalPlan, Statement};

use common::config::HotTailMode;

const MODE: &str = "hot_tail";
const BYTES: &str = "hot_tail_bytes";
const TIMEOUT: &str = "hot_tail_timeout";
const NAMES: &str = "siltstone.hot_tail, siltstone.hot_tail_bytes and siltstone.hot_tail_timeout";

/// Settings of the hot tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotTailSettings {
    /// `siltstone.hot_tail`.
    pub mode: HotTailMode,
    /// `siltstone.hot_tail_bytes`: most bytes of messages that one scan of a topic reads from the queue.
    pub bytes_max: usize,
    /// `siltstone.hot_tail_timeout`: longest time that one scan of a topic waits for the queue, in all of a partition's
    /// answers together.
    pub timeout: Duration,
}

impl Default for HotTailSettings {
    fn default() -> Self {
        Self { mode: HotTailMode::Auto, bytes_max: 1 << 30, timeout: Duration::from_secs(30) }
    }
}

impl HotTailSettings {
    /// Sets a variable by its full name.
    ///
    /// # Errors
    /// An unknown name, with those that can be set, or a value that is not allowed, with those that are.
    pub fn set_variable(&mut self, variable: &str, value: &str) -> Result<()> {
        let refused = |allowed: &str| {
            Err(DataFusionError::Configuration(format!("{variable} = {value:?} is not allowed; allowed is {allowed}")))
        };
        match variable.strip_prefix("siltstone.") {
            Some(MODE) => match value.parse() {
                Ok(mode) => self.mode = mode,
                Err(_) => return refused("auto, on or off"),
            },
            Some(BYTES) => match value.parse() {
                Ok(bytes) if bytes > 0 => self.bytes_max = bytes,
                _ => return refused("a number of bytes from 1 on"),
            },
            Some(TIMEOUT) => match duration(value) {
                Some(timeout) => self.timeout = timeout,
                None => return refused("a time from '1ms' on, in ms, s or min, such as '30s'"),
            },
            _ => {
                return Err(DataFusionError::Configuration(format!(
                    "{variable} cannot be set here; what can be set is {NAMES}"
                )));
            }
        }
        Ok(())
    }

    /// Sets a variable to its value in `begun`.
    ///
    /// # Errors
    /// An unknown name.
    pub fn reset_variable(&mut self, variable: &str, begun: Self) -> Result<()> {
        let value = begun.variable(variable).unwrap_or_default();
        self.set_variable(variable, &value)
    }

    /// The value of a variable by its full name, if it is known.
    pub fn variable(&self, variable: &str) -> Option<String> {
        self.entries().into_iter().find(|entry| entry.key == variable).and_then(|entry| entry.value)
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let millis = match unit.trim() {
        "ms" => 1,
        "s" | "" => 1_000,
        "min" => 60_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

impl ConfigExtension for HotTailSettings {
    const PREFIX: &'static str = "siltstone";
}

impl ExtensionOptions for HotTailSettings {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(*self)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.set_variable(&format!("siltstone.{key}"), value)
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let entry = |key: &str, value: String, description| {
            let key = format!("siltstone.{key}");
            ConfigEntry { key, value: Some(value), description }
        };
        let timeout = format!("{}ms", self.timeout.as_millis());
        vec![
            entry(MODE, self.mode.to_string(), "Published messages are seen before they are committed: auto, on, off"),
            entry(BYTES, self.bytes_max.to_string(), "Most bytes of messages that a scan reads from the queue"),
            entry(TIMEOUT, timeout, "Longest time that a scan waits for the queue"),
        ]
    }
}

/// Settings that SET changes for later statements of the same connection. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SessionSettings {
    /// A lock, because statements run through shared references; held for a copy.
    hot_tail: Arc<Mutex<HotTailSettings>>,
    /// Those with which the session began.
    begun: HotTailSettings,
    /// The reason for which SET is refused, if it is.
    refusal: Option<&'static str>,
}

impl SessionSettings {
    /// Settings that begin with these.
    pub fn new(hot_tail: HotTailSettings) -> Self {
        Self { hot_tail: Arc::new(Mutex::new(hot_tail)), begun: hot_tail, refusal: None }
    }

    /// The same, in which nothing can be set for this reason: no statement comes later.
    #[must_use]
    pub fn fixed(self, refusal: &'static str) -> Self {
        Self { refusal: Some(refusal), ..self }
    }

    /// Those of the hot tail now.
    pub fn hot_tail(&self) -> HotTailSettings {
        *self.hot_tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a variable by its full name.
    ///
    /// # Errors
    /// As [`HotTailSettings::set_variable`]; these settings are fixed.
    pub fn set(&self, variable: &str, value: &str) -> Result<()> {
        self.change(|hot| hot.set_variable(variable, value))
    }

    /// Sets a variable back to the value with which the session began.
    ///
    /// # Errors
    /// An unknown name; these settings are fixed.
    pub fn reset(&self, variable: &str) -> Result<()> {
        self.change(|hot| hot.reset_variable(variable, self.begun))
    }

    /// Sets all of them back.
    pub fn reset_all(&self) {
        *self.hot_tail.lock().unwrap_or_else(PoisonError::into_inner) = self.begun;
    }

    /// Changes them by `change`, unless it fails.
    fn change(&self, change: impl FnOnce(&mut HotTailSettings) -> Result<()>) -> Result<()> {
        let mut changed = self.hot_tail();
        change(&mut changed)?;
        if let Some(refusal) = self.refusal {
            return Err(DataFusionError::Configuration(refusal.to_owned()));
        }
        *self.hot_tail.lock().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(())
    }
}

/// True if the plan was a SET or a RESET of these settings, which is done then.
///
/// # Errors
/// A variable or a value that is not allowed.
pub(in crate::query) fn is_set(plan: &LogicalPlan, settings: &SessionSettings) -> Result<bool> {
    match plan {
        LogicalPlan::Statement(Statement::SetVariable(set)) => {
            settings.set(&set.variable, &set.value)?;
        }
        LogicalPlan::Statement(Statement::ResetVariable(reset)) => {
            settings.reset(&reset.variable)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_set_shown_and_reset() {
        let mut settings = HotTailSettings::default();
        for (variable, value) in [("hot_tail", "OFF"), ("hot_tail_bytes", "1024"), ("hot_tail_timeout", "2s")] {
            settings.set_variable(&format!("siltstone.{variable}"), value).expect("allowed");
        }
        let expected = HotTailSettings { mode: HotTailMode::Off, bytes_max: 1024, timeout: Duration::from_secs(2) };
        assert_eq!(settings, expected);
        let shown: Vec<_> = settings.entries().into_iter().map(|entry| (entry.key, entry.value.unwrap())).collect();
        let mut again = HotTailSettings::default();
        for (variable, value) in &shown {
            again.set_variable(variable, value).expect("what is shown can be set");
        }
        assert_eq!(again, expected);
        for (variable, _) in &shown {
            settings.reset_variable(variable, HotTailSettings::default()).expect("known");
        }
        assert_eq!(settings, HotTailSettings::default());
        // A session goes back to what it began with.
        let session = SessionSettings::new(expected);
        session.set("siltstone.hot_tail", "on").expect("allowed");
        session.set("siltstone.hot_tail_bytes", "5").expect("allowed");
        session.reset("siltstone.hot_tail").expect("known");
        assert_eq!(session.hot_tail(), HotTailSettings { bytes_max: 5, ..expected });
        session.reset_all();
        assert_eq!(session.hot_tail(), expected);
        let fixed = session.fixed("nothing is set here");
        let refused = fixed.set("siltstone.hot_tail", "on").expect_err("fixed").to_string();
        assert!(refused.contains("nothing is set here"), "{refused}");
        assert_eq!(fixed.hot_tail(), expected);
    }

    #[test]
    fn wrong_names_and_values_are_refused_with_what_is_allowed() {
        let mut settings = HotTailSettings::default();
        for (variable, value, said) in [
            ("siltstone.hot_tail", "maybe", "auto, on or off"),
            ("siltstone.hot_tail_bytes", "0", "a number of bytes"),
            ("siltstone.hot_tail_bytes", "1GB", "a number of bytes"),
            ("siltstone.hot_tail_timeout", "0s", "such as '30s'"),
            ("siltstone.hot_tail_timeout", "2 h", "such as '30s'"),
            ("siltstone.hot", "on", "what can be set is siltstone.hot_tail"),
            ("datafusion.execution.batch_size", "1", "what can be set is siltstone.hot_tail"),
        ] {
            let error = settings.set_variable(variable, value).expect_err(variable).to_string();
            assert!(error.contains(said) && error.contains(variable), "{error}");
        }
        assert_eq!(settings, HotTailSettings::default());
    }
}
