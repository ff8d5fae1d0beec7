//! NATS servers with JetStream for a single test: one, or a cluster.
//!
//! Owns: the server processes, their configuration and their stores, which outlive kills and restarts; copies of a
//! store.
//! Does not own: streams; keys and certificates (`keys`); the login of a client (`client`).

mod client;
mod streams;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub use self::client::NatsClient;
pub use self::streams::recreate_stream;
use crate::folder::copy_folder;
use crate::process::{POLL_INTERVAL, Process, log_tail};
use crate::{port, tools};

/// Longest duration of a start, which includes the recovery of a large store.
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// A test's options for its server.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// The largest message in bytes; the server's default is 1 MiB.
    pub max_payload: Option<usize>,
    /// Further lines inside the `jetstream` block, such as `sync_interval: always`.
    pub jetstream_lines: Vec<String>,
    /// Further lines of the configuration file, such as an `authorization` block.
    pub lines: Vec<String>,
    /// The client that checks the server's readiness.
    pub client: NatsClient,
    /// The folder of JetStream's files; in the server's own folder by default.
    pub store_dir: Option<PathBuf>,
}

/// A running server with a file store, by default in a temporary folder; stopped when dropped. After a kill it is
/// down until `restart`.
#[derive(Debug)]
pub struct NatsServer {
    // Declared before the folder, so that the process has ended when the folder is removed.
    process: Option<Process>,
    directory: TempDir,
    name: String,
    port: u16,
    client: NatsClient,
    store_dir: PathBuf,
}

impl NatsServer {
    /// Starts a server with the defaults; it answers JetStream requests when this returns.
    pub async fn start() -> Result<Self> {
        Self::start_with(NatsOptions::default()).await
    }

    /// Starts a server with these options; it answers JetStream requests when this returns.
    pub async fn start_with(options: NatsOptions) -> Result<Self> {
        let mut failure = None;
        for _ in 0..START_ATTEMPTS {
            let mut server = Self::prepare(options.clone())?;
            match server.restart().await {
                Ok(()) => return Ok(server),
                Err(error) if log_tail(&server.log()).contains("address already in use") => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.expect("the loop ran")).context("every port that was tried was taken")
    }

    /// Starts a cluster of `count` servers whose streams can have as many replicas.
    pub async fn start_cluster(count: usize) -> Result<Vec<Self>> {
        let mut failure = None;
        for _ in 0..START_ATTEMPTS {
            let ports = (0..count).map(|_| port::free()).collect::<Result<Vec<_>>>()?;
            let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            let cluster = |port: &u16| {
                let routes = routes.join(", ");
                format!("cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}")
            };
            let options = |port| NatsOptions { lines: vec![cluster(port)], ..NatsOptions::default() };
            let mut servers = ports.iter().map(|port| Self::prepare(options(port))).collect::<Result<Vec<_>>>()?;
            // No server is ready before a majority runs.
            let started = async {
                for server in &mut servers {
                    server.spawn()?;
                }
                for server in &mut servers {
                    server.wait_until_ready().await?;
                }
                Ok(())
            };
            let Err(error) = started.await else { return Ok(servers) };
            if !servers.iter().any(|server| log_tail(&server.log()).contains("address already in use")) {
                return Err(error);
            }
            failure = Some(error);
        }
        Err(failure.expect("the loop ran")).context("every port that was tried was taken")
    }

    fn prepare(options: NatsOptions) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("siltstone-nats-").tempdir()?;
        let client = options.client.clone();
        let store_dir = options.store_dir.clone().unwrap_or_else(|| directory.path().join("store"));
        let server =
            Self { process: None, directory, name: crate::unique_name(), port: port::free()?, client, store_dir };
        server.write_configuration(&options)?;
        Ok(server)
    }

    /// Replaces the configuration of a running server, as an operator does with a changed file and SIGHUP. The
    /// server's log reports the changes that it refuses while running. Connections that are no longer allowed end a
    /// moment later.
    pub fn reload(&mut self, options: &NatsOptions) -> Result<()> {
        self.write_configuration(options)?;
        self.client = options.client.clone();
        match &self.process {
            Some(process) => process.signal("HUP"),
            None => Ok(()),
        }
    }

