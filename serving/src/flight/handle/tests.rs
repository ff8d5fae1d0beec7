//! Handles and values that clients make.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::IpcWriteOptions;
use futures::StreamExt;
use tonic::Code;

use super::*;

fn key(seed: u8) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &[seed; 32])
}

fn row(values: Vec<i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from(values));
    RecordBatch::try_from_iter([("a", column)]).expect("a batch")
}

fn sent(
    batch: RecordBatch,
    options: IpcWriteOptions,
) -> impl Stream<Item = Result<FlightData, Status>> + Send + 'static {
    let batches = futures::stream::iter([Ok(batch)]);
    FlightDataEncoderBuilder::new().with_options(options).build(batches).map_err(Status::from)
}

async fn bound(batch: RecordBatch) -> Result<Handle, Status> {
    Handle::of("SELECT $1".to_owned()).with_values(sent(batch, IpcWriteOptions::default())).await
}

/// The message of a handle that cannot be read.
fn refused(bytes: &[u8], key: &hmac::Key) -> String {
    let Err(status) = Handle::decoded(bytes, key) else { panic!("it was read") };
    assert_eq!(status.code(), Code::InvalidArgument);
    status.message().to_owned()
}

#[tokio::test]
async fn a_handle_comes_back_with_its_values() {
    let handle = bound(row(vec![7])).await.expect("one row");
    let bytes = handle.encoded(&key(1)).expect("encoded");
    let handle = Handle::decoded(&bytes, &key(1)).expect("sealed");
    assert_eq!((handle.sql.as_str(), handle.values), ("SELECT $1", Some(row(vec![7]))));
    let plain = Handle::of("SELECT 1".to_owned()).encoded(&key(1)).expect("encoded");
    assert_eq!(Handle::decoded(&plain, &key(2)).expect("no values").sql, "SELECT 1");
}

#[tokio::test]
async fn values_that_this_process_did_not_seal_are_not_read() {
    let bytes = bound(row(vec![7])).await.expect("one row").encoded(&key(1)).expect("encoded");
    assert!(refused(&bytes, &key(2)).contains("prepare the statement again"));
    for changed in 0..bytes.len() {
        let mut altered = bytes.to_vec();
        altered[changed] ^= 1;
        refused(&altered, &key(1));
    }
    // A stream of Arrow as any client can make it, whose lengths the reader would trust.
    let mut forged = b"SELECT 1\0".to_vec();
    forged.extend_from_slice(&bytes[10..bytes.len() - SEAL_BYTES]);
    refused(&forged, &key(1));
    for end in 9..bytes.len() {
        if end != 10 {
            refused(&bytes[..end], &key(1));
        }
    }
}

#[tokio::test]
async fn values_are_one_row_of_bounded_size_as_it_is() {
    let two = bound(row(vec![1, 2])).await.err().expect("two rows");
    assert!(two.message().contains("one row of values"), "{two}");
    assert!(bound(row(vec![])).await.expect("none").values.is_none());
    let text: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["x".repeat(VALUES_BYTES_MAX)]));
    let large = bound(RecordBatch::try_from_iter([("a", text)]).expect("a batch")).await.err().expect("too large");
    assert!(large.message().contains("1048576 bytes"), "{large}");
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).expect("options");
    let packed = Handle::of(String::new()).with_values(sent(row(vec![1]), options)).await.err().expect("compressed");
    assert!(packed.message().contains("not compressed here"), "{packed}");
}

#[tokio::test]
async fn messages_that_arrow_cannot_read_are_refused_and_end_nothing() {
    let whole: Vec<FlightData> = sent(row(vec![7]), IpcWriteOptions::default()).try_collect().await.expect("encoded");
    let mut cut = whole.clone();
    cut[1].data_body = cut[1].data_body.slice(..4);
    let garbage = FlightData { data_header: vec![0xff; 40].into(), ..FlightData::default() };
    for messages in [cut, vec![whole[0].clone(), garbage], vec![whole[1].clone()]] {
        let stream = futures::stream::iter(messages).map(Ok);
        let failed = Handle::of(String::new()).with_values(stream).await.err().expect("no row of Arrow");
        assert!(!failed.message().is_empty());
    }
}
