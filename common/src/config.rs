//! Settings of a process, as plain data.
//!
//! Owns: every setting's field and default; the error of a refused setting.
//! Does not own: the manual (`documentation`), reading (`reading`), allowed values (`values`, `urls`, `log_level`) and
//! combinations (`validation`), the variables that clients of object stores read themselves (`store_variables`), how
//! settings are shown (`effective`).

mod catalog_place;
mod documentation;
mod effective;
mod hot_tail;
mod log_level;
mod misspelling;
mod reading;
mod setting_doc;
mod storage_type;
mod store_variables;
mod urls;
mod validation;
mod values;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::agent_group::AgentGroup;
use crate::agent_url::AgentUrl;

pub use catalog_place::CatalogPlace;
pub use documentation::SETTINGS;
pub use effective::{EffectiveSetting, Origin};
pub use hot_tail::HotTailMode;
pub use setting_doc::{Kind, SettingDoc};
pub use storage_type::StorageType;
pub use store_variables::{StoreVariable, is_true};

use crate::secret::{Secret, SecretUrl};

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

/// Merging of small objects by writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compaction {
    /// Every writer merges.
    On,
    /// None does.
    Off,
}

impl Compaction {
    /// True if writers merge.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
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
    pub nats_url: SecretUrl,
    pub nats_credentials: Option<PathBuf>,
    pub nats_user: Option<String>,
    pub nats_password: Option<Secret>,
    pub nats_token: Option<Secret>,
    pub nats_nkey: Option<Secret>,
    pub nats_nkey_file: Option<PathBuf>,
    pub nats_ca: Option<PathBuf>,
    pub nats_js_domain: Option<String>,
    pub nats_monitor_url: Option<SecretUrl>,
    pub nats_client_cert: Option<PathBuf>,
    pub nats_client_key: Option<PathBuf>,
    pub storage_type: StorageType,
    pub storage_path: PathBuf,
    pub storage_url: Option<SecretUrl>,
    pub catalog_url: Option<SecretUrl>,
    pub topics: Vec<String>,
    pub flush_interval_secs: u64,
    pub max_segment_size_bytes: usize,
    pub max_segment_records: usize,
    pub memory_budget_bytes: usize,
    pub upload_retries: u32,
    pub lease_secs: u64,
    /// Time for which an object that is not, or no longer, listed is kept before it is deleted.
    pub janitor_hold_secs: u64,
    pub compaction: Compaction,
    pub compaction_target_bytes: usize,
    pub compaction_min_objects: usize,
    pub hot_tail: HotTailMode,
    pub iceberg_publish_interval_secs: u64,
    pub shutdown_timeout_secs: u64,
    pub http_addr: SocketAddr,
    pub ingest_addr: SocketAddr,
    pub ingest_tls_cert: Option<PathBuf>,
    pub ingest_tls_key: Option<PathBuf>,
    pub ingest_memory_bytes: usize,
    pub ingest_body_bytes: usize,
    pub ingest_timeout_secs: u64,
    pub flight_addr: Option<SocketAddr>,
    pub postgres_addr: Option<SocketAddr>,
    pub query_concurrency: usize,
    pub query_queue: usize,
    pub query_queue_secs: u64,
    pub query_memory_bytes: usize,
    pub query_timeout_secs: u64,
    pub query_rows_max: u64,
    pub read_cache_bytes: usize,
    pub read_cache_dir: Option<PathBuf>,
    pub read_cache_disk_bytes: u64,
    pub auto_create: Option<PathBuf>,
    pub agent_group: AgentGroup,
    pub agent_url: Option<AgentUrl>,
    pub log_format: LogFormat,
    pub log_level: String,
    /// Names of the settings that the environment sets.
    #[serde(skip)]
    pub named: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_type: QueueType::Memory,
            queue_memory_bytes: 256 * MIB,
            queue_ack: QueueAck::All,
            nats_url: "nats://127.0.0.1:4222".into(),
            nats_credentials: None,
            nats_user: None,
            nats_password: None,
            nats_token: None,
            nats_nkey: None,
            nats_nkey_file: None,
            nats_ca: None,
            nats_js_domain: None,
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
            compaction: Compaction::On,
            compaction_target_bytes: 256 * MIB,
            compaction_min_objects: 64,
            hot_tail: HotTailMode::Auto,
            iceberg_publish_interval_secs: 0,
            shutdown_timeout_secs: 30,
            http_addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            ingest_addr: SocketAddr::from(([127, 0, 0, 1], 8081)),
            ingest_tls_cert: None,
            ingest_tls_key: None,
            ingest_memory_bytes: 256 * MIB,
            ingest_body_bytes: 64 * MIB,
            ingest_timeout_secs: 30,
            flight_addr: None,
            postgres_addr: None,
            query_concurrency: 4,
            query_queue: 64,
            query_queue_secs: 30,
            query_memory_bytes: 256 * MIB,
            query_timeout_secs: 300,
            query_rows_max: 10_000_000,
            read_cache_bytes: 256 * MIB,
            read_cache_dir: None,
            read_cache_disk_bytes: 10 * 1024 * MIB as u64,
            auto_create: None,
            agent_group: AgentGroup::default(),
            agent_url: None,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
            named: BTreeSet::new(),
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
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Settings {
    /// The catalog: as set, or `catalog.db` in the directory of the local data.
    pub fn catalog_place(&self) -> CatalogPlace {
        match &self.catalog_url {
            Some(url) => CatalogPlace::Url(url.clone()),
            None => CatalogPlace::File(self.storage_path.join("catalog.db")),
        }
    }

    /// Longest time a batch waits before it becomes a segment.
    pub fn flush_interval(&self) -> Duration {
        Duration::from_secs(self.flush_interval_secs)
    }

    /// True if the environment sets the variable `name`.
    pub fn is_named(&self, name: &str) -> bool {
        self.named.contains(name)
    }
}

fn doc(name: &str) -> &'static SettingDoc {
    SETTINGS.iter().find(|doc| doc.name == name).expect("every setting is documented")
}

#[cfg(test)]
mod tests;
