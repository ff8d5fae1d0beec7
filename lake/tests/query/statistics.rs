//! Objects are left out by the statistics that the catalog records of them, and never one that holds a wanted row.

use std::sync::Arc;

use catalog::{Agent, CommitStore, OwnershipStore, ReplaceOutcome, Replacement, Scope, SegmentKind, SegmentStore};
use common::{OffsetRange, OwnerId};
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use lake::query::{SegmentCounts, segment_counts};
use proptest::prelude::*;
use uuid::Uuid;

use crate::lake::{Lake, name, rows};

pub(crate) const TOPIC: &str = "t";
const COLUMNS: &str = r#"{"format":"json","columns":[{"name":"i","type":"int64"},{"name":"j","type":"int32"},
    {"name":"f","type":"float64"},{"name":"s","type":"string"},{"name":"b","type":"bool"},{"name":"d","type":"date"},
    {"name":"t","type":"timestamp_us"},{"name":"m","type":{"decimal":{"precision":7,"scale":2}}},
    {"name":"x","type":"binary"}]}"#;

/// The declared columns of a row.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) i: Option<i64>,
    pub(crate) j: Option<i32>,
    pub(crate) f: Option<f64>,
    pub(crate) s: Option<String>,
    pub(crate) b: Option<bool>,
    pub(crate) d: Option<i32>,
    pub(crate) t: Option<i64>,
    pub(crate) m: Option<i128>,
    pub(crate) x: Option<Vec<u8>>,
}

pub(crate) fn values() -> impl Strategy<Value = Values> {
    let f = prop_oneof![
        (-3..3_i32).prop_map(f64::from),
        prop::sample::select(vec![-0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e300, 0.1])
    ];
    let s = prop_oneof!["[ab']{0,2}", "[a-b]{70,80}", "\u{10ffff}{60,70}", "a\u{0}"];
    // Some days and times have no text: they lie outside of the years 1 to 9999.
    let d = prop_oneof![8 => -3..3_i32, 1 => Just(3_000_000)];
    let t = prop_oneof![8 => -3..3_i64, 1 => Just(300_000_000_000_000_000)];
    let x = proptest::collection::vec(0..3_u8, 0..3);
    let first = (option(-3..3_i64), option(-3..3_i32), option(f), option(s), option(any::<bool>()));
    let second = (option(d), option(t), option(-300..300_i128), option(x));
    (first, second).prop_map(|((i, j, f, s, b), (d, t, m, x))| Values { i, j, f, s, b, d, t, m, x })
}

fn option<T: std::fmt::Debug>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.8, values)
}

/// A condition on one column, as SQL.
fn condition() -> impl Strategy<Value = String> {
    let number = || (-3..4_i32).prop_map(|number| number.to_string());
    let float = || {
        let special = prop::sample::select(vec!["'inf'", "'-inf'", "'NaN'", "'-0.0'", "'0.0'", "'0.1'", "'1e300'"]);
        prop_oneof![number(), special.prop_map(|text| format!("CAST({text} AS DOUBLE)"))]
    };
    let text = || prop_oneof!["[ab]{0,2}", "a{70,80}", "\u{10ffff}{60,70}"].prop_map(|text| format!("'{text}'"));
    let day = || (28..31_u32).prop_map(|day| format!("DATE '1969-12-{day}'"));
    let time = || (0..4_u32).prop_map(|micros| format!("TIMESTAMP '1970-01-01T00:00:00.00000{micros}Z'"));
    let decimal = || (-3..4_i32).prop_map(|number| format!("CAST({number}.25 AS DECIMAL(7, 2))"));
    let bytes = || {
        proptest::collection::vec(0..3_u8, 0..3)
            .prop_map(|bytes| format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    };
    let flag = || any::<bool>().prop_map(|flag| flag.to_string());
    let compared = prop_oneof![
        on("i", number()),
        on("j", number()),
        on("f", float()),
        on("s", text()),
        on("b", flag()),
        on("d", day()),
        on("t", time()),
        on("m", decimal()),
        on("x", bytes()),
        on("_offset", (0..18_u32).prop_map(|offset| offset.to_string())),
        on("_timestamp", (0..18_u32).prop_map(|second| format!("TIMESTAMP '2026-01-01T00:00:{second:02}Z'"))),
    ];
    let names = || prop::sample::select(vec!["i", "j", "f", "s", "b", "d", "t", "m", "x"]);
    prop_oneof![
        6 => compared,
        1 => (names(), any::<bool>()).prop_map(|(name, not)| format!("{name} IS {}NULL", if not { "NOT " } else { "" })),
        1 => proptest::collection::vec(number(), 1..8).prop_map(|list| format!("i IN ({})", list.join(", "))),
        1 => proptest::collection::vec(text(), 1..5).prop_map(|list| format!("s IN ({})", list.join(", "))),
        1 => proptest::collection::vec(day(), 1..4).prop_map(|list| format!("d IN ({})", list.join(", "))),
        1 => (number(), number()).prop_map(|(low, high)| format!("(j BETWEEN {low} AND {high})")),
        1 => (time(), time()).prop_map(|(low, high)| format!("(t BETWEEN {low} AND {high})")),
        1 => "[ab%]{1,3}".prop_map(|pattern| format!("s LIKE '{pattern}'")),
    ]
}

fn on(name: &'static str, literal: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let operators = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"]);
    (operators, literal).prop_map(move |(operator, literal)| format!("({name} {operator} {literal})")).boxed()
}

pub(crate) fn filter() -> impl Strategy<Value = String> {
    condition().prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} AND {two})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} OR {two})")),
            inner.prop_map(|one| format!("NOT ({one})")),
        ]
    })
}

