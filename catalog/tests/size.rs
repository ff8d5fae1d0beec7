//! A catalog in operation does not grow: a month of days that are all alike leaves as many rows as the first week.
//!
//! Owns: commits, replacements, retention, the janitor and folding together, for as long as it takes to see that every
//! table stays as large. Does not own: what each of them does (`conformance`).

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::audit::{ObjectRecords, PartitionRecords, check_objects, check_partition};
use catalog::{
    AcquireOutcome, Agent, ColumnStatistics, CommitOutcome, CommitRequest, ExpiredBefore, FileId, MetadataStore,
    NewObject, NewSegment, Ownership, ReplaceOutcome, Replacement, Scope, SegmentKind, SqliteMetadataStore,
    TopicConfig, UploadIntent,
};
use common::{Anchor, OffsetRange, OwnerId, TopicName, TopicPartition};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

const PARTITIONS: u32 = 3;
const COMMITS_A_DAY: u64 = 20;
const MESSAGES_A_COMMIT: u64 = 10;
const DAYS_KEPT: u64 = 3;
const HOLD: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn every_table_stays_as_large_over_a_month() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("catalog.db");
    let store = SqliteMetadataStore::new(&path).await.expect("opens");
    let mut lake = Lake::new(&store).await;
    let mut other = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connects");
    let mut sizes = Vec::new();
    for day in 1..=30 {
        lake.a_day(day).await;
        sizes.push(rows(&mut other).await);
        a_night(&mut other).await;
    }
    assert_eq!(sizes[6], sizes[29], "the first week, and the month");
    assert!(sizes[29]["commits"] < COMMITS_A_DAY * u64::from(PARTITIONS), "commits were folded: {:?}", sizes[29]);
    lake.check().await;
}

/// How many rows each table has.
async fn rows(connection: &mut SqliteConnection) -> BTreeMap<String, u64> {
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *connection).await.expect("listed");
    let mut rows = BTreeMap::new();
    for table in tables {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.expect("counted");
        rows.insert(table, count.cast_unsigned());
    }
    rows
}

/// Everything that happened becomes a day older.
async fn a_night(connection: &mut SqliteConnection) {
    const DAY_MS: i64 = 86_400_000;
    for change in [
        "UPDATE commits SET committed_at = committed_at - $1",
        "UPDATE uploads SET doomed_at = doomed_at - $1",
        "UPDATE lake_snapshots SET time_us = time_us - $1 * 1000",
        "UPDATE lake_head SET time_us = time_us - $1 * 1000",
    ] {
        sqlx::query(change).bind(DAY_MS).execute(&mut *connection).await.expect("changed");
    }
}

/// A topic whose partitions one writer owns.
struct Lake<'s> {
    store: &'s dyn MetadataStore,
    owner: OwnerId,
    held: Vec<Ownership>,
}

impl<'s> Lake<'s> {
    async fn new(store: &'s dyn MetadataStore) -> Self {
        let owner = OwnerId(Uuid::now_v7());
        let config = Default::default();
        let definition = TopicConfig { name: topic(), partition_count: PARTITIONS, retention_ms: None, config };
        store.create_topic(definition).await.expect("created");
        store.heartbeat(&Agent { owner, name: "writer".to_owned(), scope: Scope::All }).await.expect("registered");
        let all: Vec<_> = (0..PARTITIONS).map(|partition_id| TopicPartition::new(topic(), partition_id)).collect();
        let outcomes = store.acquire(owner, Duration::from_secs(3_600), &all).await.expect("asked");
        let held = outcomes.into_iter().map(|outcome| match outcome {
            AcquireOutcome::Acquired(held) => held,
            other => panic!("{other:?}"),
        });
        Self { store, owner, held: held.collect() }
    }

    async fn a_day(&mut self, day: u64) {
        for _ in 0..COMMITS_A_DAY {
            for index in 0..self.held.len() {
                self.commit(index).await;
            }
        }
        for kind in SegmentKind::ALL {
            self.replace(kind).await;
        }
        let kept = DAYS_KEPT * COMMITS_A_DAY * MESSAGES_A_COMMIT;
        let offset = (day * COMMITS_A_DAY * MESSAGES_A_COMMIT).saturating_sub(kept);
        let before: Vec<_> = (0..PARTITIONS).map(|partition_id| ExpiredBefore { partition_id, offset }).collect();
        let expired = self.store.expire_segments(&topic(), &before).await.expect("expired");
        assert_eq!(expired > 0, day > DAYS_KEPT, "day {day}: {expired} segments");
        self.store.fold_history(HOLD).await.expect("folded");
        // What was doomed the day before goes, and is forgotten with the second sweep.
        for _ in 0..2 {
            let due = self.store.due_objects("lake", HOLD, HOLD, 10_000).await.expect("read");
            self.store.swept(&due).await.expect("noted");
        }
    }

