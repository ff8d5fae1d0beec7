//! A catalog of version 0.1.0 is opened by this version: the new rows that migration 5 makes.
//!
//! Owns: filling the old tables by plain SQL, and checking every new row, on both databases. Does not own: a process
//! that dies while it migrates (`conformance/migrations`), a lake that version 0.1.0 wrote (the integration tests).

mod migration {
    pub(crate) mod database;
}

use std::time::Duration;

use catalog::audit::{ObjectRecords, PartitionRecords, check_objects, check_partition};
use catalog::{
    Agent, CatalogError, Expiration, FileId, GapKind, MetadataStore, Position, Scope, SegmentKind, SnapshotId,
    TopicConfig, connect,
};
use common::{Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use migration::database::Database;
use uuid::Uuid;

/// Rows as version 0.1.0 wrote them: two topics that differ in case, one with a quote, a deleted one; commits of both
/// kinds, gaps, a second incarnation, expired segments, and every state of an upload.
const OLD_ROWS: &str = include_str!("migration/version_4.sql");

#[tokio::test]
async fn every_row_of_a_sqlite_catalog_of_version_4_is_there_after_the_migration() {
    check(Database::sqlite(4).await).await;
}

#[tokio::test]
async fn every_row_of_a_postgres_catalog_of_version_4_is_there_after_the_migration() {
    check(Database::postgres(4).await).await;
}

async fn check(database: Database) {
    database.run(OLD_ROWS).await;
    let store = connect(database.url()).await.expect("migrates");
    check_tables(&database).await;
    check_histories(&database).await;
    check_lists(&database).await;
    check_the_rest(&database).await;
    check_through_the_contract(&*store).await;
    check_names(&*store).await;
    store.close().await;
    // The next start has nothing to migrate.
    let store = connect(database.url()).await.expect("opens");
    store.verify().await.expect("nothing contradicts itself");
    store.close().await;
}

async fn check_tables(database: &Database) {
    let tables = "SELECT name || '|' || table_id || '|' || quarantine_table_id || '|' || begin_snapshot FROM topics
                  ORDER BY table_id";
    assert_eq!(database.texts(tables).await, ["Orders|2|3|1", "orders|4|5|1", "a\"b|6|7|1"]);
    let uuids = "SELECT table_uuid FROM topics UNION SELECT quarantine_uuid FROM topics";
    let uuids = database.texts(uuids).await;
    assert_eq!(uuids.len(), 6, "each table has its own");
    assert!(uuids.iter().all(|uuid| Uuid::try_parse(uuid).is_ok()), "{uuids:?}");
    let names = "SELECT folded || '|' || name FROM topic_names ORDER BY folded";
    assert_eq!(database.texts(names).await, ["a\"b|a\"b", "orders|Orders"]);
}

async fn check_histories(database: &Database) {
    let commits =
        "SELECT topic || '|' || partition_id || '|' || incarnation || '|' || first_commit_no || '|' || commit_no
                       || '|' || base_offset || '|' || end_offset || '|' || message_count
                       || '|' || COALESCE(CAST(record_count AS TEXT), '-')
                       || '|' || COALESCE(CAST(quarantined_count AS TEXT), '-')
                       || '|' || COALESCE(CAST(snapshot_id AS TEXT), '-')
                   FROM commits ORDER BY topic, partition_id, commit_no";
    assert_eq!(
        database.texts(commits).await,
        [
            "Orders|0|0|1|1|0|9|10|10|0|-",
            "orders|0|0|1|1|0|9|10|-|0|-",
            "orders|0|0|2|2|10|19|10|-|-|-",
            "orders|0|0|3|3|20|29|10|10|0|-",
            "orders|0|0|4|4|30|39|10|8|2|-",
            "orders|0|0|5|5|40|44|0|0|0|-",
            "orders|0|1|6|6|40|49|10|10|0|-",
            "orders|1|0|1|1|0|9|10|-|0|-",
        ]
    );
    let expirations = "SELECT topic || '|' || partition_id || '|' || incarnation || '|' || before_offset
                       FROM expirations ORDER BY topic, partition_id, incarnation";
    assert_eq!(database.texts(expirations).await, ["orders|0|0|20", "orders|1|0|10"]);
    let gaps = "SELECT base_offset || '|' || end_offset || '|' || reason FROM gaps";
    assert_eq!(database.texts(gaps).await, ["40|44|expired in the queue"]);
    let epochs = "SELECT topic || '|' || epoch FROM retired_epochs";
    assert_eq!(database.texts(epochs).await, ["deleted|7"]);
}

async fn check_lists(database: &Database) {
    let objects =
        "SELECT file_id || '|' || table_id || '|' || bucket || '|' || key || '|' || begin_snapshot || '|' || level
                       || '|' || layout || '|' || record_count || '|' || size_bytes
                       || '|' || COALESCE(CAST(footer_bytes AS TEXT), '-') || '|' || checksum || '|' || schema_version
                       || '|' || min_partition || '|' || max_partition || '|' || min_offset || '|' || max_offset
                       || '|' || min_timestamp_us || '|' || max_timestamp_us || '|' || created_at
                   FROM objects ORDER BY file_id";
    assert_eq!(
        database.texts(objects).await,
        [
            "1|4|lake|orders/c|1|0|1|10|103|-|3|1|0|0|20|29|-2|99|130",
            "2|4|lake|orders/d|1|0|1|8|104|-|4|1|0|0|30|39|1000000|1700000000123456|140",
            "3|5|lake|orders/d.quarantine|1|0|1|2|105|-|5|1|0|0|30|39|1000000|1700000000123456|140",
            "4|4|lake|orders/e|1|0|1|10|106|-|4294967295|2|0|0|40|49|0|9223372036854775807|160",
            "5|2|lake|Orders/a|1|0|1|10|107|-|7|1|0|0|0|9|5|6|170",
        ]
    );
    let segments = "SELECT id || '|' || topic || '|' || partition_id || '|' || incarnation || '|' || kind
                        || '|' || base_offset || '|' || end_offset || '|' || record_count || '|' || min_timestamp_us
                        || '|' || max_timestamp_us || '|' || schema_version || '|' || file_id || '|' || created_at
                    FROM segments ORDER BY file_id";
    assert_eq!(
        database.texts(segments).await,
        [
            "orders-0-20-c|orders|0|0|data|20|29|10|-2|99|1|1|130",
            "orders-0-30-d|orders|0|0|data|30|39|8|1000000|1700000000123456|1|2|140",
            "orders-0-30-q|orders|0|0|quarantine|30|39|2|1000000|1700000000123456|1|3|140",
            "orders-0-40-e|orders|0|1|data|40|49|10|0|9223372036854775807|2|4|160",
            "Orders-0-0-a|Orders|0|0|data|0|9|10|5|6|1|5|170",
        ]
    );
    let statistics =
        "SELECT table_id || '|' || column_id || '|' || file_id || '|' || column_bytes || '|' || value_count
                          || '|' || null_count || '|' || min_value || '|' || max_value
                      FROM segment_stats ORDER BY file_id";
    assert_eq!(
        database.texts(statistics).await,
        [
            "4|4|1|0|10|0|1969-12-31 23:59:59.999998+00|1970-01-01 00:00:00.000099+00",
            "4|4|2|0|8|0|1970-01-01 00:00:01.000000+00|2023-11-14 22:13:20.123456+00",
            "5|4|3|0|2|0|1970-01-01 00:00:01.000000+00|2023-11-14 22:13:20.123456+00",
            "2|4|5|0|10|0|1970-01-01 00:00:00.000005+00|1970-01-01 00:00:00.000006+00",
        ],
        "object 4 has a time that no reader knows"
    );
    assert_eq!(database.texts("SELECT CAST(count(*) AS TEXT) FROM retired_objects").await, ["0"]);
    let snapshots = "SELECT snapshot_id || '|' || schema_version || '|' || next_catalog_id || '|' || next_file_id
                         || '|' || changes
                     FROM lake_snapshots ORDER BY snapshot_id";
    let created = |name| format!("created_table:\"main\".\"{name}\",created_table:\"quarantine\".\"{name}\"");
    let changes = [created("Orders"), created("orders"), created("a\"\"b")].join(",");
    let inserted = "inserted_into_table:2,inserted_into_table:4,inserted_into_table:5";
    assert_eq!(
        database.texts(snapshots).await,
        [
            "0|0|2|1|created_schema:\"main\",created_schema:\"quarantine\"".to_owned(),
            format!("1|1|8|6|{changes},{inserted}"),
        ]
    );
    let head =
        "SELECT one || '|' || snapshot_id || '|' || schema_version || '|' || next_catalog_id || '|' || next_file_id
                FROM lake_head";
    assert_eq!(database.texts(head).await, ["1|1|1|8|6"]);
    let times = database.texts("SELECT snapshot_time FROM lake_snapshots ORDER BY snapshot_id").await;
    assert!(times[0] < times[1] && times[0].len() == "2026-11-20 00:01:39.000099+00".len(), "{times:?}");
}

async fn check_the_rest(database: &Database) {
    let uploads = "SELECT key || '|' || topic || '|' || COALESCE(CAST(partition_id AS TEXT), '-')
                       || '|' || COALESCE(CAST(epoch AS TEXT), '-') || '|' || state || '|' || created_at
                       || '|' || COALESCE(CAST(doomed_at AS TEXT), '-') || '|' || sweeps
                       || '|' || COALESCE(segment_id, '-')
                   FROM uploads ORDER BY bucket, key";
    let uuid = "01a215a6-0000-7000-8000-00000000000";
    assert_eq!(
        database.texts(uploads).await,
        [
            "deleted/x|deleted|0|-|doomed|90|91|1|-".to_owned(),
            "orders/lost|orders|0|1|doomed|125|126|0|-".to_owned(),
            format!("orders/p=0/0-9-1-{uuid}1.parquet|orders|0|-|doomed|110|500|0|orders-0-0-{uuid}1"),
            format!("orders/p=0/10-19-1-{uuid}2.parquet|orders|0|-|doomed|120|500|0|orders-0-10-{uuid}2"),
            format!("orders/p=0/10-19-1-{uuid}3.quarantine.parquet|orders|0|-|doomed|120|500|0|orders-0-10-{uuid}3"),
            "orders/pending|orders|0|3|pending|180|-|0|-".to_owned(),
        ]
    );
    let offsets =
        "SELECT group_id || '|' || topic || '|' || partition_id || '|' || incarnation || '|' || committed_offset
                   FROM consumer_offsets ORDER BY topic, partition_id";
    assert_eq!(database.texts(offsets).await, ["readers|orders|0|1|45", "readers|orders|1|0|7"]);
}

fn partition(topic: &str, partition_id: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).expect("valid"), partition_id)
}