/// The rows of an object with these declared columns, at the offsets from `base` on.
fn batch(values: &[Values], base: u64) -> RecordBatch {
    let options = serde_json::from_str(COLUMNS).expect("options");
    let plain = rows(&options, 0, base..=base + values.len() as u64 - 1, SegmentKind::Data);
    let declared = |name: &str| -> Option<ArrayRef> {
        Some(match name {
            "i" => Arc::new(values.iter().map(|row| row.i).collect::<Int64Array>()),
            "j" => Arc::new(values.iter().map(|row| row.j).collect::<Int32Array>()),
            "f" => Arc::new(values.iter().map(|row| row.f).collect::<Float64Array>()),
            "s" => Arc::new(values.iter().map(|row| row.s.clone()).collect::<StringArray>()),
            "b" => Arc::new(values.iter().map(|row| row.b).collect::<BooleanArray>()),
            "d" => Arc::new(values.iter().map(|row| row.d).collect::<Date32Array>()),
            "t" => {
                let times = values.iter().map(|row| row.t).collect::<TimestampMicrosecondArray>();
                Arc::new(times.with_timezone("UTC"))
            }
            "m" => {
                let decimals = values.iter().map(|row| row.m).collect::<Decimal128Array>();
                Arc::new(decimals.with_precision_and_scale(7, 2).expect("fits"))
            }
            "x" => Arc::new(values.iter().map(|row| row.x.clone()).collect::<BinaryArray>()),
            _ => return None,
        })
    };
    let column = |(index, field): (usize, &Arc<_>)| {
        let field: &datafusion::arrow::datatypes::Field = field;
        declared(field.name()).unwrap_or_else(|| Arc::clone(plain.column(index)))
    };
    let columns = plain.schema().fields().iter().enumerate().map(column).collect();
    RecordBatch::try_new(plain.schema(), columns).expect("columns of the schema")
}

async fn lake_of(objects: &[Vec<Values>]) -> Lake {
    let lake = Lake::in_memory().await;
    list(&lake, objects).await;
    lake
}

/// Creates the topic, with one object of level 0 for each of `objects`.
pub(crate) async fn list(lake: &Lake, objects: &[Vec<Values>]) {
    lake.create(TOPIC, 1, COLUMNS).await;
    let mut base = 0;
    for (number, values) in objects.iter().enumerate() {
        let key = format!("object-{number}");
        let encoded = lake.put_rows(&key, &batch(values, base)).await;
        let next = base + values.len() as u64;
        let range = OffsetRange::until(base, next).expect("rows");
        lake.list(TOPIC, (0, range), SegmentKind::Data, (&key, &encoded)).await;
        base = next;
    }
}

/// Replaces every object by one with the same rows, of which all statistics are recorded; `spoil` changes them.
pub(crate) async fn record_statistics(lake: &Lake, objects: &[Vec<Values>], spoil: fn(&mut catalog::ColumnStatistics)) {
    let owner = OwnerId(Uuid::now_v7());
    lake.catalog
        .heartbeat(&Agent { owner, name: "test".to_owned(), scope: Scope::All, contact: Default::default() })
        .await
        .expect("known");
    let listed = lake.catalog.snapshot(&name(TOPIC)).await.expect("a snapshot").objects;
    let mut base = 0;
    for (object, values) in listed.iter().zip(objects) {
        let key = format!("replaced-{}", object.file_id);
        let encoded = lake.put_rows(&key, &batch(values, base)).await;
        let mut output = encoded.object("", &object_store::path::Path::from(key), object.schema_version);
        output.statistics.iter_mut().for_each(spoil);
        let inputs = vec![object.as_ref().into()];
        let replacement = Replacement { topic: name(TOPIC), kind: SegmentKind::Data, owner, inputs, output };
        lake.catalog.record_replacement_intent(&replacement.intent()).await.expect("recorded");
        let outcome = lake.catalog.replace(&replacement).await;
        assert!(matches!(outcome, ReplaceOutcome::Done(_)), "{outcome:?}");
        base += values.len() as u64;
    }
}

