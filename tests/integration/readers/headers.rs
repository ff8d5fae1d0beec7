//! Headers with several values of one name, from the queue to every reader and back.

use async_nats::HeaderMap;
use futures::StreamExt;
use serde_json::{Value, json};
use support::nats::NatsServer;
use tokio::time::timeout;

use super::{all_read, duckdb};
use crate::binary::{DEADLINE, Siltstone};
use crate::operations::{lake_on, settle};

const SENT: [(&str, &str); 6] =
    [("Trace", "b"), ("Trace", "c, d"), ("trace", "x"), ("Empty", ""), ("Empty", ""), ("One", "a: b")];

async fn publish(nats: &NatsServer, subject: &str, payload: &str) {
    let mut headers = HeaderMap::new();
    for (name, value) in SENT {
        headers.append(name, value);
    }
    let client = async_nats::connect(nats.url()).await.expect("connected");
    let context = async_nats::jetstream::new(client);
    let sent = context.publish_with_headers(subject.to_owned(), headers, payload.to_owned().into()).await;
    sent.expect("sent").await.expect("confirmed");
}

async fn stored(lake: &Siltstone, sql: &str) -> Vec<Value> {
    let out = lake.run(&["query", "--json", sql]).await.ok().out;
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[tokio::test]
async fn a_header_that_occurs_twice_is_one_key_with_both_values_and_is_replayed_as_two() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let lake = lake_on(&nats);
    lake.run(&["topic", "create", "orders", "--column", "n:int64!"]).await.ok();
    publish(&nats, "orders.0", r#"{"n":1}"#).await;
    publish(&nats, "orders.0", r#"{"n":"wrong"}"#).await;
    settle(&lake).await;
    let joined = json!({"Trace": "b\nc, d", "trace": "x", "Empty": "\n", "One": "a: b"});

    all_read(&lake.data().join("orders"), "_offset,_headers", &json!([[1, joined]])).await;
    all_read(&lake.data().join("orders.quarantine"), "_offset,_headers", &json!([[2, joined]])).await;
    for table in ["orders", "quarantine.orders"] {
        let rows = stored(&lake, &format!("SELECT * FROM {table}")).await;
        assert_eq!(rows.iter().map(|row| &row["_headers"]).collect::<Vec<_>>(), [&joined]);
        let found = format!("SELECT count(*) AS n FROM {table} WHERE _headers['One'] = 'a: b'");
        assert_eq!(stored(&lake, &found).await, [json!({"n": 1})]);
        assert_eq!(duckdb(&lake, &format!("SELECT * FROM {table}")).await.len(), 1);
        let values = "SELECT unnest(string_split(_headers['Trace'], chr(10))) AS v FROM";
        assert_eq!(duckdb(&lake, &format!("{values} {table} ORDER BY 1")).await, [["b"], ["c, d"]]);
    }

    let shown = lake.run(&["quarantine", "show", "orders", "--json"]).await.ok().json();
    let of_trace: Vec<&Value> =
        shown["headers"].as_array().expect("pairs").iter().filter(|h| h[0] == "Trace").collect();
    assert_eq!(of_trace, [&json!(["Trace", "b"]), &json!(["Trace", "c, d"])]);
    let client = async_nats::connect(nats.url()).await.expect("connected");
    let mut replays = client.subscribe("orders.0").await.expect("subscribed");
    client.flush().await.expect("the server knows of it");
    lake.run(&["quarantine", "replay", "orders", "--force"]).await.ok();
    let replayed = timeout(DEADLINE, replays.next()).await.expect("in time").expect("a message");
    let headers = replayed.headers.expect("headers");
    for name in ["Trace", "trace", "Empty", "One"] {
        let values: Vec<&str> = headers.get_all(name).map(|value| value.as_str()).collect();
        let sent: Vec<&str> = SENT.iter().filter(|(sent, _)| *sent == name).map(|(_, value)| *value).collect();
        assert_eq!(values, sent, "{name}");
    }
}
