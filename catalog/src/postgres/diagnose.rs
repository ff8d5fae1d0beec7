//! Findings for an operator about the PostgreSQL server.
//!
//! Owns: the server settings that decide if a commit outlives a crash or a failover. Does not own: connecting.

use common::clock::{Clock, SystemClock};
use common::diagnosis::{self, Area, Finding};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row};

use super::session::Sessions;

/// The server's settings.
#[derive(Clone, Debug)]
struct Server {
    version: String,
    is_replica: bool,
    is_read_only: bool,
    may_write: bool,
    synchronous_commit: String,
    fsync: String,
    full_page_writes: String,
    synchronous_standby_names: String,
}

impl FromRow<'_, PgRow> for Server {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            version: row.try_get("version")?,
            is_replica: row.try_get("is_replica")?,
            is_read_only: row.try_get("is_read_only")?,
            may_write: row.try_get("may_write")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            fsync: row.try_get("fsync")?,
            full_page_writes: row.try_get("full_page_writes")?,
            synchronous_standby_names: row.try_get("synchronous_standby_names")?,
        })
    }
}

const SERVER: &str = "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_replica,
        current_setting('transaction_read_only') = 'on' AS is_read_only,
        COALESCE(has_table_privilege(to_regclass('partitions'), 'INSERT') AND
                 has_table_privilege(to_regclass('partitions'), 'UPDATE'),
                 has_schema_privilege(current_schema(), 'CREATE'), false) AS may_write,
        current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_standby_names') AS synchronous_standby_names";

/// A login without the role pg_monitor or pg_read_all_stats gets only nulls for the standbys.
const STANDBYS: &str = "SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
        count(*) FILTER (WHERE sync_state IS NULL) FROM pg_stat_replication";

pub(super) async fn diagnose(pool: &PgPool, sessions: Sessions) -> Vec<Finding> {
    let server: Server = match ask(pool, SERVER).await {
        Ok(server) => server,
        Err(error) => return vec![broken("server", &error)],
    };
    let mut findings = settings(&server);
    if sessions == Sessions::Lent {
        let found = "a connection pooler lends one to each transaction";
        findings.push(Finding::ok(Area::Catalog, "sessions", found));
    }
    findings.push(match ask(pool, STANDBYS).await {
        Ok(counts) => standbys(&server, counts),
        Err(error) => broken("standbys", &error),
    });
    findings.push(clock(pool).await.unwrap_or_else(|error| broken("clock", &error)));
    findings
}

/// The one row that the statement gives, in a transaction of its own: a session may be lent for no longer.
async fn ask<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
    pool: &PgPool,
    question: &'static str,
) -> Result<T, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let answer = sqlx::query_as(question).persistent(false).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(answer)
}

fn settings(server: &Server) -> Vec<Finding> {
    let version = format!("PostgreSQL {}", server.version);
    let mut findings = vec![Finding::ok(Area::Catalog, "version", version)];
    if server.is_replica || server.is_read_only || !server.may_write {
        let (found, advice) = match server {
            Server { is_replica: true, .. } => ("a replica", "point CATALOG_URL at the primary"),
            Server { is_read_only: true, .. } => {
                ("read-only", "let its role write, or point CATALOG_URL at the primary")
            }
            _ => ("this login may only read", "give it the right to change the catalog's tables"),
        };
        let advice = format!("commands that read work; for a writer, {advice}");
        findings.push(Finding::reduced(Area::Catalog, "role", found, advice));
    } else {
        findings.push(Finding::ok(Area::Catalog, "role", "primary, writable"));
    }
    let is_on = |value: &str| value == "on";
    let durable = |name: &str, value: &str, is_good: bool, advice: &str| match is_good {
        true => Finding::ok(Area::Catalog, name, value),
        false => Finding::reduced(Area::Catalog, name, value, advice),
    };
    findings.push(durable(
        "fsync",
        &server.fsync,
        is_on(&server.fsync),
        "a power cut may lose commits or damage the database; set fsync = on",
    ));
    findings.push(durable(
        "full_page_writes",
        &server.full_page_writes,
        is_on(&server.full_page_writes),
        "a power cut may damage pages, unless the disk writes 8 kB at once for certain; set full_page_writes = on",
    ));
    findings.push(durable(
        "synchronous_commit",
        &server.synchronous_commit,
        server.synchronous_commit != "off",
        "a crash of the server loses commits that were confirmed, and with them acked messages; set it to on",
    ));
    findings
}

