//! URLs that a client would misread, settings that contradict each other, and the origin of each value.

use std::ffi::OsString;

use super::read;
use crate::config::{Origin, Settings, StorageType};

#[track_caller]
fn refused(vars: &[(&str, &str)], parts: &[&str]) {
    let error = read(vars).expect_err(&format!("{vars:?}"));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn two_services_do_not_get_one_address_and_a_port_is_named() {
    let both = [("HTTP_ADDR", "127.0.0.1:9000"), ("INGEST_ADDR", "127.0.0.1:9000")];
    refused(&both, &["HTTP_ADDR and INGEST_ADDR are both 127.0.0.1:9000"]);
    refused(&[("POSTGRES_ADDR", "127.0.0.1:8080")], &["HTTP_ADDR and POSTGRES_ADDR are both 127.0.0.1:8080"]);
    read(&[("HTTP_ADDR", "127.0.0.1:0"), ("INGEST_ADDR", "127.0.0.1:0")]).expect("each gets its own");
    for port in ["99999", "-1", "x", ""] {
        let value = format!("127.0.0.1:{port}");
        refused(&[("INGEST_ADDR", &value)], &[&format!("the port {port:?} is not a number from 0 to 65535")]);
    }
    refused(&[("INGEST_ADDR", "localhost:8081")], &["the address is a number with a port"]);
}

#[test]
fn a_login_that_ends_early_is_refused_with_advice() {
    for login in ["u:hush@hush", "u:hush/x", "u:hush?x", "u:hush#x", "u:hush\\x", "u:hu sh", "u:%zzhush", "u:[hush"] {
        refused(
            &[("CATALOG_URL", &format!("postgres://{login}@h/d"))],
            &["CATALOG_URL=postgres://u:********@h/d", "%40"],
        );
        refused(&[("NATS_URL", &format!("nats://{login}@h:4222"))], &["NATS_URL=nats://u:********@h:4222", "%40"]);
    }
    read(&[("CATALOG_URL", "postgres://u:p%40ss%2Fword@h/d?sslmode=require&options=-c%20x")]).expect("encoded");
    read(&[("CATALOG_URL", "postgres:///d?host=/run/postgresql&user=u")]).expect("a socket");
    read(&[("NATS_URL", "nats://u:a%2Cb@h:4222,nats://u:a%2Cb@i")]).expect("the same login twice");
    refused(&[("NATS_URL", "nats://u:hush,hush2@h:4222")], &["NATS_URL=nats://u:********@h:4222", "%2C"]);
    refused(&[("NATS_URL", "nats://u:4222,hush2@h:4222")], &["NATS_URL=nats://u:********@h:4222", "%2C"]);
    refused(&[("NATS_URL", "nats://u:hush@h,nats://v:hush@i")], &["different logins"]);
}

#[test]
fn urls_keep_every_part_or_are_refused() {
    for (name, url, part) in [
        ("STORAGE_URL", "s3://lake/x?y", "%3F"),
        ("STORAGE_URL", "s3://lake/x#y", "%23"),
        ("STORAGE_URL", "file:///lake/x?y", "%3F"),
        ("STORAGE_URL", "s3://lake/100%", "%25"),
        ("STORAGE_URL", "s3://lake/%ff", "UTF-8"),
        ("STORAGE_URL", "s3://lake/a%00b", "NUL"),
        ("STORAGE_URL", "s3:///x", "bucket is missing"),
        ("STORAGE_URL", "s3://bücket/x", "letters, digits"),
        ("STORAGE_URL", "s3://lake:9000/x", "AWS_ENDPOINT_URL"),
        ("STORAGE_URL", "s3://key:hush@lake/x", "AWS_ACCESS_KEY_ID"),
        ("STORAGE_URL", "file://server/x", "file:///"),
        ("CATALOG_URL", "sqlite:", "path"),
        ("CATALOG_URL", "sqlite:./quest?ion", "%3F"),
        ("CATALOG_URL", "sqlite:./100%", "%25"),
        ("CATALOG_URL", "sqlite://~/catalog.db", "$HOME"),
        ("CATALOG_URL", "postgres://h/d?sslmod=require", "sslmode"),
        ("CATALOG_URL", "postgres://h/d?sslmode=yes", "verify-full"),
        ("CATALOG_URL", "postgres://h/d?password=a&hush", "%26"),
        ("CATALOG_URL", "postgres://h/d#x", "%23"),
        ("CATALOG_URL", "host=h password=hush", "sqlite:<path>"),
        ("NATS_URL", "nats://h:4222/x", "follows the port"),
        ("NATS_URL", "nats://h:4222,,", "empty"),
        ("NATS_URL", "http://h:4222", "nats://"),
        ("NATS_MONITOR_URL", "https://h", "http://"),
        ("NATS_MONITOR_URL", "http://u:hush@h", "login"),
    ] {
        refused(&[(name, url)], &[name, part]);
    }
    for (name, url) in [
        ("STORAGE_URL", "s3://lake/x%3Fy%23z"),
        ("STORAGE_URL", "abfss://container@account.dfs.core.windows.net/x"),
        ("CATALOG_URL", "sqlite:./a#b.db"),
        ("CATALOG_URL", "sqlite:///a%3Fb.db?mode=rwc"),
        ("NATS_URL", "h:4222, tls://i"),
    ] {
        read(&[(name, url)]).expect(url);
    }
}

#[test]
fn contradictory_places_are_refused() {
    for (kind, url) in [("local", "s3://b/x"), ("memory", "s3://b/x"), ("s3", "file:///x"), ("gcs", "az://c")] {
        refused(&[("STORAGE_TYPE", kind), ("STORAGE_URL", url)], &[&format!("STORAGE_TYPE={kind} contradicts"), url]);
    }
    let directory = ("STORAGE_URL", "file:///b");
    let catalog = ("CATALOG_URL", "postgres://h/d");
    refused(&[("STORAGE_PATH", "/a"), directory, catalog], &["STORAGE_PATH=/a contradicts STORAGE_URL=file:///b"]);
    read(&[("STORAGE_PATH", "/a"), directory]).expect("the path holds the catalog");
    read(&[("STORAGE_PATH", "/b"), directory, catalog]).expect("the same");
    let levels = read(&[("LOG_LEVEL", "info, writer=debug")]).expect("blanks behind a comma");
    assert_eq!(levels.log_level, "info,writer=debug");
}

#[test]
fn the_variables_of_the_store_in_use_are_checked() {
    let endpoint = ("AWS_ENDPOINT_URL", "minio:9000");
    refused(&[("STORAGE_URL", "s3://b"), endpoint], &["AWS_ENDPOINT_URL=minio:9000: begins with http:// or https://"]);
    read(&[endpoint]).expect("of no use here");
}

#[test]
fn every_value_has_its_origin() {
    let settings = read(&[("STORAGE_URL", "s3://b/x"), ("STORAGE_PATH", "/a"), ("LOG_LEVEL", "info")]).expect("valid");
    assert_eq!(settings.storage_type, StorageType::S3);
    let effective = settings.effective();
    let of = |name: &str| {
        let found = effective.iter().find(|setting| setting.doc.name == name).expect(name);
        (found.value.clone(), found.origin)
    };
    assert_eq!(of("STORAGE_TYPE"), ("s3".to_owned(), Origin::Derived("STORAGE_URL")));
    assert_eq!(of("CATALOG_URL"), ("sqlite:/a/catalog.db".to_owned(), Origin::Derived("STORAGE_PATH")));
    assert_eq!(of("LOG_LEVEL"), ("info".to_owned(), Origin::Environment));
    assert_eq!(of("LEASE_SECS"), ("10".to_owned(), Origin::Default));
}

#[test]
fn settings_made_in_code_are_checked_as_those_of_the_environment() {
    let checked = |settings: Settings| settings.checked().map_err(|error| error.to_string());
    assert_eq!(checked(Settings::default()), Ok(Settings::default()));
    let derived = Settings { storage_url: Some("s3://b/x".into()), ..Settings::default() };
    assert_eq!(checked(derived).map(|settings| settings.storage_type), Ok(StorageType::S3));
    for (wrong, part) in [
        (Settings { lease_secs: 1, ..Settings::default() }, "LEASE_SECS=1 is not in 2..=3600"),
        (Settings { storage_path: "~/lake".into(), ..Settings::default() }, "STORAGE_PATH=~/lake"),
        (Settings { topics: vec![String::new()], ..Settings::default() }, "no name of a topic"),
        (Settings { topics: vec!["a".to_owned(), "b\n".to_owned()], ..Settings::default() }, "TOPICS=a,b"),
        (Settings { storage_type: StorageType::S3, ..Settings::default() }, "needs STORAGE_URL"),
        (Settings { nats_user: Some("u".to_owned()), ..Settings::default() }, "NATS_PASSWORD"),
    ] {
        let error = checked(wrong).expect_err(part);
        assert!(error.contains(part), "{error}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let path = OsString::from_vec(vec![b'a', 0xff]).into();
        let error = checked(Settings { storage_path: path, ..Settings::default() }).expect_err("no UTF-8");
        assert!(error.contains("UTF-8"), "{error}");
    }
}
