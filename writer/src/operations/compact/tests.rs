//! Compaction of small lakes: what it leaves, what it does when others are faster, and its figures.

use catalog::{JanitorStore, SegmentStore, TopicSnapshot, UploadState};
use common::OwnerId;
use common::clock::ManualClock;
use common::memory::MemoryBudget;
use lake::object::ListedObject;
use lake::read::{Columns, SegmentFile};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use support::fault_store::{Fault, FaultStore, Operation};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::audit::Audit;
use crate::pipeline::cpu::Cpu;
use crate::test_lake::Lake;

const MIB: u64 = 1 << 20;

fn config(objects_min: usize) -> CompactionConfig {
    let (target_bytes, memory_bytes) = (16 * MIB, 64 * MIB);
    let pause = Duration::from_millis(1);
    CompactionConfig { is_on: true, target_bytes, objects_min, memory_bytes, pause, is_compressed: true }
}

fn compaction(lake: &Lake, config: CompactionConfig) -> Compaction {
    let tools = Tools {
        catalog: lake.catalog.clone(),
        storage: lake.storage.clone(),
        owner: OwnerId(Uuid::now_v7()),
        memory: MemoryBudget::new(64 << 20),
        cpu: Cpu::new(true),
        stop: CancellationToken::new(),
        config,
    };
    Compaction::new(tools, Arc::new(ManualClock::at(0)))
}

async fn lake(commits: u64) -> Lake {
    let mut lake = Lake::new(commits * 10).await;
    for _ in 0..commits {
        lake.commit(10).await;
    }
    lake
}

async fn snapshot(lake: &Lake) -> TopicSnapshot {
    lake.catalog.snapshot(&lake.partition.topic).await.expect("a snapshot")
}

async fn live(lake: &Lake, kind: SegmentKind) -> Vec<Arc<ObjectInfo>> {
    snapshot(lake).await.objects.into_iter().filter(|object| object.kind == kind).collect()
}

async fn check_audit(lake: &Lake) {
    let audit = Audit {
        catalog: lake.catalog.as_ref(),
        storage: &lake.storage,
        queue: Some(&lake.queue),
        partition_id: None,
        is_deep: true,
        memory_bytes_max: 1 << 20,
    };
    let report = audit.run(&lake.partition.topic, &|_| {}).await.expect("audited");
    assert_eq!(report.problem_count(), 0, "{:#?}", report.problems);
}

/// Looks until nothing is due; returns what was done.
async fn compacted(compaction: &mut Compaction) -> Vec<Compacted> {
    let mut all = Vec::new();
    loop {
        let passed = compaction.look(&[], &mut |done| all.push(done.clone())).await.expect("looked");
        assert_eq!(passed.lost, 0);
        if passed.done == 0 {
            return all;
        }
    }
}

#[tokio::test]
async fn many_objects_become_one_and_the_audit_finds_every_row() {
    let lake = lake(12).await;
    let done = compacted(&mut compaction(&lake, config(4))).await;
    assert_eq!(done.len(), 6, "three jobs for the table, three for its quarantine");
    assert!(done.iter().all(|job| (job.inputs, job.level) == (4, 1)));
    assert_eq!(done.iter().map(|job| job.records).sum::<u64>(), 120);
    for kind in SegmentKind::ALL {
        assert_eq!(live(&lake, kind).await.len(), 3);
    }
    assert_eq!(snapshot(&lake).await.segments.len(), 6, "segments that are neighbours in an object are one");
    check_audit(&lake).await;
    // Whoever takes two of them for enough goes on.
    let done = compacted(&mut compaction(&lake, config(2))).await;
    assert!(done.iter().any(|job| job.level == 2));
    check_audit(&lake).await;
}

#[tokio::test]
async fn merged_objects_are_sorted_and_have_statistics_of_every_column() {
    let lake = lake(2).await;
    compacted(&mut compaction(&lake, config(2))).await;
    let object = live(&lake, SegmentKind::Data).await.remove(0);
    let listed = ListedObject::of(&object).expect("a key");
    let file = SegmentFile::open(&lake.storage, &listed).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(file.metadata().row_group(0).sorting_columns().is_some_and(|columns| columns.len() == 5));
    assert_eq!(
        file.rows(Columns::All, 1024).expect("readable").map(|rows| rows.expect("rows").num_rows()).sum::<usize>(),
        16
    );
    let ids: Vec<i32> = (1..14).chain([100]).collect();
    let statistics =
        lake.catalog.object_statistics(&lake.partition.topic, SegmentKind::Data, &ids, None).await.expect("read");
    assert!(statistics.len() > 10, "{statistics:?}");
}

#[tokio::test]
async fn nothing_is_merged_while_there_is_no_memory_or_the_process_ends() {
    let lake = lake(4).await;
    let mut compaction = compaction(&lake, config(2));
    let all = compaction.tools.memory.try_acquire(64 << 20).expect("free");
    let passed = compaction.look(&[], &mut |_| {}).await.expect("looked");
    assert_eq!((passed.done, passed.lost), (0, 2), "two jobs found no memory");
    drop(all);
    compaction.tools.stop.cancel();
    let passed = compaction.look(&[], &mut |_| {}).await.expect("looked");
    assert_eq!(passed, Passed::default());
    assert_eq!(live(&lake, SegmentKind::Data).await.len(), 4);
}

