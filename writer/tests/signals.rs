//! Signals reach the built service at any time, also while it still starts.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use support::process::Process;

#[tokio::test]
async fn a_signal_ends_a_start_that_hangs() {
    // A store that takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("bound"));
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_writer"));
    command
        .current_dir(dir.path())
        .env("STORAGE_URL", "s3://bucket/lake")
        .env("AWS_ENDPOINT", endpoint)
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any");
    let mut writer = Process::spawn("writer", command, &log).expect("starts");
    let _connected = silent.accept().expect("the store is probed");
    writer.signal("TERM").expect("sent");
    let ended = writer.wait(Duration::from_secs(20)).await;
    let said = std::fs::read_to_string(&log).expect("a log");
    let status = ended.expect(&said);
    assert!(!status.success());
    assert!(said.contains("SIGTERM"), "{said}");
}
