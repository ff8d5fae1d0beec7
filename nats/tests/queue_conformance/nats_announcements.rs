//! Announcements of commits between connections, with strangers on their subject and logins that may not use it.

use common::queue::{Announcement, Queue};
use futures::StreamExt;
use nats::{ANNOUNCEMENTS_SUBJECT, NatsConfig, NatsQueue};
use support::nats::{NatsClient, NatsOptions, NatsServer};

use crate::harness::*;

async fn connected(server: &NatsServer, user: &str) -> NatsQueue {
    let url = server.url().replace("nats://", &format!("nats://{user}:secret@")).into();
    step(NatsQueue::connect(NatsConfig { url, ..NatsConfig::default() })).await.expect("logs in")
}

/// A server whose user `quiet` may neither announce nor listen.
async fn server() -> NatsServer {
    let denied = format!("{{ deny: {ANNOUNCEMENTS_SUBJECT:?} }}");
    let quiet =
        format!("{{ user: quiet, password: secret, permissions: {{ publish: {denied}, subscribe: {denied} }} }}");
    let lines = vec![format!("authorization {{ users: [ {{ user: full, password: secret }}, {quiet} ] }}")];
    let client = NatsClient::user("full", "secret");
    NatsServer::start_with(NatsOptions { lines, client, ..NatsOptions::default() }).await.expect("a NATS server")
}

async fn announce(queue: &NatsQueue, announcements: &[Announcement]) {
    step(queue.announcements().expect("NATS carries them").announce(announcements)).await;
}

fn announcement(partition_id: u32, high_watermark: u64) -> Announcement {
    Announcement { partition: partition(&topic("orders", 8), partition_id), high_watermark }
}

#[tokio::test]
async fn announcements_reach_every_connection_and_what_strangers_send_reaches_none() {
    let server = server().await;
    let (writer, reader) = (connected(&server, "full").await, connected(&server, "full").await);
    let mut heard = step(reader.announcements().expect("NATS carries them").listen()).await.expect("allowed");
    // The subscription is at the server once this request is answered.
    step(reader.check()).await.expect("answers");
    let stranger = NatsClient::user("full", "secret").connect(&server.url()).await.expect("connects");
    for junk in ["", "[]]", "[[\"\",0,0]]", "[[\"orders\",0,-1]]"] {
        stranger.publish(ANNOUNCEMENTS_SUBJECT, junk.into()).await.expect("sent");
    }
    stranger.flush().await.expect("at the server");
    announce(&writer, &[announcement(0, 7), announcement(5, 1)]).await;
    assert_eq!(step(heard.next()).await, Some(vec![announcement(0, 7), announcement(5, 1)]));
    // A large group is several messages.
    let many: Vec<_> = (0..1_200).map(|number| announcement(number % 8, u64::from(number))).collect();
    announce(&writer, &many).await;
    let mut together = Vec::new();
    while together.len() < many.len() {
        together.extend(step(heard.next()).await.expect("more"));
    }
    assert_eq!(together, many);
}

#[tokio::test]
async fn a_login_without_the_permission_works_and_says_and_hears_nothing() {
    let server = server().await;
    let (full, quiet) = (connected(&server, "full").await, connected(&server, "quiet").await);
    let mut heard = step(full.announcements().expect("NATS carries them").listen()).await.expect("allowed");
    step(full.check()).await.expect("answers");
    let mut nothing = step(quiet.announcements().expect("NATS carries them").listen()).await.expect("it asks");
    for high_watermark in 0..3 {
        announce(&quiet, &[announcement(1, high_watermark)]).await;
        step(quiet.check()).await.expect("a denied hint disturbs nothing");
    }
    let definition = topic("orders", 1);
    quiet.create_topic(&definition).await.expect("creates");
    publish(&quiet, &partition(&definition, 0), 0..10).await;
    announce(&full, &[announcement(2, 9)]).await;
    assert_eq!(step(heard.next()).await, Some(vec![announcement(2, 9)]), "nothing of the other login");
    assert!(futures::FutureExt::now_or_never(nothing.next()).flatten().is_none());
}

#[tokio::test]
async fn announcements_go_on_after_a_restart_of_the_server() {
    let mut server = NatsServer::start().await.expect("a NATS server");
    let config = || NatsConfig { url: server.url().into(), ..NatsConfig::default() };
    let writer = step(NatsQueue::connect(config())).await.expect("connected");
    let reader = step(NatsQueue::connect(config())).await.expect("connected");
    let mut heard = step(reader.announcements().expect("NATS carries them").listen()).await.expect("allowed");
    server.kill().await.expect("killed");
    // With nobody there, a hint is lost, and nothing waits.
    announce(&writer, &[announcement(0, 1)]).await;
    server.restart().await.expect("restarted");
    until("both are connected", async || writer.check().await.is_ok() && reader.check().await.is_ok()).await;
    announce(&writer, &[announcement(0, 2)]).await;
    // The first one may have been handed over before the client noticed the kill.
    while step(heard.next()).await.expect("the stream goes on") != [announcement(0, 2)] {}
}
