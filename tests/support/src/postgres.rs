//! PostgreSQL for tests: fresh databases on the run's shared server, clusters that a test may kill, and their
//! standbys.
//!
//! Owns: databases by name, own clusters in temporary folders. Does not own: the shared server (`scripts/test`),
//! schemas.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::process::{self, POLL_INTERVAL, Process, log_tail};
use crate::{port, tools};

const COMMAND_DEADLINE: Duration = Duration::from_secs(60);
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// Makes an empty database on the shared server and returns its URL.
///
/// The server is the one at `SILTSTONE_TEST_POSTGRES_URL`, which `scripts/test` starts and sets; unset is an error.
pub async fn fresh_database() -> Result<String> {
    let Some(base) = std::env::var("SILTSTONE_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty()) else {
        bail!(
            "SILTSTONE_TEST_POSTGRES_URL is not set: run the tests with scripts/test, which starts a PostgreSQL server"
        );
    };
    let name = crate::unique_name();
    execute(&base, &format!("create database {name} template template0")).await?;
    with_database(&base, &name)
}

/// Runs SQL with `psql`; returns rows as lines, columns separated by `|`.
pub async fn execute(url: &str, sql: &str) -> Result<String> {
    let mut command = Command::new(tools::postgres("psql")?);
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
    process::run_well("psql", command, b"", COMMAND_DEADLINE).await
}

/// A single test's cluster, with fsync on, on its own port; stopped when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
}

impl PostgresServer {
    /// Makes a cluster and starts it; it answers SQL when this returns.
    pub async fn start() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("siltstone-postgres-").tempdir()?;
        let mut server = Self { process: None, directory, port: 0 };
        server.initialise().await?;
        let mut failure = None;
        for _ in 0..START_ATTEMPTS {
            server.port = port::free()?;
            match server.start_again().await {
                Ok(()) => return Ok(server),
                Err(error) if log_tail(&server.log()).contains("Address already in use") => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.expect("the loop ran")).context("every port that was tried was taken")
    }