async fn counts(lake: &Lake, sql: &str) -> SegmentCounts {
    let plan = lake.session.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql);
    segment_counts(plan.as_ref())
}

fn numbers(from: i64) -> Vec<Values> {
    let value = |n: i64| Values {
        i: Some(n),
        j: None,
        f: Some(n as f64 + 0.5),
        s: Some(format!("s{n:02}")),
        b: Some(n < 15),
        d: Some(n as i32),
        t: Some(n * 1_000_000),
        m: Some(i128::from(n) * 100),
        x: Some(vec![n as u8]),
    };
    (from..from + 10).map(value).collect()
}

#[tokio::test]
async fn recorded_statistics_leave_objects_out_before_they_are_opened() {
    let objects = [numbers(0), numbers(10), numbers(20)];
    let lake = lake_of(&objects).await;
    let one_of_three = [
        "i = 15",
        "f < 9",
        "s = 's25'",
        "d >= DATE '1970-01-21'",
        "t = TIMESTAMP '1970-01-01T00:00:12Z'",
        "m > 19.99",
        "x = X'0f'",
        "i IN (1, 2, 3)",
        "i BETWEEN 12 AND 13 AND s > 'a'",
    ];
    let sql = |filter: &str| format!("SELECT _offset FROM t WHERE {filter}");
    for filter in one_of_three {
        assert_eq!(counts(&lake, &sql(filter)).await, SegmentCounts { scanned: 3, pruned: 0 }, "{filter}");
    }
    record_statistics(&lake, &objects, |_| {}).await;
    lake.store.take_opened();
    for filter in one_of_three {
        assert_eq!(counts(&lake, &sql(filter)).await, SegmentCounts { scanned: 1, pruned: 2 }, "{filter}");
        assert!(lake.store.take_opened().is_empty(), "{filter}");
    }
    for (filter, scanned) in
        [("b", 2), ("NOT b", 2), ("j = 1", 0), ("j IS NULL", 3), ("i IS NULL", 0), ("i > 19 OR f < 1", 2)]
    {
        assert_eq!(counts(&lake, &sql(filter)).await.scanned, scanned, "{filter}");
    }
}

#[tokio::test]
async fn a_bound_that_cannot_be_read_leaves_nothing_out() {
    let objects = [numbers(0), numbers(10)];
    let lake = lake_of(&objects).await;
    record_statistics(&lake, &objects, |column| {
        let text = |bound: &Option<String>| bound.as_ref().map(|_| "other".to_owned());
        (column.min, column.max) = (text(&column.min), text(&column.max));
    })
    .await;
    for filter in ["i = 15", "f = 15.5", "d = DATE '1970-01-16'", "m = 15.00", "x = X'0f'"] {
        let sql = format!("SELECT _offset FROM t WHERE {filter}");
        assert_eq!(counts(&lake, &sql).await, SegmentCounts { scanned: 2, pruned: 0 }, "{filter}");
        assert_eq!(lake.json(&sql).await, [serde_json::json!({"_offset": 15})], "{filter}");
    }
}

/// The number of lakes of a property; `SILTSTONE_STATISTICS_LAKES` sets another.
pub(crate) fn cases(default: u32) -> u32 {
    std::env::var("SILTSTONE_STATISTICS_LAKES").map_or(default, |text| text.parse().expect("a number of lakes"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]
    #[test]
    fn statistics_change_no_answer(
        objects in proptest::collection::vec(proptest::collection::vec(values(), 1..5), 1..5),
        filters in proptest::collection::vec(filter(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let lake = lake_of(&objects).await;
            let sql = |filter: &String| format!("SELECT _offset FROM t WHERE {filter} ORDER BY 1");
            let mut without = Vec::new();
            for filter in &filters {
                without.push(lake.json(&sql(filter)).await);
            }
            record_statistics(&lake, &objects, |_| {}).await;
            for (filter, expected) in filters.iter().zip(without) {
                assert_eq!(lake.json(&sql(filter)).await, expected, "{filter}");
            }
        });
    }
}
