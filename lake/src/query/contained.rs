//! Turns a scan's panics into errors and blames altered objects.
//!
//! Owns: limiting a decoder's panic to its query, and naming the altered object in the error that it caused. Decoders
//! trust footers and pages: a changed byte may overflow in them, or cause an error that does not name the object.
//! Does not own: decoding, and reading (`reader`).

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::ParquetSource;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, Statistics};
use futures::{FutureExt, StreamExt, stream};

use super::hot::TailExec;
use super::object::{QueriedObject, unreadable_segment};
use super::regexes::invalid_pattern;

tokio::task_local! {
    /// The object that the polled scan reads.
    static OPENED: Opened;
}

/// True when the caller runs inside a scan that turns panics into errors; for a panic hook, which runs either way.
pub fn is_panic_contained() -> bool {
    OPENED.try_with(|_| ()).is_ok()
}

/// The object that a stream opened last: it reads one after the other.
#[derive(Clone, Debug, Default)]
struct Opened(Arc<Mutex<Option<QueriedObject>>>);

impl Opened {
    fn last(&self) -> MutexGuard<'_, Option<QueriedObject>> {
        // Still valid after a panic under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `error`, or the alteration of the object that may have caused it.
    async fn explain(&self, error: DataFusionError) -> DataFusionError {
        use DataFusionError::{External, Internal, ParquetError, ResourcesExhausted};
        if unreadable_segment(&error).is_some()
            || invalid_pattern(&error).is_some()
            || matches!(error.find_root(), ResourcesExhausted(_))
        {
            return error;
        }
        let Some(object) = self.last().take() else { return error };
        match object.check().await {
            Err(altered) => External(Box::new(altered)),
            // Neither the object nor the query is at fault: naming the object helps to find the defect.
            Ok(()) if matches!(error.find_root(), ParquetError(_) | Internal(_)) => {
                error.context(format!("{} was being read, and is as it was committed", object.listed.key))
            }
            Ok(()) => error,
        }
    }
}

/// Notes that the polled scan reads `object`.
pub(super) fn note_opened(object: &QueriedObject) {
    // Outside a contained scan no failure is explained.
    let _ = OPENED.try_with(|opened| {
        *opened.last() = Some(object.clone());
    });
}

/// Puts a [`ContainedScan`] over every scan of segments or of a tail: the last rule, so that all others see the scan itself.
#[derive(Debug)]
pub(super) struct ContainScans;

impl PhysicalOptimizerRule for ContainScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let contain = |node: Arc<dyn ExecutionPlan>| {
            let scan = node.downcast_ref::<DataSourceExec>();
            let is_of_objects = scan.and_then(DataSourceExec::downcast_to_file_source::<ParquetSource>).is_some();
            Ok(match is_of_objects || node.is::<TailExec>() {
                true => Transformed::yes(Arc::new(ContainedScan { scan: node }) as Arc<dyn ExecutionPlan>),
                false => Transformed::no(node),
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
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            // The tree rendering prints the name itself.
            DisplayFormatType::TreeRender => Ok(()),
            _ => f.write_str(self.name()),
        }
    }
}

impl ExecutionPlan for ContainedScan {
    fn name(&self) -> &'static str {
        "ContainedScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
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

/// The batches of a scan up to its first failure, given as an explained error.
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
                Err(panic) => panicked(panic.as_ref()),
            };
            // The rest of the scan is not polled again.
            drop(batches);
            Some((Err(opened.explain(error).await), None))
        }
    })
}

fn panicked(panic: &(dyn Any + Send)) -> DataFusionError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    DataFusionError::Internal(format!("reading panicked: {}", text.unwrap_or("without a message")))
}

#[cfg(test)]
mod tests {
    use common::checksum::crc32c;
    use datafusion::arrow::datatypes::Schema;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::super::object::ListedChecksum;
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
        assert!(error.contains("reading panicked: batch 1 is beyond me"), "{error}");
    }

    /// The error of a scan that opens an object of 3 bytes with this checksum, and fails with `error`.
    async fn failure(checksum: u32, error: DataFusionError) -> DataFusionError {
        let store = Arc::new(InMemory::new());
        let location = Path::from("a/key");
        store.put(&location, "abc".into()).await.expect("put");
        let meta = store.head(&location).await.expect("there");
        let object = QueriedObject::new(&(store as Arc<dyn ObjectStore>), &meta, ListedChecksum(checksum));
        let batches = stream::once(async move {
            note_opened(&object);
            Err(error)
        });
        let seen: Vec<_> = contained(scan(batches)).collect().await;
        let [Err(error)] = <[_; 1]>::try_from(seen).expect("one item") else { panic!("it failed") };
        error
    }

    #[tokio::test]
    async fn only_an_altered_object_explains_an_error() {
        let of_decoding = || DataFusionError::Internal("what is this?".to_owned());
        let of_the_query = || DataFusionError::Execution("not a number".to_owned());
        for error in [of_decoding(), of_the_query()] {
            let altered = failure(crc32c(b"abd"), error).await;
            assert_eq!(unreadable_segment(&altered).expect("typed").key, "a/key");
        }
        let sound = failure(crc32c(b"abc"), of_decoding()).await.to_string();
        assert!(sound.contains("what is this?") && sound.contains("a/key was being read, and is as"), "{sound}");
        let sound = failure(crc32c(b"abc"), of_the_query()).await;
        assert!(matches!(&sound, DataFusionError::Execution(text) if text == "not a number"), "{sound}");
        let memory = DataFusionError::ResourcesExhausted("no memory".to_owned());
        let memory = failure(crc32c(b"abd"), memory).await;
        assert!(matches!(memory, DataFusionError::ResourcesExhausted(_)), "{memory}");
    }
}
