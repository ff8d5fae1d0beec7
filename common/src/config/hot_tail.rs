//! The modes of the hot tail.
//!
//! Owns: their words. Does not own: their effect (`lake::query`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// If queries see messages that are not committed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HotTailMode {
    /// They do where the queue can be read. Otherwise they show committed rows alone, and a note says so.
    #[default]
    Auto,
    /// They do, or fail.
    On,
    /// They show committed rows alone.
    Off,
}

impl fmt::Display for HotTailMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

impl FromStr for HotTailMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            // Words of SQL for the same.
            "on" | "true" => Ok(Self::On),
            "off" | "false" => Ok(Self::Off),
            _ => Err(format!("{word:?} is not a mode of the hot tail; allowed are auto, on and off")),
        }
    }
}
