//! Opening a database in PostgreSQL: the URL, the kind of sessions that connections get, the server, the schema.
//!
//! Owns: what is refused at the start, and everything that is done once. Does not own: connections afterwards
//! (`postgres`), transactions (`session`).
//!
//! A pooler such as PgBouncer refuses or drops the start-up parameter `options`, by which a session gets its settings.
//! The first connection tells: a parameter of our own arrived, or it did not.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;

use super::session::{SETTINGS, Sessions, begin};
use super::warnings;
use crate::database::{Access, silent};
use crate::error::{CatalogError, Result};
use crate::migrations::POSTGRES;
use crate::schema::{self, Applied};

/// PostgreSQL 14; older ones are no longer maintained.
const VERSION_NUMBER_MIN: i32 = 140_000;
/// How long the first connection may take, so that a start against a server that is silent fails soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A parameter that only this program sets: a session that has it has the other settings too.
const MARK: (&str, &str) = ("siltstone.session", "own");
/// The lock of all who migrate through a pooler; it ends with their transaction.
const MIGRATION_LOCK: i64 = 0x5117_5704_e0d1;

/// The server's settings.
#[derive(Debug)]
struct Server {
    is_replica: bool,
    is_read_only: bool,
    encoding: String,
    version: i32,
    has_mark: bool,
    has_schema: bool,
    /// The schema of the tables, if it is not the one in which new ones are made.
    shadowed: Option<String>,
    /// The role's own schema, which is absent, would have the name of that of the views.
    is_named_as_views: bool,
}

const SERVER: &str = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
        current_setting('server_encoding'), CAST(current_setting('server_version_num') AS INTEGER),
        COALESCE(current_setting('siltstone.session', true), '') = 'own',
        to_regclass('_sqlx_migrations') IS NOT NULL,
        (SELECT CAST(n.nspname AS TEXT) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.oid = to_regclass('_sqlx_migrations') AND n.nspname <> current_schema()),
        position('\"$user\"' IN current_setting('search_path')) > 0 AND COALESCE(
            current_user = CASE current_schema() WHEN 'public' THEN 'lake' ELSE current_schema() || '_lake' END, FALSE)";

/// The first connection, and what it says.
struct First {
    connection: PgConnection,
    /// How to make further ones.
    options: PgConnectOptions,
    sessions: Sessions,
    server: Server,
    applied: Vec<Applied>,
}

/// Opens the database once: how to connect to it, and the sessions that connections get. `access` says if the schema
/// is made and migrated, or only compared.
pub(super) async fn open(url: &str, access: Access) -> Result<(PgConnectOptions, Sessions)> {
    let mut first = first(url).await?;
    check_server(&first.server, access)?;
    let is_current = schema::is_current(&POSTGRES, &first.applied)?;
    match access {
        Access::Read if !first.server.has_schema => {
            return Err(CatalogError::Absent(
                "this database: it is new, or this login lacks USAGE on the schema, or the schema is not in its search_path"
                    .to_owned(),
            ));
        }
        Access::Read if !is_current => return Err(schema::older(&POSTGRES, &first.applied)),
        Access::Read => {}
        Access::Write => {
            check_warnings(&mut first.connection, first.sessions).await?;
            if !is_current {
                check_home(&first.server)?;
            }
            match first.sessions {
                _ if is_current => {}
                Sessions::Own => POSTGRES.run_direct(None, &mut first.connection, false).await?,
                Sessions::Lent => migrate(&mut first.connection).await?,
            }
        }
    }
    first.connection.close().await?;
    Ok((first.options, first.sessions))
}

/// As [`open`], whatever the server is and the schema has: to look at the server.
pub(super) async fn open_as_it_is(url: &str) -> Result<(PgConnectOptions, Sessions)> {
    let first = first(url).await?;
    first.connection.close().await?;
    Ok((first.options, first.sessions))
}

async fn first(url: &str) -> Result<First> {
    // The text of the URL stays out of the message: it may hold a password.
    let options = PgConnectOptions::from_str(url).map_err(|error| {
        CatalogError::Refused(format!("not a URL of the form postgres://user@host/database ({error})"))
    })?;
    let plain = options.application_name("siltstone").extra_float_digits(None);
    let full = plain.clone().options(SETTINGS).options([MARK]);
    let (mut connection, is_refused) = match connect(&full).await {
        Err(error) if is_options_refused(&error) => {
            check_lent(&plain)?;
            (connect(&plain).await?, true)
        }
        other => (other?, false),
    };
    let (server, applied) = look(&mut connection).await?;
    if server.has_mark && !is_refused {
        return Ok(First { connection, options: full, sessions: Sessions::Own, server, applied });
    }
    check_lent(&plain)?;
    Ok(First { connection, options: plain, sessions: Sessions::Lent, server, applied })
}

/// Refuses options that a pooler does not pass on: without a search path, the catalog would be another one.
fn check_lent(options: &PgConnectOptions) -> Result<()> {
    if options.get_options().is_none() {
        return Ok(());
    }
    Err(CatalogError::Refused(
        "a connection pooler stands before the server and drops `options` of CATALOG_URL and PGOPTIONS; give them to the \
         role by ALTER ROLE … SET …, or connect to PostgreSQL itself"
            .to_owned(),
    ))
}

/// Not through a pool, which would go on trying for a while before it said that nobody listens.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    let connected = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await;
    connected.map_err(|_| silent(CONNECT_TIMEOUT)).flatten().map_err(refused_if_unusable)
}