async fn check_through_the_contract(store: &dyn MetadataStore) {
    store.verify().await.expect("nothing contradicts itself");
    for topic in store.list_topics().await.expect("listed") {
        let snapshot = store.snapshot(&topic.name).await.expect("read");
        assert_eq!(snapshot.snapshot_id, SnapshotId(1));
        let objects = ObjectRecords::load(store, &snapshot, Default::default()).await.expect("read");
        assert_eq!(check_objects(&objects), [], "{}", topic.name);
        for partition_id in 0..topic.partition_count {
            let records = PartitionRecords::load(store, &snapshot, partition_id).await.expect("read").expect("there");
            assert_eq!(check_partition(&records).1, [], "{}/{partition_id}", topic.name);
        }
    }
    let orders = partition("orders", 0);
    let segments = store.get_segments(&orders).await.expect("read");
    let ids: Vec<(FileId, SegmentKind)> = segments.iter().map(|of| (of.object.file_id, of.object.kind)).collect();
    let (data, quarantine) = (SegmentKind::Data, SegmentKind::Quarantine);
    assert_eq!(ids, [(FileId(1), data), (FileId(2), data), (FileId(3), quarantine), (FileId(4), data)]);
    assert_eq!((segments[0].object.layout, segments[0].object.footer_bytes), (1, None));
    let expected = Expiration { incarnation: Incarnation(0), before_offset: 20 };
    assert_eq!(store.list_expirations(&orders).await.expect("read"), [expected]);
    let committed = Position { incarnation: Incarnation(1), offset: 45 };
    assert_eq!(store.get_committed_offset("readers", &orders).await.expect("read"), Some(committed));
    // A writer continues at the old one's position.
    let owner = OwnerId(Uuid::now_v7());
    store
        .heartbeat(&Agent { owner, name: "new".to_owned(), scope: Scope::All, contact: Default::default() })
        .await
        .expect("registered");
    let taken = store.acquire(owner, Duration::from_secs(60), std::slice::from_ref(&orders)).await.expect("asked");
    let catalog::AcquireOutcome::Acquired(held) = &taken[0] else { panic!("{taken:?}") };
    assert_eq!((held.high_watermark, held.incarnation), (50, Incarnation(1)));
}

