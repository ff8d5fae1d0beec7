//! Settings from the environment.
//!
//! Owns: every setting's name, default and description, in one table ([`SETTINGS`]); reading them once; refusing
//! unreadable values and misspelt names.
//! Does not own: allowed values and combinations (`validation`); credentials of object stores, which the stores'
//! clients read from their own variables (`AWS_…`, `AZURE_…`, `GOOGLE_…`).

mod documentation;
mod storage_type;
mod validation;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

pub use documentation::{SETTINGS, SettingDoc};
pub use storage_type::StorageType;

/// The queue that messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueType {
    /// Inside this process; uncommitted messages are lost with it.
    Memory,
    /// NATS JetStream.
    Nats,
}

/// Acks to the queue after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueAck {
    /// Once per commit, so that the queue's own tools show the committed lag.
    All,
    /// Never; the commit is the ack.
    None,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// All settings of a process. Each field is the variable of the same name in upper case; [`SETTINGS`] is the manual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "SETTINGS documents every field, and a test keeps the two equal")]
pub struct Settings {
    pub queue_type: QueueType,
    pub queue_memory_bytes: usize,
    pub queue_ack: QueueAck,
    pub nats_url: String,
    pub nats_credentials: Option<PathBuf>,
    pub nats_user: Option<String>,
    pub nats_password: Option<String>,
    pub nats_token: Option<String>,
    pub nats_nkey: Option<String>,
    pub nats_nkey_file: Option<PathBuf>,
    pub nats_ca: Option<PathBuf>,
    pub nats_monitor_url: Option<String>,
    pub nats_client_cert: Option<PathBuf>,
    pub nats_client_key: Option<PathBuf>,
    pub storage_type: StorageType,
    pub storage_path: PathBuf,
    pub storage_url: Option<String>,
    pub catalog_url: Option<String>,
    pub topics: Vec<String>,
    pub flush_interval_secs: u64,
    pub max_segment_size_bytes: usize,
    pub max_segment_records: usize,
    pub memory_budget_bytes: usize,
    pub upload_retries: u32,
    pub lease_secs: u64,
    /// Time for which an object that is not, or no longer, listed is kept before it is deleted.
    pub janitor_hold_secs: u64,
    pub shutdown_timeout_secs: u64,
    pub http_addr: SocketAddr,
    pub log_format: LogFormat,
    pub log_level: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_type: QueueType::Memory,
            queue_memory_bytes: 256 * MIB,
            queue_ack: QueueAck::All,
            nats_url: "nats://127.0.0.1:4222".to_owned(),
            nats_credentials: None,
            nats_user: None,
            nats_password: None,
            nats_token: None,
            nats_nkey: None,
            nats_nkey_file: None,
            nats_ca: None,
            nats_monitor_url: None,
            nats_client_cert: None,
            nats_client_key: None,
            storage_type: StorageType::Local,
            storage_path: PathBuf::from("./data"),
            storage_url: None,
            catalog_url: None,
            topics: Vec::new(),
            flush_interval_secs: 5,
            max_segment_size_bytes: 64 * MIB,
            max_segment_records: 10_000_000,
            memory_budget_bytes: 512 * MIB,
            upload_retries: 3,
            lease_secs: 10,
            janitor_hold_secs: 24 * 60 * 60,
            shutdown_timeout_secs: 30,
            http_addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }
}

const MIB: usize = 1024 * 1024;

/// A refused setting. The text names the variable, its value and the allowed values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid setting: {0}")]
pub struct InvalidSetting(String);

