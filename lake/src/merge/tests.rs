//! Merges of random objects, of old ones, of wrong ones, and their memory.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use common::topic::TopicOptions;
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::schema::{INCARNATION, OFFSET, PARTITION, PARTITION_IN_LAYOUT_1, ROW, TIMESTAMP, table_schema};

/// Customer, time, partition, incarnation, offset, row: in the order of a table that is sorted by `customer`.
type Key = (Last, i64, i32, i32, i64, i32);

/// A text, or null, which comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Text(String),
    Null,
}

fn table() -> SchemaRef {
    let options = r#"{"format":"json","columns":[{"name":"customer","type":"string"},{"name":"n","type":"int64"}]}"#;
    table_schema(&serde_json::from_str::<TopicOptions>(options).expect("valid"))
}

fn form(sort: &[&str], sort_bytes: usize) -> MergedForm {
    let sort = sort.iter().map(|name| (*name).to_owned()).collect();
    MergedForm { table: table(), sort, bloom: vec!["customer".to_owned()], pages: (4_096).into(), sort_bytes }
}

/// Rows of these keys, with the columns that `schema` has.
fn batch(schema: &SchemaRef, keys: &[Key]) -> RecordBatch {
    let ints = |of: fn(&Key) -> i32| Arc::new(Int32Array::from_iter_values(keys.iter().map(of))) as ArrayRef;
    let column = |name: &str| -> ArrayRef {
        match name {
            PARTITION | PARTITION_IN_LAYOUT_1 => ints(|key| key.2),
            INCARNATION => ints(|key| key.3),
            ROW => ints(|key| key.5),
            OFFSET => Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| key.4))),
            TIMESTAMP => {
                let times = TimestampMicrosecondArray::from_iter_values(keys.iter().map(|key| key.1));
                Arc::new(times.with_timezone("UTC"))
            }
            "_subject" => Arc::new(StringArray::from_iter_values(keys.iter().map(|key| format!("s.{}", key.4)))),
            "customer" => Arc::new(StringArray::from_iter(keys.iter().map(|key| match &key.0 {
                Last::Text(text) => Some(text.as_str()),
                Last::Null => None,
            }))),
            other => new_null_array(schema.field_with_name(other).expect("there").data_type(), keys.len()),
        }
    };
    let columns = schema.fields().iter().map(|field| column(field.name())).collect();
    RecordBatch::try_new(Arc::clone(schema), columns).expect("of the schema")
}

/// The keys of the rows of a file, in its order.
fn keys(bytes: Bytes) -> Vec<Key> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a file").build().expect("readable");
    let mut keys = Vec::new();
    for rows in reader {
        let rows = rows.expect("rows");
        let column = |name: &str| rows.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
        let int = |name: &str, row: usize| column(name).as_primitive::<Int32Type>().value(row);
        let texts = column("customer").as_string::<i32>();
        let times = column(TIMESTAMP).as_primitive::<TimestampMicrosecondType>();
        let offsets = column(OFFSET).as_primitive::<Int64Type>();
        for (row, text) in texts.iter().enumerate() {
            let text = text.map_or(Last::Null, |text| Last::Text(text.to_owned()));
            let place = (int(PARTITION, row), int(INCARNATION, row));
            keys.push((text, times.value(row), place.0, place.1, offsets.value(row), int(ROW, row)));
        }
    }
    keys
}

fn bytes_of(segment: &EncodedSegment) -> Bytes {
    Bytes::from(segment.payload.iter().flatten().copied().collect::<Vec<u8>>())
}

async fn put(storage: &Storage, name: &str, segment: &EncodedSegment) -> MergeInput {
    let key = Path::from(name);
    storage.store.put(&key, segment.payload.clone()).await.expect("put");
    let listed = ListedObject { key, size_bytes: segment.size_bytes, checksum: segment.checksum };
    MergeInput { listed, unsaid_incarnation: None }
}

/// An object as the pipeline writes it, in several row groups.
async fn written(storage: &Storage, name: &str, schema: &SchemaRef, rows: &[Key]) -> MergeInput {
    let layout = Layout { row_group_bytes: 2_000, ..Layout::as_written(512.into()) };
    let mut encoder = SegmentEncoder::with_layout(schema, &layout).expect("a valid schema");
    rows.chunks(100).for_each(|rows| encoder.write(&batch(schema, rows)).expect("fits"));
    put(storage, name, &encoder.finish(vec![]).expect("finishes")).await
}

