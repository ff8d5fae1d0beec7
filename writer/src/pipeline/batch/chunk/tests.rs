//! Messages of many records: every record once, and none encoded before its refusals are settled.

use std::sync::Arc;

use common::memory::MemoryBudget;

use super::*;
use crate::pipeline::batch::Encoded;
use crate::pipeline::decode::{PartitionDecoder, Source, TopicTable};

/// Records of the message; each repeats its key, so that they are several parts.
const RECORDS: usize = 40_000;

fn encoding() -> Encoding {
    let options = serde_json::from_str(r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#).expect("valid");
    let decoder = PartitionDecoder::new(TopicTable::with_options(options, 1), Source::default());
    Encoding { decoder, pages: (64 * 1024).into(), condemned: None }
}

/// A batch of one message, of which the last record is `last`.
fn batch(last: &str) -> OpenBatch {
    let payload = "{\"n\":1}\n".repeat(RECORDS - 1) + last;
    let message = Message {
        offset: 5,
        timestamp_us: 0,
        key: Some(vec![b'k'; 1024].into()),
        headers: vec![],
        subject: Arc::from("t.0"),
        payload: payload.into(),
        is_awaited: false,
    };
    let memory = MemoryBudget::new(1 << 26).try_acquire(message.memory_bytes()).expect("free");
    OpenBatch::open(5, vec![message], vec![], memory)
}

fn records(batch: &OpenBatch) -> [Option<u64>; 2] {
    [&batch.tables.data, &batch.tables.quarantine].map(|table| table.as_ref().map(Table::record_count))
}

#[test]
fn a_doubted_refusal_behind_many_records_leaves_nothing_encoded() {
    for form in [Form::Rows, Form::Encoded] {
        let mut encoding = encoding();
        let doubtful = batch("{\"n\":\"x\"}").encode(&mut encoding, Doubt::All, form).expect("encodes");
        let Encoded::Doubtful(waiting) = doubtful else { panic!("the refusal is doubted") };
        assert_eq!(records(&waiting), [None, None]);
        let Encoded::Whole(whole) = waiting.encode(&mut encoding, Doubt::None, form).expect("encodes") else {
            panic!("no refusal is doubted")
        };
        assert_eq!(records(&whole), [Some(RECORDS as u64 - 1), Some(1)]);
        assert_eq!(whole.first_refusal.expect("one").offset, 5);
    }
}

#[test]
fn a_chunk_that_is_looked_at_first_is_encoded_once() {
    for doubt in [Doubt::All, Doubt::Replayed, Doubt::None] {
        let encoded = batch("{\"n\":2}").encode(&mut encoding(), doubt, Form::Rows).expect("encodes");
        let Encoded::Whole(whole) = encoded else { panic!("nothing is refused") };
        assert_eq!(records(&whole), [Some(RECORDS as u64), None], "{doubt:?}");
    }
}