impl InvalidSetting {
    /// Takes a text that names the variable, its value and the allowed values.
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`InvalidSetting`] for the first value that is invalid, contradictory or misspelt.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Self::from_vars(std::env::vars_os())
    }

    /// Reads `vars` in place of the environment. Empty values count as unset.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, InvalidSetting> {
        let mut known = Vec::new();
        for (name, value) in vars {
            let Some(name) = name.to_str() else { continue };
            if let Some(doc) = SETTINGS.iter().find(|doc| doc.name == name) {
                let value = value.into_string().map_err(|_| invalid(doc, "(not UTF-8)"))?;
                if !value.trim().is_empty() {
                    known.push((name.to_owned(), value.trim().to_owned()));
                }
            } else if let Some(doc) = SETTINGS.iter().find(|doc| is_misspelling(name, doc.name)) {
                return Err(InvalidSetting(format!("{name} is not a setting; did you mean {}?", doc.name)));
            }
        }
        let lists = known.iter_mut().filter(|(name, _)| name == "TOPICS");
        lists.for_each(|(_, value)| *value = value.split(',').map(str::trim).collect::<Vec<_>>().join(","));
        for (name, value) in &known {
            // One variable at a time, so that the error names the invalid one.
            let doc = SETTINGS.iter().find(|doc| doc.name == name).expect("only known names were kept");
            envy::from_iter::<_, Self>([(name.clone(), value.clone())]).map_err(|_| invalid(doc, value))?;
        }
        let settings: Self = envy::from_iter(known).map_err(|error| InvalidSetting(error.to_string()))?;
        settings.validate()?;
        Ok(settings)
    }

    /// The catalog's URL: as set, or `catalog.db` in the directory of the local data.
    pub fn catalog_url(&self) -> String {
        self.catalog_url.clone().unwrap_or_else(|| format!("sqlite:{}", self.storage_path.join("catalog.db").display()))
    }

    /// Longest time a batch waits before it becomes a segment.
    pub fn flush_interval(&self) -> Duration {
        Duration::from_secs(self.flush_interval_secs)
    }

    /// Every setting with its value as text, secrets hidden, in the order of [`SETTINGS`].
    pub fn effective(&self) -> Vec<(&'static SettingDoc, String)> {
        let values = serde_json::to_value(self).expect("settings are plain data");
        let value_of = |doc: &SettingDoc| match &values[doc.name.to_lowercase()] {
            serde_json::Value::Null if doc.name == "CATALOG_URL" => self.catalog_url(),
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(_) if doc.secret => "********".to_owned(),
            serde_json::Value::String(text) if doc.name.ends_with("_URL") => redacted_url(text),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) => {
                items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        SETTINGS.iter().map(|doc| (doc, value_of(doc))).collect()
    }
}

/// The URL with its password, if any, replaced; in a comma-separated list, each URL is redacted.
pub fn redacted_url(url: &str) -> String {
    let redact = |part: &str| match Url::parse(part) {
        Ok(mut parsed) if parsed.password().is_some() => {
            let replaced = parsed.set_password(Some("********")).is_ok();
            if replaced { parsed.to_string() } else { "(hidden)".to_owned() }
        }
        _ => part.to_owned(),
    };
    url.split(',').map(redact).collect::<Vec<_>>().join(",")
}

fn doc(name: &str) -> &'static SettingDoc {
    SETTINGS.iter().find(|doc| doc.name == name).expect("every setting is documented")
}

fn invalid(doc: &SettingDoc, value: &str) -> InvalidSetting {
    let value = if doc.secret { "********" } else { value };
    InvalidSetting(format!("{}={value}: allowed is {}", doc.name, doc.allowed))
}

/// True if `name` differs from the setting `known` by one letter changed, added or dropped, or two swapped.
fn is_misspelling(name: &str, known: &str) -> bool {
    let (a, b) = (name.as_bytes(), known.as_bytes());
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let end = a[start..].iter().rev().zip(b[start..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (left, right) = (&a[start..a.len() - end], &b[start..b.len() - end]);
    match (left, right) {
        ([x1, x2], [y1, y2]) => x1 == y2 && x2 == y1,
        _ => left.len() <= 1 && right.len() <= 1,
    }
}

#[cfg(test)]
mod tests;
