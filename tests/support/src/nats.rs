//! A NATS server with JetStream, of one test's own.
//!
//! Owns: the server process, its configuration and its store, which outlives kills and restarts. Does not own: streams.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::process::{POLL_INTERVAL, Process, log_tail};
use crate::{port, tools};

/// How long a start may take; recovery of a large store is part of it.
const START_DEADLINE: Duration = Duration::from_secs(30);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const START_ATTEMPTS: usize = 5;

/// What a test may ask of its server.
#[derive(Clone, Debug, Default)]
pub struct NatsOptions {
    /// The largest message in bytes; the server's default is 1 MiB.
    pub max_payload: Option<usize>,
    /// Further lines inside the `jetstream` block, such as `sync_interval: always`.
    pub jetstream_lines: Vec<String>,
    /// Further lines of the configuration file.
    pub lines: Vec<String>,
}

/// A running (or killed, until `restart`) server with a file store in a temporary folder; stopped when dropped.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder, so that the process is gone when the folder is removed.
    process: Option<Process>,
    directory: TempDir,
    name: String,
    port: u16,
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
            let directory = tempfile::Builder::new().prefix("siltstone-nats-").tempdir()?;
            let mut server = Self { process: None, directory, name: crate::unique_name(), port: port::free()? };
            server.write_configuration(&options)?;
            match server.restart().await {
                Ok(()) => return Ok(server),
                Err(error) if log_tail(&server.log()).contains("address already in use") => failure = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failure.expect("the loop ran")).context("every port that was tried was taken")
    }

    /// `nats://127.0.0.1:PORT`; stays the same over restarts.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The server's address, for a proxy in front of it.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Where JetStream keeps its files; a test may copy or change them while the server is down.
    pub fn store_dir(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// The server's log file.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("nats.log")
    }

    /// The process id, unless the server is down.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// SIGKILL; returns when the process is gone. The store stays.
    pub async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Asks the server to end and waits until it has. The store stays.
    pub async fn stop_gracefully(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal("TERM")?;
        process.wait(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Starts the server again with the same port and store, after a graceful stop if it is up.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop_gracefully().await?;
        let mut command = Command::new(tools::nats_server()?);
        command.arg("-c").arg(self.configuration());
        let mut process = Process::spawn("nats-server", command, &self.log())?;
        let end = Instant::now() + START_DEADLINE;
        loop {
            let refused = match self.ask().await {
                Ok(()) => break,
                Err(error) => error,
            };
            if let Some(status) = process.exited()? {
                bail!("the NATS server ended at start ({status}): {}", log_tail(&self.log()));
            }
            if Instant::now() >= end {
                bail!("the NATS server is not ready after {START_DEADLINE:?}: {refused}: {}", log_tail(&self.log()));
            }
            sleep(POLL_INTERVAL).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// Ok when this very server answers a JetStream request.
    async fn ask(&self) -> Result<()> {
        let client = async_nats::ConnectOptions::new()
            .connection_timeout(Duration::from_secs(2))
            .request_timeout(Some(Duration::from_secs(2)))
            .connect(self.url())
            .await?;
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
            format!("  store_dir: {:?}", path_text(&self.store_dir())?),
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
