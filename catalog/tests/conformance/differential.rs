//! The model and SQL in comparison: long random histories, each call answered by both, all tables compared.
//!
//! Owns: making a call, and recording its answer without times and wording.
//! Does not own: the choice of calls (`differential/history.rs`). No lease expires here, and nothing becomes due, as
//! both databases would need one clock. The cases of the suite cover that.

mod history;
mod step;
mod together;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use catalog::{
    CatalogError, CommitOutcome, Expired, MetadataStore, Partition, Publication, PublishScope, Refusal, ReplaceOutcome,
    ReplaceRefusal, Result, SegmentInfo, SegmentKind, TableState, TopicSnapshot, ViewRequest, ViewedTopics,
};
use common::{TopicName, TopicPartition};

use self::history::History;
use self::step::Step;
use super::backend::Backend;
use super::fixture::{LONG_LEASE, range, until_all_is_past};

/// Calls of one history.
const STEPS: usize = 200;

/// The answer of one of them to a step. `Acquired` ownerships are part of it, so that the history can continue from
/// them.
async fn answer(store: &dyn MetadataStore, step: &Step) -> String {
    match step {
        Step::CreateTopic(topic) => shown(store.create_topic(topic.clone()).await.map(|topic| topic.schema_version)),
        Step::DeleteTopic(name) => shown(store.delete_topic(name).await),
        Step::MoveWatermark(of, to) => shown(store.update_high_watermark(of, *to).await),
        Step::AddSegment(segment) => shown(store.add_segment(segment.clone()).await),
        Step::FindSegment(of, offset) => {
            shown(store.find_segment_for_offset(of, *offset).await.map(|found| found.map(timeless_segment)))
        }
        Step::DeleteBefore(of, offset) => shown(store.delete_segments_before(of, *offset).await),
        Step::Expire(topic, before) => shown(store.expire_segments(topic, before).await),
        Step::Heartbeat(agent) => shown(store.heartbeat(agent).await),
        Step::Announce(ingester) => shown(store.announce(ingester).await),
        Step::Withdraw(id) => shown(store.withdraw(*id).await),
        Step::Acquire(owner, wanted) => shown(store.acquire(*owner, LONG_LEASE, wanted).await),
        Step::Release(held) => shown(store.release(held).await),
        Step::Halt(held) => shown(store.halt(held, "stopped").await),
        Step::Resume(of, seen, at) => shown(store.resume(of, *seen, at).await.map(timeless_partition)),
        Step::RemoveAgent(owner) => shown(store.remove_agent(*owner).await),
        Step::MarkSuspect(held, offset) => shown(store.mark_suspect(held, *offset).await),
        Step::ClearSuspect(held) => shown(store.clear_suspect(held).await),
        Step::Intend(intents) => {
            let answers = store.record_intents(intents).await;
            answers.into_iter().map(shown).collect::<Vec<_>>().join(", ")
        }
        Step::Abandon(intents) => shown(store.abandon_intents(intents).await),
        Step::Commit(requests) => {
            let outcomes = store.commit(requests).await;
            outcomes.iter().map(outcome).collect::<Vec<_>>().join(", ")
        }
        Step::CommitTogether(requests) => {
            let outcomes = store.commit_together(requests).await;
            outcomes.iter().map(outcome).collect::<Vec<_>>().join(", ")
        }
        Step::Resolve(request) => outcome(&store.resolve(request).await.expect("looked up")),
        Step::Sweep(of) => {
            let uploads = store.list_uploads(of).await.expect("read");
            shown(store.swept(&uploads).await)
        }
        Step::IntendReplacement(intent) => shown(store.record_replacement_intent(intent).await),
        Step::AbandonReplacement(intent) => shown(store.abandon_replacement(intent).await),
        Step::Replace(replacement) => replaced(&store.replace(replacement).await),
        Step::ResolveReplacement(replacement) => {
            replaced(&store.resolve_replacement(replacement).await.expect("looked up"))
        }
        Step::DoomAbandoned => shown(store.doom_abandoned_replacements(LONG_LEASE).await),
        Step::ExpireByAge(topic) => expired(store, topic).await,
        Step::Keep(topic, retention_ms) => kept(store, topic, *retention_ms).await,
        Step::Fold => {
            until_all_is_past(store).await;
            shown(store.fold_history(Duration::ZERO).await)
        }
        Step::SweepShared(topic) => {
            let uploads = store.list_shared_uploads(topic).await.expect("read");
            shown(store.swept(&uploads).await)
        }
        Step::CommitOffset(offset) => shown(store.commit_offset(offset.clone()).await),
        Step::IntendPublication(publication) => {
            let mut answers = Vec::new();
            for intent in publication.intents() {
                answers.push(shown(store.record_replacement_intent(&intent).await));
            }
            answers.join(", ")
        }
        Step::Publish(publication) => published(store, publication).await,
        Step::Unpublish(topic) => shown(store.unpublish(topic).await),
        Step::MarkReplayed(replay) => shown(store.mark_replayed(std::slice::from_ref(replay)).await),
    }
}

