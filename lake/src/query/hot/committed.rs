//! Rows that were committed after the query's snapshot, and that the queue has dropped since.
//!
//! Owns: finding their objects in a newer snapshot, and leaving out all other rows of these objects.
//! Does not own: the decision that they are needed (`crate::tail::TailCursor`), reading objects (`provider`).

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::config::TableParquetOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::union::UnionExec;

use crate::query::layout::{LakeObject, laid_out_alike};
use crate::query::provider::{LakeTable, Wanted};
use crate::schema::{INCARNATION, OFFSET, PARTITION};
use catalog::{Partition, TopicSnapshot};
use common::OffsetRange;

impl LakeTable {
    /// The rows of `range` in the partition's incarnation, all columns, as one partition of a plan.
    pub(super) async fn committed(
        &self,
        partition: &Partition,
        range: OffsetRange,
        options: &TableParquetOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let snapshot = self.sources.home.run(self.sources.catalog.snapshot(&partition.topic)).await;
        let mut snapshot = snapshot.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let is_same = |now: &Partition| {
            (now.partition_id, now.created_at, now.incarnation)
                == (partition.partition_id, partition.created_at, partition.incarnation)
        };
        if !snapshot.partitions.iter().any(is_same) {
            let (topic, number) = (&partition.topic, partition.partition_id);
            return Err(DataFusionError::Execution(format!(
                "partition {topic}/{number} was deleted or resumed while it was read; run the query again"
            )));
        }
        keep_range(&mut snapshot, partition, range);
        let objects = LakeObject::all(&snapshot, self.kind);
        let mut scans = Vec::new();
        let wanted =
            Wanted { projection: None, limit: None, options: options.clone(), partitions: 1, pruned: 0, exact: None };
        for (unsaid, alike) in laid_out_alike(objects.iter().collect())? {
            scans.push(self.scan_of(&alike, unsaid, &wanted)?);
        }
        let scan = match scans.len() {
            0 => self.scan_of(&[], None, &wanted)?,
            1 => scans.swap_remove(0),
            _ => UnionExec::try_new(scans)?,
        };
        let predicate = self.predicate(partition, range)?;
        Ok(Arc::new(FilterExec::try_new(predicate, scan)?))
    }

    /// True for the rows of a range of the partition.
    fn predicate(&self, partition: &Partition, range: OffsetRange) -> Result<Arc<dyn PhysicalExpr>> {
        // What does not fit its column is in no row: no row is equal to null.
        let number = |number: u32| ScalarValue::Int32(i32::try_from(number).ok());
        let offset = |offset: u64| ScalarValue::Int64(i64::try_from(offset).ok());
        let compares = [
            (PARTITION, Operator::Eq, number(partition.partition_id)),
            (INCARNATION, Operator::Eq, number(partition.incarnation.0)),
            (OFFSET, Operator::GtEq, offset(range.base())),
            (OFFSET, Operator::LtEq, offset(range.end())),
        ];
        let mut all: Option<Arc<dyn PhysicalExpr>> = None;
        for (name, operator, value) in compares {
            let column = Arc::new(Column::new_with_schema(name, &self.schema)?);
            let compare: Arc<dyn PhysicalExpr> =
                Arc::new(BinaryExpr::new(column, operator, Arc::new(Literal::new(value))));
            all = Some(match all {
                Some(all) => Arc::new(BinaryExpr::new(all, Operator::And, compare)),
                None => compare,
            });
        }
        Ok(all.expect("there are compares"))
    }
}

/// Leaves the segments that may hold rows of the range.
fn keep_range(snapshot: &mut TopicSnapshot, partition: &Partition, range: OffsetRange) {
    snapshot.segments.retain(|segment| {
        segment.partition_id == partition.partition_id
            && segment.incarnation == partition.incarnation
            && segment.range.overlaps(range)
    });
}