async fn check_names(store: &dyn MetadataStore) {
    let config = |name: &str| TopicConfig {
        name: TopicName::new(name).expect("valid"),
        partition_count: 1,
        retention_ms: None,
        config: Default::default(),
    };
    let error = store.create_topic(config("ORDERS")).await.expect_err("taken");
    assert!(matches!(&error, CatalogError::TopicExistsAs { existing, .. } if existing == "Orders"), "{error}");
    let error = store.create_topic(config("orders")).await.expect_err("exists");
    assert!(matches!(error, CatalogError::TopicAlreadyExists(_)), "{error}");
    store.delete_topic(&TopicName::new("Orders").expect("valid")).await.expect("deleted");
    let error = store.create_topic(config("Orders")).await.expect_err("taken");
    assert!(matches!(&error, CatalogError::TopicExistsAs { existing, .. } if existing == "orders"), "{error}");
    store.delete_topic(&TopicName::new("orders").expect("valid")).await.expect("deleted");
    store.create_topic(config("Orders")).await.expect("free again");
    let snapshot = store.snapshot(&TopicName::new("Orders").expect("valid")).await.expect("read");
    assert_eq!((snapshot.tables.data.0, snapshot.tables.quarantine.0), (8, 9), "numbers are never used again");
    let missing = OffsetRange::new(0, 9).expect("in order");
    assert!(snapshot.segments.iter().all(|segment| !segment.range.overlaps(missing)), "a new topic is empty");
}