async fn published(store: &dyn MetadataStore, publication: &Publication) -> String {
    // Each catalog has times of its own.
    let mut publication = publication.clone();
    let snapshots = store.list_snapshots().await.expect("read");
    let until = snapshots.iter().rfind(|of| of.snapshot_id <= publication.head.lake_snapshot);
    publication.snapshot_time_us = until.map_or(0, |of| of.time_us);
    shown(store.publish(&publication).await)
}

async fn expired(store: &dyn MetadataStore, topic: &TopicName) -> String {
    let timeless = |of| Expired { before_us: None, ..of };
    let due = timeless(store.due_by_age(topic).await.expect("read"));
    let expired = store.expire_by_age(topic).await.map(timeless);
    format!("{} of {due:?}", shown(expired))
}

async fn kept(store: &dyn MetadataStore, topic: &TopicName, retention_ms: Option<u64>) -> String {
    let Some(now) = store.get_topic(topic).await.expect("read") else { return "no such topic".to_owned() };
    let updated = store.update_topic_config(topic, now.schema_version, retention_ms, now.config).await;
    shown(updated.map(|topic| (topic.schema_version, topic.retention_ms)))
}

fn shown<T: Debug>(answer: Result<T>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => word(&error),
    }
}

/// The error without its text. A refusal by a unique index is `Inconsistent` in the model, so both errors become their
/// kind.
fn word(error: &CatalogError) -> String {
    match error {
        CatalogError::Database(_) | CatalogError::Inconsistent(_) => format!("{:?}", error.kind()),
        other => format!("{other:?}").chars().take_while(|char| char.is_alphanumeric()).collect(),
    }
}

fn outcome(outcome: &CommitOutcome) -> String {
    match outcome {
        CommitOutcome::Done(receipt) => format!("done {}", receipt.high_watermark()),
        CommitOutcome::Refused(Refusal::Fenced { reason, .. }) => format!("fenced: {reason}"),
        CommitOutcome::Refused(Refusal::IntentLost { key }) => format!("lost {key}"),
        CommitOutcome::NotDone(error) => format!("not done: {}", word(error)),
        CommitOutcome::Unknown(error) => panic!("nothing fails here: {error}"),
    }
}

fn replaced(outcome: &ReplaceOutcome) -> String {
    match outcome {
        ReplaceOutcome::Done(file_id) => format!("replaced by {file_id}"),
        ReplaceOutcome::Refused(ReplaceRefusal::InputGone { file_id }) => format!("gone {file_id}"),
        ReplaceOutcome::Refused(ReplaceRefusal::IntentLost { key }) => format!("intent lost {key}"),
        ReplaceOutcome::Refused(ReplaceRefusal::Mismatch { .. }) => "mismatch".to_owned(),
        ReplaceOutcome::NotDone(error) => format!("not replaced: {}", word(error)),
        ReplaceOutcome::Unknown(error) => panic!("nothing fails here: {error}"),
    }
}

