//! A service that cannot work refuses to start; the error names the cause and the change to make.

use std::path::PathBuf;
use std::process::Command;

use support::http;
use support::nats::NatsServer;
use support::postgres;
use support::proxy::{Mode, Proxy};
use support::s3::S3;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Kind, REFUSAL_DEADLINE, Service, command, run_to_end};
use crate::binary::Siltstone;

/// Both services refuse to start, with each of `parts` in the error.
async fn refused(siltstone: Siltstone, parts: &[&str]) {
    let (writer, up) = tokio::join!(run_to_end(Kind::Writer, &siltstone), run_to_end(Kind::Up, &siltstone));
    for answer in [writer, up] {
        answer.fails(1, parts);
    }
}

fn on_s3(s3: &S3, bucket: &str, secret_key: &str) -> Siltstone {
    Siltstone::new()
        .on_s3(s3)
        .with("STORAGE_URL", &format!("s3://{bucket}/{}", s3.fresh_prefix()))
        .with("AWS_SECRET_ACCESS_KEY", secret_key)
}

/// An endpoint that answers like S3 without the bucket; the test store creates absent buckets instead.
async fn without_buckets() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>The bucket is absent</Message></Error>";
    let length = body.len();
    let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let answering = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 64 * 1024];
            // The client may end the connection first; the answer does not depend on the request.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (endpoint, answering)
}

#[tokio::test]
async fn a_standalone_service_answers_its_arguments_and_begins_nothing() {
    for name in ["writer", "ingester"] {
        let siltstone = Siltstone::new();
        for (argument, code, part) in
            [("--help", 0, "environment variables"), ("--version", 0, name), ("--port", 2, "")]
        {
            let mut command = command(Kind::Writer, &siltstone);
            let program = PathBuf::from(command.get_program()).with_file_name(name);
            let variables: Vec<_> =
                command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
            command = Command::new(program);
            command.env_clear().current_dir(siltstone.path()).arg(argument);
            command.envs(variables.into_iter().filter_map(|(name, value)| Some((name, value?))));
            let ended = support::process::run(name, command, b"", REFUSAL_DEADLINE).await.expect("it ends");
            assert_eq!(ended.status.code(), Some(code), "{name} {argument}: {}", ended.stderr);
            assert!(ended.stdout.contains(part), "{}", ended.stdout);
            assert_eq!(ended.stderr.contains("unknown argument \"--port\""), code == 2, "{}", ended.stderr);
        }
        assert_eq!(super::files_below(siltstone.path()), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_bucket_that_is_absent_or_out_of_reach_is_refused() {
    let s3 = S3::shared().expect("an S3 server");
    let (endpoint, answering) = without_buckets().await;
    let absent = on_s3(&s3, "no-such-bucket", &s3.secret_key).with("AWS_ENDPOINT_URL", &endpoint);
    refused(absent, &["s3://no-such-bucket", "NoSuchBucket", "does the bucket exist", "STORAGE_URL"]).await;
    answering.abort();
    let wrong_key = on_s3(&s3, &s3.bucket, "not-the-secret");
    refused(
        wrong_key,
        &[&format!("s3://{}", s3.bucket), "SignatureDoesNotMatch", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    )
    .await;
    let away = on_s3(&s3, &s3.bucket, &s3.secret_key).with("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    refused(away, &[&format!("s3://{}", s3.bucket), "127.0.0.1:1", "AWS_ENDPOINT_URL"]).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_refused() {
    // Even root cannot create files here.
    let read_only = Siltstone::new().with("STORAGE_PATH", "/sys/kernel").with("CATALOG_URL", "sqlite:catalog.db");
    refused(read_only, &["/sys/kernel", "cannot put an object", "STORAGE_PATH"]).await;
    let absent = Siltstone::new().with("STORAGE_PATH", "/sys/kernel/absent").with("CATALOG_URL", "sqlite:catalog.db");
    refused(absent, &["/sys/kernel/absent", "STORAGE_PATH"]).await;
}

#[tokio::test]
async fn a_queue_that_cannot_be_reached_is_refused() {
    let away = Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", "nats://me:hidden@127.0.0.1:1");
    refused(away, &["nats://me:********@127.0.0.1:1", "NATS_URL"]).await;
    let nats = NatsServer::start().await.expect("a NATS server");
    let proxy = Proxy::start(nats.address()).await.expect("a proxy");
    proxy.set(Mode::Stall);
    let silent = format!("nats://{}", proxy.address());
    refused(Siltstone::new().with("QUEUE_TYPE", "nats").with("NATS_URL", &silent), &[&silent, "NATS_URL"]).await;
}

#[tokio::test]
async fn a_catalog_that_cannot_be_used_is_refused() {
    let catalog = |url: &str| Siltstone::new().with("CATALOG_URL", url);
    refused(catalog("postgres://me:hidden@127.0.0.1:1/db"), &["postgres://me:********@127.0.0.1:1/db", "CATALOG_URL"])
        .await;
    refused(catalog("sqlite:/sys/kernel/catalog.db"), &["sqlite:/sys/kernel/catalog.db", "CATALOG_URL"]).await;
    let url = postgres::fresh_database().await.expect("a database");
    let (server, _) = url.rsplit_once('/').expect("a path");
    let absent = format!("{server}/absent");
    refused(catalog(&absent), &[&absent, "does not exist", "CATALOG_URL"]).await;
    let address = server.rsplit_once('@').expect("a user").1.parse().expect("an address");
    let proxy = Proxy::start(address).await.expect("a proxy");
    proxy.set(Mode::Stall);
    let silent = format!("postgres://postgres@{}/db", proxy.address());
    refused(catalog(&silent), &[&silent, "no answer", "CATALOG_URL"]).await;
}

#[tokio::test]
async fn a_topic_that_is_absent_is_refused() {
    refused(
        Siltstone::new().with("TOPICS", "orders"),
        &["topic not found: orders", "TOPICS", "siltstone topic create"],
    )
    .await;
}

#[tokio::test]
async fn settings_that_are_wrong_end_the_writer_with_another_code() {
    let siltstone = Siltstone::new().with("FLUSH_INTERVAL_SECS", "0");
    run_to_end(Kind::Writer, &siltstone).await.fails(2, &["FLUSH_INTERVAL_SECS=0", "1..=86400"]);
}

#[tokio::test]
async fn an_address_in_use_is_refused() {
    let siltstone = Siltstone::new().with("LOG_FORMAT", "json");
    let first = Service::start(Kind::Writer, &siltstone).await;
    assert_eq!(http::get(&format!("http://{}/healthz", first.address)).await.expect("an answer").status, 200);
    refused(Siltstone::new().with("HTTP_ADDR", &first.address), &[&format!("HTTP_ADDR={}", first.address)]).await;
}
