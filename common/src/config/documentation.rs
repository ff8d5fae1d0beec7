//! The manual of every setting.
//!
//! Owns: name, kind, default, allowed values and description of each. Does not own: refusing values (`values`, `urls`,
//! `log_level`) and combinations (`validation`).

use crate::agent_group::AGENT_GROUP_ALLOWED;
use crate::agent_url::AGENT_URL_ALLOWED;

use super::storage_type::{STORAGE_TYPE_NAMES, STORAGE_TYPES, STORAGE_URLS};

/// The kind of a setting's value, which decides how it is read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A path of this machine, taken exactly as it is written.
    Path,
    /// A URL, or several.
    Url,
    /// One line of text.
    Text,
    /// The name of a group of agents.
    AgentGroup,
    /// The URL of an agent.
    AgentUrl,
    /// A token of a NATS subject.
    SubjectToken,
    /// Names of topics.
    Topics,
    /// An address with a port.
    Address,
    /// Levels and filters of log lines.
    LogLevel,
}

/// The documentation of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingDoc {
    /// Name of the variable.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// Its default, as text; empty when it is unset.
    pub default: &'static str,
    /// The allowed values.
    pub allowed: &'static str,
    /// Its effect.
    pub about: &'static str,
    /// The value is never shown.
    pub secret: bool,
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    allowed: &'static str,
    about: &'static str,
) -> SettingDoc {
    SettingDoc { name, kind, default, allowed, about, secret: false }
}

const fn secret(name: &'static str, allowed: &'static str, about: &'static str) -> SettingDoc {
    SettingDoc { name, kind: Kind::Text, default: "", allowed, about, secret: true }
}

