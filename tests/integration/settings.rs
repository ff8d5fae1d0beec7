//! Settings from the environment, through the binary.

use crate::binary::Siltstone;

#[tokio::test]
async fn an_invalid_setting_names_key_value_and_what_is_allowed() {
    let wrong = [
        ("QUEUE_TYPE", "kafka", "memory or nats"),
        ("FLUSH_INTERVAL_SECS", "0", "1..=86400"),
        ("STORAGE_TYPE", "s3", "STORAGE_URL"),
        ("LOG_LEVEL", "a=b=c", "a=b=c"),
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
}

#[tokio::test]
async fn config_tells_defaults_from_what_was_set_and_hides_secrets() {
    let siltstone = Siltstone::new()
        .with("FLUSH_INTERVAL_SECS", "7")
        .with("NATS_TOKEN", "very-secret")
        .with("CATALOG_URL", "postgres://me:very-secret@db/siltstone");
    let text = siltstone.run(&["config", "--explain"]).await.ok();
    let line = |name: &str| text.out.lines().find(|line| line.starts_with(name)).expect(name).to_owned();
    assert!(line("FLUSH_INTERVAL_SECS").contains('7') && line("FLUSH_INTERVAL_SECS").ends_with("set"));
    assert!(line("QUEUE_TYPE").contains("memory") && line("QUEUE_TYPE").ends_with("default"));
    let json = siltstone.run(&["--json", "config"]).await.ok();
    let setting = |name: &str| json.json().as_array().expect("a list").iter().find(|s| s["name"] == name).cloned();
    assert_eq!(setting("FLUSH_INTERVAL_SECS").expect("listed")["is_default"], false);
    assert_eq!(setting("LEASE_SECS").expect("listed")["value"], "10");
    for answer in [text, json] {
        assert!(!answer.out.contains("very-secret"), "{}", answer.out);
    }
}
