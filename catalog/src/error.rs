//! The errors of catalog operations, and the reactions to them.
//!
//! Owns: the error type, its texts, and reading the databases' own codes. Does not own: retrying.

use std::sync::Arc;

use common::{ErrorKind, MemberId, TopicName, TopicPartition};
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Short for results of this crate.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// An error of the catalog.
/// Cloning is cheap: one failed transaction answers all requests that were in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CatalogError {
    /// No topic of this name.
    #[error("topic not found: {0}")]
    TopicNotFound(String),
    /// A topic of this name exists.
    #[error("topic already exists: {0}")]
    TopicAlreadyExists(String),
    /// The topic was changed after the caller read it.
    #[error("topic {topic} was changed meanwhile: its schema version is {now}, not {seen}; look at it and try again")]
    TopicChanged {
        /// The topic.
        topic: TopicName,
        /// The schema version that the caller read.
        seen: u32,
        /// The current schema version.
        now: u32,
    },
    /// A topic exists whose name differs only in the case of letters: readers that ignore case could not distinguish
    /// the two.
    #[error("topic {name} cannot be created: topic {existing} has the same name in another case")]
    TopicExistsAs {
        /// The wanted name.
        name: String,
        /// The name of the topic that exists.
        existing: String,
    },
    /// The topic is absent, or has no partition of this number.
    #[error("partition not found: {topic}/{partition}")]
    PartitionNotFound {
        /// Name of the topic.
        topic: String,
        /// Number of the partition.
        partition: u32,
    },
    /// The consumer group is absent.
    #[error("consumer group not found: {0}")]
    GroupNotFound(String),
    /// The member is not registered: it left, was silent for longer than its lease, or never joined.
    #[error("consumer group {group} has no member {member}: join it first, or again")]
    MemberUnknown {
        /// The group.
        group: String,
        /// The member.
        member: MemberId,
    },
    /// The group has members that are alive.
    #[error("consumer group {group} is being read by {members}; end them first, or wait until their leases expire")]
    GroupActive {
        /// The group.
        group: String,
        /// The names of the members.
        members: String,
    },
    /// No token of this name that is not revoked.
    #[error("token not found: {0}; `siltstone token list` lists them")]
    TokenNotFound(String),
    /// A token of this name exists that is not revoked.
    #[error("token {0} exists; revoke it first, or choose another name")]
    TokenExists(String),
    /// An offset that cannot be stored (above 2^63 - 1), or that would move a watermark back.
    #[error("invalid offset {offset}: {reason}")]
    InvalidOffset {
        /// The offset.
        offset: u64,
        /// The reason why it is invalid.
        reason: String,
    },
    /// The partition has another owner, or another watermark than the caller's.
    #[error("ownership of {partition} was lost: {reason}")]
    Fenced {
        /// The partition.
        partition: TopicPartition,
        /// The condition that no longer holds.
        reason: String,
    },
    /// The commit is certainly not recorded: it may be sent again.
    #[error("the commit of {0} is not recorded; it may be sent again")]
    NotCommitted(TopicPartition),
    /// The replacement certainly did not happen: it may be sent again.
    #[error("the replacement by {0} did not happen; it may be sent again")]
    NotReplaced(String),
    /// An object was put, or was to be put, under the key before.
    #[error("the key {0:?} was used before; every object needs a new one")]
    KeyUsed(String),
    /// The catalog cannot be used as configured: URL, version, permission, schema.
    #[error("catalog refused: {0}")]
    Refused(String),
    /// The disk of the catalog's file is full.
    #[error("the disk that holds {0} is full")]
    DiskFull(String),
    /// There is no catalog in this place, and reading makes none.
    #[error("no catalog at {0}; creating a topic or starting a writer makes one")]
    Absent(String),
    /// The disk failed while a commit was written, or the database's file was deleted or replaced: what this process sees
    /// of the database may not be what the next one finds. Every later call gives this too. The process must end; the next
    /// start takes over from what the disk holds.
    #[error("{0}; this process must end")]
    Poisoned(String),
    /// Stored rows contradict each other; nothing was changed.
    #[error("catalog is inconsistent: {0}")]
    Inconsistent(String),
    /// An error of the database.
    #[error("database error: {0}")]
    Database(#[source] Arc<sqlx::Error>),
}

impl CatalogError {
    /// The refusal to write in a catalog that was opened to be read.
    pub(crate) fn opened_to_read() -> Self {
        Self::Refused("it was opened for reading alone".to_owned())
    }

