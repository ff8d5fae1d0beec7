//! A server that other machines reach: HTTPS, tokens, metrics and the log, with the built binary.

use serde_json::json;
use support::https;
use support::keys::Authority;
use tokio::time::Instant;

use super::*;

/// A server with a certificate, on every address of the machine.
struct Secured {
    server: Server,
    authority: Authority,
    port: String,
}

impl Secured {
    async fn start(siltstone: Siltstone) -> Self {
        let authority = Authority::new().expect("openssl");
        let (certificate, key) = authority.sign("server", 2).expect("signed");
        let siltstone = siltstone
            .with("INGEST_ADDR", "0.0.0.0:0")
            .with("INGEST_TLS_CERT", &certificate.display().to_string())
            .with("INGEST_TLS_KEY", &key.display().to_string());
        let server = Server::start(&siltstone).await;
        let port = server.url.rsplit_once(':').expect("a port").1.to_owned();
        Self { server, authority, port }
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Response {
        let url = format!("https://localhost:{}{path}", self.port);
        let mut headers = vec![JSON, ("X-Request-Id", "mine-1")];
        let authorization = token.map(|token| format!("Bearer {token}"));
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        let ca_file = self.authority.ca_file();
        https::request(&ca_file, (method, &url), &headers, body)
            .await
            .unwrap_or_else(|error| panic!("{error:#}: {}", self.server.log_text()))
    }
}

async fn token(siltstone: &Siltstone, arguments: &[&str]) -> String {
    let created = siltstone.run(&[&["token", "create"][..], arguments].concat()).await.ok();
    created.out.trim_end().to_owned()
}

#[tokio::test]
async fn holders_of_tokens_are_served_by_https_and_seen_in_log_and_metrics() {
    let siltstone = patient().with("LOG_LEVEL", "debug");
    siltstone.run(&["topic", "create", "orders"]).await.ok();
    let shop = token(&siltstone, &["shop", "--allow", "produce:orders"]).await;
    let reader = token(&siltstone, &["reader", "--allow", "read:*"]).await;
    let mut secured = Secured::start(siltstone.clone()).await;
    assert_eq!((secured.server.logged("tokens").await, secured.server.logged("tls").await), (json!(2), json!(true)));
    let path = "/v1/topics/orders/records?acks=committed";
    let sent = secured.send("POST", path, Some(&shop), br#"[{"id":1},{"id":2}]"#).await;
    assert_eq!((sent.status, sent.header("x-request-id")), (200, Some("mine-1")), "{}", sent.text());
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 2);
    assert_eq!(secured.send("POST", path, None, b"{}").await.status, 401);
    let refused = secured.send("POST", path, Some(&reader), b"{}").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("no right `produce` on topic orders"), "{}", refused.text());
    assert_eq!(secured.send("GET", "/v1/topics/orders", Some(&shop), b"").await.status, 403);
    assert_eq!(secured.send("GET", "/v1/topics/orders", Some(&reader), b"").await.status, 200);
    assert_eq!(secured.send("GET", "/v1/openapi.json", None, b"").await.status, 200, "the document is open");

    let pages = secured.server.logged("http").await;
    let metrics = http::get(&format!("http://{}/metrics", pages.as_str().expect("an address"))).await.expect("a page");
    let metrics = metrics.text();
    for line in [
        "siltstone_http_requests_total{route=\"/v1/topics/{topic}/records\",method=\"POST\",status=\"200\"} 1",
        "siltstone_http_requests_total{route=\"/v1/topics/{topic}/records\",method=\"POST\",status=\"401\"} 1",
        "siltstone_http_requests_total{route=\"/v1/topics/{topic}/records\",method=\"POST\",status=\"403\"} 1",
        "siltstone_http_request_seconds_count{route=\"/v1/topics/{topic}/records\",method=\"POST\"} 3",
        "siltstone_http_requests_in_flight 0",
        "siltstone_http_body_bytes_total 19",
        "siltstone_http_records_total{outcome=\"stored\"} 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in:\n{metrics}");
    }

    siltstone.run(&["token", "revoke", "shop"]).await.ok();
    let began = Instant::now();
    while secured.send("POST", path, Some(&shop), b"{}").await.status != 401 {
        assert!(began.elapsed() < DEADLINE, "a revoked token is served");
    }
    let log = secured.server.log_text();
    let line = log.lines().find(|line| line.contains("request answered") && line.contains("\"shop\""));
    let line: Value = serde_json::from_str(line.expect("a line for the request")).expect("JSON");
    assert_eq!(
        (&line["request_id"], &line["status"], &line["method"]),
        (&json!("mine-1"), &json!(200), &json!("POST"))
    );
    for secret in [&shop, &reader] {
        assert!(!log.contains(secret.as_str()), "a token is in the log");
    }
    secured.server.stop().await;
}

