//! Objects and views as other programs read them: DuckDB, PyArrow and Polars.
//!
//! Owns: reading a directory of objects, or the views of `duckdb-sql`, in each of them. Does not own: `siltstone query`.

mod headers;
mod text;
mod views;

use std::path::Path;

use serde_json::{Value, json};

use crate::binary::Siltstone;

/// Prints what each reader makes of the objects below a directory: the rows of some columns, ordered by the first of them. A
/// map is an object; one with a doubled key ends the program.
const DIRECTORY: &str = r#"
import datetime, json, sys
import duckdb, polars, pyarrow.parquet
directory, columns = sys.argv[1], sys.argv[2].split(",")

def plain(value):
    if isinstance(value, list) and value and isinstance(value[0], dict) and set(value[0]) == {"key", "value"}:
        value = [(entry["key"], entry["value"]) for entry in value]
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        keys = [key for key, _ in value]
        assert len(keys) == len(set(keys)), "a doubled key: %r" % value
        value = dict(value)
    if isinstance(value, datetime.datetime):
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else value

duck = duckdb.connect()
duck.execute("set timezone = 'UTC'")
names = ", ".join('"%s"' % name for name in columns)
found = {
    "duckdb": duck.execute("select %s from read_parquet('%s/**/*.parquet')" % (names, directory)).fetchall(),
    "polars": polars.read_parquet(directory).select(columns).rows(),
    "pyarrow": [tuple(row[name] for name in columns) for row in pyarrow.parquet.read_table(directory).to_pylist()],
}
for reader, rows in found.items():
    rows = [[plain(value) for value in row] for row in rows]
    print(json.dumps([reader, sorted(rows, key=lambda row: row[0])]))
"#;

/// Asserts that each reader sees these rows of `columns` in the objects below `directory`, in the order of the first column.
#[track_caller]
fn all_read(directory: &Path, columns: &str, rows: &Value) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let arguments = [directory.display().to_string(), columns.to_owned()];
    async move {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = support::python::run(DIRECTORY, &arguments).await.expect("each reader reads");
        let found: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let expected = ["duckdb", "polars", "pyarrow"].map(|reader| json!([reader, rows]));
        assert_eq!(found, expected, "{caller}");
    }
}

/// The lines go into `topic`, each a message.
async fn settle(lake: &Siltstone, topic: &str, lines: &[&str]) {
    let input = lines.join("\n");
    lake.run_with_input(&["up", "--stdin", topic, "--no-check"], input.as_bytes()).await.ok();
}

/// Creates a topic of these columns.
async fn create(lake: &Siltstone, topic: &str, columns: &[&str]) {
    let columns = columns.iter().flat_map(|column| ["--column", column]);
    lake.run(&["topic", "create", topic].into_iter().chain(columns).collect::<Vec<_>>()).await.ok();
}

/// The rows of `sql` in DuckDB over the views of all topics.
async fn duckdb(lake: &Siltstone, sql: &str) -> Vec<Vec<String>> {
    let views = lake.run(&["duckdb-sql", "--views"]).await.ok().out;
    support::duckdb::query(&format!("{views}{sql}")).await.expect("DuckDB answers")
}

#[tokio::test]
async fn a_column_named_like_a_part_of_a_path_has_its_own_values() {
    let lake = Siltstone::new();
    create(&lake, "visits", &["id:int64", "date:date", "partition:string"]).await;
    settle(&lake, "visits", &[r#"{"id":1,"date":"2020-05-05","partition":"p"}"#, r#"{"id":"x"}"#]).await;
    settle(&lake, "visits", &[r#"{"id":2,"date":"2021-06-06","partition":"7"}"#]).await;
    let rows = json!([[1, "2020-05-05", "p"], [2, "2021-06-06", "7"]]);
    all_read(&lake.data().join("visits"), "id,date,partition", &rows).await;
    // The quarantine is a directory of its own: a table alone is read above.
    all_read(&lake.data().join("visits.quarantine"), "_offset,_row", &json!([[1, 0]])).await;

    create(&lake, "date=2020-01-01", &["id:int64", "date:int64", "partition:timestamp"]).await;
    let lines = [r#"{"id":1,"date":-5,"partition":"2026-01-31T12:00:00Z"}"#, r#"{"id":2,"date":null}"#];
    settle(&lake, "date=2020-01-01", &lines).await;
    let rows = json!([[1, -5, "2026-01-31T12:00:00"], [2, null, null]]);
    all_read(&lake.data().join("date%3D2020-01-01"), "id,date,partition", &rows).await;
    let seen = duckdb(&lake, r#"SELECT id, date, "partition" FROM visits ORDER BY id"#).await;
    assert_eq!(seen, [["1", "2020-05-05", "p"], ["2", "2021-06-06", "7"]]);
    lake.run(&["audit", "--deep"]).await.ok();
}

#[tokio::test]
async fn a_time_that_python_cannot_hold_is_set_aside_and_the_others_are_readable() {
    let lake = Siltstone::new();
    create(&lake, "t", &["id:int64", "until:timestamp", "day:date", "ms:timestamp_ms", "all:list(timestamp_us)"]).await;
    let lines = [
        r#"{"id":1,"until":"2026-01-31T12:00:00Z","day":"2026-01-31","ms":1700000000000,"all":[0]}"#,
        r#"{"id":2,"until":"9999-12-31T23:59:59-14:00"}"#,
        r#"{"id":3,"until":"9999-12-31T23:59:59.999999Z","day":"9999-12-31","ms":-62135596800000}"#,
        r#"{"id":4,"until":"0001-01-01T00:00:00Z","day":"0001-01-01","ms":253402300799999}"#,
        r#"{"id":5,"ms":1700000000000000}"#,
        r#"{"id":6,"all":[0,1700000000000000000]}"#,
        r#"{"id":7,"day":"0000-12-31"}"#,
    ];
    settle(&lake, "t", &lines).await;
    let rows = json!([
        [1, "2026-01-31T12:00:00", "2026-01-31", "2023-11-14T22:13:20"],
        [3, "9999-12-31T23:59:59.999999", "9999-12-31", "0001-01-01T00:00:00"],
        [4, "0001-01-01T00:00:00", "0001-01-01", "9999-12-31T23:59:59.999000"],
    ]);
    all_read(&lake.data().join("t"), "id,until,day,ms", &rows).await;
    let reasons = lake.run(&["quarantine", "show", "t", "--json", "--limit", "9"]).await.ok().out;
    for part in [
        "9999-12-31T23:59:59-14:00\\\" in UTC is outside the years 0001 to 9999",
        "1700000000000000 milliseconds since 1970 are outside",
        "as microseconds, which were probably meant, they are 2023-11-14T22:13:20Z",
        "as nanoseconds, which were probably meant, they are 2023-11-14T22:13:20Z",
        "0000-12-31",
    ] {
        assert!(reasons.contains(part), "{part} is not in {reasons}");
    }
}