    /// What the caller must do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database(error) if is_transient(error) => ErrorKind::Unavailable,
            Self::Refused(_)
            | Self::DiskFull(_)
            | Self::Absent(_)
            | Self::Poisoned(_)
            | Self::Inconsistent(_)
            | Self::Database(_) => ErrorKind::Fatal,
            Self::TopicNotFound(_)
            | Self::TopicAlreadyExists(_)
            | Self::TopicExistsAs { .. }
            | Self::TopicChanged { .. }
            | Self::PartitionNotFound { .. }
            | Self::GroupNotFound(_)
            | Self::MemberUnknown { .. }
            | Self::GroupActive { .. }
            | Self::TokenNotFound(_)
            | Self::TokenExists(_)
            | Self::InvalidOffset { .. }
            | Self::Fenced { .. }
            | Self::NotCommitted(_)
            | Self::NotReplaced(_)
            | Self::KeyUsed(_) => ErrorKind::Conflict,
        }
    }
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        match postgres_advice(&error) {
            // The server's own words: the client's text ends with a line of the server's source.
            Some((message, advice)) => Self::Refused(format!("{message}; {advice}")),
            None => Self::Database(Arc::new(error)),
        }
    }
}

/// Advice for an error of PostgreSQL that stays until somebody changes a right or a setting.
fn postgres_advice(error: &sqlx::Error) -> Option<(&str, &'static str)> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    let advice = match error.code() {
        "42501" => Some(
            "reading needs USAGE on the catalog's schema and SELECT on all of its tables, a writer the right to change \
             them, and making or upgrading them the right to CREATE in the schema",
        ),
        // Statements that are prepared are found by another session, or not found.
        "26000" | "42P05" => Some(
            "a connection pooler in front of the server gives away sessions between transactions: connect to PostgreSQL \
             itself",
        ),
        _ if error.message().contains("statement pooling mode") => {
            Some("PgBouncer needs pool_mode = transaction or session; or connect to PostgreSQL itself")
        }
        _ => None,
    };
    advice.map(|advice| (error.message(), advice))
}

impl From<MigrateError> for CatalogError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            MigrateError::VersionMissing(version) => Self::Refused(format!(
                "the catalog's schema has version {version}, which this program does not know; use a newer program"
            )),
            MigrateError::VersionMismatch(version) => {
                Self::Refused(format!("version {version} of the catalog's schema is not the one of this program"))
            }
            other => Self::Refused(format!("the catalog's schema cannot be migrated: {other}")),
        }
    }
}

/// True if a unique index refused the statement.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// True if a foreign key refused the statement.
pub(crate) fn is_foreign_key_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_foreign_key_violation())
}

/// True if another connection holds SQLite's lock: then a COMMIT did not happen.
pub(crate) fn is_sqlite_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    const SQLITE_LOCKED: u32 = 6;
    sqlite_code(error).is_some_and(|code| matches!(code, SQLITE_BUSY | SQLITE_LOCKED))
}

/// True if SQLite reports a failed disk, or damage in the data it read.
pub(crate) fn is_sqlite_disk_failure(error: &sqlx::Error) -> bool {
    const SQLITE_IOERR: u32 = 10;
    const SQLITE_CORRUPT: u32 = 11;
    sqlite_code(error).is_some_and(|code| matches!(code, SQLITE_IOERR | SQLITE_CORRUPT))
}

/// True if SQLite found no room on the disk: for the file, or for the index of its log.
pub(crate) fn is_sqlite_disk_full(error: &sqlx::Error) -> bool {
    const SQLITE_FULL: u32 = 13;
    const SQLITE_IOERR_SHMSIZE: u32 = 4874;
    let code = sqlite_extended_code(error);
    code == Some(SQLITE_IOERR_SHMSIZE) || code.is_some_and(|code| code & 0xff == SQLITE_FULL)
}

/// SQLite's primary result code: the low byte of the extended one.
fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    sqlite_extended_code(error).map(|code| code & 0xff)
}

fn sqlite_extended_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    sqlx::error::DatabaseError::code(error)?.parse().ok()
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => is_transient_sqlstate(error.code()),
            None => is_sqlite_busy(error),
        },
        _ => false,
    }
}

/// Lost connections, lack of resources, shutdown, time-outs, deadlocks, serialization, and a server that became a
/// replica: a later attempt, or another server, can succeed.
fn is_transient_sqlstate(code: &str) -> bool {
    let class = ["08", "53", "58"].iter().any(|class| code.starts_with(class));
    class || matches!(code, "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" | "25006")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_passes_is_told_from_trouble_that_stays() {
        for code in ["08006", "53300", "40001", "40P01", "55P03", "57014", "57P01", "25006"] {
            assert!(is_transient_sqlstate(code), "{code}");
        }
        for code in ["23505", "42P01", "28P01", "22021", "25P02"] {
            assert!(!is_transient_sqlstate(code), "{code}");
        }
        assert_eq!(CatalogError::from(sqlx::Error::PoolTimedOut).kind(), ErrorKind::Unavailable);
        assert_eq!(CatalogError::from(sqlx::Error::PoolClosed).kind(), ErrorKind::Fatal);
        assert_eq!(CatalogError::TopicNotFound("t".to_owned()).kind(), ErrorKind::Conflict);
    }
}