    /// Makes a standby that copies the server at `primary`, and starts it; it answers read-only SQL when this
    /// returns.
    ///
    /// It keeps and replays the log that it received, even while `primary` is down.
    pub async fn standby_of(primary: SocketAddr) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("siltstone-postgres-").tempdir()?;
        let mut server = Self { process: None, directory, port: port::free()? };
        let mut command = Command::new(tools::postgres("pg_basebackup")?);
        let source = format!("postgres://postgres@{primary}/postgres");
        command.args(["-X", "stream", "-c", "fast", "-R", "--no-sync", "-d", &source, "-D"]).arg(server.data());
        if let Some((user, group)) = as_unprivileged(&mut command).await? {
            std::os::unix::fs::chown(server.directory.path(), Some(user), Some(group))?;
        }
        command.current_dir(server.directory.path());
        process::run_well("pg_basebackup", command, b"", COMMAND_DEADLINE).await?;
        server.start_again().await?;
        Ok(server)
    }

    /// Makes a standby the primary of its own history; it accepts writes when this returns.
    pub async fn promote(&self) -> Result<()> {
        let promoted = self.execute("select pg_promote()").await?;
        if promoted.trim_end() != "t" {
            bail!("the standby was not promoted: {}", log_tail(&self.log()));
        }
        Ok(())
    }

    /// Runs SQL as the superuser; returns rows as [`execute`] does.
    pub async fn execute(&self, sql: &str) -> Result<String> {
        execute(&self.url(), sql).await
    }

    /// Changes settings and waits until new sessions use them.
    pub async fn configure(&self, settings: &[(&str, &str)]) -> Result<()> {
        for (name, value) in settings {
            self.execute(&format!("alter system set {name} = '{value}'")).await?;
        }
        self.execute("select pg_reload_conf()").await?;
        let end = Instant::now() + START_DEADLINE;
        for (name, value) in settings {
            while self.execute(&format!("show {name}")).await?.trim_end() != *value {
                if Instant::now() >= end {
                    bail!("{name} is not {value:?} after {START_DEADLINE:?}");
                }
                sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Lets new connections be encrypted with this certificate and key, which are copied.
    pub async fn use_certificate(&self, certificate: &Path, key: &Path) -> Result<()> {
        for (file, name) in [(certificate, "server.crt"), (key, "server.key")] {
            let copy = self.data().join(name);
            std::fs::copy(file, &copy)?;
            let owner = std::fs::metadata(self.data())?;
            std::os::unix::fs::chown(&copy, Some(owner.uid()), Some(owner.gid()))?;
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600))?;
        }
        self.configure(&[("ssl", "on")]).await
    }

    /// Waits until a query returns this text.
    pub async fn wait_for(&self, sql: &str, answer: &str) -> Result<()> {
        let end = Instant::now() + START_DEADLINE;
        loop {
            let answered = self.execute(sql).await?;
            if answered.trim_end() == answer {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("{sql:?} answers {answered:?}, not {answer:?}");
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// The URL of the database `postgres`; stays the same over restarts.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// The server's address, for a proxy in front of it.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("postgres.log")
    }

    /// The process id of the postmaster, unless the server is down.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Sends SIGKILL to the postmaster; returns when it and its children have ended. The data stay.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let children = process::children(process.pid())?;
        process.kill().await?;
        let end = Instant::now() + STOP_DEADLINE;
        while children.iter().any(|pid| process::is_alive(*pid)) {
            if Instant::now() >= end {
                bail!("children of the killed PostgreSQL server live on after {STOP_DEADLINE:?}: {children:?}");
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Ends the server, closing its connections, and waits for its end. The data stay.
    pub async fn stop_gracefully(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // SIGINT is PostgreSQL's fast shutdown: roll back, disconnect, checkpoint.
        process.signal("INT")?;
        process.wait(STOP_DEADLINE).await?;
        Ok(())
    }

    /// A graceful stop and a start on the same port with the same data.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop_gracefully().await?;
        self.start_again().await
    }

    /// Starts a server that is down, on the same port with the same data; it answers SQL when this returns.
    pub async fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(tools::postgres("postgres")?);
        command.arg("-D").arg(self.data());
        for setting in [&*format!("port={}", self.port), "listen_addresses=127.0.0.1", "unix_socket_directories="] {
            command.arg("-c").arg(setting);
        }
        as_unprivileged(&mut command).await?;
        let mut process = Process::spawn("postgres", command, &self.log())?;
        let end = Instant::now() + START_DEADLINE;
        while !self.answers().await? {
            if let Some(status) = process.exited()? {
                bail!("the PostgreSQL server ended at start ({status}): {}", log_tail(&self.log()));
            }
            if Instant::now() >= end {
                bail!("the PostgreSQL server is not ready after {START_DEADLINE:?}: {}", log_tail(&self.log()));
            }
            sleep(POLL_INTERVAL).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// True if this server, and no other, answers: it reports this cluster's data folder.
    async fn answers(&self) -> Result<bool> {
        let mut command = Command::new(tools::postgres("psql")?);
        command.env("PGCONNECT_TIMEOUT", "5");
        command.args(["-X", "-q", "-A", "-t", "-d", &self.url(), "-c", "show data_directory"]);
        let output = process::run("psql", command, b"", COMMAND_DEADLINE).await?;
        Ok(output.status.success() && self.data() == Path::new(output.stdout.trim_end()))
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    async fn initialise(&self) -> Result<()> {
        let mut command = Command::new(tools::postgres("initdb")?);
        command
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "--no-sync", "-D"])
            .arg(self.data());
        if let Some((user, group)) = as_unprivileged(&mut command).await? {
            std::os::unix::fs::chown(self.directory.path(), Some(user), Some(group))?;
        }
        command.current_dir(self.directory.path());
        process::run_well("initdb", command, b"", COMMAND_DEADLINE).await?;
        Ok(())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // SIGQUIT ends the children too, at once; after the guard's SIGKILL they would live a moment longer.
        let Some(mut process) = self.process.take() else { return };
        if process.signal("QUIT").is_ok() {
            process.wait_blocking(STOP_DEADLINE);
        }
    }
}

/// PostgreSQL refuses to run as root: then the command runs as user `postgres`, whose user and group ids are
/// returned.
pub(crate) async fn as_unprivileged(command: &mut Command) -> Result<Option<(u32, u32)>> {
    if std::fs::metadata("/proc/self").context("look at /proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let (user, group) = (id("-u").await?, id("-g").await?);
    command.uid(user).gid(group);
    Ok(Some((user, group)))
}

async fn id(flag: &str) -> Result<u32> {
    let mut command = Command::new("id");
    command.args([flag, "postgres"]);
    let text = process::run_well("id", command, b"", COMMAND_DEADLINE).await;
    let text =
        text.context("PostgreSQL does not run as root, and there is no user postgres: run scripts/setup-tools")?;
    text.trim_end().parse().with_context(|| format!("id printed {text:?}"))
}

/// The URL with its database name replaced.
fn with_database(url: &str, name: &str) -> Result<String> {
    let (scheme, rest) =
        url.split_once("://").with_context(|| format!("SILTSTONE_TEST_POSTGRES_URL is no URL: {url:?}"))?;
    let (rest, query) = rest.split_once('?').map_or((rest, String::new()), |(rest, query)| (rest, format!("?{query}")));
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    Ok(format!("{scheme}://{authority}/{name}{query}"))
}
