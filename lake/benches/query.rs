//! The time of planning and answering queries over many segments, beside plain readers of the same files, in one run:
//!
//!     cargo bench --workspace --features lake/query --bench query
//!
//! `SILTSTONE_BENCH_SEGMENTS` sets the number of segments (10,000), `SILTSTONE_BENCH_ROWS` that of rows of each (1,000): many small
//! ones show planning, few large ones (100 of 100,000 rows) show scans. The figures of DuckDB come from the tools' Python
//! (`SILTSTONE_TOOLS`).
//!
//! Owns: the lake that is read, and the figures. Does not own: that few objects are opened (the tests of `query`).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use catalog::{
    Agent, CommitStore, ImportedSegment, OwnershipStore, ReplaceOutcome, Replacement, Scope, SegmentKind, SegmentStore,
    SqliteMetadataStore, TopicConfig, TopicStore,
};
use common::{Incarnation, OffsetRange, OwnerId, TopicName, TopicPartition};
use datafusion::arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use lake::keys::NewKey;
use lake::query::{QueryOptions, QuerySession, QueryStore};
use lake::schema::table_schema;
use lake::segment::SegmentEncoder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use uuid::Uuid;

const BEGIN_US: i64 = 1_767_225_600_000_000;
const COLUMNS: &str = r#"{"format":"json","columns":[{"name":"customer","type":"int64"},{"name":"amount","type":"int64"},
    {"name":"note","type":"string"}]}"#;
const RUNS: usize = 20;
const FULL_RUNS: usize = 3;
/// The others open every file also for few rows, which takes them seconds.
const RUNS_OF_OTHERS: usize = 1;

const DUCKDB: &str = r#"
import duckdb, statistics, sys, time
connection = duckdb.connect()
connection.execute("set threads = 2; set enable_progress_bar = false")
for statement, runs in zip(sys.argv[1::2], sys.argv[2::2]):
    times = []
    for _ in range(int(runs)):
        begin = time.monotonic()
        connection.execute(statement).fetchall()
        times.append(time.monotonic() - begin)
    print(statistics.median(times))
"#;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Rows of one segment: customers rise, a hundred rows each.
fn rows(schema: &SchemaRef, segment: u64, count: u64) -> RecordBatch {
    let numbers: Vec<i64> =
        (segment * count..(segment + 1) * count).map(|n| i64::try_from(n).expect("small")).collect();
    let length = numbers.len();
    let column = |name: &str, data_type: &_| -> ArrayRef {
        match name {
            "_offset" | "amount" => Arc::new(Int64Array::from(numbers.clone())),
            "customer" => Arc::new(numbers.iter().map(|n| Some(n / 100)).collect::<Int64Array>()),
            "note" => Arc::new(StringArray::from_iter_values(numbers.iter().map(|n| format!("note {}", n % 977)))),
            "_partition_id" | "_row" | "_incarnation" => Arc::new(Int32Array::from(vec![0; length])),
            "_timestamp" => {
                let times = TimestampMicrosecondArray::from_iter_values(numbers.iter().map(|n| BEGIN_US + n * 1_000));
                Arc::new(times.with_timezone("UTC"))
            }
            "_subject" => Arc::new(StringArray::from(vec!["orders"; length])),
            _ => new_null_array(data_type, length),
        }
    };
    let columns = schema.fields().iter().map(|field| column(field.name(), field.data_type())).collect();
    RecordBatch::try_new(Arc::clone(schema), columns).expect("columns of the schema")
}

/// A lake whose objects are all merged ones, so that their columns have recorded bounds.
async fn filled(directory: &Path, segments: u64, count: u64) -> Arc<SqliteMetadataStore> {
    let catalog = Arc::new(SqliteMetadataStore::new_in_memory().await.expect("a catalog"));
    let name = TopicName::new("orders").expect("valid");
    let config = serde_json::from_str(COLUMNS).expect("options");
    let schema = table_schema(&config);
    let topic = TopicConfig { name: name.clone(), partition_count: 1, retention_ms: None, config };
    catalog.create_topic(topic).await.expect("created");
    let owner = OwnerId(Uuid::from_u128(1));
    let agent = Agent { owner, name: "bench".to_owned(), scope: Scope::All, contact: Default::default() };
    catalog.heartbeat(&agent).await.expect("registered");
    for segment in 0..segments {
        let mut encoder = SegmentEncoder::new(&schema, 1 << 20).expect("schema");
        encoder.write(&rows(&schema, segment, count)).expect("rows");
        let encoded = encoder.finish(vec![]).expect("in memory");
        let key = format!("orders/{segment:06}.parquet");
        let bytes: Vec<u8> = encoded.payload.iter().flat_map(|part| part.to_vec()).collect();
        std::fs::write(directory.join(&key), bytes).expect("written");
        let first = NewKey { id: format!("{key}-0"), key: Key::from(format!("{key}-0")) };
        let range = OffsetRange::until(segment * count, (segment + 1) * count).expect("rows");
        let imported = ImportedSegment {
            partition: TopicPartition::new(name.clone(), 0),
            incarnation: Incarnation(0),
            range,
            segment: encoded.segment(SegmentKind::Data, "", &first, 1),
        };
        catalog.add_segment(imported).await.expect("listed");
        let output = encoded.object("", &Key::from(key), 1);
        let file_id = catalog::FileId(segment * 2 + first_number(&catalog, &name, segment).await);
        let inputs = vec![catalog::ReplacedObject { file_id, key: first.key.to_string() }];
        let replacement = Replacement { topic: name.clone(), kind: SegmentKind::Data, owner, inputs, output };
        catalog.record_replacement_intent(&replacement.intent()).await.expect("recorded");
        assert!(matches!(catalog.replace(&replacement).await, ReplaceOutcome::Done(_)));
    }
    catalog
}