/// Gaps as earlier versions recorded them, with the causes in words.
const OLD_GAPS: &str = "
    INSERT INTO topics (name, partition_count, config, schema_version, created_at, updated_at) VALUES
        ('t', 1, '{}', 1, 10, 10);
    INSERT INTO partitions (topic, partition_id, high_watermark, incarnation, epoch, owner, anchor_offset,
        anchor_timestamp_us, anchor_hash, commit_no, created_at, updated_at) VALUES
        ('t', 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, 10, 10);
    INSERT INTO gaps (topic, partition_id, incarnation, base_offset, end_offset, reason, created_at) VALUES
        ('t', 0, 0, 1, 2, 'deleted in the queue before the writer came', 20),
        ('t', 0, 0, 3, 3, 'compacted: the stream keeps the newest 1 of each subject', 20),
        ('t', 0, 0, 5, 9, 'skipped: the topic was created to begin behind them', 20),
        ('t', 0, 0, 11, 11, 'was compacted: by hand', 20);";

async fn check_kinds_of_gaps(database: Database) {
    database.run(OLD_GAPS).await;
    let store = connect(database.url()).await.expect("migrates");
    let partition = TopicPartition::new(TopicName::new("t").expect("valid"), 0);
    let gaps = store.list_gaps(&partition).await.expect("read");
    let kinds: Vec<_> = gaps.iter().map(|recorded| (recorded.gap.range.base(), recorded.gap.kind)).collect();
    assert_eq!(kinds, [(1, GapKind::Lost), (3, GapKind::Compacted), (5, GapKind::Skipped), (11, GapKind::Lost)]);
    store.close().await;
}

#[tokio::test]
async fn gaps_get_the_kind_that_their_reason_says() {
    check_kinds_of_gaps(Database::sqlite(4).await).await;
    check_kinds_of_gaps(Database::postgres(4).await).await;
}
