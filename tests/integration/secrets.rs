//! No command shows a secret, whatever is wrong with the settings that hold it.

use crate::binary::Siltstone;

/// Parts of passwords, found in any output.
const PIECES: [&str; 3] = ["hushone", "hushtwo", "HUSHKEY"];
const COMMANDS: [&[&str]; 6] = [
    &["config"],
    &["--json", "config"],
    &["topic", "list"],
    &["doctor"],
    &["--json", "doctor"],
    &["up", "--stdin", "t"],
];

/// Runs each command with these settings, and returns all that they wrote.
async fn outputs(settings: &[(&str, &str)]) -> String {
    let mut all = String::new();
    let up: &[&str] = &["up", "--stdin", "t"];
    for (format, command) in COMMANDS.map(|command| ("text", command)).into_iter().chain([("json", up)]) {
        let siltstone = Siltstone::new().with("LOG_LEVEL", "trace").with("LOG_FORMAT", format);
        let siltstone = settings.iter().fold(siltstone, |siltstone, (name, value)| siltstone.with(name, value));
        let answer = siltstone.run(command).await;
        assert!(!answer.err.contains("a fault of this program"), "{answer:#?}");
        all.push_str(&format!("{command:?}: {}{}\n", answer.out, answer.err));
    }
    all
}

#[track_caller]
fn assert_hidden(settings: &[(&str, &str)], outputs: &str) {
    for line in outputs.lines() {
        assert!(!PIECES.iter().any(|piece| line.contains(piece)), "{settings:?} show {line}");
    }
}

#[tokio::test]
async fn no_password_of_a_catalog_is_shown() {
    for url in [
        "postgres://me:hushone@127.0.0.1:1/db",
        "postgres://me:hushone@hushtwo/word@127.0.0.1:1/db",
        "postgres://me:hushone/hushtwo@127.0.0.1:1/db",
        "postgres://me:hushone?hushtwo#x@127.0.0.1:1/db",
        "postgres://me:hushone%40hushtwo@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?user=me&password=hushone",
        "postgres://127.0.0.1:1/db?user=me&password=hushone&hushtwo",
        "postgres://127.0.0.1:1/db?sslpassword=hushone",
        "mysql://me:hushone@hushtwo@h/db",
        "host=h user=me password=hushone",
        "me:hushone@h/db",
    ] {
        let settings = [("CATALOG_URL", url)];
        assert_hidden(&settings, &outputs(&settings).await);
    }
}

#[tokio::test]
async fn no_login_of_a_queue_is_shown() {
    let (wrong, directory) =
        ("-----BEGIN NATS USER JWT-----\nhushone\nhushtwo", tempfile::tempdir().expect("a folder"));
    let file = directory.path().join("wrong.creds");
    std::fs::write(&file, wrong).expect("written");
    let file = file.to_str().expect("UTF-8");
    for (name, value) in [
        ("NATS_URL", "nats://me:hushone@127.0.0.1:1,nats://me:hushone@127.0.0.1:2"),
        ("NATS_URL", "nats://me:hushone@hushtwo@127.0.0.1:1"),
        ("NATS_URL", "nats://me:hushone,hushtwo@127.0.0.1:1"),
        ("NATS_URL", "nats://me:hushone/hushtwo@127.0.0.1:1"),
        ("NATS_URL", "nats://hushone@127.0.0.1:1"),
        ("NATS_URL", "me:hushone@127.0.0.1:1"),
        ("NATS_TOKEN", "hushone"),
        ("NATS_TOKEN", "hushone\nhushtwo"),
        ("NATS_NKEY", "SUhushone"),
        ("NATS_PASSWORD", "hushone"),
        ("NATS_CREDENTIALS", file),
        ("NATS_NKEY_FILE", file),
    ] {
        let address = ("NATS_URL", "nats://127.0.0.1:1");
        let settings = [("QUEUE_TYPE", "nats"), address, (name, value)];
        assert_hidden(&settings, &outputs(&settings).await);
    }
}

#[tokio::test]
async fn no_key_of_a_store_is_shown() {
    let at_nobody =
        [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "id")];
    for (name, value) in [
        ("STORAGE_URL", "s3://key:hushone@lake/x"),
        ("STORAGE_URL", "s3://lake/x?sig=hushone&hushtwo"),
        ("AWS_SECRET_ACCESS_KEY", "HUSHKEY/hushone+hushtwo"),
        ("AWS_SECRET_ACCESS_KEY", "HUSHKEY\nhushone"),
        ("AWS_SESSION_TOKEN", "HUSHKEY\u{7f}"),
        ("AWS_PROXY_URL", "http://me:hushone@127.0.0.1:1"),
        ("AWS_PROXY_URL", "proxy:hushone@127.0.0.1"),
        ("AWS_ENDPOINT_URL", "http://me:hushone@127.0.0.1:1"),
    ] {
        let settings = [&[("STORAGE_URL", "s3://lake/x")], &at_nobody[..], &[(name, value)]].concat();
        assert_hidden(&settings, &outputs(&settings).await);
    }
}