/// The merge, and the most memory that it said to hold.
async fn merge(
    storage: &Storage,
    inputs: &[MergeInput],
    form: &MergedForm,
) -> Result<(EncodedSegment, usize), MergeError> {
    let mut merge = Merge::open(storage, inputs, form).await?;
    let mut most = 0;
    loop {
        let step = merge.work()?;
        most = most.max(merge.memory_bytes());
        match step {
            Step::Work => {}
            Step::Fetch => merge.fetch(storage).await?,
            Step::Finish => return Ok((merge.finish(vec![])?, most)),
        }
    }
}

fn random_rows(partition: i32, count: usize) -> Vec<Key> {
    let mut time = fastrand::i64(0..1_000);
    let row = |number: usize| {
        time += fastrand::i64(-3..50);
        let text = if fastrand::u8(..) < 40 { Last::Null } else { Last::Text(format!("c{}", fastrand::u8(..20))) };
        (text, time, partition, fastrand::i32(0..2), number as i64, 0)
    };
    (0..count).map(row).collect()
}

fn by_time(key: &Key) -> (i64, i32, i32, i64, i32) {
    (key.1, key.2, key.3, key.4, key.5)
}

#[tokio::test]
async fn a_merge_has_the_rows_of_all_inputs_in_order_whatever_they_are() {
    for seed in 0..30 {
        fastrand::seed(seed);
        let storage = Storage::memory();
        let is_by_customer = fastrand::bool();
        let form = form(if is_by_customer { &["customer"] } else { &[] }, 1 << fastrand::u32(10..20));
        let (mut all, mut inputs) = (Vec::new(), Vec::new());
        for number in 0..fastrand::usize(1..6) {
            let rows = random_rows(number as i32, fastrand::usize(0..700));
            inputs.push(written(&storage, &format!("w{number}"), &table(), &rows).await);
            all.extend(rows);
        }
        let (first, _) = merge(&storage, &inputs, &form).await.expect("merged");
        let mut inputs = vec![put(&storage, "m", &first).await];
        // A merge of a merged object and new ones.
        for number in 6..8 {
            let rows = random_rows(number, fastrand::usize(0..300));
            inputs.push(written(&storage, &format!("w{number}"), &table(), &rows).await);
            all.extend(rows);
        }
        let (second, _) = merge(&storage, &inputs, &form).await.expect("merged");
        all.sort_by(|one, other| if is_by_customer { one.cmp(other) } else { by_time(one).cmp(&by_time(other)) });
        assert_eq!(keys(bytes_of(&second)), all, "seed {seed}");
        assert_eq!(second.record_count, all.len() as u64);
    }
}

#[tokio::test]
async fn the_order_is_recorded_and_customers_have_bloom_filters() {
    fastrand::seed(3);
    let storage = Storage::memory();
    let input = written(&storage, "w", &table(), &random_rows(0, 500)).await;
    let (merged, _) = merge(&storage, &[input], &form(&["customer"], 1 << 20)).await.expect("merged");
    let file = ParquetRecordBatchReaderBuilder::try_new(bytes_of(&merged)).expect("a file");
    let described = file.parquet_schema();
    let names = |group: &parquet::file::metadata::RowGroupMetaData| -> Vec<String> {
        let leaves = group.sorting_columns().expect("recorded");
        leaves.iter().map(|leaf| described.column(leaf.column_idx as usize).name().to_owned()).collect()
    };
    for group in file.metadata().row_groups() {
        assert_eq!(names(group), ["customer", TIMESTAMP, PARTITION, INCARNATION, OFFSET, ROW]);
        for column in group.columns() {
            let has_filter = column.bloom_filter_offset().is_some();
            assert_eq!(has_filter, column.column_path().string() == "customer");
        }
    }
    // All columns have statistics; the field ids say which.
    let ids: Vec<i32> = merged.statistics.iter().map(|column| column.field_id).collect();
    assert!([1, 2, 3, 4, 7, 10, 13, 100, 101].iter().all(|id| ids.contains(id)), "{ids:?}");
}

#[tokio::test]
async fn rows_of_layout_1_and_of_fewer_columns_are_rows_of_the_table() {
    fastrand::seed(4);
    let storage = Storage::memory();
    let fields = table().fields().clone();
    let old: Vec<_> = fields.iter().filter(|field| ![INCARNATION, "n"].contains(&field.name().as_str())).collect();
    let old = old.into_iter().map(|field| match field.name().as_str() {
        PARTITION => Arc::new(field.as_ref().clone().with_name(PARTITION_IN_LAYOUT_1)),
        _ => Arc::clone(field),
    });
    let old = Arc::new(Schema::new(old.collect::<Vec<_>>()));
    let mut rows: Vec<Key> = random_rows(5, 200);
    rows.iter_mut().for_each(|row| row.3 = 7);
    let mut input = written(&storage, "old", &old, &rows).await;
    input.unsaid_incarnation = Some(7);
    let new = random_rows(6, 50);
    let inputs = [input, written(&storage, "new", &table(), &new).await];
    let (merged, _) = merge(&storage, &inputs, &form(&[], 1 << 20)).await.expect("merged");
    rows.extend(new);
    rows.sort_by_key(by_time);
    assert_eq!(keys(bytes_of(&merged)), rows);
}

