//! The places that the settings name: exactly as they are written, and made only by commands that begin something.

use std::path::Path;

use async_nats::jetstream;
use support::nats::{NatsOptions, NatsServer};
use support::port;
use support::s3::S3;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone};

const READERS: [&[&str]; 8] = [
    &["topic", "list"],
    &["topic", "describe", "t"],
    &["topic", "delete", "t", "--yes"],
    &["query", "SELECT 1"],
    &["segments"],
    &["gaps"],
    &["quarantine", "list", "t"],
    &["duckdb-sql"],
];

fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_mistyped_path_makes_nothing() {
    for (name, value) in [("STORAGE_PATH", "dta"), ("CATALOG_URL", "sqlite:dta/catalog.db")] {
        let siltstone = Siltstone::new().with(name, value);
        for command in READERS {
            let parts = ["no catalog at", "dta/catalog.db", name, "`siltstone topic create` or `siltstone up`"];
            siltstone.run(command).await.fails(1, &parts);
        }
        let report = siltstone.run(&["doctor", "--json"]).await;
        assert_eq!((report.code, &report.json()["promise"]), (1, &"unknown".into()), "{report:#?}");
        report.says(&["no catalog at"]);
        assert_eq!(entries(siltstone.path()), [""; 0], "nothing is made");
    }
    let siltstone = Siltstone::new().with("CATALOG_URL", "sqlite:catalog.db");
    siltstone.run(&["topic", "create", "t"]).await.ok();
    siltstone.run(&["query", "SELECT count(*) FROM t"]).await.ok();
    let before = entries(siltstone.path());
    let mistyped = siltstone.clone().with("STORAGE_PATH", "dta");
    mistyped.run(&["query", "SELECT count(*) FROM t"]).await.fails(1, &["dta", "no such directory", "STORAGE_PATH"]);
    assert_eq!(entries(siltstone.path()), before, "nothing is made");
}

#[tokio::test]
async fn a_directory_is_the_one_that_is_named() {
    for name in ["quest?ion", "per%20cent", "a#b", "a b", "ü*[;'\""] {
        let siltstone = Siltstone::new().with("STORAGE_PATH", &format!("./{name}"));
        siltstone.run(&["topic", "create", "t", "--column", "id:int64"]).await.ok();
        siltstone.run_with_input(&["up", "--stdin", "t"], b"{\"id\":7}\n").await.ok();
        let rows = siltstone.run(&["query", "SELECT id FROM t", "--json"]).await.ok();
        assert_eq!(rows.json()["id"], 7, "{name}");
        assert_eq!(entries(siltstone.path()), [name]);
        let inside = entries(&siltstone.path().join(name));
        assert!(inside.contains(&"catalog.db".to_owned()) && inside.iter().any(|entry| entry == "t"), "{inside:?}");
    }
    let encoded = Siltstone::new().with("CATALOG_URL", "sqlite:a%3Fb%25.db");
    encoded.run(&["topic", "create", "t"]).await.ok();
    assert!(entries(encoded.path()).contains(&"a?b%.db".to_owned()), "{:?}", entries(encoded.path()));
}

#[tokio::test]
async fn jetstream_of_a_domain_is_reached_through_a_leaf_node() {
    let leaves = port::free().expect("a port");
    let hub = NatsServer::start_with(NatsOptions {
        jetstream_lines: vec!["domain: hub".to_owned()],
        lines: vec![format!("leafnodes {{ listen: \"127.0.0.1:{leaves}\" }}")],
        ..NatsOptions::default()
    });
    let hub = hub.await.expect("a NATS server");
    let leaf = NatsServer::start_with(NatsOptions {
        jetstream_lines: vec!["domain: leaf".to_owned()],
        lines: vec![format!("leafnodes {{ remotes: [{{ url: \"nats-leaf://127.0.0.1:{leaves}\" }}] }}")],
        ..NatsOptions::default()
    });
    let leaf = leaf.await.expect("a NATS server");
    let siltstone = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &leaf.url());
    let on_hub = siltstone.clone().with("NATS_JS_DOMAIN", "hub");
    let end = Instant::now() + DEADLINE;
    // The leaf connects to the hub by itself, some time after its start.
    while on_hub.run(&["topic", "create", "t", "--column", "id:int64"]).await.code != 0 {
        assert!(Instant::now() < end, "the hub is not reached");
        sleep(POLL).await;
    }
    let fed = on_hub.run_with_input(&["up", "--stdin", "t"], b"{\"id\":1}\n{\"id\":2}\n").await.ok();
    fed.says(&["committed 2 records"]);
    let client = async_nats::connect(hub.url()).await.expect("connected");
    let stream = jetstream::new(client).get_stream("t-0").await.expect("the stream is on the hub");
    assert_eq!(stream.get_info().await.expect("answers").state.messages, 2);
    let nowhere = siltstone.with("NATS_JS_DOMAIN", "nowhere").run(&["topic", "create", "u"]).await;
    nowhere.fails(1, &["no JetStream answers in the domain NATS_JS_DOMAIN=nowhere"]);
}

#[tokio::test]
async fn a_store_that_is_not_that_of_the_catalogs_objects_is_refused() {
    let first = Siltstone::new().with("CATALOG_URL", "sqlite:catalog.db").with("STORAGE_PATH", "first");
    first.run(&["topic", "create", "t", "--column", "id:int64"]).await.ok();
    first.run_with_input(&["up", "--stdin", "t"], b"{\"id\":1}\n").await.ok();
    let other = first.clone().with("STORAGE_PATH", "other");
    std::fs::create_dir(first.path().join("other")).expect("made");
    let parts = ["the objects of this catalog are in", "/first/", "STORAGE_PATH names", "/other", "is not found there"];
    other.run_with_input(&["up", "--stdin", "t"], b"{\"id\":2}\n").await.fails(1, &parts);
    for command in [&["query", "SELECT * FROM t"][..], &["publish-tables"], &["compact", "--once"]] {
        other.run(command).await.fails(1, &parts);
    }
    let report = other.run(&["doctor", "--json"]).await;
    assert_eq!((report.code, &report.json()["promise"]), (1, &"unknown".into()), "{report:#?}");
    report.says(&["the objects of this catalog are in"]);

    let s3 = S3::shared().expect("an S3 server");
    let bucket = first.clone().on_s3(&s3);
    let parts = ["the objects of this catalog are in", "/first/", "s3://", "one catalog lists objects of one store"];
    bucket.run_with_input(&["up", "--stdin", "t"], b"{\"id\":2}\n").await.fails(1, &parts);

    // A directory may be moved with all that is in it.
    std::fs::remove_dir_all(first.path().join("other")).expect("removed");
    std::fs::rename(first.path().join("first"), first.path().join("other")).expect("moved");
    other.run_with_input(&["up", "--stdin", "t"], b"{\"id\":2}\n").await.ok();
    assert_eq!(other.run(&["query", "SELECT sum(id) AS n FROM t", "--json"]).await.ok().json()["n"], 3);
}
