//! Settings of a session that clients of PostgreSQL set and ask for.
//!
//! Owns: which are known, and their one value. A setting that is set is accepted and changes nothing, so that tools can
//! connect; one that is unknown is refused, above all those of the query engine, which would lift limits.
//! Does not own: the settings of Siltstone.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::error::Result;

/// The version that clients see: it decides what they ask.
pub(super) const SERVER_VERSION: &str = "16.6";

/// The text of `version()`.
pub(super) fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} (Siltstone {})", env!("CARGO_PKG_VERSION"))
}

const KNOWN: [(&str, &str); 34] = [
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("geqo", "on"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("jit", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("row_security", "on"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "160006"),
    ("ssl_renegotiation_limit", "0"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
    ("timezone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// They as the table `pg_settings`.
///
/// # Errors
/// None that can happen: its columns are as long as one another.
pub(super) fn table() -> Result<MemTable> {
    let text = |value: &dyn Fn(usize) -> Option<&'static str>| -> ArrayRef {
        Arc::new((0..KNOWN.len()).map(value).collect::<StringArray>())
    };
    let same = |value: Option<&'static str>| text(&move |_| value);
    let setting = || text(&|index| Some(KNOWN[index].1));
    let columns = [
        ("name", text(&|index| Some(KNOWN[index].0))),
        ("setting", setting()),
        ("unit", same(None)),
        ("category", same(Some("Siltstone"))),
        ("short_desc", same(Some("a setting of PostgreSQL that changes nothing here"))),
        ("extra_desc", same(None)),
        ("context", same(Some("user"))),
        ("vartype", same(Some("string"))),
        ("source", same(Some("default"))),
        ("min_val", same(None)),
        ("max_val", same(None)),
        ("enumvals", same(None)),
        ("boot_val", setting()),
        ("reset_val", setting()),
        ("sourcefile", same(None)),
    ];
    let columns = columns.map(|(name, values)| (name, values, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns)?;
    MemTable::try_new(rows.schema(), vec![vec![rows]])
}

/// The value of a setting, if it is known.
pub(super) fn value(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}
