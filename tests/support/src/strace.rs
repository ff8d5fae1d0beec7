//! Failing system calls of a real process, by `strace`.
//!
//! Owns: attaching to a process, and counting the failed calls. Does not own: the process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::process::{POLL_INTERVAL, Process, log_tail};
use crate::tools;

const DEADLINE: Duration = Duration::from_secs(60);

/// A tracer that is attached to a process until it is dropped; the process then continues.
#[derive(Debug)]
pub struct Strace {
    process: Process,
    directory: TempDir,
}

impl Strace {
    /// Attaches to all threads of the process. `injection` is strace's: `fsync:error=EIO:when=1`; with `path`, only
    /// calls on that file are counted and fail.
    pub async fn attach(pid: u32, injection: &str, path: Option<&Path>) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("siltstone-strace-").tempdir()?;
        let mut command = inject(injection)?;
        if let Some(path) = path {
            command.arg("-P").arg(path);
        }
        command.arg("-p").arg(pid.to_string());
        let log = directory.path().join("strace.log");
        let process = Process::spawn("strace", command, &log)?;
        let mut strace = Self { process, directory };
        strace.wait_for(" attached", 1).await?;
        Ok(strace)
    }

    /// Waits until `calls` calls have been made to fail.
    pub async fn injected(&mut self, calls: usize) -> Result<()> {
        self.wait_for("(INJECTED)", calls).await
    }

    /// Detaches from the process.
    pub async fn detach(mut self) -> Result<()> {
        self.process.signal("INT")?;
        self.process.wait(DEADLINE).await?;
        Ok(())
    }

    async fn wait_for(&mut self, text: &str, times: usize) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        loop {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            if log.matches(text).count() >= times {
                return Ok(());
            }
            if let Some(status) = self.process.exited()? {
                bail!("strace ended ({status}): {}; it needs the right to trace (CAP_SYS_PTRACE)", log.trim_end());
            }
            if Instant::now() >= end {
                bail!("{text:?} is not {times} times in the log of strace: {}", log_tail(&self.log()));
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("strace.log")
    }
}

/// A strace that follows all threads and applies `injection` to their calls; the caller adds the traced process.
pub fn inject(injection: &str) -> Result<Command> {
    let calls = injection.split(':').next().unwrap_or_default();
    let mut command = Command::new(tools::strace()?);
    command.args(["-f", "-e"]).arg(format!("trace={calls}")).arg("-e").arg(format!("inject={injection}"));
    Ok(command)
}
