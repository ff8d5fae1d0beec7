//! Logins of every kind, and logins that fail, expire or lack permissions.

use std::path::PathBuf;

use common::message::OutgoingMessage;
use common::queue::Queue;
use common::{QueueError, TopicPartition};
use nats::{NatsConfig, NatsQueue};
use support::keys::{Authority, Operator, OperatorUser};
use support::nats::{NatsClient, NatsOptions, NatsServer};

use crate::harness::*;

async fn start(options: NatsOptions) -> NatsServer {
    NatsServer::start_with(options).await.expect("a NATS server")
}

fn config(server: &NatsServer) -> NatsConfig {
    NatsConfig { url: server.url().into(), ..NatsConfig::default() }
}

async fn queue(config: NatsConfig) -> NatsQueue {
    step(NatsQueue::connect(config)).await.expect("logs in")
}

/// Creates the topic, publishes and reads: every operation that a login must allow.
async fn works(queue: &NatsQueue) {
    let definition = topic("orders", 1);
    queue.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    let first = *publish(queue, &partition, 0..10).await.first().expect("some");
    let mut subscription = subscribe(queue, &partition, first).await;
    assert_eq!(numbers(&take(&mut *subscription, 10).await), (0..10).collect::<Vec<_>>());
    step(queue.check()).await.expect("answers");
}

/// The error, which must be permanent and must not show the secret.
async fn refused(config: NatsConfig, secret: &str, part: &str) {
    let error = step(NatsQueue::connect(config)).await.expect_err("a wrong login");
    assert!(matches!(error, QueueError::Refused { .. }), "{error:?}");
    let text = format!("{error} {error:?}");
    assert!(text.contains(part) && !text.contains(secret), "{text}");
}

const ADMIN: &str = "{ user: admin, password: adminpass }";

fn users(users: &str) -> NatsOptions {
    let lines = vec![format!("authorization {{ users: [ {ADMIN}, {users} ] }}")];
    NatsOptions { lines, client: NatsClient::user("admin", "adminpass"), ..NatsOptions::default() }
}

#[tokio::test]
async fn user_and_password_log_in_also_from_the_url_and_wrong_ones_are_refused() {
    let server = start(users("{ user: me, password: \"s@cret\" }")).await;
    let login =
        |password: &str| NatsConfig { user: Some("me".to_owned()), password: Some(password.into()), ..config(&server) };
    works(&queue(login("s@cret")).await).await;
    let url = server.url().replace("nats://", "nats://me:s%40cret@").into();
    works(&queue(NatsConfig { url, ..NatsConfig::default() }).await).await;
    refused(login("wr0ng"), "wr0ng", "authorization violation").await;
    refused(config(&server), "s@cret", "authorization violation").await;
}

#[tokio::test]
async fn a_token_logs_in_and_a_wrong_one_is_refused() {
    let lines = vec!["authorization { token: \"t0ken\" }".to_owned()];
    // The server must be ready before it requires the token.
    let mut server = start(NatsOptions::default()).await;
    server.reload(&NatsOptions { lines, ..NatsOptions::default() }).expect("reloads");
    let login = |token: &str| NatsConfig { token: Some(token.into()), ..config(&server) };
    until("the server asks for the token", async || NatsQueue::connect(config(&server)).await.is_err()).await;
    works(&queue(login("t0ken")).await).await;
    refused(login("wr0ng"), "wr0ng", "authorization violation").await;
}

