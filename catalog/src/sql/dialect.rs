//! What the two dialects say differently.
//!
//! Owns: every fragment of SQL that is not the same text for both. Each store names its dialect by one of these
//! macros; they give literals, so that whole statements are made by `concat!` when the program is compiled.
//! Does not own: how a transaction begins (each store's file).

/// Fragments for SQLite. It needs no row locks: the only writer holds the whole database.
macro_rules! sqlite {
    (is_replica) => {
        "false"
    };
    (now_ms) => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
    (for_update) => {
        ""
    };
    (for_share) => {
        ""
    };
}

/// Fragments for PostgreSQL. The clock is read when the statement runs, not when the transaction began: locks may
/// have been waited for in between.
macro_rules! postgres {
    (is_replica) => {
        "pg_is_in_recovery()"
    };
    (now_ms) => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
    (for_update) => {
        " FOR UPDATE"
    };
    (for_share) => {
        " FOR SHARE"
    };
}

pub(crate) use {postgres, sqlite};
