//! A store that fails, lies or loses replies: the batch is kept, nothing is lost or doubled.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use catalog::SegmentKind;
use common::TopicPartition;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::world::{World, expected, storage_over};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Fails and stores nothing.
    ErrorBefore,
    /// Stores, then fails: the reply is lost.
    ErrorAfter,
    /// Stores, then says that the object exists: the client's own retry met itself.
    ExistsAfter,
    /// Says that the object exists and stores nothing: a conflict that was mapped wrongly.
    ExistsBefore,
    /// Stores other bytes and fails.
    WrongBytes,
}

const FAULTS: [Fault; 5] =
    [Fault::ErrorBefore, Fault::ErrorAfter, Fault::ExistsAfter, Fault::ExistsBefore, Fault::WrongBytes];

/// Every other put meets the next fault.
#[derive(Debug)]
struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    puts: AtomicU64,
    faults: Vec<Fault>,
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let number = self.puts.fetch_add(1, Ordering::SeqCst);
        if number % 2 == 1 {
            return self.inner.put_opts(location, payload, options).await;
        }
        let fault = self.faults[(number / 2) as usize % self.faults.len()];
        match fault {
            Fault::ErrorBefore | Fault::ExistsBefore => {}
            Fault::ErrorAfter | Fault::ExistsAfter => {
                self.inner.put_opts(location, payload, options).await?;
            }
            Fault::WrongBytes => {
                self.inner.put(location, PutPayload::from_static(b"torn")).await?;
            }
        }
        let source = format!("injected: {fault:?}").into();
        Err(match fault {
            Fault::ExistsBefore | Fault::ExistsAfter => Error::AlreadyExists { path: location.to_string(), source },
            _ => Error::Generic { store: "faulty", source },
        })
    }

    async fn put_multipart_opts(&self, l: &Path, o: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(l, o).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn survives(faults: Vec<Fault>) {
    let storage = storage_over(|inner| Arc::new(FaultyStore { inner, puts: AtomicU64::new(0), faults }));
    let mut world = World::with_storage(storage).await;
    world.config.segment_records_max = 500;
    let topic = world.topic("t", 1, "{}").await;
    let partition = TopicPartition::new(topic.clone(), 0);
    let mut writer = world.start().await;
    for _ in 0..6 {
        let end = world.publish(&partition, (0..500).map(|n| format!("payload {n}"))).await;
        writer.wait_committed(&[(partition.clone(), end)]).await.expect("committed");
    }
    assert_eq!(world.rows(&topic, SegmentKind::Data).await, expected(1, 3_000));
    world.audit(&topic).await;
    writer.shutdown().await.expect("drains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_put_is_tried_again_and_nothing_overtakes_it() {
    survives(vec![Fault::ErrorBefore]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_reply_was_lost_is_found_and_not_doubled() {
    survives(vec![Fault::ErrorAfter]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn already_exists_proves_nothing() {
    survives(vec![Fault::ExistsAfter, Fault::ExistsBefore]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_are_never_committed() {
    survives(vec![Fault::WrongBytes]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_in_turn() {
    survives(FAULTS.to_vec()).await;
}