/// The number of the first object, which is looked up once.
async fn first_number(catalog: &SqliteMetadataStore, name: &TopicName, segment: u64) -> u64 {
    static FIRST: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    if segment == 0 {
        let listed = catalog.snapshot(name).await.expect("read").objects;
        FIRST.set(listed[0].file_id.0).expect("once");
    }
    *FIRST.get().expect("set by the first segment")
}

async fn median<F: Future<Output = ()>>(runs: usize, work: impl Fn() -> F) -> Duration {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let begin = Instant::now();
        work().await;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[runs / 2]
}

fn of_others(runs: usize) -> usize {
    if runs == FULL_RUNS { FULL_RUNS } else { RUNS_OF_OTHERS }
}

async fn planned(session: &QuerySession, sql: &str) {
    session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
}

async fn answered(session: &QuerySession, sql: &str) {
    session.sql(sql).await.expect(sql).collect().await.expect(sql);
}

async fn plain(context: &SessionContext, sql: &str) {
    context.sql(sql).await.expect(sql).collect().await.expect(sql);
}

async fn duckdb(files: &str, queries: &[(String, usize)]) -> Vec<Option<Duration>> {
    let from = format!("FROM read_parquet('{files}')");
    let arguments: Vec<String> =
        queries.iter().flat_map(|(sql, runs)| [sql.replace("FROM orders", &from), runs.to_string()]).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match support::python::run(DUCKDB, &arguments).await {
        Ok(printed) => printed.lines().map(|line| line.parse().ok().map(Duration::from_secs_f64)).collect(),
        Err(error) => {
            println!("no figures of DuckDB: {error}");
            vec![None; queries.len()]
        }
    }
}

#[tokio::main]
async fn main() {
    // Cargo passes arguments of its own, for example when it only builds the tests.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let (segments, count) = (setting("SILTSTONE_BENCH_SEGMENTS", 10_000), setting("SILTSTONE_BENCH_ROWS", 1_000));
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("orders")).expect("made");
    let catalog = filled(directory.path(), segments, count).await;
    let store = LocalFileSystem::new_with_prefix(directory.path()).expect("a directory");
    let store = QueryStore { url: "file:///".parse().expect("a URL"), store: Arc::new(store) };
    let options = QueryOptions { parallelism: 2, ..QueryOptions::default() };
    let session = QuerySession::open_with(Arc::clone(&catalog) as _, store, options).expect("opens");

    let config = datafusion::prelude::SessionConfig::new().with_target_partitions(2);
    let listing = SessionContext::new_with_config(config);
    let folder = directory.path().join("orders").display().to_string();
    let begin = Instant::now();
    listing.register_parquet("orders", &folder, ParquetReadOptions::default()).await.expect("listed");
    println!("{segments} segments of {count} rows; a ListingTable is registered in {:.1?}", begin.elapsed());

    let middle = segments * count / 2;
    let time = |us: i64| chrono::DateTime::from_timestamp_micros(us).expect("a time").to_rfc3339();
    let begin_us = BEGIN_US + i64::try_from(middle).expect("small") * 1_000;
    let (low, high) = (time(begin_us), time(begin_us + 5_000));
    let queries = [
        ("an offset", format!("SELECT amount FROM orders WHERE _offset = {middle}"), RUNS),
        ("a narrow time", format!("SELECT amount FROM orders WHERE _timestamp BETWEEN '{low}' AND '{high}'"), RUNS),
        ("a value of a sorted column", format!("SELECT amount FROM orders WHERE customer = {}", middle / 100), RUNS),
        ("count(*)", "SELECT count(*) FROM orders".to_owned(), RUNS),
        ("extremes", "SELECT min(customer), max(customer), max(_timestamp) FROM orders".to_owned(), RUNS),
        (
            "all of three columns",
            "SELECT sum(amount), max(note), count(DISTINCT customer) FROM orders".to_owned(),
            FULL_RUNS,
        ),
        ("all of a number", "SELECT sum(amount) FROM orders".to_owned(), FULL_RUNS),
        ("all of a text", "SELECT count(*) FROM orders WHERE note LIKE '%96%'".to_owned(), FULL_RUNS),
        ("groups of a text", "SELECT note, count(*), sum(amount) FROM orders GROUP BY note".to_owned(), FULL_RUNS),
    ];
    let files = format!("{folder}/*.parquet");
    let statements: Vec<(String, usize)> =
        queries.iter().map(|(_, sql, runs)| (sql.clone(), of_others(*runs))).collect();
    let others = duckdb(&files, &statements).await;
    println!("{:28} {:>12} {:>12} {:>12} {:>12}", "median of", "planned", "answered", "ListingTable", "DuckDB");
    for ((name, sql, runs), other) in queries.iter().zip(others) {
        planned(&session, sql).await;
        let plan = median(RUNS, || planned(&session, sql)).await;
        let own = median(*runs, || answered(&session, sql)).await;
        let listed = median(of_others(*runs), || plain(&listing, sql)).await;
        let other = other.map_or_else(|| "-".to_owned(), |time| format!("{time:.1?}"));
        let [plan, own, listed] = [plan, own, listed].map(|time| format!("{time:.1?}"));
        println!("{name:28} {plan:>12} {own:>12} {listed:>12} {other:>12}");
    }
}
