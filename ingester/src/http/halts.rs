//! Halted partitions of a queue that ends with its process: what they would be sent is lost.
//!
//! Owns: knowing them for a moment, so that not each request asks the catalog. Does not own: the refusal (`send`), halts of a
//! queue that keeps its messages, which are read when the partition is resumed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{MetadataStore, PartitionState};
use common::{TopicName, TopicPartition};
use tokio::time::Instant;

/// Longest use of what the catalog said.
const AGE_MAX: Duration = Duration::from_secs(1);

/// The reasons of the halted partitions of a topic.
#[derive(Clone, Debug)]
struct Known {
    reasons: BTreeMap<u32, String>,
    read_at: Instant,
}

/// The halted partitions of each topic that records are sent to.
#[derive(Debug, Default)]
pub(super) struct Halts {
    // A std mutex: held to look or insert, never across an await.
    topics: Mutex<HashMap<TopicName, Arc<Known>>>,
}

impl Halts {
    /// The reason, if the partition is halted. An unavailable catalog does not stop records: what it said last counts.
    pub(super) async fn reason(&self, catalog: &dyn MetadataStore, partition: &TopicPartition) -> Option<String> {
        let known = self.known(&partition.topic);
        let fresh = known.as_ref().filter(|known| known.read_at.elapsed() < AGE_MAX);
        if let Some(fresh) = fresh {
            return fresh.reasons.get(&partition.partition_id).cloned();
        }
        let Ok(partitions) = catalog.list_partitions(&partition.topic).await else {
            return known?.reasons.get(&partition.partition_id).cloned();
        };
        let halted = partitions.into_iter().filter(|partition| partition.state == PartitionState::Halted);
        let reasons: BTreeMap<u32, String> =
            halted.map(|partition| (partition.partition_id, partition.halt_reason.unwrap_or_default())).collect();
        let reason = reasons.get(&partition.partition_id).cloned();
        let known = Arc::new(Known { reasons, read_at: Instant::now() });
        self.topics.lock().expect("no holder of this lock panics").insert(partition.topic.clone(), known);
        reason
    }

    fn known(&self, topic: &TopicName) -> Option<Arc<Known>> {
        self.topics.lock().expect("no holder of this lock panics").get(topic).cloned()
    }
}

#[cfg(test)]
mod tests {
    use catalog::{AcquireOutcome, Agent, AutoCreate, Scope};
    use common::config::Settings;
    use common::{OwnerId, Queue};
    use lake::Storage;
    use serde_json::json;
    use service::{Intake, IntakeLimits, Listener};
    use support::http;
    use uuid::Uuid;

    use super::super::tests::{Setup, answered};
    use super::super::{Api, ApiOptions, ApiParts};
    use super::*;

    async fn halt(setup: &Setup, partition: u32) {
        let partition = TopicPartition::new(TopicName::new("orders").expect("valid"), partition);
        let owner = OwnerId(Uuid::now_v7());
        let agent = Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() };
        setup.catalog.heartbeat(&agent).await.expect("registered");
        let taken = setup.catalog.acquire(owner, Duration::from_secs(60), &[partition]).await;
        let AcquireOutcome::Acquired(held) = taken.expect("asked").remove(0) else { panic!("it is free") };
        setup.catalog.halt(&held, "stream_regressed: it was made again").await.expect("halted");
    }

    #[tokio::test]
    async fn a_halted_partition_takes_records_only_if_the_queue_keeps_them() {
        let setup = Setup::new().await;
        halt(&setup, 1).await;
        for (is_queue_kept, acks) in [(true, "queued"), (false, "queued"), (false, "committed")] {
            let parts = ApiParts {
                queue: Arc::clone(&setup.queue) as Arc<dyn Queue>,
                catalog: Arc::clone(&setup.catalog),
                storage: Storage::memory(),
                hints: None,
                tail: None,
                is_queue_kept,
                cache: Default::default(),
                auto_create: AutoCreate::default(),
                queries: None,
            };
            let api = Api::open(parts, ApiOptions::default()).await.expect("queue and catalog answer");
            let settings = Settings { ingest_addr: ([127, 0, 0, 1], 0).into(), ..Settings::default() };
            let listener = Listener::bind_ingest(&settings).await.expect("any port");
            let intake = Intake::serve(listener, api.router(), IntakeLimits::default());
            let post = async |partition: u32, acks: &str| {
                let url =
                    format!("http://{}/v1/topics/orders/records?partition={partition}&acks={acks}", intake.addr());
                answered(&http::post(&url, &[("Content-Type", "application/json")], b"{}").await.expect("an answer"))
            };
            let (status, body) = post(1, acks).await;
            let error = &body["records"][0]["error"];
            assert_eq!(status, if is_queue_kept { 200 } else { 503 }, "{body}");
            if !is_queue_kept {
                assert_eq!(error["code"], json!("not_stored"), "{body}");
                let text = error["message"].as_str().expect("text");
                assert!(text.starts_with("orders/1 is halted") && text.contains("made again"), "{text}");
            }
            assert_eq!(post(2, "queued").await.0, 200, "the other partitions take records");
        }
        assert_eq!(setup.stored(1).await.len(), 1, "what was refused is not stored");
    }
}
