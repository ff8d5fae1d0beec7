//! Reading settings from the environment.
//!
//! Owns: reading each variable once; refusing values that cannot be read and names that are misspelt.
//! Does not own: the allowed values (`values`, `urls`), what variables of other programs are (`misspelling`).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use super::{InvalidSetting, Kind, SETTINGS, SettingDoc, Settings, misspelling, store_variables, values};
use crate::secret;

impl Settings {
    /// Reads the process's environment. From now on no text that is scrubbed shows a secret of it.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first value that is invalid, contradictory or misspelt.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        let vars: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        remember_secrets(&vars);
        Self::from_vars(vars)
    }

    /// Reads `vars` in place of the environment. Empty values, and blanks alone, count as unset.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, InvalidSetting> {
        let vars: Vec<(OsString, OsString)> = vars.into_iter().collect();
        let mut known = Vec::new();
        for (name, value) in &vars {
            let Some(name) = name.to_str() else { continue };
            if let Some(doc) = SETTINGS.iter().find(|doc| doc.name == name) {
                known.extend(read(doc, value)?);
            } else if let Some(doc) = misspelling::intended(name, value) {
                return Err(InvalidSetting::new(format!("{name} is not a setting; did you mean {}?", doc.name)));
            }
        }
        for (name, value) in &known {
            // One variable at a time, so that the error names the invalid one.
            let doc = SETTINGS.iter().find(|doc| doc.name == name).expect("only known names were kept");
            let refused = |_| values::refused(doc, value, "");
            envy::from_iter::<_, Self>([(name.clone(), value.clone())]).map_err(refused)?;
        }
        let named: BTreeSet<String> = known.iter().map(|(name, _)| name.clone()).collect();
        let settings: Self = envy::from_iter(known).map_err(|error| InvalidSetting::new(error.to_string()))?;
        let settings = Self { named, ..settings }.validated()?;
        store_variables::check(settings.storage_type, &vars)?;
        Ok(settings)
    }
}

/// The value as it is taken, if it is set: paths and secrets exactly, others without blanks around them.
fn read(doc: &SettingDoc, value: &OsStr) -> Result<Option<(String, String)>, InvalidSetting> {
    let Some(value) = value.to_str() else {
        return Err(values::refused(doc, &value.to_string_lossy(), "it is not UTF-8"));
    };
    if value.trim().is_empty() {
        return Ok(None);
    }
    let is_exact = doc.secret || doc.kind == Kind::Path;
    let value = if is_exact { value } else { value.trim() };
    values::check(doc, value)?;
    let value = match doc.kind {
        Kind::Topics | Kind::LogLevel => value.split(',').map(str::trim).collect::<Vec<_>>().join(","),
        _ => value.to_owned(),
    };
    Ok(Some((doc.name.to_owned(), value)))
}

/// Variables that hold secrets, of settings, clients of stores and proxies.
fn remember_secrets(vars: &[(OsString, OsString)]) {
    for (name, value) in vars.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?))) {
        let doc = SETTINGS.iter().find(|doc| doc.name == name);
        let is_url = doc.is_some_and(|doc| matches!(doc.kind, Kind::Url | Kind::AgentUrl))
            || name.to_lowercase().ends_with("_proxy");
        if is_url {
            secret::remember_url(value);
        } else if doc.is_some_and(|doc| doc.secret) || name == "PGPASSWORD" || store_variables::is_secret(name) {
            secret::remember(value.trim());
        }
    }
}
