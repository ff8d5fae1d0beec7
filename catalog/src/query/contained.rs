//! Scans whose failures are told as what they are.
//!
//! Owns: that a panic of a decoder ends its query alone, and that an object which was altered is named by the error it
//! caused. Decoders take what a footer or a page says for granted: a changed byte may be an overflow in them, or
//! an error that says nothing of the object.
//! Does not own: decoding, and reading (`reader`).

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::parquet::errors::ParquetError;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics};
use futures::{FutureExt, StreamExt, stream};

use super::reader::{ListedObject, unreadable_segment};

/// Objects of one stream that are compared after a failure: the one being decoded, and those opened ahead of it.
const OPENED_MAX: usize = 4;

tokio::task_local! {
    /// What the scan that is polled has opened.
    static OPENED: Opened;
}

/// Whether the caller runs below a scan that turns panics into errors: for a panic hook, which is called either way.
pub fn is_panic_contained() -> bool {
    OPENED.try_with(|_| ()).is_ok()
}

/// The objects that a stream opened last.
#[derive(Clone, Debug, Default)]
struct Opened(Arc<Mutex<VecDeque<ListedObject>>>);

impl Opened {
    fn objects(&self) -> MutexGuard<'_, VecDeque<ListedObject>> {
        // A panic may pass while it is held: a list of what was opened is whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `error`, or what is wrong with an object that may have caused it.
    async fn explain(&self, error: DataFusionError) -> DataFusionError {
        if unreadable_segment(&error).is_some() || has_other_cause(&error) {
            return error;
        }
        let objects: Vec<ListedObject> = self.objects().drain(..).rev().collect();
        for object in objects {
            if let Err(altered) = object.check().await {
                return DataFusionError::External(Box::new(altered));
            }
        }
        error
    }
}

/// Whether it is the query that failed, and not the decoding of what it reads: scans evaluate expressions too.
fn has_other_cause(error: &DataFusionError) -> bool {
    use ArrowError::{ArithmeticOverflow, CastError, ComputeError, DivideByZero, ParseError};
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => true,
        DataFusionError::ArrowError(error, _) => {
            matches!(**error, ArithmeticOverflow(_) | CastError(_) | ComputeError(_) | DivideByZero | ParseError(_))
        }
        _ => false,
    }
}

/// Notes, for the scan that is polled, that it reads `object`.
pub(super) fn note_opened(object: &ListedObject) {
    // Outside a contained scan there is nobody to explain a failure.
    let _ = OPENED.try_with(|opened| {
        let mut objects = opened.objects();
        objects.truncate(OPENED_MAX - 1);
        objects.push_front(object.clone());
    });
}

/// Puts a [`ContainedScan`] over every scan of segments: the last rule, so that all others see the scan itself.
#[derive(Debug)]
pub(super) struct ContainScans;

impl PhysicalOptimizerRule for ContainScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let contain = |node: Arc<dyn ExecutionPlan>| {
            let scan = node.downcast_ref::<DataSourceExec>();
            Ok(match scan.and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>) {
                Some(_) => Transformed::yes(Arc::new(ContainedScan { scan: node }) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        };
        plan.transform_up(contain).data()
    }

    fn name(&self) -> &'static str {
        "contain_scans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct ContainedScan {
    scan: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for ContainedScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for ContainedScan {
    fn name(&self) -> &'static str {
        "ContainedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.scan]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { scan: children.swap_remove(0) }))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.scan.partition_statistics(partition)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches = self.scan.execute(partition, context)?;
        let schema = batches.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, contained(batches))))
    }
}

/// The batches of a scan up to its first failure, which is an error that was explained.
fn contained(batches: SendableRecordBatchStream) -> impl stream::Stream<Item = Result<RecordBatch>> {
    let opened = Opened::default();
    stream::unfold(Some(batches), move |batches| {
        let opened = opened.clone();
        async move {
            let mut batches = batches?;
            let next = OPENED.scope(opened.clone(), AssertUnwindSafe(batches.next()).catch_unwind()).await;
            let error = match next {
                Ok(Some(Ok(batch))) => return Some((Ok(batch), Some(batches))),
                Ok(None) => return None,
                Ok(Some(Err(error))) => error,
                Err(panic) => decoder_panicked(panic.as_ref()),
            };
            // Whatever is left of the scan is not asked again.
            drop(batches);
            Some((Err(opened.explain(error).await), None))
        }
    })
}

fn decoder_panicked(panic: &(dyn Any + Send)) -> DataFusionError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = format!("the decoder panicked: {}", text.unwrap_or("without a message"));
    DataFusionError::ParquetError(Box::new(ParquetError::General(text)))
}

#[cfg(test)]
mod tests {
    use common::checksum::crc32c;
    use datafusion::arrow::datatypes::Schema;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use object_store::path::Path;

    use super::*;

    fn scan(batches: impl stream::Stream<Item = Result<RecordBatch>> + Send + 'static) -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(Arc::new(Schema::empty()), batches))
    }

    fn batch() -> RecordBatch {
        RecordBatch::new_empty(Arc::new(Schema::empty()))
    }

    #[tokio::test]
    async fn a_panic_is_the_last_of_a_scan_and_an_error() {
        let batches = stream::iter(0..3).map(|number| {
            assert!(is_panic_contained());
            assert!(number < 1, "batch {number} is beyond me");
            Ok(batch())
        });
        let seen: Vec<_> = contained(scan(batches)).collect().await;
        assert_eq!(seen.len(), 2);
        assert!(seen[0].is_ok() && !is_panic_contained());
        let error = seen[1].as_ref().expect_err("a panic").to_string();
        assert!(error.contains("the decoder panicked: batch 1 is beyond me"), "{error}");
    }

    /// The error of a scan that opens an object of 3 bytes with this checksum, and fails like that.
    async fn failure(checksum: u32, error: DataFusionError) -> DataFusionError {
        let store = Arc::new(InMemory::new());
        let location = Path::from("a/key");
        store.put(&location, "abc".into()).await.expect("put");
        let meta = store.head(&location).await.expect("there");
        let object = ListedObject { store, meta, checksum: Some(checksum) };
        let batches = stream::once(async move {
            note_opened(&object);
            Err(error)
        });
        let seen: Vec<_> = contained(scan(batches)).collect().await;
        let [Err(error)] = <[_; 1]>::try_from(seen).expect("one item") else { panic!("it failed") };
        error
    }

    #[tokio::test]
    async fn only_an_altered_object_explains_an_error_and_only_one_of_decoding() {
        let undecodable = || DataFusionError::ParquetError(Box::new(ParquetError::General("what is this?".to_owned())));
        let altered = failure(crc32c(b"abd"), undecodable()).await;
        assert_eq!(unreadable_segment(&altered).expect("typed").key, "a/key");
        let sound = failure(crc32c(b"abc"), undecodable()).await;
        assert!(sound.to_string().contains("what is this?"), "{sound}");
        let cast = DataFusionError::from(ArrowError::CastError("'v0' is no number".to_owned()));
        let cast = failure(crc32c(b"abd"), cast).await;
        assert!(cast.to_string().contains("'v0' is no number"), "{cast}");
    }
}
