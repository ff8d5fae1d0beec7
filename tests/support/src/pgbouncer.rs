//! PgBouncer for tests: a pooler in front of a PostgreSQL server.
//!
//! Owns: its process, settings and port. Does not own: the server behind it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::postgres::as_unprivileged;
use crate::process::{POLL_INTERVAL, Process, log_tail};
use crate::{port, tools};

const START_DEADLINE: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// A pooler that a test owns; ended when dropped.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Process,
    _directory: TempDir,
    url: String,
}

impl PgBouncer {
    /// Starts a pooler in front of the server of `url`, with `settings` (such as `pool_mode = transaction`) beside the
    /// defaults of PgBouncer; it accepts connections when this returns. Every login is the superuser.
    pub async fn before(url: &str, settings: &[&str]) -> Result<Self> {
        let address = address_in(url)?;
        let (host, server_port) = address.split_once(':').with_context(|| format!("{url:?} names no port"))?;
        let mut failure = None;
        for _ in 0..START_ATTEMPTS {
            let directory = tempfile::Builder::new().prefix("siltstone-pgbouncer-").tempdir()?;
            let own_port = port::free()?;
            let target = format!("host={host} port={server_port} user=postgres");
            let common = format!(
                "[databases]\n* = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own_port}\n\
                 unix_socket_dir =\nauth_type = any\nmax_client_conn = 500\n"
            );
            std::fs::write(directory.path().join("pgbouncer.ini"), format!("{common}{}\n", settings.join("\n")))?;
            let through = url.replace(address, &format!("127.0.0.1:{own_port}"));
            match start(directory.path(), own_port).await {
                Ok(process) => return Ok(Self { _process: process, _directory: directory, url: through }),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("the loop ran"))
    }

    /// The URL through the pooler.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Host and port in a URL.
fn address_in(url: &str) -> Result<&str> {
    let rest = url.split_once("://").with_context(|| format!("{url:?} is no URL"))?.1;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    Ok(authority.rsplit_once('@').map_or(authority, |(_, address)| address))
}

async fn start(directory: &Path, own_port: u16) -> Result<Process> {
    let log = directory.join("pgbouncer.log");
    let mut command = Command::new(tools::pgbouncer()?);
    command.arg(directory.join("pgbouncer.ini")).current_dir(directory);
    if let Some((user, group)) = as_unprivileged(&mut command).await? {
        std::os::unix::fs::chown(directory, Some(user), Some(group))?;
    }
    let mut process = Process::spawn("pgbouncer", command, &log)?;
    let end = Instant::now() + START_DEADLINE;
    loop {
        if let Some(status) = process.exited()? {
            bail!("PgBouncer ended at start ({status}): {}", log_tail(&log));
        }
        if TcpStream::connect(("127.0.0.1", own_port)).await.is_ok() {
            return Ok(process);
        }
        if Instant::now() >= end {
            bail!("PgBouncer is not ready after {START_DEADLINE:?}: {}", log_tail(&log));
        }
        sleep(POLL_INTERVAL).await;
    }
}