/// All facts that the contract shows of a partition, without times.
async fn tables(store: &dyn MetadataStore, of: &TopicPartition) -> Vec<String> {
    let partition = store.get_partition(of).await.expect("read").map(timeless_partition);
    let offsets = store.get_consumer_offsets("g").await.expect("read");
    let owners = store.ownership_view(LONG_LEASE).await.expect("read");
    vec![
        format!("{partition:?} {offsets:?} {owners:?}"),
        timeless(store.get_segments(of).await, forget_times),
        shown(store.exceptions(of, range(4, 1_000)).await.map(|found| {
            found.map(|mut found| {
                found.partition = timeless_partition(found.partition);
                found.quarantine.iter_mut().for_each(forget_times);
                found
            })
        })),
        timeless(store.list_gaps(of).await, |gap| gap.created_at = 0),
        timeless(store.list_commits(of).await, |commit| commit.committed_at = 0),
        timeless(store.list_incarnations(of).await, |start| start.created_at = 0),
        timeless(store.list_uploads(of).await, |upload| {
            upload.created_at = 0;
            upload.doomed_at = upload.doomed_at.map(|_| 0);
        }),
        timeless(store.list_replays(of).await, |replay| replay.replayed_at = 0),
        timeless(store.list_expirations(of).await, |_| {}),
        timeless(store.list_registered(LONG_LEASE).await, |agent| {
            (agent.started_at, agent.silent_for) = (0, Duration::ZERO);
        }),
    ]
}

/// All facts that the contract shows of a topic and of the lake, without times.
async fn lists(store: &dyn MetadataStore, of: &TopicPartition) -> Vec<String> {
    let topic = &of.topic;
    let mut shown = vec![
        shown(store.snapshot(topic).await.map(timeless_snapshot)),
        timeless(store.list_retired(topic).await, |retired| {
            retired.retired_at = 0;
            retired.object.created_at = 0;
        }),
        timeless(store.list_snapshots().await, |snapshot| snapshot.time_us = 0),
        timeless(store.list_shared_uploads(topic).await, |upload| {
            upload.created_at = 0;
            upload.doomed_at = upload.doomed_at.map(|_| 0);
        }),
    ];
    shown.push(timeless(store.list_published().await, |table| {
        table.behind = table.behind.map(|_| Duration::ZERO);
        table.age = table.age.map(|_| Duration::ZERO);
    }));
    let view = store.view(&ViewRequest { topics: ViewedTopics::All, ..ViewRequest::default() }).await.expect("read");
    let whole = view.snapshots.iter().map(|snapshot| timeless_snapshot(TopicSnapshot::clone(snapshot)));
    shown.push(format!("{} {:?}", view.snapshot_id, whole.collect::<Vec<_>>()));
    let mut tables = store.open_tables(None).await.expect("read");
    tables.schema = None;
    shown.push(format!("{tables:?}"));
    for kind in SegmentKind::ALL {
        shown.push(format!("{:?}", store.object_statistics(topic, kind, &[2, 4, 100], None).await.expect("read")));
        shown.push(format!("{:?}", store.find_published(topic, kind).await.expect("read")));
        shown.push(format!("{:?}", store.metadata_objects(topic, kind).await.expect("read")));
        for scope in [PublishScope::Changes, PublishScope::All] {
            let state = store.table_state(topic, kind, scope).await.expect("read");
            shown.push(format!("{:?}", state.map(timeless_state)));
        }
    }
    shown
}

fn timeless_state(mut state: TableState) -> TableState {
    (state.now_ms, state.uuid, state.snapshot_time_us) = (0, String::new(), 0);
    state.files.iter_mut().for_each(|file| file.object.created_at = 0);
    state
}

