//! Running the binary: its environment and its answer.
//!
//! Owns: a directory per test, and an environment without the machine's own settings.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use support::s3::S3;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Longest run of a command in these tests, for a debug build on a busy machine; a longer one hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

pub(crate) const POLL: Duration = Duration::from_millis(10);

/// The binary with its own data directory.
#[derive(Clone)]
pub(crate) struct Siltstone {
    directory: Arc<TempDir>,
    settings: Vec<(String, String)>,
}

/// The output of a run.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Siltstone {
    pub(crate) fn new() -> Self {
        Self { directory: Arc::new(tempfile::tempdir().expect("a temporary directory")), settings: Vec::new() }
    }

    /// The same with a setting.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a fresh place in the S3 server.
    pub(crate) fn on_s3(self, s3: &S3) -> Self {
        self.with("STORAGE_URL", &format!("s3://{}/{}", s3.bucket, s3.fresh_prefix()))
            .with("AWS_ENDPOINT_URL", &s3.endpoint)
            .with("AWS_REGION", &s3.region)
            .with("AWS_ACCESS_KEY_ID", &s3.access_key)
            .with("AWS_SECRET_ACCESS_KEY", &s3.secret_key)
            .with("AWS_ALLOW_HTTP", "true")
    }

    /// Its working directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of local data.
    pub(crate) fn data(&self) -> PathBuf {
        let set = self.settings.iter().rfind(|(name, _)| name == "STORAGE_PATH");
        set.map_or_else(|| self.path().join("data"), |(_, path)| PathBuf::from(path))
    }

    /// The command, ready to start.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_siltstone"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("STORAGE_PATH", self.data()).envs(["HTTP_ADDR", "INGEST_ADDR"].map(|name| (name, "127.0.0.1:0")));
        // Most tests ask what is committed.
        command.env("HOT_TAIL", "off").envs(self.settings.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it with nothing on standard input.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with_input(arguments, b"").await
    }

    /// Publishes lines to a topic of the memory queue, and returns when they are committed.
    pub(crate) async fn settle(&self, topic: &str, lines: &[&str]) {
        self.run_with_input(&["up", "--stdin", topic, "--no-check"], lines.join("\n").as_bytes()).await.ok();
    }

    /// Runs it with `input` on standard input.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Answer {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the binary starts");
        let (mut stdin, input) = (child.stdin.take().expect("piped"), input.to_owned());
        let writing = std::thread::spawn(move || {
            // A command that does not read its input may end first.
            let _ = stdin.write_all(&input);
        });
        let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let Some(code) = exit_code(&mut child).await else {
            child.kill().expect("it was running");
            panic!("siltstone {arguments:?} did not end: {}", err.join().expect("no panic"));
        };
        writing.join().expect("no panic");
        Answer { code, out: out.join().expect("no panic"), err: err.join().expect("no panic") }
    }
}

/// The exit code of the process; `None` after the deadline.
pub(crate) async fn exit_code(child: &mut Child) -> Option<i32> {
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            // As a shell shows a signal.
            return status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        }
        sleep(POLL).await;
    }
    None
}

/// Reads a pipe to its end in a thread, so that a full pipe never stops the process.
fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut pipe = pipe.expect("piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe is readable");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Answer {
    /// The answer, which must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The answer, which must have this exit code and contain each of `parts` on standard error, and nothing on
    /// standard output.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {self:#?}");
        }
        assert!(!self.err.contains("panicked") && !self.err.contains("a fault of this program"), "{self:#?}");
        assert_eq!(self.out, "", "answers of a failure go to standard error");
        self
    }

    /// The answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Asserts that each of `parts` is on standard output.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.out.contains(part), "{part:?} is not in {self:#?}");
        }
    }
}
