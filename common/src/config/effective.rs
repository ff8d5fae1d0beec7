//! The settings in force, and the origin of each.
//!
//! Owns: their text, with secrets hidden. Does not own: how they are displayed (the binary).

use std::fmt;

use super::{SETTINGS, SettingDoc, Settings};

/// The origin of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The environment.
    Environment,
    /// The setting of this name, which implies it.
    Derived(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("environment"),
            Self::Derived(from) => write!(f, "derived from {from}"),
        }
    }
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// Its entry in the manual.
    pub doc: &'static SettingDoc,
    /// Its value as text; empty when it is unset. Secrets are hidden.
    pub value: String,
    /// The origin of the value.
    pub origin: Origin,
}

impl Settings {
    /// Every setting in force, in the order of [`SETTINGS`].
    pub fn effective(&self) -> Vec<EffectiveSetting> {
        let values = serde_json::to_value(self).expect("settings are plain data");
        let value_of = |doc: &SettingDoc| match &values[doc.name.to_lowercase()] {
            serde_json::Value::Null if doc.name == "CATALOG_URL" => self.catalog_place().to_string(),
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) => {
                items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        let effective = |doc| EffectiveSetting { doc, value: value_of(doc), origin: self.origin_of(doc) };
        SETTINGS.iter().map(effective).collect()
    }

    fn origin_of(&self, doc: &SettingDoc) -> Origin {
        let is_derived = |from| self.is_named(from) && !self.is_named(doc.name);
        match doc.name {
            name if self.is_named(name) => Origin::Environment,
            "CATALOG_URL" if is_derived("STORAGE_PATH") => Origin::Derived("STORAGE_PATH"),
            "STORAGE_TYPE" if is_derived("STORAGE_URL") => Origin::Derived("STORAGE_URL"),
            _ => Origin::Default,
        }
    }
}
