//! Topics over HTTP: created, filled, looked at, changed and deleted without another command.

use serde_json::json;

use super::{JSON, Server, count, patient};

#[tokio::test]
async fn a_topic_is_created_changed_and_deleted_over_http() {
    let siltstone = patient();
    let server = Server::start(&siltstone).await;
    let columns = json!([{ "name": "id", "type": "int64", "nullable": false }]);
    let new = json!({ "name": "orders", "partition_count": 2, "config": { "columns": columns } }).to_string();
    let (status, topic) = server.request("POST", "/v1/topics", &[JSON], new.as_bytes()).await;
    assert_eq!(
        (status, &topic["config"]["format"], &topic["schema_version"]),
        (201, &json!("json"), &json!(1)),
        "{topic}"
    );
    let (status, again) = server.request("POST", "/v1/topics", &[JSON], new.as_bytes()).await;
    assert_eq!((status, &again["error"]["code"]), (409, &json!("conflict")), "{again}");
    let listed = siltstone.run(&["topic", "list", "--json"]).await.ok().json();
    assert_eq!(server.request("GET", "/v1/topics", &[], b"").await, (200, json!({ "topics": listed })));

    let path = "/v1/topics/orders/records?acks=committed";
    for n in 0..3 {
        let record = format!("[{{\"id\":{n}}},{{\"id\":null}}]");
        let (status, body) = server.request("POST", path, &[JSON], record.as_bytes()).await;
        assert_eq!((status, &body["records"][1]["error"]["code"]), (422, &json!("quarantined")), "{body}");
    }
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 3);
    let of_command = siltstone.run(&["segments", "orders", "--json"]).await.ok().json();
    let mut paged = Vec::new();
    let mut next = "?limit=2".to_owned();
    while !next.is_empty() {
        let (status, page) = server.request("GET", &format!("/v1/topics/orders/segments{next}"), &[], b"").await;
        assert_eq!(status, 200, "{page}");
        paged.extend(page["segments"].as_array().expect("a list").clone());
        next = page["next"].as_str().map_or_else(String::new, |after| format!("?limit=2&after={after}"));
    }
    let key = |segment: &serde_json::Value| segment["key"].as_str().expect("a key").to_owned();
    let mut of_command = of_command.as_array().expect("a list").clone();
    of_command.sort_by_key(key);
    paged.sort_by_key(key);
    assert_eq!(paged, of_command, "the same as on the command line");
    let (_, quarantine) = server.request("GET", "/v1/topics/orders/quarantine", &[], b"").await;
    let quarantined = quarantine["quarantine"].as_array().expect("a list");
    assert_eq!(quarantined.iter().filter_map(|segment| segment["record_count"].as_u64()).sum::<u64>(), 3);
    for segment in quarantined {
        let reason = &segment["reasons"][0];
        assert!(reason["reason"].as_str().is_some_and(|text| text.contains("\"id\"")), "{segment}");
        assert_eq!((&reason["records"], &reason["first_offset"]), (&segment["record_count"], &segment["base_offset"]));
    }
    let gaps = server.request("GET", "/v1/topics/orders/gaps", &[], b"").await;
    assert_eq!(gaps, (200, json!({ "gaps": [], "next": null })));

    let change = json!({ "columns": [{ "name": "note", "type": "string" }] }).to_string();
    let (status, changed) = server.request("PATCH", "/v1/topics/orders", &[JSON], change.as_bytes()).await;
    assert_eq!(
        (status, &changed["schema_version"], &changed["config"]["columns"][1]["name"]),
        (200, &json!(2), &json!("note"))
    );
    let described = server.request("GET", "/v1/topics/orders", &[], b"").await.1;
    assert_eq!((&described["topic"], described["partitions"].as_array().map(Vec::len)), (&changed, Some(2)));

    // The writer decodes by the columns that the topic has now, however shortly ago they were added.
    let (status, noted) = server.request("POST", path, &[JSON], br#"{"id":7,"note":"at once"}"#).await;
    assert_eq!(status, 200, "{noted}");
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders WHERE note = 'at once'").await, 1);

    assert_eq!(server.request("DELETE", "/v1/topics/orders", &[], b"").await, (200, json!({ "deleted": "orders" })));
    assert_eq!(server.request("DELETE", "/v1/topics/orders", &[], b"").await.0, 404);
    let (status, gone) = server.request("POST", path, &[JSON], br#"{"id":9}"#).await;
    assert_eq!((status, &gone["error"]["code"]), (404, &json!("topic_not_found")), "{gone}");
    server.stop().await;
}

#[tokio::test]
async fn what_a_topic_cannot_be_is_refused_with_the_words_of_the_command() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64!"]).await.ok();
    let server = Server::start(&siltstone).await;
    let post = async |body: &str| server.request("POST", "/v1/topics", &[JSON], body.as_bytes()).await;
    for (body, status, part) in [
        (r#"{"name":"a\nb"}"#, 400, "control character"),
        (r#"{"name":"t","partition_count":0}"#, 400, "1..=100000"),
        (r#"{"name":"t","config":{"format":"json"}}"#, 400, "at least one column"),
        (r#"{"name":"t","config":{"columns":[{"name":"a","type":"varchar"}]}}"#, 400, "varchar"),
        (r#"{"name":"t","config":{"columns":[{"name":"_offset","type":"string"}]}}"#, 400, "_partition_id, _offset"),
        (r#"{"name":"t","partitions":2}"#, 400, "partitions"),
        (r#"{"partition_count":2}"#, 400, "name"),
        ("[]", 400, "the body"),
        (r#"{"name":"ORDERS"}"#, 409, "another case"),
        (r#"{"name":"kept","retention_ms":0}"#, 400, "retention_ms 0 would keep nothing"),
        (r#"{"name":"kept","retention_ms":18446744073709551615}"#, 400, "null keeps everything"),
        (r#"{"name":"x","config":{"columns":[{"name":"a","type":"list(varchar)"}]}}"#, 400, "unknown type \"varchar\""),
    ] {
        let (answered, refused) = post(body).await;
        assert_eq!(answered, status, "{body}: {refused}");
        assert!(refused["error"]["message"].as_str().expect("text").contains(part), "{refused}");
    }
    let patch = async |body: &str| server.request("PATCH", "/v1/topics/orders", &[JSON], body.as_bytes()).await;
    for (body, status, part) in [
        ("{}", 400, "nothing to change"),
        (r#"{"columns":[{"name":"id","type":"string"}]}"#, 422, "id"),
        (r#"{"columns":[{"name":"b","type":"string","nullable":false}]}"#, 422, "b"),
        (r#"{"drop_columns":["x"]}"#, 422, "there is no column \"x\""),
        (r#"{"reading":{"time_zone":"+00:00"}}"#, 400, "time zone"),
        (r#"{"packed":"yes"}"#, 400, "boolean"),
        (r#"{"packed":null}"#, 400, "boolean"),
        (r#"{"packed":true,"reading":null}"#, 400, "invalid type: null"),
        (r#"{"retention_ms":"7d"}"#, 400, "u64"),
        (r#"{"retention_ms":0}"#, 400, "retention_ms 0 would keep nothing"),
        (r#"{"sort":null}"#, 400, "invalid type: null"),
        (r#"{"bloom":["nobody"]}"#, 400, "bloom names column \"nobody\", which there is not"),
    ] {
        let (answered, refused) = patch(body).await;
        assert_eq!(answered, status, "{body}: {refused}");
        assert!(refused["error"]["message"].as_str().expect("text").contains(part), "{refused}");
    }
    assert_eq!(server.request("POST", "/v1/topics", &[], b"{}").await.0, 415, "a type is needed");
    assert_eq!(server.request("GET", "/v1/topics/orders?verbose=1", &[], b"").await.0, 400);
    assert_eq!(siltstone.run(&["topic", "list", "--json"]).await.ok().json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn retention_and_the_arrangement_of_a_topic_are_changed_over_http() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    let server = Server::start(&siltstone).await;
    let patch = async |body: &str| {
        let (status, topic) = server.request("PATCH", "/v1/topics/t", &[JSON], body.as_bytes()).await;
        assert_eq!(status, 200, "{body}: {topic}");
        (topic["retention_ms"].clone(), topic["config"]["sort"].clone(), topic["config"]["bloom"].clone())
    };
    let null = json!(null);
    assert_eq!(patch(r#"{"retention_ms":86400000}"#).await, (json!(86_400_000), null.clone(), null.clone()));
    let arranged = patch(r#"{"sort":["n"],"bloom":["n"]}"#).await;
    assert_eq!(arranged, (json!(86_400_000), json!(["n"]), json!(["n"])), "the retention stays");
    assert_eq!(patch(r#"{"retention_ms":null,"sort":[]}"#).await, (null.clone(), null, json!(["n"])));
    patch(r#"{"columns":[{"name":"price","type":"decimal(20,4)"},{"name":"tags","type":"list(string)"}]}"#).await;
    let described = server.request("GET", "/v1/topics/t", &[], b"").await.1;
    let columns = described["topic"]["config"]["columns"].as_array().expect("a list");
    let types: Vec<_> = columns.iter().map(|column| column["type"].clone()).collect();
    let decimal = json!({"decimal": {"precision": 20, "scale": 4}});
    assert_eq!(types, [json!("int64"), decimal, json!({"list": "string"})], "in the form of objects");
    server.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_changed_to_packed_answers_with_the_places_that_the_rows_have() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    let server = Server::start(&siltstone).await;
    let patch = async |is_packed: bool| {
        let body = json!({ "packed": is_packed }).to_string();
        let (status, topic) = server.request("PATCH", "/v1/topics/t", &[JSON], body.as_bytes()).await;
        assert_eq!((status, topic["config"]["packed"] == json!(true)), (200, is_packed), "{topic}");
    };
    let post = async |numbers: std::ops::Range<u64>, acks: &str| {
        let body: String = format!("[{}]", numbers.map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>().join(","));
        let path = format!("/v1/topics/t/records?acks={acks}");
        let (status, answer) = server.request("POST", &path, &[JSON], body.as_bytes()).await;
        assert_eq!(status, 200, "{answer}");
        answer["records"].as_array().expect("a list").clone()
    };
    // The topic is known to the service before it is changed.
    assert_eq!(post(0..2, "queued").await[1], json!({ "partition": 0, "offset": 1, "duplicate": false }));
    patch(true).await;
    let packed = post(2..52, "queued").await;
    assert_eq!(packed[0], json!({ "partition": 0, "offset": 2, "duplicate": false }));
    assert_eq!(packed[49], json!({ "partition": 0, "offset": 2, "record": 49, "duplicate": false }));
    patch(false).await;
    let alone = post(52..54, "committed").await;
    assert_eq!(alone[1], json!({ "partition": 0, "offset": 4, "duplicate": false }));
    let rows = siltstone.run(&["query", "--json", "SELECT _offset, _row FROM t ORDER BY n"]).await.ok();
    let rows = rows.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let places = rows.map(|row| (row["_offset"].as_u64(), row["_row"].as_u64())).collect::<Vec<_>>();
    let answered = |record: &serde_json::Value| (record["offset"].as_u64(), record["record"].as_u64().or(Some(0)));
    assert_eq!(places.len(), 54);
    assert_eq!(places[2..], packed.iter().chain(&alone).map(answered).collect::<Vec<_>>());
    server.stop().await;
}