#[tokio::test]
async fn an_input_that_is_not_the_listed_one_is_refused() {
    fastrand::seed(5);
    let storage = Storage::memory();
    let input = written(&storage, "w", &table(), &random_rows(0, 400)).await;
    let good = storage.store.get(&input.listed.key).await.expect("there").bytes().await.expect("read");
    let refused = async |input: &MergeInput| {
        let outcome = merge(&storage, std::slice::from_ref(input), &form(&[], 1 << 20)).await;
        outcome.map(|_| ()).expect_err("not the listed object")
    };
    // Somewhere in the pages, in the footer, and in bytes that no reader needs.
    for at in [0, 100, good.len() / 2, good.len() - 100, good.len() - 1] {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        storage.store.put(&input.listed.key, Bytes::from(bytes).into()).await.expect("put");
        let error = refused(&input).await;
        assert!(matches!(error, MergeError::Altered { .. }), "{error}");
    }
    storage.store.put(&input.listed.key, good.slice(..good.len() - 50).into()).await.expect("put");
    refused(&input).await;
    storage.store.delete(&input.listed.key).await.expect("deleted");
    assert!(matches!(refused(&input).await, MergeError::Unreadable { .. }));
}

#[tokio::test]
async fn an_order_that_a_file_claims_and_does_not_have_is_refused() {
    fastrand::seed(6);
    let storage = Storage::memory();
    let order = RowOrder::new(&table(), &[]).expect("an order");
    let layout = Layout { sorting: Some(order.leaves()), ..Layout::as_written(512.into()) };
    let mut rows = random_rows(0, 100);
    rows.sort_by_key(by_time);
    rows.swap(40, 60);
    let mut encoder = SegmentEncoder::with_layout(&table(), &layout).expect("a valid schema");
    encoder.write(&batch(&table(), &rows)).expect("fits");
    let input = put(&storage, "w", &encoder.finish(vec![]).expect("finishes")).await;
    let error = merge(&storage, &[input], &form(&[], 1 << 20)).await.map(|_| ()).expect_err("not in order");
    assert!(error.to_string().contains("not in the order that its footer says"), "{error}");
}

#[tokio::test]
async fn memory_stays_within_what_a_merge_is_said_to_take() {
    fastrand::seed(7);
    let storage = Storage::memory();
    let sort_bytes = 12 << 20;
    // Texts that do not compress.
    let incompressible = |partition: i32| -> Vec<Key> {
        let text = || Last::Text((0..400).map(|_| fastrand::alphanumeric()).collect());
        random_rows(partition, 10_000).into_iter().map(|key| (text(), key.1, key.2, key.3, key.4, key.5)).collect()
    };
    let mut sizes: HashMap<bool, u64> = HashMap::new();
    let mut inputs = Vec::new();
    for number in 0..6 {
        inputs.push(written(&storage, &format!("w{number}"), &table(), &incompressible(number)).await);
    }
    let mut bound = |inputs: &[MergeInput], is_sorted: bool| {
        let bytes: u64 = inputs.iter().map(|input| memory_of_input(input.listed.size_bytes, is_sorted)).sum();
        sizes.insert(is_sorted, inputs.iter().map(|input| input.listed.size_bytes).sum());
        // Besides what the inputs take: rows that are sorted, with their keys, or a row group and a batch of each run.
        bytes as usize + 2 * sort_bytes
    };
    let form = form(&["customer"], sort_bytes);
    let (first, most) = merge(&storage, &inputs, &form).await.expect("merged");
    let allowed = bound(&inputs, false);
    assert!(most <= allowed, "{most} bytes of {allowed}");
    let mut merged = vec![put(&storage, "m0", &first).await];
    let (second, _) = merge(&storage, &inputs[..3], &form).await.expect("merged");
    merged.push(put(&storage, "m1", &second).await);
    let (_, most) = merge(&storage, &merged, &form).await.expect("merged");
    let allowed = bound(&merged, true);
    assert!(most <= allowed, "{most} bytes of {allowed}");
    assert!(sizes.values().all(|bytes| *bytes > 4 << 20), "too small to show anything: {sizes:?}");
}
