//! Settings from the environment, through the binary.

use crate::binary::Siltstone;

#[tokio::test]
async fn an_invalid_setting_names_key_value_and_what_is_allowed() {
    let wrong = [
        ("QUEUE_TYPE", "kafka", "memory or nats"),
        ("FLUSH_INTERVAL_SECS", "0", "1..=86400"),
        ("STORAGE_TYPE", "s3", "STORAGE_URL"),
        ("LOG_LEVEL", "a=b=c", "a=b=c"),
        ("LOG_LEVEL", "warning", "did you mean warn?"),
        ("LOG_LEVEL", "info,writer=debgu", "did you mean debug?"),
        ("STORAGE_PATH", "~/data", "$HOME"),
        ("TOPICS", "a,,b", "names separated by commas"),
        ("NATS_URL", "http://x", "nats://host:port, several"),
        ("NATS_MONITOR_URL", "ftp://x", "http://host:port"),
        ("AGENT_URL", "ftp://x", "http://host:port or https://host:port"),
        ("CATALOG_URL", "mysql://x", "postgres://user:password@host/database"),
    ];
    for (name, value, allowed) in wrong {
        for command in [&["config"][..], &["topic", "list"], &["demo"], &["up"]] {
            Siltstone::new().with(name, value).run(command).await.fails(2, &[name, value, allowed]);
        }
    }
}

#[tokio::test]
async fn a_misspelt_setting_is_refused_with_the_right_name() {
    Siltstone::new().with("QUEUE_TYP", "nats").run(&["config"]).await.fails(2, &["QUEUE_TYP", "QUEUE_TYPE"]);
    let others = Siltstone::new()
        .with("NATS_PORT", "tcp://10.0.0.1:4222")
        .with("NATS_SERVICE_HOST", "10.0.0.1")
        .with("NATS_CONTEXT", "mine")
        .with("NATS_KEY", "/key.pem")
        .with("AWS_PROFILE", "mine");
    others.run(&["config"]).await.ok();
}

#[tokio::test]
async fn config_tells_defaults_from_what_was_set_and_hides_secrets() {
    let siltstone = Siltstone::new()
        .with("FLUSH_INTERVAL_SECS", "7")
        .with("NATS_TOKEN", "very-secret")
        .with("CATALOG_URL", "postgres://me:very-secret@db/siltstone");
    let text = siltstone.run(&["config", "--explain"]).await.ok();
    let line = |name: &str| text.out.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
    assert!(line("FLUSH_INTERVAL_SECS").contains('7') && line("FLUSH_INTERVAL_SECS").ends_with("environment"));
    assert!(line("QUEUE_TYPE").contains("memory") && line("QUEUE_TYPE").ends_with("default"));
    let json = siltstone.run(&["--json", "config"]).await.ok();
    let setting = |name: &str| json.json().as_array().expect("a list").iter().find(|s| s["name"] == name).cloned();
    assert_eq!(setting("FLUSH_INTERVAL_SECS").expect("listed")["is_default"], false);
    assert_eq!(setting("LEASE_SECS").expect("listed")["value"], "10");
    assert_eq!(setting("FLUSH_INTERVAL_SECS").expect("listed")["origin"], "environment");
    assert_eq!(setting("CATALOG_URL").expect("listed")["value"], "postgres://me:********@db/siltstone");
    for answer in [text, json] {
        assert!(!answer.out.contains("very-secret"), "{}", answer.out);
    }
}

#[tokio::test]
async fn config_shows_what_is_derived_and_what_the_store_reads() {
    let siltstone = Siltstone::new()
        .with("STORAGE_URL", "s3://lake/x")
        .with("AWS_REGION", "eu-1")
        .with("AWS_ENDPOINT_URL", "")
        .with("AWS_SECRET_ACCESS_KEY", "very-secret");
    let text = siltstone.run(&["config"]).await.ok();
    let line = |name: &str| text.out.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
    assert!(line("STORAGE_TYPE").contains("s3") && line("STORAGE_TYPE").ends_with("derived from STORAGE_URL"));
    assert!(line("CATALOG_URL").ends_with("derived from STORAGE_PATH"), "{}", line("CATALOG_URL"));
    assert!(line("AWS_REGION").contains("eu-1") && line("AWS_SECRET_ACCESS_KEY").contains("********"));
    assert!(!text.out.contains("AWS_ENDPOINT_URL") && !text.out.contains("very-secret"), "{}", text.out);
    let json = siltstone.run(&["--json", "config"]).await.ok().json();
    let setting = |name: &str| json.as_array().expect("a list").iter().find(|s| s["name"] == name).expect(name).clone();
    assert_eq!(
        (&setting("STORAGE_TYPE")["origin"], &setting("STORAGE_TYPE")["derived_from"]),
        (&"derived".into(), &"STORAGE_URL".into())
    );
    assert_eq!(setting("AWS_SECRET_ACCESS_KEY")["value"], "********");
}