/// The server, and the versions that the schema has. In one transaction and with unnamed statements: this session may
/// be lent.
async fn look(connection: &mut PgConnection) -> Result<(Server, Vec<Applied>)> {
    let mut transaction = connection.begin().await.map_err(CatalogError::from)?;
    let (is_replica, is_read_only, encoding, version, has_mark, has_schema, shadowed, is_named_as_views) =
        sqlx::query_as(SERVER).persistent(false).fetch_one(&mut *transaction).await?;
    let server =
        Server { is_replica, is_read_only, encoding, version, has_mark, has_schema, shadowed, is_named_as_views };
    let applied = match server.has_schema {
        true => sqlx::query_as(schema::APPLIED).persistent(false).fetch_all(&mut *transaction).await?,
        false => Vec::new(),
    };
    transaction.rollback().await?;
    Ok((server, applied))
}

fn check_server(server: &Server, access: Access) -> Result<()> {
    if access == Access::Write && (server.is_replica || server.is_read_only) {
        let what = if server.is_replica { "a replica" } else { "read-only" };
        return Err(CatalogError::Refused(format!("the server is {what}; the catalog must be writable")));
    }
    if server.version < VERSION_NUMBER_MIN {
        let version = server.version / 10_000;
        return Err(CatalogError::Refused(format!("PostgreSQL {version} is too old; 14 or newer is needed")));
    }
    if server.encoding != "UTF8" {
        let encoding = &server.encoding;
        return Err(CatalogError::Refused(format!("the database's encoding is {encoding}; UTF8 is needed")));
    }
    Ok(())
}

/// Refuses a search path by which the schema's tables would be made in two places.
fn check_home(server: &Server) -> Result<()> {
    let way = "give the role a search path of its own: ALTER ROLE … SET search_path = ";
    if let Some(home) = &server.shadowed {
        return Err(CatalogError::Refused(format!(
            "the catalog's tables stand in schema {home}, and search_path begins with another one, in which an upgrade would \
             begin a second catalog; {way}{home}"
        )));
    }
    if server.is_named_as_views {
        return Err(CatalogError::Refused(format!(
            "the role has the name of the schema that is made for readers, and search_path begins with the role's name: the \
             catalog would come apart; {way}public, or log in as another role"
        )));
    }
    Ok(())
}

/// Proves that a warning of this server reaches us, by asking for one.
async fn check_warnings(connection: &mut PgConnection, sessions: Sessions) -> Result<()> {
    let mut transaction = connection.begin_with(begin(sessions, Access::Write)).await?;
    let question = sqlx::raw_sql("DO $$ BEGIN RAISE WARNING 'siltstone asks whether warnings are heard'; END $$");
    let (asked, heard) = warnings::hear_alone(question.execute(&mut *transaction)).await;
    asked?;
    let standbys = sqlx::query_scalar("SELECT current_setting('synchronous_standby_names')").persistent(false);
    let standbys: String = standbys.fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    if !heard.is_empty() || standbys.is_empty() {
        return Ok(());
    }
    let reason = "the server replicates synchronously, and this program cannot hear its warnings: it could not tell a \
                  commit that the standby lacks; is `tracing` compiled with a limit on levels?";
    Err(CatalogError::Refused(reason.to_owned()))
}

/// Makes or migrates the schema through a pooler, where the lock and the named statements of sqlx would stay behind on
/// a session of others: in one transaction, with the same table of versions.
async fn migrate(connection: &mut PgConnection) -> Result<()> {
    let mut transaction = connection.begin_with(begin(Sessions::Lent, Access::Write)).await?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
            version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
            success BOOLEAN NOT NULL, checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .execute(&mut *transaction)
    .await?;
    // Somebody else may have been faster.
    let applied: Vec<Applied> = sqlx::query_as(schema::APPLIED).persistent(false).fetch_all(&mut *transaction).await?;
    schema::is_current(&POSTGRES, &applied)?;
    for migration in POSTGRES.iter().filter(|next| applied.iter().all(|(version, ..)| *version != next.version)) {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *transaction).await?;
        let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES ($1, $2, TRUE, $3, -1)";
        let insert = sqlx::query(insert).bind(migration.version).bind(&*migration.description);
        insert.bind(&*migration.checksum).persistent(false).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// True for a pooler that takes no `options` in the start-up message: PgBouncer, or the RDS proxy.
fn is_options_refused(error: &CatalogError) -> bool {
    let text = error.to_string();
    text.contains("unsupported startup parameter") || text.contains("command-line options")
}

/// A login or database that the server refuses stays so until somebody does something about it.
fn refused_if_unusable(error: sqlx::Error) -> CatalogError {
    let text = error.to_string();
    if text.contains("UnknownIssuer") || text.contains("BadSignature") {
        return CatalogError::Refused(format!(
            "cannot connect to PostgreSQL: {text}: its certificate is of an authority that is not known here; name the \
             authority's PEM file in CATALOG_URL: ?sslmode=verify-full&sslrootcert=/path/ca.pem"
        ));
    }
    if matches!(&error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound) {
        let text = "cannot connect to PostgreSQL: a file that CATALOG_URL names (sslrootcert, sslcert, sslkey, or a socket) \
                    does not exist";
        return CatalogError::Refused(text.to_owned());
    }
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    if code.starts_with("28") || code.starts_with("3D") || matches!(error, sqlx::Error::Configuration(_)) {
        return CatalogError::Refused(format!("cannot connect to PostgreSQL: {error}"));
    }
    error.into()
}