    /// One commit of data, and of quarantine in every fifth.
    async fn commit(&mut self, index: usize) {
        let held = &self.held[index];
        let base = held.high_watermark;
        let range = OffsetRange::new(base, base + MESSAGES_A_COMMIT - 1).expect("in order");
        let mut segments = vec![new_segment(SegmentKind::Data, MESSAGES_A_COMMIT)];
        if (base / MESSAGES_A_COMMIT).is_multiple_of(5) {
            segments.push(new_segment(SegmentKind::Quarantine, 1));
        }
        let request = CommitRequest {
            partition: held.partition.clone(),
            incarnation: held.incarnation,
            epoch: held.epoch,
            owner: held.owner,
            range,
            anchor: Anchor { offset: range.end(), timestamp_us: 1, hash: 1 },
            message_count: MESSAGES_A_COMMIT,
            segments,
            gaps: vec![],
        };
        let intent = |segment: &NewSegment| UploadIntent {
            partition: held.partition.clone(),
            epoch: held.epoch,
            owner: held.owner,
            bucket: segment.object.bucket.clone(),
            key: segment.object.key.clone(),
        };
        let intents: Vec<UploadIntent> = request.segments.iter().map(intent).collect();
        self.store.record_intents(&intents).await.into_iter().for_each(|recorded| recorded.expect("recorded"));
        let outcomes = self.store.commit(&[request]).await;
        assert!(matches!(outcomes[..], [CommitOutcome::Done(_)]), "{outcomes:?}");
        self.held[index].high_watermark = range.next();
    }

    /// One object takes the place of all of the kind that the pipeline wrote.
    async fn replace(&self, kind: SegmentKind) {
        let snapshot = self.store.snapshot(&topic()).await.expect("read");
        let inputs: Vec<_> =
            snapshot.objects.iter().filter(|object| object.level == 0 && object.kind == kind).collect();
        let rows = inputs.iter().map(|object| object.record_count).sum();
        let ids: Vec<FileId> = inputs.iter().map(|object| object.file_id).collect();
        let replacement =
            Replacement { topic: topic(), kind, owner: self.owner, inputs: ids, output: new_object(rows) };
        self.store.record_replacement_intent(&replacement.intent()).await.expect("recorded");
        let outcome = self.store.replace(&replacement).await;
        assert!(matches!(outcome, ReplaceOutcome::Done(_)), "{outcome:?}");
    }

    async fn check(&self) {
        let snapshot = self.store.snapshot(&topic()).await.expect("read");
        let objects = ObjectRecords::load(self.store, &snapshot, Default::default()).await.expect("read");
        assert_eq!(check_objects(&objects), []);
        for partition_id in 0..PARTITIONS {
            let records =
                PartitionRecords::load(self.store, &snapshot, partition_id).await.expect("read").expect("there");
            let (counts, problems) = check_partition(&records);
            assert_eq!(problems, []);
            assert_eq!(counts.commits, 30 * COMMITS_A_DAY, "a folded commit counts");
        }
        self.store.verify().await.expect("nothing contradicts itself");
    }
}

fn topic() -> TopicName {
    TopicName::new("orders").expect("valid")
}

fn new_segment(kind: SegmentKind, rows: u64) -> NewSegment {
    NewSegment {
        id: Uuid::now_v7().to_string(),
        kind,
        record_count: rows,
        min_timestamp_us: 0,
        max_timestamp_us: 1_000_000,
        object: new_object(rows),
    }
}

fn new_object(rows: u64) -> NewObject {
    let column = |field_id, min: &str, max: &str| ColumnStatistics {
        field_id,
        compressed_bytes: 1,
        value_count: rows,
        null_count: 0,
        min: Some(min.to_owned()),
        max: Some(max.to_owned()),
    };
    NewObject {
        bucket: "lake".to_owned(),
        key: format!("orders/{}.parquet", Uuid::now_v7()),
        record_count: rows,
        size_bytes: 1_000,
        footer_bytes: 100,
        checksum: 1,
        schema_version: 1,
        statistics: vec![column(4, "1970-01-01 00:00:00+00", "1970-01-01 00:00:01+00"), column(100, "a", "z")],
    }
}