#[tokio::test]
async fn an_nkey_logs_in_from_text_or_file_and_another_is_refused() {
    let (mine, other) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
    let server = start(users(&format!("{{ nkey: {} }}", mine.public_key()))).await;
    let seed = mine.seed().expect("a seed");
    works(&queue(NatsConfig { nkey: Some(seed.clone().into()), ..config(&server) }).await).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.nk");
    std::fs::write(&file, format!("{seed}\n")).expect("written");
    works(&queue(NatsConfig { nkey_file: Some(file.clone()), ..config(&server) }).await).await;
    let wrong = other.seed().expect("a seed");
    refused(NatsConfig { nkey: Some(wrong.clone().into()), ..config(&server) }, &wrong, "authorization violation")
        .await;
    refused(NatsConfig { nkey: Some("SUnonsense".into()), ..config(&server) }, "SUnonsense", "no seed").await;
    std::fs::write(&file, "SUnonsense").expect("written");
    refused(NatsConfig { nkey_file: Some(file), ..config(&server) }, "SUnonsense", "mine.nk").await;
    let absent = PathBuf::from("/absent.nk");
    refused(NatsConfig { nkey_file: Some(absent), ..config(&server) }, "SU", "/absent.nk").await;
}

/// A server that trusts an operator, and the operator's administrator.
fn trusting(operator: &Operator, admin: &NatsClient, revoked: &[&str]) -> NatsOptions {
    let lines = operator.configuration(revoked).expect("signed");
    NatsOptions { lines, client: admin.clone(), ..NatsOptions::default() }
}

