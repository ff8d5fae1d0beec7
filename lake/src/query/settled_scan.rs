//! Settles what is read, before anything else sees it.
//!
//! Owns: that every expression a scan evaluates over a file, a projection or a filter, has its columns settled first.
//! A filter over a settled column prunes no row groups and no pages: Parquet's own statistics know nothing of NaN,
//! and of a required member they leave out the objects that are absent. Whole objects are pruned by what the catalog
//! records.
//! Does not own: what settling is (`settled`), and older layouts (`layout`).
//!
//! Why it is needed, for DataFusion 54.1. `get_field(s, 'm')` returns the child array of the struct array as it is, and
//! `unnest(s)` does the same: neither joins the struct's own validity to it. A Parquet file may declare `optional group
//! s { required int64 m }`; its reader gives `m` no validity of its own, so that the value at a row whose `s` is null is
//! arbitrary, and shows. Reproduction: write a struct array of the field `Field::new("m", Int64, false)` with the
//! validity `[true, false]` to Parquet, then `SELECT s IS NULL, s['m'] IS NULL FROM t`; both should be true in row 2.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};

use super::settled::{may_be_unsettled, settled, settled_scalar};

/// Key in a schema's metadata that no file has: where the schemas of table and file are alike, the scan would leave out
/// the adapter.
const MARK: &str = "siltstone.settled";

/// The table's schema, marked so that it is never taken for a file's.
pub(super) fn marked(schema: &Schema) -> SchemaRef {
    let metadata = [(MARK.to_owned(), String::new())].into();
    Arc::new(schema.clone().with_metadata(metadata))
}

/// Settles the columns of what another adapter makes of expressions.
#[derive(Debug)]
pub(super) struct SettledReads(pub(super) Arc<dyn PhysicalExprAdapterFactory>);

impl PhysicalExprAdapterFactory for SettledReads {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let others = self.0.create(table, Arc::clone(&file))?;
        Ok(Arc::new(SettlingAdapter { file, others }))
    }
}

#[derive(Debug)]
struct SettlingAdapter {
    file: SchemaRef,
    others: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for SettlingAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let settle = |node: Arc<dyn PhysicalExpr>| {
            let field = node.downcast_ref::<Column>().and_then(|column| self.file.fields().get(column.index()));
            Ok(match field {
                Some(field) if may_be_unsettled(field) => Transformed::yes(Arc::new(Settled { column: node }) as _),
                _ => Transformed::no(node),
            })
        };
        self.others.rewrite(expr)?.transform_up(settle).data()
    }
}

/// A column of a file, settled.
#[derive(Debug, Eq)]
struct Settled {
    column: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Settled {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column)
    }
}

impl Hash for Settled {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt(f)
    }
}

impl PhysicalExpr for Settled {
    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.column.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.column.evaluate(batch)? {
            ColumnarValue::Array(array) => settled(&array).map(ColumnarValue::Array),
            ColumnarValue::Scalar(scalar) => settled_scalar(&scalar).map(ColumnarValue::Scalar),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { column: children.swap_remove(0) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt_sql(f)
    }
}
