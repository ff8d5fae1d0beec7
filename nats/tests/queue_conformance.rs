//! One suite for every queue: the promises of the contract in `common::queue`, tested on each implementation.
//!
//! Owns: the choice of cases for each queue. Does not own: the cases (`cases`), features of one queue (`memory`,
//! `nats`), shared tools (`harness`).

#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "queue_conformance/cases.rs"]
mod cases;
#[path = "queue_conformance/harness.rs"]
mod harness;
#[path = "queue_conformance/limits.rs"]
mod limits;
#[path = "queue_conformance/memory.rs"]
mod memory;
#[path = "queue_conformance/nats.rs"]
mod nats;
#[path = "queue_conformance/nats_announcements.rs"]
mod nats_announcements;
#[path = "queue_conformance/nats_cluster.rs"]
mod nats_cluster;
#[path = "queue_conformance/nats_faults.rs"]
mod nats_faults;
#[path = "queue_conformance/nats_histories.rs"]
mod nats_histories;
#[path = "queue_conformance/nats_kinds.rs"]
mod nats_kinds;
#[path = "queue_conformance/nats_login.rs"]
mod nats_login;
#[path = "queue_conformance/nats_subjects.rs"]
mod nats_subjects;

/// Makes a test of each case for each queue.
macro_rules! for_every_queue {
    ($($module:ident :: $case:ident),* $(,)?) => {
        mod every_queue {
            mod memory {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let harness = crate::harness::MemoryHarness::new();
                    crate::$module::$case(&harness).await;
                })*
            }
            // The model keeps no state outside its process, so only `nats` runs the cases of crashes and kills.
            mod model {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let harness = crate::harness::ModelHarness::new();
                    crate::$module::$case(&harness).await;
                })*
            }
            mod nats {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let harness = crate::harness::NatsHarness::start().await;
                    crate::$module::$case(&harness).await;
                })*
            }
        }
    };
}

for_every_queue! {
    cases::messages_come_in_order_and_each_once,
    cases::a_new_subscription_starts_at_the_watermark,
    cases::a_dropped_subscription_loses_nothing,
    cases::a_superseded_subscription_fails,
    cases::a_message_id_is_stored_once,
    cases::content_comes_back_untouched,
    cases::stored_messages_are_read_and_bounded,
    cases::pages_hold_each_stored_message_once,
    cases::an_offset_below_the_first_starts_at_the_first,
    cases::unknown_topics_and_partitions_are_named,
    cases::creating_again_is_harmless_and_differing_is_refused,
    cases::a_deleted_topic_ends_its_subscription,
    cases::every_partition_is_served,
    limits::the_largest_message_passes_and_a_larger_one_is_refused,
    limits::limits_of_a_call_are_kept,
    limits::the_budget_is_never_exceeded,
    limits::without_memory_nothing_is_fetched,
    limits::idle_partitions_leave_memory_to_busy_ones,
    limits::a_cancelled_call_loses_nothing,
}
