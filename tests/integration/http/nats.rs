//! Records over HTTP into JetStream: the same rows as from any client, and none twice after a repetition.

use serde_json::json;
use support::nats::NatsServer;

use super::{JSON, Server, count, patient};

#[tokio::test]
async fn a_repeated_request_is_in_sql_once_with_its_key_and_headers() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = patient().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    siltstone.run(&["topic", "create", "orders", "--partitions", "3", "--column", "id:int64!"]).await.ok();
    let server = Server::start(&siltstone).await;
    let path = "/v1/topics/orders/records?acks=committed";
    let trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let headers = [JSON, ("Idempotency-Key", "batch-1"), ("Siltstone-Header-Source", "shop"), trace];
    let body: String = format!("[{}]", (0..50).map(|n| format!("{{\"id\":{n}}}")).collect::<Vec<_>>().join(","));
    let (status, first) = server.request("POST", path, &headers, body.as_bytes()).await;
    assert_eq!(status, 200, "{first}");
    // Another process of the server forgets nothing: the stream knows the ids.
    server.stop().await;
    let server = Server::start(&siltstone).await;
    let (status, again) = server.request("POST", path, &headers, body.as_bytes()).await;
    assert_eq!(status, 200, "{again}");
    for (first, again) in
        first["records"].as_array().expect("a list").iter().zip(again["records"].as_array().expect("a list"))
    {
        assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
        assert_eq!((&first["partition"], &first["offset"]), (&again["partition"], &again["offset"]));
    }
    let keyed = server.request("POST", &format!("{path}&key_field=id"), &[JSON], br#"[{"id":100},{"id":101}]"#).await;
    assert_eq!(keyed.0, 200, "{}", keyed.1);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 52);
    let kept =
        "SELECT count(*) AS c FROM orders WHERE _headers['source'] = 'shop' AND _headers['traceparent'] LIKE '00-%'";
    assert_eq!(count(&siltstone, kept).await, 50);
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders WHERE CAST(_key AS VARCHAR) = '100'").await, 1);
}

#[tokio::test]
async fn a_record_beyond_the_limit_of_the_stream_holds_back_no_other() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let siltstone = patient().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    siltstone.run(&["topic", "create", "texts", "--column", "t:string"]).await.ok();
    let server = Server::start(&siltstone).await;
    // The server takes messages of 1 MiB unless its configuration says otherwise.
    let large = "x".repeat(2 << 20);
    let body = format!("[{{\"t\":\"a\"}},{{\"t\":\"{large}\"}},{{\"t\":\"c\"}}]");
    let (status, answer) = server.request("POST", "/v1/topics/texts/records", &[JSON], body.as_bytes()).await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(answer["records"][1]["error"]["code"], "too_large");
    server.stop().await;
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM texts").await, 2);
}

#[tokio::test]
async fn one_idempotency_key_on_two_topics_and_partitions_of_one_stream_stores_every_record() {
    let nats = NatsServer::start().await.expect("a NATS server");
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("connected"));
    let subjects = vec!["shop.*".to_owned()];
    let config = async_nats::jetstream::stream::Config { name: "EVENTS".to_owned(), subjects, ..Default::default() };
    context.create_stream(config).await.expect("made");
    let siltstone = patient().with("QUEUE_TYPE", "nats").with("NATS_URL", &nats.url());
    for (topic, streams) in
        [("a", &["EVENTS:shop.a"][..]), ("b", &["EVENTS:shop.b"]), ("c", &["EVENTS:shop.c", "EVENTS:shop.d"])]
    {
        let streams = streams.iter().flat_map(|stream| ["--stream", stream]);
        let create: Vec<&str> = ["topic", "create", topic, "--column", "id:int64"].into_iter().chain(streams).collect();
        siltstone.run(&create).await.ok();
    }
    let server = Server::start(&siltstone).await;
    let places = ["a/records?", "b/records?", "c/records?partition=0&", "c/records?partition=1&"];
    for is_again in [false, true] {
        for place in places {
            let path = format!("/v1/topics/{place}acks=committed");
            let (status, sent) =
                server.request("POST", &path, &[JSON, ("Idempotency-Key", "k2")], br#"{"id":1}"#).await;
            assert_eq!((status, &sent["records"][0]["duplicate"]), (200, &json!(is_again)), "{place}: {sent}");
        }
    }
    server.stop().await;
    for (topic, rows) in [("a", 1), ("b", 1), ("c", 2)] {
        assert_eq!(count(&siltstone, &format!("SELECT count(*) AS c FROM {topic}")).await, rows, "{topic}");
    }
    for (topic, more) in [("a", &[][..]), ("b", &[]), ("c", &["--partition", "0"]), ("c", &["--partition", "1"])] {
        let publish = [&["publish", topic, "--resume-id", "import"], more].concat();
        let said = siltstone.run_with_input(&publish, b"{\"id\":9}\n").await.ok();
        said.says(&[&format!("published 1 messages to {topic}\n")]);
        let said = siltstone.run_with_input(&publish, b"{\"id\":9}\n").await.ok();
        said.says(&["1 were stored before"]);
    }
}