fn timeless_snapshot(mut snapshot: TopicSnapshot) -> TopicSnapshot {
    (snapshot.topic.created_at, snapshot.topic.updated_at, snapshot.snapshot_time_us) = (0, 0, 0);
    snapshot.partitions = snapshot.partitions.into_iter().map(timeless_partition).collect();
    snapshot.segments.iter_mut().for_each(forget_times);
    snapshot.objects.iter_mut().for_each(|object| Arc::make_mut(object).created_at = 0);
    snapshot
}

fn forget_times(segment: &mut SegmentInfo) {
    segment.created_at = 0;
    Arc::make_mut(&mut segment.object).created_at = 0;
}

fn timeless<T: Debug>(rows: Result<Vec<T>>, forget: impl Fn(&mut T)) -> String {
    let mut rows = rows.expect("read");
    rows.iter_mut().for_each(forget);
    format!("{rows:?}")
}

fn timeless_partition(partition: Partition) -> Partition {
    Partition { created_at: 0, updated_at: 0, ..partition }
}

fn timeless_segment(mut segment: SegmentInfo) -> SegmentInfo {
    forget_times(&mut segment);
    segment
}

/// The number of answers to commits and replacements, by their word.
type Tally = BTreeMap<String, usize>;

/// Runs the history of `seed` on both.
async fn compare(sql: &dyn MetadataStore, seed: u64, tally: &mut Tally) {
    let model = Backend::model().await;
    let mut history = History::new(seed);
    for number in 0..STEPS {
        let step = history.next(model.store()).await;
        let (expected, answered) = (answer(sql, &step).await, answer(model.store(), &step).await);
        assert_eq!(answered, expected, "seed {seed}, step {number}: {step:?}");
        let is_counted = matches!(
            step,
            Step::Commit(_)
                | Step::CommitTogether(_)
                | Step::Replace(_)
                | Step::ResolveReplacement(_)
                | Step::Publish(_)
        );
        if is_counted {
            count(&answered, tally);
        }
        history.heard(&step, model.store()).await;
        if number % 10 == 9 {
            for of in history.partitions() {
                let (expected, found) = (tables(sql, &of).await, tables(model.store(), &of).await);
                assert_eq!(found, expected, "seed {seed}, after step {number}: {step:?}");
                let (expected, found) = (lists(sql, &of).await, lists(model.store(), &of).await);
                assert_eq!(found, expected, "seed {seed}, after step {number}: {step:?}");
            }
        }
    }
}

fn count(answered: &str, tally: &mut Tally) {
    // The words of a refusal that identify the failed compare, without numbers and names.
    let kinds = [
        "done ",
        "lost ",
        "its incarnation",
        "its epoch",
        "its watermark",
        "it is halted",
        "does not exist",
        "an earlier request",
        "InvalidOffset",
        "Refused",
        "Fatal",
        "replaced by",
        "gone ",
        "intent lost",
        "mismatch",
        "not replaced",
        "Published",
        "TableGone",
        "Overtaken",
        "ObjectGone",
        "IntentLost",
    ];
    for kind in kinds {
        *tally.entry(kind.to_owned()).or_default() += answered.matches(kind).count();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_answers_like_sqlite() {
    let mut tally = Tally::new();
    for seed in 0..60 {
        let sql = Backend::sqlite_memory().await;
        compare(sql.store(), seed, &mut tally).await;
        sql.store().close().await;
    }
    // Every kind of answer occurred, so that the comparison covers it.
    assert!(tally.values().all(|&times| times >= 5), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_answers_like_postgres() {
    let mut tally = Tally::new();
    for seed in 1_000..1_006 {
        let sql = Backend::postgres().await;
        compare(sql.store(), seed, &mut tally).await;
        sql.store().close().await;
    }
    assert!(tally["done "] > 20, "{tally:?}");
}
