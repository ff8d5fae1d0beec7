//! The real servers of this crate: each starts, answers, is killed and restarted, and leaves no process.

use anyhow::Result;
use support::nats::{NatsOptions, NatsServer};
use support::postgres::{self, PostgresServer};
use support::process::is_alive;
use support::s3::S3;
use support::{duckdb, http, python};

async fn publish(url: &str, payload: &'static str) -> Result<u64> {
    let context = async_nats::jetstream::new(async_nats::connect(url).await?);
    let config = async_nats::jetstream::stream::Config {
        name: "kept".into(),
        subjects: vec!["kept".into()],
        ..Default::default()
    };
    context.get_or_create_stream(config).await?;
    Ok(context.publish("kept", payload.into()).await?.await?.sequence)
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_keeps_what_it_confirmed_over_kill_and_restart() -> Result<()> {
    let mut server = NatsServer::start().await?;
    let first_pid = server.pid().expect("a started server has a pid");
    assert_eq!(publish(&server.url(), "a").await?, 1);
    server.kill().await?;
    assert!(!is_alive(first_pid), "the killed server lives");
    assert!(async_nats::connect(server.url()).await.is_err(), "a killed server accepts no connection");
    server.restart().await?;
    assert_eq!(publish(&server.url(), "b").await?, 2);
    server.restart().await?;
    assert_eq!(publish(&server.url(), "c").await?, 3);
    assert!(server.store_dir().is_dir());

    let (pid, store) = (server.pid().expect("a restarted server has a pid"), server.store_dir().to_owned());
    drop(server);
    assert!(!is_alive(pid), "a dropped server lives");
    assert!(!store.exists(), "a dropped server leaves its store");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_takes_the_options_it_is_given() -> Result<()> {
    let options = NatsOptions {
        max_payload: Some(4096),
        jetstream_lines: vec!["sync_interval: always".into()],
        lines: vec!["max_connections: 7".into()],
        ..NatsOptions::default()
    };
    let server = NatsServer::start_with(options).await?;
    let client = async_nats::connect(server.url()).await?;
    assert_eq!(client.server_info().max_payload, 4096);

    let refused =
        NatsServer::start_with(NatsOptions { lines: vec!["no_such_word {".into()], ..Default::default() }).await;
    let message = format!("{:#}", refused.expect_err("a broken configuration is refused"));
    assert!(message.contains("ended at start"), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_stopped_gracefully_is_gone() -> Result<()> {
    let mut server = NatsServer::start().await?;
    let pid = server.pid().expect("a started server has a pid");
    server.stop_gracefully().await?;
    assert!(!is_alive(pid));
    assert_eq!(server.pid(), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn python_client_reads_what_rust_published() -> Result<()> {
    let server = NatsServer::start().await?;
    publish(&server.url(), "from rust").await?;
    let code = r#"
import asyncio, sys, nats
async def main():
    client = await nats.connect(sys.argv[1])
    message = await client.jetstream().get_msg("kept", 1)
    print(message.data.decode())
    await client.close()
asyncio.run(main())
"#;
    assert_eq!(python::run(code, &[&server.url()]).await?, "from rust\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_python_program_is_an_error_with_its_traceback() {
    let error = python::run("raise ValueError('told you')", &[]).await.expect_err("the program fails");
    assert!(error.to_string().contains("told you"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_it_committed_over_kill_and_restart() -> Result<()> {
    let mut server = PostgresServer::start().await?;
    let url = server.url();
    assert_eq!(postgres::execute(&url, "show fsync").await?, "on\n");
    postgres::execute(&url, "create table kept (number int)").await?;
    postgres::execute(&url, "insert into kept values (1)").await?;
    let killed = server.pid().expect("a started server has a pid");
    server.kill().await?;
    assert!(!is_alive(killed), "the killed server lives");
    assert!(postgres::execute(&url, "select 1").await.is_err(), "a killed server answers");
    server.start_again().await?;
    assert_eq!(postgres::execute(&url, "select number from kept").await?, "1\n");
    server.restart().await?;
    assert_eq!(postgres::execute(&url, "select number from kept").await?, "1\n");

    let pid = server.pid().expect("a restarted server has a pid");
    let children = support::process::children(pid)?;
    assert!(!children.is_empty(), "PostgreSQL has background processes");
    drop(server);
    assert!(!is_alive(pid), "a dropped server lives");
    assert!(!children.into_iter().any(is_alive), "a dropped server's children live");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_databases_are_empty_and_apart() -> Result<()> {
    let (one, other) = (postgres::fresh_database().await?, postgres::fresh_database().await?);
    assert_ne!(one, other);
    postgres::execute(&one, "create table only_here (number int)").await?;
    let tables = "select count(*) from pg_tables where tablename = 'only_here'";
    assert_eq!(postgres::execute(&one, tables).await?, "1\n");
    assert_eq!(postgres::execute(&other, tables).await?, "0\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_answers() -> Result<()> {
    assert_eq!(duckdb::query("select 42").await?, [["42"]]);
    let rows = duckdb::query("select 'a\tb\\c\nd', null union all select 'ä', 'x' order by 2 nulls first").await?;
    assert_eq!(rows, [["a\tb\\c\nd", "NULL"], ["ä", "x"]]);
    assert!(duckdb::query("select no_such_column").await.is_err());
    // Nothing is printed among the rows, even by a slow query.
    assert_eq!(duckdb::query("select current_setting('enable_progress_bar')").await?, [["False"]]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_reads_back_what_it_wrote_to_s3() -> Result<()> {
    let s3 = S3::shared()?;
    let object = format!("s3://{}/{}/rows.parquet", s3.bucket, s3.fresh_prefix());
    duckdb::query_s3(&s3, &format!("copy (select range as n from range(1000)) to '{object}'")).await?;
    let rows = duckdb::query_s3(&s3, &format!("select count(*), sum(n) from '{object}'")).await?;
    assert_eq!(rows, [["1000", "499500"]]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_reads_postgres_and_sqlite_catalogs() -> Result<()> {
    let url = postgres::fresh_database().await?;
    postgres::execute(&url, "create table listed (number int)").await?;
    postgres::execute(&url, "insert into listed values (7)").await?;
    let attach = format!("attach '{url}' as there (type postgres, read_only)");
    let rows = duckdb::query_with(&["postgres_scanner"], &[&attach], "select number from there.listed").await?;
    assert_eq!(rows, [["7"]]);

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("catalog.db");
    let attach = format!("attach '{}' as there (type sqlite)", file.display());
    let sql = "create table there.listed as select 8 as number; select number from there.listed";
    assert_eq!(duckdb::query_with(&["sqlite_scanner"], &[&attach], sql).await?, [["8"]]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_refuses_requests_that_are_not_signed_by_its_key() -> Result<()> {
    let s3 = S3::shared()?;
    let unsigned = http::get(&format!("{}/{}?list-type=2", s3.endpoint, s3.bucket)).await?;
    assert_eq!(unsigned.status, 403, "{}", unsigned.text());

    let wrong = S3 { secret_key: "not-the-secret".into(), ..s3.clone() };
    let list = format!("select count(*) from glob('s3://{}/nothing-*')", s3.bucket);
    assert_eq!(duckdb::query_s3(&s3, &list).await?, [["0"]]);
    let error = format!("{:#}", duckdb::query_s3(&wrong, &list).await.expect_err("a wrong key is refused"));
    assert!(error.contains("403") || error.contains("Forbidden"), "{error}");
    Ok(())
}
