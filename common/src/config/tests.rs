//! Every setting is documented, takes effect, and is refused with its name, value and allowed range when invalid.

mod contradictions;
mod wrong_values;

use std::ffi::OsString;

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::from_vars(vars.iter().map(|(n, v)| (OsString::from(n), OsString::from(v)))).map_err(|e| e.to_string())
}

#[test]
fn every_field_is_documented_with_its_default() {
    let defaults = Settings::default();
    let values = serde_json::to_value(&defaults).expect("plain data");
    let fields: Vec<String> = values.as_object().expect("struct").keys().map(|k| k.to_uppercase()).collect();
    let mut documented: Vec<String> = SETTINGS.iter().map(|doc| doc.name.to_owned()).collect();
    documented.sort();
    assert_eq!(fields, documented);
    for EffectiveSetting { doc, value, origin } in defaults.effective() {
        assert_eq!((doc.default, origin), (value.as_str(), Origin::Default), "{}", doc.name);
    }
}

#[test]
fn every_setting_changes_its_field() {
    let cases = [
        ("QUEUE_TYPE", "nats"),
        ("QUEUE_MEMORY_BYTES", "2000000"),
        ("QUEUE_ACK", "none"),
        ("NATS_URL", "nats://a:1,nats://b:2"),
        ("NATS_CREDENTIALS", "/a.creds"),
        ("NATS_CA", "/ca.pem"),
        ("NATS_NKEY_FILE", "/a.nk"),
        ("NATS_JS_DOMAIN", "hub"),
        ("NATS_MONITOR_URL", "http://127.0.0.1:8222"),
        ("JANITOR_HOLD_SECS", "60"),
        ("STORAGE_TYPE", "memory"),
        ("STORAGE_PATH", "/elsewhere"),
        ("STORAGE_URL", "s3://bucket/prefix"),
        ("CATALOG_URL", "postgres://localhost/x"),
        ("TOPICS", "a,b"),
        ("FLUSH_INTERVAL_SECS", "7"),
        ("MAX_SEGMENT_SIZE_BYTES", "262144"),
        ("MAX_SEGMENT_RECORDS", "1000"),
        ("MEMORY_BUDGET_BYTES", "33554432"),
        ("UPLOAD_RETRIES", "9"),
        ("LEASE_SECS", "3"),
        ("COMPACTION", "off"),
        ("COMPACTION_TARGET_BYTES", "1048576"),
        ("COMPACTION_MIN_OBJECTS", "2"),
        ("HOT_TAIL", "off"),
        ("SHUTDOWN_TIMEOUT_SECS", "4"),
        ("HTTP_ADDR", "0.0.0.0:9"),
        ("INGEST_ADDR", "0.0.0.0:9"),
        ("INGEST_MEMORY_BYTES", "8388608"),
        ("INGEST_BODY_BYTES", "2048"),
        ("INGEST_TIMEOUT_SECS", "5"),
        ("READ_CACHE_BYTES", "0"),
        ("READ_CACHE_DIR", "/cache"),
        ("READ_CACHE_DISK_BYTES", "1000"),
        ("AUTO_CREATE", "/rules.json"),
        ("AGENT_GROUP", "eu-1"),
        ("AGENT_URL", "https://ingest.example:8081"),
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL", "debug"),
    ];
    for (name, value) in cases {
        let settings = read(&[(name, value)]).expect(name);
        let effective = settings.effective();
        let shown = effective.iter().find(|setting| setting.doc.name == name).expect("documented");
        assert_eq!((shown.value.as_str(), shown.origin), (value, Origin::Environment), "{name}");
    }
    let login = read(&[("NATS_USER", "u"), ("NATS_PASSWORD", "p")]).expect("valid");
    assert_eq!((login.nats_user.as_deref(), login.nats_password), (Some("u"), Some("p".into())));
    assert_eq!(read(&[("NATS_TOKEN", "t")]).expect("valid").nats_token, Some("t".into()));
    assert_eq!(read(&[("NATS_NKEY", "SU")]).expect("valid").nats_nkey, Some("SU".into()));
    let shown = read(&[("NATS_CLIENT_CERT", "/c.pem"), ("NATS_CLIENT_KEY", "/k.pem")]).expect("valid");
    let path = |path: Option<PathBuf>| path.expect("set").display().to_string();
    let tls = read(&[("INGEST_TLS_CERT", "/c.pem"), ("INGEST_TLS_KEY", "/k.pem")]).expect("valid");
    assert_eq!((path(tls.ingest_tls_cert), path(tls.ingest_tls_key)), ("/c.pem".to_owned(), "/k.pem".to_owned()));
    assert_eq!((path(shown.nats_client_cert), path(shown.nats_client_key)), ("/c.pem".to_owned(), "/k.pem".to_owned()));
}

