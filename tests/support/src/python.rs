//! Python programs in tests: independent clients, such as nats-py and DuckDB.
//!
//! Owns: running them with the tools' Python. Does not own: the programs.

use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::process::{self, Process};
use crate::tools;

/// Longest run of one program.
pub const DEADLINE: Duration = Duration::from_secs(600);

/// A program to run.
#[derive(Clone, Debug)]
pub enum Script {
    /// Source text.
    Code(String),
    /// A file.
    File(PathBuf),
}

impl From<&str> for Script {
    fn from(code: &str) -> Self {
        Self::Code(code.to_owned())
    }
}

impl From<&Path> for Script {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

/// Runs a program to its end and returns its output; if it fails, the error holds the traceback.
pub async fn run(script: impl Into<Script>, arguments: &[&str]) -> Result<String> {
    run_with_input(script, arguments, "").await
}

/// Like [`run`], with text on the program's standard input.
pub async fn run_with_input(script: impl Into<Script>, arguments: &[&str], input: &str) -> Result<String> {
    process::run_well("python", command(&script.into(), arguments)?, input.as_bytes(), DEADLINE).await
}

/// Starts a program that runs in parallel to the test and is killed when dropped; its output goes to the file `log`.
pub fn spawn(script: impl Into<Script>, arguments: &[&str], log: &Path) -> Result<Process> {
    Process::spawn("python", command(&script.into(), arguments)?, log)
}

/// Starts a program that reads lines and answers each; its errors go to this process's. It is killed when dropped.
pub fn talk(script: impl Into<Script>, arguments: &[&str]) -> Result<(Process, ChildStdin, ChildStdout)> {
    let mut command = command(&script.into(), arguments)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::spawn_as_is("python", command)?;
    let (input, output) = process.take_pipes().expect("both are pipes");
    Ok((process, input, output))
}

fn command(script: &Script, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(tools::python()?);
    match script {
        Script::Code(code) => command.arg("-c").arg(code),
        Script::File(path) => command.arg(path),
    };
    command.args(arguments).env("PYTHONUNBUFFERED", "1").env("PYTHONUTF8", "1");
    Ok(command)
}
