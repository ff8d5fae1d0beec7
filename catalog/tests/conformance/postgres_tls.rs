//! PostgreSQL with a certificate of a private authority.
//!
//! Owns: what the URL says of it, and the errors. Does not own: making certificates (`support::keys`).

use catalog::{CatalogError, connect, connect_to_read};
use support::keys::Authority;
use support::postgres::PostgresServer;

use super::reading::{fill, reads};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_named_in_the_url() {
    let server = PostgresServer::start().await.expect("a server");
    let authority = Authority::new().expect("an authority");
    let (certificate, key) = authority.sign("postgres", 2).expect("signed");
    server.use_certificate(&certificate, &key).await.expect("configured");
    let ca = authority.ca_file();
    let with = |query: &str| format!("{}?{query}", server.url());
    let trusted = with(&format!("sslmode=verify-full&sslrootcert={}", ca.display()));
    let store = connect(&trusted).await.expect("opens");
    fill(&*store).await;
    store.close().await;
    reads(&trusted).await;
    let is_encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(support::postgres::execute(&trusted, is_encrypted).await.expect("asked").trim_end(), "t");

    for unknown in ["sslmode=verify-full", "sslmode=verify-ca"] {
        let error = connect_to_read(&with(unknown)).await.expect_err("an authority nobody knows");
        assert!(matches!(error, CatalogError::Refused(_)), "{error}");
        assert!(error.to_string().contains("UnknownIssuer") && error.to_string().contains("sslrootcert="), "{error}");
    }
    let other = Authority::new().expect("an authority");
    let wrong = with(&format!("sslmode=verify-full&sslrootcert={}", other.ca_file().display()));
    assert!(connect(&wrong).await.expect_err("another one").to_string().contains("sslrootcert="));
    let absent = with("sslmode=verify-full&sslrootcert=/absent/ca.pem");
    let error = connect(&absent).await.expect_err("no file").to_string();
    assert!(error.contains("sslrootcert") && error.contains("does not exist"), "{error}");
}
