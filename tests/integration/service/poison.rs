//! A message that kills every process that decodes it ends in quarantine, and all its neighbours in the table.

use tokio::time::{Instant, sleep};

use super::{Kind, Service, counted, create_orders, high_watermark, on_nats, publish};
use crate::binary::{DEADLINE, POLL};

const MESSAGES: u64 = 9_000;
/// Beyond the first chunk of 8,192 that is decoded at once.
const DEADLY: u64 = 8_300;
/// Two deaths that change nothing, one with small batches, then single messages, each a few times; in addition the
/// deaths before the first chunk was committed by itself.
const DEATHS_MAX: usize = 16;

#[tokio::test]
async fn a_message_that_kills_its_reader_is_isolated_quarantined_and_passed() {
    let (nats, siltstone) = on_nats().await;
    let deadly = format!("batch.decode=crash[\"n\":{DEADLY}}}]");
    let siltstone = siltstone.with("FLUSH_INTERVAL_SECS", "1").with("SILTSTONE_FAILPOINTS", &deadly);
    create_orders(&siltstone).await;
    // In two halves, because of the client's limit of pending acks.
    publish(&nats, 0..MESSAGES / 2).await;
    publish(&nats, MESSAGES / 2..MESSAGES).await;
    let end = Instant::now() + DEADLINE;
    let mut deaths = 0;
    let mut writer = Service::start(Kind::Writer, &siltstone).await;
    while high_watermark(&siltstone).await < MESSAGES + 1 {
        if writer.process.exited().expect("its status").is_some() {
            deaths += 1;
            assert!(deaths <= DEATHS_MAX, "it keeps dying: {}", writer.log_text());
            writer = Service::start(Kind::Writer, &siltstone).await;
        }
        assert!(Instant::now() < end, "no progress after {deaths} deaths: {}", writer.log_text());
        sleep(POLL).await;
    }
    assert!(deaths >= 5, "isolated after only {deaths} deaths");
    assert_eq!(counted(&siltstone).await, (MESSAGES - 1, MESSAGES - 1, MESSAGES - 1));
    let sql = "SELECT count(*) AS kept, max(_offset) AS last, max(reason) AS reason FROM quarantine.orders";
    let kept = siltstone.run(&["query", "--json", sql]).await.ok().json();
    assert_eq!((&kept["kept"], &kept["last"]), (&1.into(), &(DEADLY + 1).into()), "{kept}");
    assert!(kept["reason"].as_str().is_some_and(|reason| reason.contains("the writer died 2 times")), "{kept}");
    writer.signal("TERM");
    assert_eq!(writer.ended().await, 0, "{}", writer.log_text());
}
