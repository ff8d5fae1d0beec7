//! A child process that does not outlive its owner.
//!
//! Owns: the child, its log file, and its pid file under `$SILTSTONE_TEST_RUN_DIR/pids`, by which `scripts/test` ends
//! the leftovers of a killed test. Does not own: the program.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

/// Interval between checks of an awaited condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Longest time until a killed process has ended.
const EXIT_DEADLINE: Duration = Duration::from_secs(30);

/// A running child; dropping it kills it with SIGKILL and waits for it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    pid_file: Option<PathBuf>,
}

impl Process {
    /// Starts `command` with its output and errors appended to the file `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log).with_context(|| format!("open {log:?}"))?;
        command.stdout(output.try_clone()?).stderr(output).stdin(Stdio::null());
        Self::spawn_as_is(name, command)
    }

    /// Starts `command` with its own streams.
    pub fn spawn_as_is(name: &str, mut command: Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("start {:?}", command.get_program()))?;
        let mut process = Self { child, name: name.to_owned(), pid_file: None };
        process.pid_file = process.write_pid_file()?;
        Ok(process)
    }

    /// The ends of its standard input and output, where both are pipes and were not taken yet.
    pub(crate) fn take_pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status if the process has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            self.remove_pid_file();
        }
        Ok(status)
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid(), name)
    }

    /// Waits for the end of the process; an error once `deadline` has passed.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!("{} (pid {}) did not end within {deadline:?}", self.name, self.pid());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Ends the process with SIGKILL and waits until it has ended. Does nothing if it has ended already.
    pub async fn kill(&mut self) -> Result<()> {
        if self.exited()?.is_none() {
            self.child.kill()?;
            self.wait(EXIT_DEADLINE).await?;
        }
        Ok(())
    }

    /// For `Drop`, which cannot await: waits for the end of the process, at most until the deadline.
    pub(crate) fn wait_blocking(&mut self, deadline: Duration) {
        let end = std::time::Instant::now() + deadline;
        while matches!(self.exited(), Ok(None)) && std::time::Instant::now() < end {
            std::thread::park_timeout(POLL_INTERVAL);
        }
    }

    /// One file per child, named by its pid, with its start time: the pid alone may be reused later.
    fn write_pid_file(&self) -> Result<Option<PathBuf>> {
        let Some(run) = std::env::var_os("SILTSTONE_TEST_RUN_DIR") else { return Ok(None) };
        let folder = PathBuf::from(run).join("pids");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(self.pid().to_string());
        std::fs::write(&path, start_time(self.pid()).unwrap_or_default())?;
        Ok(Some(path))
    }

    fn remove_pid_file(&mut self) {
        if let Some(path) = self.pid_file.take() {
            // The run's folder, and the file with it, may already be gone.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the process was already waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.remove_pid_file();
    }
}

/// The output of a finished command.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `command` to its end with `input` as its standard input; kills it once `deadline` has passed.
pub async fn run(name: &str, mut command: Command, input: &[u8], deadline: Duration) -> Result<Output> {
    let mut stdin = tempfile::tempfile()?;
    std::io::Write::write_all(&mut stdin, input)?;
    stdin.seek(SeekFrom::Start(0))?;
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut process = Process::spawn_as_is(name, command)?;
    let status = process.wait(deadline).await?;
    Ok(Output { status, stdout: read_from_start(stdout)?, stderr: read_from_start(stderr)? })
}

/// Like [`run`]; if the command failed, the error holds its output.
pub async fn run_well(name: &str, command: Command, input: &[u8], deadline: Duration) -> Result<String> {
    let output = run(name, command, input, deadline).await?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}{}", output.status, output.stdout, output.stderr.trim_end());
    }
    Ok(output.stdout)
}

/// Sends a signal by its name to a process that the caller started.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("no process {pid} to send {name} to");
    }
    Ok(())
}

/// True if the process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z" && state != "X"))
}

/// The pids of a process's children.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(candidate) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let parent = stat_fields(candidate).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
        if parent == Some(pid) {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// The end of a log file, for error messages.
pub fn log_tail(path: &Path) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The process's start in clock ticks since boot.
fn start_time(pid: u32) -> Option<String> {
    stat_fields(pid)?.get(19).cloned()
}

/// The fields of `/proc/PID/stat` after the command's name: state, parent, …
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn read_from_start(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