#[tokio::test]
async fn a_job_whose_objects_were_replaced_meanwhile_ends_without_a_trace() {
    let lake = lake(2).await;
    let mut compaction = compaction(&lake, config(2));
    let due = compaction.due(&lake.partition.topic, &mut Written::default()).await.expect("looked");
    lake.compact(SegmentKind::Data).await;
    let stored = live(&lake, SegmentKind::Data).await;
    let work = due.iter().find(|work| work.kind == SegmentKind::Data).expect("due");
    assert_eq!(compaction.do_job(work).await, None);
    assert_eq!(live(&lake, SegmentKind::Data).await, stored);
    let uploads = lake.catalog.list_shared_uploads(&lake.partition.topic).await.expect("listed");
    let doomed = uploads.iter().filter(|upload| upload.key.contains("/1970-01-01/")).count();
    assert_eq!(doomed, 1, "its object is handed to the janitor: {uploads:#?}");
    assert!(compaction.shunned.is_empty(), "the others are merged another time");
    check_audit(&lake).await;
}

#[tokio::test]
async fn a_merge_that_is_stopped_leaves_no_intent() {
    let mut lake = lake(2).await;
    let store = FaultStore::new(Arc::clone(&lake.storage.store));
    store.next(Operation::Put, 1, Fault::slow(Duration::from_secs(86_400)));
    lake.storage.store = store.clone();
    let mut compaction = compaction(&lake, config(2));
    let stop = compaction.tools.stop.clone();
    let look = tokio::spawn(async move { compaction.look(&[], &mut |_| {}).await });
    while store.left() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    let passed = look.await.expect("no panic").expect("looked");
    assert_eq!((passed.done, passed.lost), (0, 1));
    let uploads = lake.catalog.list_shared_uploads(&lake.partition.topic).await.expect("listed");
    let states: Vec<UploadState> = uploads.iter().map(|upload| upload.state).collect();
    assert_eq!(states, [UploadState::Doomed], "{uploads:#?}");
    assert_eq!(live(&lake, SegmentKind::Data).await.len(), 2);
}

#[tokio::test]
async fn an_object_that_was_altered_is_left_alone_and_its_neighbours_are_not() {
    let lake = lake(3).await;
    let broken = live(&lake, SegmentKind::Data).await.remove(0);
    let key = Path::parse(&broken.key).expect("a key");
    let mut bytes = lake.storage.store.get(&key).await.expect("there").bytes().await.expect("read").to_vec();
    bytes[10] ^= 1;
    lake.storage.store.put(&key, bytes.into()).await.expect("put");
    let mut compaction = compaction(&lake, config(2));
    let passed = compaction.look(&[], &mut |_| {}).await.expect("looked");
    assert_eq!((passed.done, passed.lost), (1, 1), "the quarantine is merged, the table is not");
    assert_eq!(compaction.shunned, HashSet::from([broken.file_id]));
    assert_eq!(live(&lake, SegmentKind::Data).await.len(), 3, "nothing was replaced by an object of altered rows");
    compacted(&mut compaction).await;
    let left = live(&lake, SegmentKind::Data).await;
    assert_eq!((left.len(), left.contains(&broken)), (2, true), "the others are merged without it");
}

#[tokio::test]
async fn the_health_of_a_table_says_what_is_due() {
    let lake = lake(5).await;
    let tables = health(&snapshot(&lake).await, &config(2), 0);
    assert_eq!(tables.len(), 2);
    let table = &tables[0];
    assert_eq!((table.objects, table.small, table.due_jobs, table.due_objects), (5, 5, 2, 4));
    assert_eq!((table.by_level.get(&0), table.write_amplification), (Some(&5), 1.0));
    compacted(&mut compaction(&lake, config(5))).await;
    let tables = health(&snapshot(&lake).await, &config(5), 0);
    assert_eq!((tables[0].objects, tables[0].due_jobs, tables[0].write_amplification), (1, 0, 2.0));
}

#[tokio::test]
async fn a_process_of_its_own_does_all_that_is_due_and_leaves() {
    let lake = lake(8).await;
    let (catalog, lease) = (lake.catalog.clone(), Duration::from_secs(10));
    let mut compactor = Compactor::new(catalog.clone(), lake.storage.clone(), config(2), lease);
    let mut jobs = 0;
    compactor.run(std::slice::from_ref(&lake.partition.topic), true, &mut |_| jobs += 1).await.expect("compacted");
    assert!(jobs >= 2, "{jobs} jobs");
    assert_eq!(live(&lake, SegmentKind::Data).await.len(), 1);
    check_audit(&lake).await;
    let agents = catalog::OwnershipStore::list_agents(catalog.as_ref(), lease).await.expect("listed");
    assert!(agents.iter().all(|agent| agent.name == "test"), "it is registered no longer: {agents:?}");
    assert_eq!(catalog.doom_abandoned_replacements(Duration::ZERO).await.expect("asked"), 0, "no intent stays");
}
