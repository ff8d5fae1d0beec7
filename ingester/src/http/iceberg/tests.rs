//! The catalog of Iceberg over HTTP, by its answers. Stock readers use it in the workspace's tests.

use catalog::{Publication, PublishOutcome, PublishScope, PublishedHead, SegmentKind};
use common::{OwnerId, TopicName};
use serde_json::{Value, json};
use support::http;

use crate::http::tests::{Setup, answered};

impl Setup {
    /// Publishes both tables of the topic for readers of Iceberg, with this metadata.
    pub(in crate::http) async fn publish_tables(&self, metadata: &str) {
        let topic = TopicName::new("orders").expect("valid");
        for kind in SegmentKind::ALL {
            let state = self.catalog.table_state(&topic, kind, PublishScope::All).await.expect("read").expect("exists");
            let publication = Publication {
                topic: topic.clone(),
                kind,
                table: state.table,
                owner: OwnerId(uuid::Uuid::now_v7()),
                follows: None,
                head: PublishedHead {
                    version: 1,
                    metadata_location: format!("s3://lake/{kind:?}.json"),
                    bucket: "lake".to_owned(),
                    root: "s3://lake/".to_owned(),
                    lake_snapshot: state.lake_snapshot,
                    next_file_id: state.next_file_id,
                    schema_version: state.schema_version,
                    metadata: metadata.to_owned(),
                    manifests: "[]".to_owned(),
                    expires_at: None,
                },
                snapshot: None,
                objects: vec![],
                replaced: vec![],
                added: vec![],
                removed: vec![],
                oldest_version: 1,
                is_rebuilt: false,
                snapshot_time_us: state.snapshot_time_us,
            };
            let outcome = self.catalog.publish(&publication).await.expect("answered");
            assert_eq!(outcome, PublishOutcome::Published);
        }
    }
}

async fn get(setup: &Setup, path: &str) -> (u16, Value) {
    answered(&http::get(&format!("{}/iceberg/v1{path}", setup.url)).await.expect("an answer"))
}

#[tokio::test]
async fn published_tables_are_listed_and_loaded_and_nothing_can_be_written() {
    let setup = Setup::new().await;
    let config = get(&setup, "/config?warehouse=w").await.1;
    assert_eq!(config["overrides"]["prefix"], "siltstone");
    let endpoints = config["endpoints"].as_array().expect("a list");
    assert!(endpoints.iter().all(|of| of.as_str().is_some_and(|of| of.starts_with("GET ") || of.starts_with("HEAD "))));
    let none = get(&setup, "/siltstone/namespaces/topics/tables").await;
    assert_eq!(none, (200, json!({ "identifiers": [] })), "nothing is published");
    let (status, body) = get(&setup, "/siltstone/namespaces/topics/tables/orders").await;
    assert_eq!((status, &body["error"]["type"]), (404, &json!("NoSuchTableException")));
    setup.publish_tables(r#"{"format-version":2}"#).await;
    assert_eq!(get(&setup, "/siltstone/namespaces").await.1, json!({ "namespaces": [["topics"], ["quarantine"]] }));
    assert_eq!(get(&setup, "/siltstone/namespaces?parent=topics").await.1, json!({ "namespaces": [] }));
    for namespace in ["topics", "quarantine"] {
        let listed = get(&setup, &format!("/siltstone/namespaces/{namespace}/tables")).await.1;
        assert_eq!(listed, json!({ "identifiers": [{ "namespace": [namespace], "name": "orders" }] }));
        let (status, body) = get(&setup, &format!("/siltstone/namespaces/{namespace}/tables/orders")).await;
        assert_eq!((status, &body["metadata"]), (200, &json!({ "format-version": 2 })));
        assert!(body["metadata-location"].as_str().is_some_and(|location| location.starts_with("s3://lake/")));
        let path = format!("{}/iceberg/v1/siltstone/namespaces/{namespace}", setup.url);
        for path in [&path, &format!("{path}/tables"), &format!("{path}/tables/orders")] {
            let head = http::request("HEAD", path, &[], b"").await.expect("an answer");
            assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
            for method in ["POST", "PUT", "DELETE"] {
                let written = http::request(method, path, &[], b"{}").await.expect("an answer");
                assert_eq!(written.status, 405, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_has_the_exception_of_the_protocol() {
    let setup = Setup::new().await;
    for (path, kind) in [
        ("/siltstone/namespaces/main", "NoSuchNamespaceException"),
        ("/siltstone/namespaces/main/tables", "NoSuchNamespaceException"),
        ("/siltstone/namespaces/topics/tables/absent", "NoSuchTableException"),
        // A part of the metadata of `orders`, as clients in Java first ask for it.
        ("/siltstone/namespaces/topics%1Forders/tables/files", "NoSuchTableException"),
        ("/elsewhere", "NotFoundException"),
    ] {
        let (status, body) = get(&setup, path).await;
        assert_eq!(
            (status, &body["error"]["type"], &body["error"]["code"]),
            (404, &json!(kind), &json!(404)),
            "{path}"
        );
    }
}
