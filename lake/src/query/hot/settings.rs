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

    /// Sets a variable back to its default.
    ///
    /// # Errors
    /// An unknown name.
    pub fn reset_variable(&mut self, variable: &str) -> Result<()> {
        let default = Self::default().entries().into_iter().find(|entry| entry.key == variable);
        let value = default.and_then(|entry| entry.value).unwrap_or_default();
        self.set_variable(variable, &value)
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
}

impl SessionSettings {
    /// Settings that begin with these.
    pub fn new(hot_tail: HotTailSettings) -> Self {
        Self { hot_tail: Arc::new(Mutex::new(hot_tail)) }
    }

    /// Those of the hot tail now.
    pub fn hot_tail(&self) -> HotTailSettings {
        *self.hot_tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes them by `change`, unless it fails.
    fn change(&self, change: impl FnOnce(&mut HotTailSettings) -> Result<()>) -> Result<()> {
        let mut changed = self.hot_tail();
        change(&mut changed)?;
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
            settings.change(|hot| hot.set_variable(&set.variable, &set.value))?;
        }
        LogicalPlan::Statement(Statement::ResetVariable(reset)) => {
            settings.change(|hot| hot.reset_variable(&reset.variable))?;
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
            settings.reset_variable(variable).expect("known");
        }
        assert_eq!(settings, HotTailSettings::default());
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