#[tokio::test]
async fn without_tokens_an_address_that_others_reach_is_refused_and_says_what_to_do() {
    let siltstone = patient();
    let refused = siltstone.clone().with("INGEST_ADDR", "0.0.0.0:0").run(&["up"]).await;
    refused
        .fails(2, &["INGEST_ADDR=0.0.0.0:0", "other machines", "siltstone token create NAME --allow", "127.0.0.1:0"]);
    assert!(!siltstone.path().join("data/catalog.db").exists(), "no writer began");
    let mut server = Server::start(&siltstone).await;
    let line = server.logged("message").await;
    assert!(line.as_str().is_some(), "{line}");
    assert!(server.log_text().contains("no tokens: loopback only"), "{}", server.log_text());
    server.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_at_the_start() {
    let authority = Authority::new().expect("openssl");
    let (certificate, key) = authority.sign("server", 2).expect("signed");
    let (_, other) = authority.sign("other", 2).expect("signed");
    let start = async |certificate: &Path, key: &Path| {
        let siltstone = patient().with("INGEST_TLS_CERT", &certificate.display().to_string());
        siltstone.with("INGEST_TLS_KEY", &key.display().to_string()).run(&["up"]).await
    };
    start(&certificate, &other).await.fails(2, &["INGEST_TLS_KEY=", "other.key is not the key of", "server.pem"]);
    start(&key, &key).await.fails(2, &["INGEST_TLS_CERT=", "server.key holds no certificate in PEM form"]);
    start(Path::new("/absent.pem"), &key).await.fails(2, &["cannot read INGEST_TLS_CERT=/absent.pem: No such file"]);
    let alone = patient().with("INGEST_TLS_KEY", &key.display().to_string()).run(&["up"]).await;
    alone.fails(2, &["INGEST_TLS_CERT and INGEST_TLS_KEY belong together"]);
}

#[tokio::test]
async fn publish_trusts_the_authority_of_the_flag_or_of_the_variable() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64"]).await.ok();
    let publisher = token(&siltstone, &["publisher", "--allow", "produce:orders", "--allow", "read:orders"]).await;
    let secured = Secured::start(siltstone.clone()).await;
    let url = format!("https://localhost:{}", secured.port);
    let (ca_file, other) = (secured.authority.ca_file(), Authority::new().expect("openssl"));
    let ca_file = ca_file.to_str().expect("UTF-8");
    let publish = async |client: Siltstone, more: &[&str]| {
        let client = client.with("SILTSTONE_TOKEN", &publisher);
        client.run_with_input(&[&["publish", "orders", "--url", &url][..], more].concat(), b"{\"id\":1}\n").await
    };
    let unknown = publish(Siltstone::new(), &[]).await;
    unknown.fails(1, &["invalid peer certificate: UnknownIssuer", "--ca-file or SILTSTONE_CA_FILE names a PEM file"]);
    publish(Siltstone::new(), &["--ca-file", ca_file]).await.ok().says(&["published 1 messages to orders"]);
    publish(Siltstone::new().with("SILTSTONE_CA_FILE", ca_file), &[]).await.ok();
    let other = other.ca_file().display().to_string();
    let flag_counts = publish(Siltstone::new().with("SILTSTONE_CA_FILE", ca_file), &["--ca-file", &other]).await;
    flag_counts.fails(1, &["invalid peer certificate", "--ca-file or SILTSTONE_CA_FILE names a PEM file"]);
    let absent = publish(Siltstone::new().with("SILTSTONE_CA_FILE", "/absent.pem"), &[]).await;
    absent.fails(1, &["producer option ca_file = /absent.pem", "No such file"]);
    let plain = ["publish", "orders", "--url", "http://localhost:1", "--ca-file", ca_file];
    siltstone.run(&plain).await.fails(2, &["--ca-file", "needs a --url that begins with https://"]);
    siltstone.run(&["publish", "orders", "--ca-file", ca_file]).await.fails(2, &["--url"]);
    secured.server.stop().await;
}

#[tokio::test]
async fn a_server_with_the_certificate_of_an_authority_is_explained_to_who_publishes() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64"]).await.ok();
    let authority = Authority::new().expect("openssl");
    let ca_file = authority.ca_file();
    let key = ca_file.with_file_name("ca.key").display().to_string();
    let ca_file = ca_file.to_str().expect("UTF-8");
    let server = siltstone.clone().with("INGEST_TLS_CERT", ca_file).with("INGEST_TLS_KEY", &key);
    let server = Server::start(&server).await;
    let url = server.url.replace("http://127.0.0.1", "https://localhost");
    let publish = ["publish", "orders", "--url", &url, "--ca-file", ca_file];
    let refused = siltstone.run_with_input(&publish, b"{\"id\":1}\n").await;
    refused.fails(1, &["CaUsedAsEndEntity", "make it with basicConstraints=CA:FALSE"]);
    server.stop().await;
}
