//! Micro-benchmarks of the CPU work per row: JSON into columns, columns into Parquet.
//!
//! `cargo bench -p writer`. One chunk of 8,192 messages of about 200 bytes, as the demo's orders.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use common::Message;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use lake::segment::SegmentEncoder;
use serde::de::IgnoredAny;
use writer::decode::{Source, TopicTable};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGES: usize = 8_192;
const COLUMNS: &str = r#"[{"name":"order_id","type":"string"},{"name":"customer_id","type":"int64"},
    {"name":"status","type":"string"},{"name":"amount","type":"float64"},{"name":"quantity","type":"int32"},
    {"name":"created_at","type":"timestamp_ms"},{"name":"country","type":"string"},{"name":"paid","type":"bool"}]"#;

fn main() {
    divan::main();
}

fn table(options: &str) -> Arc<TopicTable> {
    TopicTable::with_options(serde_json::from_str(options).expect("valid"), 1)
}

fn json_table() -> Arc<TopicTable> {
    table(&format!(r#"{{"format":"json","columns":{COLUMNS}}}"#))
}

fn messages() -> Vec<Message> {
    let mut random = fastrand::Rng::with_seed(7);
    let subject: Arc<str> = Arc::from("orders.0");
    let payload = |i: usize, random: &mut fastrand::Rng| {
        format!(
            r#"{{"order_id":"ord-{:016x}","customer_id":{},"status":"{}","amount":{}.{:02},"quantity":{},"created_at":{},"country":"{}","paid":{}}}"#,
            random.u64(..),
            random.u32(..1_000_000),
            ["created", "paid", "shipped", "delivered"][random.usize(..4)],
            random.u32(..1_000),
            random.u32(..100),
            random.u32(1..20),
            1_760_000_000_000_u64 + i as u64,
            ["DE", "FR", "US", "JP", "BR"][random.usize(..5)],
            random.bool(),
        )
    };
    let message = |i: usize| Message {
        offset: i as u64,
        timestamp_us: 1_760_000_000_000_000 + i as i64,
        key: None,
        headers: Vec::new(),
        subject: Arc::clone(&subject),
        payload: Bytes::from(payload(i, &mut random)),
        is_awaited: false,
    };
    (0..MESSAGES).map(message).collect()
}

fn bytes(messages: &[Message]) -> BytesCount {
    BytesCount::new(messages.iter().map(|message| message.payload.len()).sum::<usize>())
}

fn encode(batch: &RecordBatch) -> u64 {
    let mut encoder = SegmentEncoder::new(&batch.schema(), 1024 * 1024).expect("a schema");
    encoder.write(batch).expect("fits");
    encoder.finish(vec![]).expect("finishes").size_bytes
}

#[divan::bench]
fn decode_json(bencher: Bencher<'_, '_>) {
    let (table, messages) = (json_table(), messages());
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .counter(bytes(&messages))
        .bench(|| table.decode(Source::default(), &messages));
}

/// The rejected alternative: arrow-json after a check of the JSON, since it accepts broken JSON. It makes only the
/// declared columns, refuses fewer values, and its errors name no row.
#[divan::bench]
fn decode_json_with_arrow_json(bencher: Bencher<'_, '_>) {
    let (table, messages) = (json_table(), messages());
    // Times are plain integers here; with a time zone arrow-json would need another library.
    let plain = |field: &Field| match field.data_type() {
        DataType::Timestamp(_, _) => Field::new(field.name(), DataType::Int64, true),
        _ => field.clone(),
    };
    let fields = table.schema().fields().iter().filter(|field| !field.name().starts_with('_'));
    let declared: Vec<Field> = fields.map(|field| plain(field)).collect();
    let schema = Arc::new(Schema::new(declared));
    bencher.counter(ItemsCount::new(MESSAGES)).counter(bytes(&messages)).bench(|| {
        let reader = arrow_json::ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(MESSAGES + 1);
        let mut decoder = reader.build_decoder().expect("a schema");
        for message in &messages {
            serde_json::from_slice::<IgnoredAny>(&message.payload).expect("JSON");
            decoder.decode(&message.payload).expect("JSON");
        }
        decoder.flush().expect("of the schema").expect("rows")
    });
}

#[divan::bench]
fn decode_raw(bencher: Bencher<'_, '_>) {
    let (table, messages) = (table("{}"), messages());
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .counter(bytes(&messages))
        .bench(|| table.decode(Source::default(), &messages));
}

#[divan::bench]
fn encode_json_rows(bencher: Bencher<'_, '_>) {
    let rows = json_table().decode(Source::default(), &messages()).rows.expect("rows");
    bencher.counter(ItemsCount::new(MESSAGES)).bench(|| encode(&rows));
}

#[divan::bench]
fn encode_raw_rows(bencher: Bencher<'_, '_>) {
    let rows = table("{}").decode(Source::default(), &messages()).rows.expect("rows");
    bencher.counter(ItemsCount::new(MESSAGES)).bench(|| encode(&rows));
}

#[divan::bench]
fn encode_five_rows(bencher: Bencher<'_, '_>) {
    let rows = json_table().decode(Source::default(), &messages()[..5]).rows.expect("rows");
    bencher.counter(ItemsCount::new(5_usize)).bench(|| encode(&rows));
}
