//! The text of a statement for both databases, and the differences between the two dialects.
//!
//! Owns: every fragment of SQL whose text differs between them. Texts are put together at compile time, except those of
//! inserts of many rows. Does not own: beginning a transaction (each database's file).

use std::fmt::Write;

/// A statement, as text for each database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Sql {
    /// A statement for one of the databases alone.
    pub(crate) const fn only(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }
}

/// A [`Sql`] of string literals and names of fragments, one after the other: `sql!("SELECT " topic_columns " FROM
/// topics")`.
macro_rules! sql {
    ($($part:tt)*) => {
        $crate::database::Sql {
            sqlite: concat!($($crate::database::dialect::fragment!(sqlite $part)),*),
            postgres: concat!($($crate::database::dialect::fragment!(postgres $part)),*),
        }
    };
}

/// A part of a statement for one database.
///
/// SQLite needs no row locks: the only writer holds the whole database. PostgreSQL's clock is read when the statement
/// runs, not when the transaction began: the statement may have waited for locks in between. A list of any length is
/// one parameter, the first, as a JSON array: `WHERE file_id IN " numbers_1`; `moves_1` is one of arrays, as a relation.
/// `entering_views` lets the rest of a transaction find the views for readers of DuckLake, which PostgreSQL has in a schema
/// of their own.
macro_rules! fragment {
    ($dialect:ident $text:literal) => {
        $text
    };
    (sqlite now_ms) => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"
    };
    (postgres now_ms) => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
    (sqlite now_us) => {
        "CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000"
    };
    (postgres now_us) => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    };
    (sqlite numbers_1) => {
        "(SELECT value FROM json_each($1))"
    };
    (postgres numbers_1) => {
        "(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST($1 AS JSON)) AS listed (value))"
    };
    (sqlite texts_1) => {
        "(SELECT value FROM json_each($1))"
    };
    (postgres texts_1) => {
        "(SELECT value FROM json_array_elements_text(CAST($1 AS JSON)) AS listed (value))"
    };
    (sqlite moves_1) => {
        "(SELECT json_extract(value, '$[0]') AS of_partition, json_extract(value, '$[1]') AS of_incarnation,
         json_extract(value, '$[2]') AS of_epoch, json_extract(value, '$[3]') AS from_watermark,
         json_extract(value, '$[4]') AS new_watermark, json_extract(value, '$[5]') AS new_offset,
         json_extract(value, '$[6]') AS new_timestamp_us, json_extract(value, '$[7]') AS new_hash FROM
         json_each($1))"
    };
    (postgres moves_1) => {
        "(SELECT CAST(value ->> 0 AS BIGINT) AS of_partition, CAST(value ->> 1 AS BIGINT) AS of_incarnation,
         CAST(value ->> 2 AS BIGINT) AS of_epoch, CAST(value ->> 3 AS BIGINT) AS from_watermark, CAST(value ->> 4
         AS BIGINT) AS new_watermark, CAST(value ->> 5 AS BIGINT) AS new_offset, CAST(value ->> 6 AS BIGINT) AS
         new_timestamp_us, CAST(value ->> 7 AS BIGINT) AS new_hash FROM json_array_elements(CAST($1 AS JSON)) AS
         listed (value))"
    };
    (sqlite for_update) => {
        ""
    };
    (postgres for_update) => {
        " FOR UPDATE"
    };
    (sqlite for_share) => {
        ""
    };
    (postgres for_share) => {
        " FOR SHARE"
    };
    (sqlite is_replica) => {
        "0"
    };
    (postgres is_replica) => {
        "CAST(CAST(pg_is_in_recovery() AS INTEGER) AS BIGINT)"
    };
    (sqlite entering_views) => {
        "CAST(NULL AS TEXT)"
    };
    (postgres entering_views) => {
        "set_config('search_path', format('%I, %I', CASE home WHEN 'public' THEN 'lake' ELSE home || '_lake' END, home), true)
         FROM (SELECT current_schema() AS home) AS names"
    };
    (sqlite schema_of_views) => {
        "CAST(NULL AS TEXT), 1"
    };
    (postgres schema_of_views) => {
        "CAST(n.nspname AS TEXT), CAST(1 AS BIGINT) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.oid = to_regclass('ducklake_data_file')"
    };
    ($dialect:ident $columns:ident) => {
        $crate::sql::rows::columns!($columns)
    };
}

pub(crate) use {fragment, sql};

/// An insert of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Insert {
    /// The name of the table.
    pub(crate) table: &'static str,
    /// Its columns, the time last.
    pub(crate) columns: &'static str,
    /// Number of values in a row, without the time.
    pub(crate) width: usize,
    /// True if the last column is the time of the database.
    pub(crate) has_time: bool,
}

/// The names of a statement's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// `?`, in their order: SQLite would compare a name with all names before it.
    Anonymous,
    /// `$1`.
    Numbered,
}

impl Insert {
    /// The statement for this number of values, with the text that reads the clock.
    pub(crate) fn text(&self, values: usize, placeholder: Placeholder, now_ms: &str) -> String {
        assert!(values > 0 && values.is_multiple_of(self.width), "{values} values are no rows of {}", self.table);
        let mut text = format!("INSERT INTO {} ({}) VALUES ", self.table, self.columns);
        for first in (1..=values).step_by(self.width) {
            text.push_str(if first == 1 { "(" } else { ", (" });
            for parameter in first..first + self.width {
                text.push_str(if parameter == first { "" } else { ", " });
                match placeholder {
                    Placeholder::Anonymous => text.push('?'),
                    Placeholder::Numbered => write!(text, "${parameter}").expect("a String takes everything"),
                }
            }
            if self.has_time {
                text.push_str(", ");
                text.push_str(now_ms);
            }
            text.push(')');
        }
        text
    }

    /// True for the values of one row: such a statement is used again and worth keeping.
    pub(crate) fn is_single(&self, values: usize) -> bool {
        values == self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_numbers_the_parameters_of_all_rows() {
        let insert = Insert { table: "gaps", columns: "topic, reason, created_at", width: 2, has_time: true };
        let text = "INSERT INTO gaps (topic, reason, created_at) VALUES ($1, $2, now), ($3, $4, now)";
        assert_eq!(insert.text(4, Placeholder::Numbered, "now"), text);
        let text = "INSERT INTO gaps (topic, reason, created_at) VALUES (?, ?, now)";
        assert_eq!(insert.text(2, Placeholder::Anonymous, "now"), text);
        let insert = Insert { table: "names", columns: "folded, name", width: 2, has_time: false };
        assert_eq!(insert.text(2, Placeholder::Numbered, "now"), "INSERT INTO names (folded, name) VALUES ($1, $2)");
        assert!(insert.is_single(2) && !insert.is_single(4));
    }

    #[test]
    fn a_statement_has_the_fragments_of_each_dialect() {
        let sql = sql!("SELECT " is_replica " FROM agents WHERE heartbeat_at >= " now_ms " - $1" for_share);
        assert!(sql.sqlite.starts_with("SELECT 0 FROM agents") && sql.sqlite.ends_with("AS INTEGER) - $1"));
        assert!(sql.postgres.contains("clock_timestamp()") && sql.postgres.ends_with(" - $1 FOR SHARE"));
    }
}
