//! Findings for an operator about the catalog's file.
//!
//! Owns: the settings and the kind of disk that keep a commit safe. Does not own: opening the file.

use common::clock::{Clock, SystemClock};
use common::diagnosis::{self, Area, Finding, filesystem};

use super::SqliteDatabase;

pub(super) async fn diagnose(database: &SqliteDatabase) -> Vec<Finding> {
    let mut findings = match version(database).await {
        Ok(version) => vec![Finding::ok(Area::Catalog, "version", format!("SQLite {version}"))],
        Err(error) => return vec![broken("version", &error)],
    };
    let Some(file) = &database.file else {
        findings.push(Finding::reduced(
            Area::Catalog,
            "durability",
            "in memory",
            "the catalog is gone with the process; set CATALOG_URL=sqlite:<path> or postgres://…",
        ));
        return findings;
    };
    findings.push(filesystem::finding(Area::Catalog, "the catalog", file.get_filename()));
    findings.push(settings(database).await.unwrap_or_else(|error| broken("settings", &error)));
    findings.push(integrity(database).await.unwrap_or_else(|error| broken("integrity", &error)));
    findings.push(clock(database).await.unwrap_or_else(|error| broken("clock", &error)));
    findings
}

async fn version(database: &SqliteDatabase) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&database.readers).await
}

/// Asked of the connection that writes, where there is one: these belong to a connection, not to the file.
async fn settings(database: &SqliteDatabase) -> Result<Finding, sqlx::Error> {
    const SYNCHRONOUS_FULL: i64 = 2;
    let Some(writer) = &database.writer else { return journal(database).await };
    let mut connection = writer.acquire().await?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    let found = format!("journal_mode {journal}, synchronous {synchronous}");
    if journal == "wal" && synchronous >= SYNCHRONOUS_FULL {
        return Ok(Finding::ok(Area::Catalog, "settings", format!("{found} (full)")));
    }
    let advice = "a commit may be lost in a power cut; WAL with synchronous=FULL is set at every start, so the disk or \
                  the URL refuses it";
    Ok(Finding::reduced(Area::Catalog, "settings", found, advice))
}

/// The part of the settings that is in the file.
async fn journal(database: &SqliteDatabase) -> Result<Finding, sqlx::Error> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&database.readers).await?;
    let found = match database.stamp {
        Some(_) => "no writer is at work, and this user may not write".to_owned(),
        None => format!("journal_mode {journal}; a writer sets synchronous=full when it starts"),
    };
    Ok(Finding::ok(Area::Catalog, "settings", found))
}

async fn integrity(database: &SqliteDatabase) -> Result<Finding, sqlx::Error> {
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA quick_check").fetch_all(&database.readers).await?;
    if lines == ["ok"] {
        return Ok(Finding::ok(Area::Catalog, "integrity", "quick_check finds nothing"));
    }
    let advice = "the file is damaged: stop all writers, restore it from a backup, and run `siltstone audit`";
    Ok(Finding::fail(Area::Catalog, "integrity", lines.join("; "), advice))
}

async fn clock(database: &SqliteDatabase) -> Result<Finding, sqlx::Error> {
    let before_ms = SystemClock.now_ms();
    let query = "SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER)";
    let now_ms: i64 = sqlx::query_scalar(query).fetch_one(&database.readers).await?;
    Ok(diagnosis::clock("catalog", now_ms, before_ms, SystemClock.now_ms(), 1))
}

fn broken(check: &str, error: &sqlx::Error) -> Finding {
    let advice = "the file cannot be read: is the disk sound, and may this user read it?";
    Finding::fail(Area::Catalog, check, error.to_string(), advice)
}

#[cfg(test)]
mod tests {
    use common::diagnosis::Verdict;

    use crate::database::Sql;
    use crate::{MetadataStore, SqliteMetadataStore};

    #[tokio::test]
    async fn a_file_on_a_disk_is_sound_and_one_in_memory_does_not_last() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteMetadataStore::new(directory.path().join("catalog.db")).await.expect("opens");
        let findings = store.diagnose().await;
        let verdict = |check: &str| findings.iter().find(|finding| finding.check == check).expect(check).verdict;
        for check in ["version", "settings", "integrity", "catalog"] {
            assert_eq!(verdict(check), Verdict::Ok, "{findings:#?}");
        }
        assert!(findings.iter().any(|finding| finding.check == "file system"));
        let findings = SqliteMetadataStore::new_in_memory().await.expect("opens").diagnose().await;
        assert!(findings.iter().any(|finding| finding.reduces && finding.found == "in memory"), "{findings:#?}");
    }

    #[tokio::test]
    async fn weaker_settings_are_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteMetadataStore::new(directory.path().join("catalog.db")).await.expect("opens");
        store.door().execute(&Sql::only("PRAGMA synchronous = OFF"), &[]).await.expect("set");
        let findings = store.diagnose().await;
        let settings = findings.iter().find(|finding| finding.check == "settings").expect("there");
        assert!(settings.reduces && settings.found.contains("synchronous 0"), "{settings:?}");
    }
}