    /// Replaces the configuration for the next start.
    pub fn reconfigure(&mut self, options: &NatsOptions) -> Result<()> {
        self.client = options.client.clone();
        self.write_configuration(options)
    }

    /// Copies the store to a new folder; the server must be down.
    pub fn copy_store(&self) -> Result<TempDir> {
        self.must_be_down()?;
        let copy = tempfile::Builder::new().prefix("siltstone-store-").tempdir()?;
        copy_folder(self.store_dir(), &copy.path().join("store"))?;
        Ok(copy)
    }

    /// Replaces the store with a copy; the server must be down.
    pub fn replace_store(&self, copy: &TempDir) -> Result<()> {
        self.must_be_down()?;
        std::fs::remove_dir_all(self.store_dir())?;
        copy_folder(&copy.path().join("store"), self.store_dir())
    }

    fn must_be_down(&self) -> Result<()> {
        ensure!(self.process.is_none(), "the server must be down");
        Ok(())
    }

    /// The server's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `nats://127.0.0.1:PORT`; stays the same over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The server's address, for a proxy in front of it.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The folder of JetStream's files; a test may copy or change them while the server is down.
    pub fn store_dir(&self) -> &Path {
        &self.store_dir
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("nats.log")
    }

    /// The process id, unless the server is down.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Sends SIGKILL; returns when the process has ended. The store stays.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Stops the server gracefully and waits for its end. The store stays.
    pub async fn stop_gracefully(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal("TERM")?;
        process.wait(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Starts the server again with the same port and store, after a graceful stop if it is up.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop_gracefully().await?;
        self.spawn()?;
        self.wait_until_ready().await
    }

    /// Starts the server again without checking its readiness, for a server that cannot be queried.
    pub fn spawn_again(&mut self) -> Result<()> {
        self.spawn()
    }

    fn spawn(&mut self) -> Result<()> {
        let mut command = Command::new(tools::nats_server()?);
        command.arg("-c").arg(self.configuration());
        self.process = Some(Process::spawn("nats-server", command, &self.log())?);
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let end = Instant::now() + START_DEADLINE;
        let failure = loop {
            let refused = match self.ask().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let log = log_tail(&self.log());
            match self.process.as_mut().map(Process::exited).transpose()?.flatten() {
                Some(status) => break anyhow::anyhow!("the NATS server ended at start ({status}): {log}"),
                None if Instant::now() >= end => {
                    break anyhow::anyhow!("the NATS server is not ready after {START_DEADLINE:?}: {refused}: {log}");
                }
                None => sleep(POLL_INTERVAL).await,
            }
        };
        self.process = None;
        Err(failure)
    }

    /// Succeeds if this server, and no other, answers a JetStream request.
    async fn ask(&self) -> Result<()> {
        let client = self.client.connect(&self.url()).await?;
        let name = client.server_info().server_name;
        if name != self.name {
            bail!("another server, {name:?}, answers at {}", self.url());
        }
        async_nats::jetstream::new(client).query_account().await?;
        Ok(())
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("nats.conf")
    }

    fn write_configuration(&self, options: &NatsOptions) -> Result<()> {
        let mut lines = vec![
            format!("server_name: {}", self.name),
            format!("listen: \"127.0.0.1:{}\"", self.port),
            "jetstream {".to_owned(),
            format!("  store_dir: {:?}", path_text(self.store_dir())?),
        ];
        lines.extend(options.jetstream_lines.iter().map(|line| format!("  {line}")));
        lines.push("}".to_owned());
        lines.extend(options.max_payload.map(|bytes| format!("max_payload: {bytes}")));
        lines.extend(options.lines.iter().cloned());
        std::fs::write(self.configuration(), lines.join("\n") + "\n")?;
        Ok(())
    }
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the temporary folder {path:?} is not UTF-8"))
}
