//! Agents with certificates of a test's own authority.

use std::path::Path;
use std::sync::Arc;

use common::config::Settings;
use support::keys::Authority;

use super::fleet::{Fleet, Running};
use super::*;

/// An agent with a certificate of the authority.
async fn secured(fleet: &Fleet, authority: &Authority) -> Running {
    let (certificate, key) = authority.sign("server", 2).expect("signed");
    let settings = Settings { ingest_tls_cert: Some(certificate), ingest_tls_key: Some(key), ..Settings::default() };
    let agent = fleet.start_with(settings).await;
    assert!(agent.url().starts_with("https://"), "{}", agent.url());
    agent
}

#[tokio::test]
async fn an_agent_is_trusted_by_the_authority_of_the_file_and_by_no_other() {
    let (authority, other) = (Authority::new().expect("openssl"), Authority::new().expect("openssl"));
    let fleet = Fleet::new(1).await;
    let agent = secured(&fleet, &authority).await;
    // The other authority has the same name, and another key.
    let strangers = [
        (fleet.producer_at(&agent), "UnknownIssuer"),
        (fleet.producer_at(&agent).ca_file(other.ca_file()), "BadSignature"),
    ];
    for (builder, part) in strangers {
        let error = builder.build().await.expect_err("a stranger");
        let ProducerError::AgentConnectionFailed { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains("invalid peer certificate") && reason.contains(part), "{reason}");
    }
    let producer = fleet.producer_at(&agent).ca_file(authority.ca_file()).build().await.expect("it is trusted");
    let sent = producer.send(&name("orders"), None, b"a", None).await.expect("sent");
    assert_eq!((sent.partition, sent.offset), (0, 0));
    // A file may hold several authorities.
    let both = authority.ca_file().with_file_name("both.pem");
    let read = |authority: &Authority| std::fs::read(authority.ca_file()).expect("readable");
    std::fs::write(&both, [read(&other), read(&authority)].concat()).expect("written");
    let producer = fleet.producer_at(&agent).ca_file(both).build().await.expect("it is trusted");
    producer.send(&name("orders"), None, b"b", None).await.expect("sent");
    assert_eq!(fleet.payloads(0).await, ["a", "b"]);
}

#[tokio::test]
async fn agents_that_the_catalog_lists_are_trusted_by_the_file_as_well() {
    let authority = Authority::new().expect("openssl");
    let fleet = Fleet::new(1).await;
    let agent = secured(&fleet, &authority).await;
    fleet.catalog.announce(&agent.ingester).await.expect("registered");
    let error = fleet.producer().build().await.expect_err("a stranger");
    assert!(matches!(&error, ProducerError::NoAgentsAvailable { .. }), "{error:?}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let producer = fleet.producer().ca_file(authority.ca_file()).build().await.expect("it is trusted");
    producer.send(&name("orders"), None, b"a", None).await.expect("sent");
    assert_eq!(fleet.payloads(0).await, ["a"]);
}

#[tokio::test]
async fn a_file_without_a_certificate_that_can_be_used_is_named() {
    let authority = Authority::new().expect("openssl");
    let (_, key) = authority.sign("server", 2).expect("signed");
    let fleet = Fleet::new(1).await;
    let at = |name: &str, text: &str| {
        let path = key.with_file_name(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let armoured = |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let files = [
        (Path::new("/absent.pem").to_owned(), "No such file"),
        (key.parent().expect("a folder").to_owned(), "Is a directory"),
        (key.clone(), "it holds no certificate in PEM form"),
        (at("text.pem", "no certificate"), "it holds no certificate in PEM form"),
        (at("broken.pem", &armoured("!!!")), "it is not whole PEM"),
        (at("empty.pem", &armoured("AAAA")), "BadEncoding"),
    ];
    for (path, problem) in files {
        let builder = Producer::builder().catalog(Arc::clone(&fleet.catalog)).ca_file(&path);
        let error = builder.build().await.expect_err(problem);
        assert!(matches!(error, ProducerError::Config(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("producer option ca_file = {}", path.display())), "{text}");
        assert!(text.contains(problem), "{text}");
    }
}
