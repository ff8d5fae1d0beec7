//! An intake with TLS: a real client, a new certificate under way, clients that do not shake hands.

use std::path::Path;

use common::config::Settings;
use support::https;
use support::keys::Authority;
use tokio::time::Instant;

use super::*;

/// An intake that answers `/page`, with a certificate of this authority in these files.
async fn secured(authority: &Authority, folder: &Path, limits: IntakeLimits) -> Intake {
    put(authority, folder);
    let settings = Settings {
        ingest_addr: ([127, 0, 0, 1], 0).into(),
        ingest_tls_cert: Some(folder.join("server.pem")),
        ingest_tls_key: Some(folder.join("server.key")),
        ..Settings::default()
    };
    let listener = Listener::bind_ingest(&settings).await.expect("a good pair");
    assert!(listener.has_tls());
    Intake::serve(listener, Router::new().route("/page", get(|| async { "page" })), limits)
}

/// Puts a certificate of the authority, with its key, in place.
fn put(authority: &Authority, folder: &Path) {
    let (certificate, key) = authority.sign("server", 2).expect("signed");
    std::fs::copy(certificate, folder.join("server.pem")).expect("copied");
    std::fs::copy(key, folder.join("server.key")).expect("copied");
}

async fn page(intake: &Intake, authority: &Authority) -> anyhow::Result<String> {
    let url = format!("https://127.0.0.1:{}/page", intake.addr().port());
    Ok(https::request(&authority.ca_file(), ("GET", &url), &[], b"").await?.text())
}

#[tokio::test]
async fn a_certificate_is_served_and_replaced_while_the_service_runs() {
    let (authority, next) = (Authority::new().expect("openssl"), Authority::new().expect("openssl"));
    let folder = tempfile::tempdir().expect("a folder");
    let intake = secured(&authority, folder.path(), IntakeLimits::default()).await;
    assert_eq!(page(&intake, &authority).await.expect("trusted"), "page");
    let error = page(&intake, &next).await.expect_err("of another authority");
    assert!(format!("{error:#}").contains("invalid peer certificate"), "{error:#}");
    put(&next, folder.path());
    let began = Instant::now();
    while page(&intake, &next).await.is_err() {
        assert!(began.elapsed() < LONG, "the new certificate is not in use");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(page(&intake, &authority).await.is_err(), "the old one is no longer served");
    assert!(intake.drain(LONG).await);
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_given_up_and_plain_text_is_not_answered() {
    let authority = Authority::new().expect("openssl");
    let folder = tempfile::tempdir().expect("a folder");
    let limits = IntakeLimits { head: Duration::from_millis(200), ..IntakeLimits::default() };
    let intake = secured(&authority, folder.path(), limits).await;
    for sent in [&b""[..], b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut client = TcpStream::connect(intake.addr()).await.expect("connects");
        client.write_all(sent).await.expect("sent");
        let mut rest = Vec::new();
        // A reset is an end as well.
        timeout(LONG, client.read_to_end(&mut rest)).await.expect("the server ends the connection").ok();
        assert!(!rest.windows(4).any(|part| part == b"page" || part == b"HTTP"), "{rest:?}");
    }
}