/// All settings, in display order.
pub const SETTINGS: &[SettingDoc] = &[
    setting("QUEUE_TYPE", Kind::Choice(&["memory", "nats"]), "memory", "memory or nats", "where messages come from"),
    setting(
        "QUEUE_MEMORY_BYTES",
        Kind::Number(1 << 20, 1 << 40),
        "268435456",
        "1048576 to 2^40",
        "size of the memory queue; publishing waits when it is full",
    ),
    setting(
        "QUEUE_ACK",
        Kind::Choice(&["all", "none"]),
        "all",
        "all or none",
        "ack each commit to the queue, so that its tools show the committed lag",
    ),
    setting(
        "NATS_URL",
        Kind::Url,
        "nats://127.0.0.1:4222",
        "nats://host:port, several separated by commas",
        "the NATS servers",
    ),
    setting("NATS_CREDENTIALS", Kind::Path, "", "path of a .creds file", "log in with credentials"),
    setting("NATS_USER", Kind::Text, "", "text", "log in with user and password"),
    secret("NATS_PASSWORD", "text", "the password of NATS_USER"),
    secret("NATS_TOKEN", "text", "log in with a token"),
    secret("NATS_NKEY", "the seed of an nkey, SU…", "log in with an nkey"),
    setting("NATS_NKEY_FILE", Kind::Path, "", "path of a file with the seed of an nkey", "log in with an nkey"),
    setting("NATS_CA", Kind::Path, "", "path of a PEM file", "trust this certificate authority for TLS"),
    setting(
        "NATS_JS_DOMAIN",
        Kind::SubjectToken,
        "",
        "name without dots",
        "the JetStream domain, where JetStream is reached through a leaf node",
    ),
    setting(
        "NATS_MONITOR_URL",
        Kind::Url,
        "",
        "http://host:port",
        "the NATS server's monitoring page, which only `siltstone doctor` reads; port 8222 of its host when unset",
    ),
    setting("NATS_CLIENT_CERT", Kind::Path, "", "path of a PEM file", "the certificate that this client shows for TLS"),
    setting("NATS_CLIENT_KEY", Kind::Path, "", "path of a PEM file", "the key of NATS_CLIENT_CERT"),
    setting("STORAGE_TYPE", Kind::Choice(&STORAGE_TYPE_NAMES), "local", STORAGE_TYPES, "where segments are stored"),
    setting(
        "STORAGE_PATH",
        Kind::Path,
        "./data",
        "path of a directory",
        "root of local storage, and of the default catalog",
    ),
    setting("STORAGE_URL", Kind::Url, "", STORAGE_URLS, "bucket and prefix; names the storage type as well"),
    setting(
        "CATALOG_URL",
        Kind::Url,
        "sqlite:./data/catalog.db",
        "sqlite:<path> or postgres://user:password@host/database",
        "the SQL catalog",
    ),
    setting("TOPICS", Kind::Topics, "", "names separated by commas", "write only these topics; all when unset"),
    setting(
        "FLUSH_INTERVAL_SECS",
        Kind::Number(1, 86_400),
        "5",
        "1 to 86400",
        "longest time a message waits before its segment is closed",
    ),
    setting(
        "MAX_SEGMENT_SIZE_BYTES",
        Kind::Number(1024, 1 << 32),
        "67108864",
        "1024 to 4294967296",
        "a segment is closed when it has about this size",
    ),
    setting(
        "MAX_SEGMENT_RECORDS",
        Kind::Number(1, 1_000_000_000),
        "10000000",
        "1 to 1000000000",
        "a segment is closed when it has this many rows",
    ),
    setting(
        "MEMORY_BUDGET_BYTES",
        Kind::Number(1 << 24, 1 << 40),
        "536870912",
        "16777216 to 2^40",
        "bytes of messages and open segments held at once, in all partitions together",
    ),
    setting(
        "UPLOAD_RETRIES",
        Kind::Number(1, 100),
        "3",
        "1 to 100",
        "attempts of an upload or commit before it is logged as an error and readiness turns false; it goes on until it succeeds",
    ),
    setting(
        "LEASE_SECS",
        Kind::Number(2, 3600),
        "10",
        "2 to 3600",
        "a writer that gave no sign for this long loses its partitions to another",
    ),
    setting(
        "JANITOR_HOLD_SECS",
        Kind::Number(60, 31_536_000),
        "86400",
        "60 to 31536000",
        "how long an object that is not listed, or no longer, is left before it is deleted, and earlier states of the tables can be read; deleted again after 7 times as long",
    ),
    setting(
        "COMPACTION",
        Kind::Choice(&["on", "off"]),
        "on",
        "on or off",
        "merge small objects of a topic and day into large ones, in every writer",
    ),
    setting(
        "COMPACTION_TARGET_BYTES",
        Kind::Number(1 << 20, 1 << 32),
        "268435456",
        "1048576 to 4294967296",
        "size that merged objects should reach; a quarter of MEMORY_BUDGET_BYTES must hold them",
    ),
    setting(
        "COMPACTION_MIN_OBJECTS",
        Kind::Number(2, 10_000),
        "64",
        "2 to 10000",
        "number of objects as they were written that are merged at once; fewer after ten minutes",
    ),
    setting(
        "HOT_TAIL",
        Kind::Choice(&["auto", "on", "off"]),
        "auto",
        "auto, on or off",
        "queries see published messages before they are committed: where the queue can be read, or else fail, or never",
    ),
    setting(
        "ICEBERG_PUBLISH_INTERVAL_SECS",
        Kind::Number(0, 86_400),
        "0",
        "0 to 86400",
        "a writer publishes each changed table for readers of Iceberg about this often; 0: only `siltstone publish-tables` does",
    ),
    setting(
        "SHUTDOWN_TIMEOUT_SECS",
        Kind::Number(1, 3600),
        "30",
        "1 to 3600",
        "how long a shutdown may take to write what was fetched",
    ),
    setting("HTTP_ADDR", Kind::Address, "127.0.0.1:8080", "address:port", "serves /healthz, /readyz and /metrics"),
    setting(
        "INGEST_ADDR",
        Kind::Address,
        "127.0.0.1:8081",
        "address:port",
        "`up` and `ingester` take records here over HTTP; one that other machines reach needs a token in the catalog",
    ),
    setting(
        "INGEST_TLS_CERT",
        Kind::Path,
        "",
        "path of a PEM file",
        "serve INGEST_ADDR by HTTPS with this certificate and those behind it in the file; read again when it changes",
    ),
    setting("INGEST_TLS_KEY", Kind::Path, "", "path of a PEM file", "the private key of INGEST_TLS_CERT"),
    setting(
        "INGEST_MEMORY_BYTES",
        Kind::Number(8 << 20, 1 << 40),
        "268435456",
        "8388608 to 2^40",
        "bytes of all HTTP requests together; beyond them new ones are answered with 503 until others end",
    ),
    setting(
        "INGEST_BODY_BYTES",
        Kind::Number(1024, 1 << 32),
        "67108864",
        "1024 to 4294967296",
        "largest body of an HTTP request, as sent and unpacked",
    ),
    setting(
        "INGEST_TIMEOUT_SECS",
        Kind::Number(1, 3600),
        "30",
        "1 to 3600",
        "how long an HTTP request waits for the queue, and then for the commit if it asks for it",
    ),
    setting(
        "AUTO_CREATE",
        Kind::Path,
        "",
        "path of a JSON file",
        "`up` and `ingester` create a topic of these names at the first HTTP request with records for it; `up` and `writer` create one for each subject of a stream that a rule names; unset, none",
    ),
    setting(
        "AGENT_GROUP",
        Kind::AgentGroup,
        "default",
        AGENT_GROUP_ALLOWED,
        "the group under which this process registers in the catalog; a producer finds the ingesters of one group",
    ),
    setting(
        "AGENT_URL",
        Kind::AgentUrl,
        "",
        AGENT_URL_ALLOWED,
        "where others reach this process, as the catalog lists it: producers reach `ingester` and `up` there, and a \
         writer's pages are there; unset it is the address in use, unless that stands for every address",
    ),
    setting(
        "LOG_FORMAT",
        Kind::Choice(&["text", "json"]),
        "text",
        "text or json",
        "form of log lines on standard error",
    ),
    setting(
        "LOG_LEVEL",
        Kind::LogLevel,
        "info",
        "error, warn, info, debug, trace, or filters such as info,writer=debug",
        "which log lines are written; by default, commands other than `up` write warnings and errors only",
    ),
];