/// `counts`: standbys, those that commits wait for, those whose state is hidden from this login.
fn standbys(server: &Server, counts: (i64, i64, i64)) -> Finding {
    let (all, waited_for, unseen) = counts;
    let check = "standbys";
    let names = &server.synchronous_standby_names;
    let waits = !names.is_empty() && !matches!(server.synchronous_commit.as_str(), "off" | "local");
    if waits {
        let found = format!("commits wait for {names:?}; {waited_for} of {all} connected are synchronous");
        return Finding::ok(Area::Catalog, check, found);
    }
    if all == 0 {
        return Finding::ok(Area::Catalog, check, "none connected");
    }
    let unseen = if unseen > 0 { " (their state is hidden from this login)" } else { "" };
    Finding::reduced(
        Area::Catalog,
        check,
        format!("{all} connected, none of which a commit waits for{unseen}"),
        "after a failover to a standby that lagged, commits are missing: their messages are read again while the queue \
         holds them, and are a gap after that; set synchronous_standby_names, or keep messages longer than a standby lags",
    )
}

async fn clock(pool: &PgPool) -> Result<Finding, sqlx::Error> {
    let before_ms = SystemClock.now_ms();
    let query = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
    let (now_ms,): (i64,) = ask(pool, query).await?;
    Ok(diagnosis::clock("catalog", now_ms, before_ms, SystemClock.now_ms(), 1))
}

fn broken(check: &str, error: &sqlx::Error) -> Finding {
    let advice = "is the server up, and may this login read it?";
    Finding::fail(Area::Catalog, check, error.to_string(), advice)
}

#[cfg(test)]
mod tests {
    use common::diagnosis::Verdict;

    use super::*;
    use crate::{MetadataStore, PostgresMetadataStore};

    fn server() -> Server {
        let on = || "on".to_owned();
        Server {
            version: "17.1".to_owned(),
            is_replica: false,
            is_read_only: false,
            may_write: true,
            synchronous_commit: on(),
            fsync: on(),
            full_page_writes: on(),
            synchronous_standby_names: String::new(),
        }
    }

    #[test]
    fn each_setting_that_can_lose_a_commit_is_named() {
        assert!(settings(&server()).iter().all(|finding| finding.verdict == Verdict::Ok));
        let off = "off".to_owned();
        for (name, weak) in [
            ("fsync", Server { fsync: off.clone(), ..server() }),
            ("full_page_writes", Server { full_page_writes: off.clone(), ..server() }),
            ("synchronous_commit", Server { synchronous_commit: off, ..server() }),
        ] {
            let findings = settings(&weak);
            let reduced: Vec<_> = findings.iter().filter(|finding| finding.reduces).collect();
            assert!(reduced.len() == 1 && reduced[0].check == name, "{findings:#?}");
        }
        for (found, server) in [
            ("a replica", Server { is_replica: true, ..server() }),
            ("read-only", Server { is_read_only: true, ..server() }),
            ("this login may only read", Server { may_write: false, ..server() }),
        ] {
            let findings = settings(&server);
            let role = findings.iter().find(|finding| finding.check == "role").expect("there");
            assert!(role.reduces && role.found == found && role.advice.contains("for a writer"), "{role:?}");
        }
    }

    #[test]
    fn a_standby_that_nobody_waits_for_reduces_the_promise() {
        let synchronous = Server { synchronous_standby_names: "ANY 1 (b, c)".to_owned(), ..server() };
        assert_eq!(standbys(&server(), (0, 0, 0)).verdict, Verdict::Ok);
        assert!(standbys(&server(), (1, 0, 0)).reduces);
        assert_eq!(standbys(&synchronous, (2, 1, 0)).verdict, Verdict::Ok);
        let local = Server { synchronous_commit: "local".to_owned(), ..synchronous };
        assert!(standbys(&local, (2, 0, 2)).found.contains("hidden"));
    }

    #[tokio::test]
    async fn a_real_server_is_described() {
        let url = support::postgres::fresh_database().await.expect("a PostgreSQL server");
        let store = PostgresMetadataStore::connect(&url).await.expect("opens");
        let findings = store.diagnose().await;
        let verdict = |check: &str| findings.iter().find(|finding| finding.check == check).expect(check).verdict;
        for check in ["version", "role", "synchronous_commit", "standbys", "catalog"] {
            assert_eq!(verdict(check), Verdict::Ok, "{findings:#?}");
        }
    }
}