#[test]
fn nonsense_is_refused_with_name_value_and_what_is_allowed() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("QUEUE_TYPE", "kafka")], &["QUEUE_TYPE=kafka", "memory or nats"]),
        (&[("FLUSH_INTERVAL_SECS", "soon")], &["FLUSH_INTERVAL_SECS=soon", "1 to 86400"]),
        (&[("FLUSH_INTERVAL_SECS", "0")], &["FLUSH_INTERVAL_SECS=0", "1..=86400"]),
        (&[("FLUSH_INTERVAL_SECS", "-1")], &["FLUSH_INTERVAL_SECS=-1"]),
        (&[("MAX_SEGMENT_SIZE_BYTES", "12")], &["MAX_SEGMENT_SIZE_BYTES=12", "1024"]),
        (&[("MEMORY_BUDGET_BYTES", "1000")], &["MEMORY_BUDGET_BYTES=1000"]),
        (&[("HTTP_ADDR", "here")], &["HTTP_ADDR=here", "address:port"]),
        (&[("INGEST_TLS_CERT", "a.pem")], &["INGEST_TLS_CERT and INGEST_TLS_KEY belong together"]),
        (&[("INGEST_TLS_KEY", "a.key")], &["INGEST_TLS_CERT and INGEST_TLS_KEY belong together"]),
        (&[("INGEST_MEMORY_BYTES", "5")], &["INGEST_MEMORY_BYTES=5", "8388608..=1099511627776"]),
        (&[("INGEST_BODY_BYTES", "5")], &["INGEST_BODY_BYTES=5", "1024..=4294967296"]),
        (&[("INGEST_TIMEOUT_SECS", "0")], &["INGEST_TIMEOUT_SECS=0", "1..=3600"]),
        (&[("STORAGE_TYPE", "s3")], &["STORAGE_URL", "s3://bucket/prefix"]),
        (&[("STORAGE_TYPE", "gcs"), ("STORAGE_URL", "s3://b")], &["STORAGE_TYPE=gcs contradicts"]),
        (&[("STORAGE_URL", "ftp://b")], &["STORAGE_URL=ftp://b"]),
        (&[("CATALOG_URL", "mysql://u:hush@h/d")], &["CATALOG_URL=mysql://u:********@h/d", "postgres"]),
        (&[("NATS_USER", "u")], &["NATS_PASSWORD"]),
        (&[("NATS_TOKEN", "t"), ("NATS_CREDENTIALS", "/c")], &["NATS_CREDENTIALS and NATS_TOKEN", "set one of them"]),
        (&[("NATS_NKEY", "SUhush"), ("NATS_NKEY_FILE", "/c")], &["NATS_NKEY and NATS_NKEY_FILE", "set one of them"]),
        (&[("NATS_URL", "nats://u:hush@h"), ("NATS_TOKEN", "t")], &["NATS_TOKEN and the login in NATS_URL"]),
        (&[("NATS_CLIENT_CERT", "/c")], &["NATS_CLIENT_KEY", "belong together"]),
        (&[("STORAGE_PTH", "x")], &["STORAGE_PTH", "did you mean STORAGE_PATH"]),
        (&[("UPLOAD_RETRIES", "0")], &["UPLOAD_RETRIES=0"]),
        (&[("QUEUE_MEMORY_BYTES", "1")], &["QUEUE_MEMORY_BYTES=1", "1048576"]),
        (&[("QUEUE_ACK", "some")], &["QUEUE_ACK=some", "all or none"]),
        (&[("MAX_SEGMENT_RECORDS", "0")], &["MAX_SEGMENT_RECORDS=0", "1..="]),
        (&[("LEASE_SECS", "1")], &["LEASE_SECS=1", "2..=3600"]),
        (&[("COMPACTION", "sometimes")], &["COMPACTION=sometimes", "on or off"]),
        (&[("COMPACTION_TARGET_BYTES", "5")], &["COMPACTION_TARGET_BYTES=5", "1048576..=4294967296"]),
        (&[("HOT_TAIL", "sometimes")], &["HOT_TAIL=sometimes", "auto, on or off"]),
        (&[("COMPACTION_MIN_OBJECTS", "1")], &["COMPACTION_MIN_OBJECTS=1", "2..=10000"]),
        (&[("SHUTDOWN_TIMEOUT_SECS", "0")], &["SHUTDOWN_TIMEOUT_SECS=0", "1..=3600"]),
        (&[("LOG_FORMAT", "xml")], &["LOG_FORMAT=xml", "text or json"]),
        (&[("STORAGE_TYPE", "tape")], &["STORAGE_TYPE=tape", "local, s3"]),
        (&[("NATS_PASSWORD", "hush")], &["NATS_USER"]),
    ];
    for (vars, parts) in cases {
        let message = read(vars).expect_err(&format!("{vars:?}"));
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let in_url = ("NATS_URL", "nats://u:hush@h:1,nats://u:hush@i:2");
    for login in [
        &[("NATS_USER", "u"), ("NATS_PASSWORD", "hush")][..],
        &[("NATS_TOKEN", "hush")],
        &[("NATS_NKEY", "SUhush")],
        &[in_url],
    ] {
        let settings = read(&[login, &[("CATALOG_URL", "postgres://u:hush@h/d")]].concat()).expect("valid");
        let shown = format!("{:?}", settings.effective());
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[test]
fn empty_values_and_other_programs_variables_are_ignored() {
    let settings = read(&[("CATALOG_URL", ""), ("STORAGE_PATH", "  "), ("NATS_CONTEXT", "x"), ("PATH", "y")]);
    let settings = settings.expect("valid");
    assert_eq!(settings, Settings::default());
}

#[test]
fn the_readme_lists_every_setting_as_it_is() {
    let readme = include_str!("../../../README.md");
    for SettingDoc { name, default, allowed, about, .. } in SETTINGS {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let row = format!("| `{name}` | {default} | {allowed} | {about} |");
        assert!(readme.contains(&row), "not in README.md: {row}");
    }
}