/// Reads with the credentials of `writer` until `end` revokes them; then finds the reason, replaces the file, and
/// reads on.
async fn lose_and_replace_credentials(
    operator: &Operator,
    server: &mut NatsServer,
    user: &OperatorUser,
    end: impl AsyncFnOnce(&mut NatsServer),
) {
    let login = NatsConfig { credentials_file: Some(user.credentials_file.clone()), ..config(server) };
    let queue = queue(login.clone()).await;
    let definition = topic("orders", 1);
    queue.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    publish(&queue, &partition, 0..100).await;
    let mut subscription = subscribe(&queue, &partition, 0).await;
    let mut seen = numbers(&take(&mut *subscription, 60).await);

    end(server).await;
    let lost = step(async {
        loop {
            match subscription.next(1, MIB).await {
                Ok(delivery) => seen.extend(numbers(&delivery.messages)),
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(matches!(lost, QueueError::SubscriptionLost { .. }), "{lost}");
    until("readiness says why", async || {
        let unready = queue.check().await.expect_err("no readiness without a login");
        unready.to_string().to_lowercase().contains("authorization violation")
    })
    .await;
    refused(login, "SU", "authorization violation").await;

    // An operator's remedy: new credentials under the same name, without a restart.
    operator.user("writer").expect("replaced");
    until("it is back", async || queue.check().await.is_ok()).await;
    let position = seen.len() as u64 + 1;
    let mut subscription = subscribe(&queue, &partition, position).await;
    publish(&queue, &partition, 100..120).await;
    seen.extend(numbers(&take(&mut *subscription, 120 - seen.len()).await));
    assert_eq!(seen, (0..120).collect::<Vec<_>>());
}

fn administrator(operator: &Operator) -> NatsClient {
    let admin = operator.user("admin").expect("a user");
    NatsClient { credentials_file: Some(admin.credentials_file), ..NatsClient::default() }
}

#[tokio::test]
async fn credentials_revoked_mid_run_are_told_and_new_ones_in_the_same_file_go_on_without_loss() {
    let operator = Operator::new().expect("an operator");
    let (admin, user) = (administrator(&operator), operator.user("writer").expect("a user"));
    let mut server = start(trusting(&operator, &admin, &[])).await;
    lose_and_replace_credentials(&operator, &mut server, &user, async |server| {
        server.reconfigure(&trusting(&operator, &admin, &[&user.public_key])).expect("written");
        server.restart().await.expect("restarts");
    })
    .await;
}

#[tokio::test]
async fn credentials_that_expire_mid_run_are_told_and_new_ones_in_the_same_file_go_on_without_loss() {
    let operator = Operator::new().expect("an operator");
    let admin = administrator(&operator);
    let mut server = start(trusting(&operator, &admin, &[])).await;
    let user = operator.user_for("writer", 5).expect("a user");
    // The server ends the connection when the credentials expire.
    lose_and_replace_credentials(&operator, &mut server, &user, async |_| {}).await;
}

fn tls(certificate: &(PathBuf, PathBuf), authority: &Authority, verify: bool, client: NatsClient) -> NatsOptions {
    let (certificate, key) = certificate;
    let verify = if verify { format!("ca_file: {:?}, verify: true", authority.ca_file()) } else { String::new() };
    let lines = vec![format!("tls {{ cert_file: {certificate:?}, key_file: {key:?}, {verify} }}")];
    NatsOptions { lines, client: NatsClient { ca_file: Some(authority.ca_file()), ..client }, ..NatsOptions::default() }
}

#[tokio::test]
async fn tls_with_an_authority_of_its_own_works_and_a_server_of_another_is_refused() {
    let (authority, other) = (Authority::new().expect("openssl"), Authority::new().expect("openssl"));
    let certificate = authority.sign("server", 2).expect("signed");
    let server = start(tls(&certificate, &authority, false, NatsClient::default())).await;
    works(&queue(NatsConfig { ca_file: Some(authority.ca_file()), ..config(&server) }).await).await;
    let foreign = NatsConfig { ca_file: Some(other.ca_file()), ..config(&server) };
    let error = step(NatsQueue::connect(foreign)).await.expect_err("another authority");
    assert!(matches!(&error, QueueError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let absent = NatsConfig { ca_file: Some(PathBuf::from("/absent.pem")), ..config(&server) };
    refused(absent, "hidden", "/absent.pem").await;
}

#[tokio::test]
async fn a_client_certificate_logs_in_and_without_one_the_server_refuses() {
    let authority = Authority::new().expect("openssl");
    let (mine, theirs) = (authority.sign("client", 2).expect("signed"), authority.sign("server", 2).expect("signed"));
    let client = NatsClient { certificate: Some(mine.clone()), ..NatsClient::default() };
    let server = start(tls(&theirs, &authority, true, client)).await;
    let with = NatsConfig {
        ca_file: Some(authority.ca_file()),
        client_certificate_file: Some(mine.0),
        client_key_file: Some(mine.1),
        ..config(&server)
    };
    works(&queue(with.clone()).await).await;
    let without = NatsConfig { client_certificate_file: None, client_key_file: None, ..with.clone() };
    let error = step(NatsQueue::connect(without)).await.expect_err("no certificate");
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let half = NatsConfig { client_key_file: None, ..with };
    refused(half, "hidden", "together").await;
}

#[tokio::test]
async fn a_server_certificate_that_expires_mid_run_stops_reading_with_the_reason_and_a_new_one_goes_on() {
    let authority = Authority::new().expect("openssl");
    let good = authority.sign("server", 2).expect("signed");
    let options = tls(&good, &authority, false, NatsClient::default());
    let mut server = start(options).await;
    let queue = queue(NatsConfig { ca_file: Some(authority.ca_file()), ..config(&server) }).await;
    works(&queue).await;
    let partition = partition(&topic("orders", 1), 0);
    // The server loads the new files at its next start; each connection checks them.
    authority.sign("server", -1).expect("signed");
    server.kill().await.expect("kills");
    server.restart().await.expect_err("its certificate has expired");
    server.spawn_again().expect("starts without being asked");
    let error = step(async {
        loop {
            let error = queue.check().await.expect_err("no connection");
            if error.to_string().contains("xpired") {
                return error;
            }
        }
    })
    .await;
    assert!(matches!(error, QueueError::Unavailable { .. }), "it is tried again: {error}");
    authority.sign("server", 2).expect("signed");
    server.kill().await.expect("kills");
    server.restart().await.expect("restarts");
    until("it is back", async || queue.check().await.is_ok()).await;
    let mut subscription = subscribe(&queue, &partition, 1).await;
    publish(&queue, &partition, 10..20).await;
    assert_eq!(numbers(&take(&mut *subscription, 20).await), (0..20).collect::<Vec<_>>());
}

/// A server with a topic, on which `me` may publish to these subjects only.
async fn restricted(publish: &str) -> (NatsServer, TopicPartition, NatsConfig) {
    let permissions = format!("permissions: {{ publish: [{publish}], subscribe: \">\" }}");
    let server = start(users(&format!("{{ user: me, password: pass, {permissions} }}"))).await;
    let url = server.url().replace("nats://", "nats://admin:adminpass@").into();
    let admin = NatsConfig { url, ..NatsConfig::default() };
    let definition = topic("orders", 1);
    let admin = queue(admin).await;
    admin.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    crate::harness::publish(&admin, &partition, 0..10).await;
    let (user, password) = (Some("me".to_owned()), Some("pass".into()));
    let config = NatsConfig { user, password, ..config(&server) };
    (server, partition, config)
}

#[tokio::test]
async fn a_login_without_permission_on_the_interface_is_told_which_one_it_lacks() {
    let (_server, partition, config) = restricted("\"_INBOX.>\"").await;
    let queue = queue(config).await;
    let error = step(queue.open_topic(&topic("orders", 1), None, &[])).await.expect_err("may not ask");
    assert!(matches!(error, QueueError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("$JS.API.STREAM.INFO.orders-0"), "{error}");
    drop(partition);
}

#[tokio::test]
async fn a_login_that_may_neither_make_consumers_nor_publish_is_told_so_for_each() {
    let (_server, partition, config) = restricted("\"$JS.API.INFO\", \"$JS.API.STREAM.INFO.>\"").await;
    let queue = queue(config).await;
    step(queue.open_topic(&topic("orders", 1), None, &[])).await.expect("may ask");
    let budget = common::memory::MemoryBudget::new(MIB);
    let error = step(queue.subscribe(request(&partition, 0, 0, 1, &budget))).await.expect_err("may not read");
    assert!(matches!(error, QueueError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("$JS.API.CONSUMER.CREATE.orders-0"), "{error}");
    let error = step(queue.publish(&partition, vec![OutgoingMessage::new("x")])).await.expect_err("may not publish");
    assert!(matches!(error, QueueError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("orders.0"), "{error}");
}

#[tokio::test]
async fn a_full_account_and_a_server_without_jetstream_are_told_in_the_servers_words() {
    let jetstream_limits = "jetstream: { max_file: 100K, max_mem: 100K, max_streams: 2, max_consumers: 10 }";
    let lines = vec![format!(
        "accounts {{ A: {{ {jetstream_limits}, users: [{ADMIN}] }}, B: {{ users: [{{ user: b, password: b }}] }} }}"
    )];
    let client = NatsClient::user("admin", "adminpass");
    let server = start(NatsOptions { lines, client, ..NatsOptions::default() }).await;
    let login = |user: &str, password: &str| NatsConfig {
        user: Some(user.to_owned()),
        password: Some(password.into()),
        ..config(&server)
    };
    let full = queue(login("admin", "adminpass")).await;
    let definition = topic("orders", 1);
    full.create_topic(&definition).await.expect("creates");
    let partition = partition(&definition, 0);
    let large = (0..20).map(|_| OutgoingMessage::new(vec![0_u8; 10_000])).collect();
    let error = step(full.publish(&partition, large)).await.expect_err("more than the account holds");
    assert!(error.to_string().contains("resource") || error.to_string().contains("maximum"), "{error}");
    // Stored messages can still be read.
    let held = step(full.bounds(&partition)).await.expect("bounds");
    let mut subscription = subscribe(&full, &partition, 0).await;
    let count = usize::try_from(held.next_offset - held.first_offset).expect("few");
    assert!(count > 0 && take(&mut *subscription, count).await.len() == count);
    let error = step(full.create_topic(&topic("more", 5))).await.expect_err("more streams than allowed");
    assert!(error.to_string().contains("maximum number of streams"), "{error}");

    let without = queue(login("b", "b")).await;
    let error = step(without.check()).await.expect_err("no JetStream for this account");
    assert!(error.to_string().contains("JetStream"), "{error}");
}
