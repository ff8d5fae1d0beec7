//! The operands of a long AND, evaluated one after the other.
//!
//! Owns: that each operand sees the result of those before it, as in the chain that DataFusion makes of them: which rows it
//! is evaluated for, and so which errors it may give, stays as it is. Does not own: which chains become one (`filters`).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;

/// The AND of at least one operand.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct InTurn {
    operands: Vec<Arc<dyn PhysicalExpr>>,
}

impl InTurn {
    pub(super) fn new(operands: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { operands }
    }
}

impl fmt::Display for InTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, operand) in self.operands.iter().enumerate() {
            let and = if place == 0 { "" } else { " AND " };
            write!(f, "{and}{operand}")?;
        }
        Ok(())
    }
}

impl PhysicalExpr for InTurn {
    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        let mut is_nullable = false;
        for operand in &self.operands {
            is_nullable |= operand.nullable(input)?;
        }
        Ok(boolean(is_nullable))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let (first, rest) = self.operands.split_first().expect("there is an operand");
        rest.iter().try_fold(first.evaluate(batch)?, |known, operand| {
            let known = Arc::new(Known(known));
            BinaryExpr::new(known, Operator::And, Arc::clone(operand)).evaluate(batch)
        })
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.operands.iter().collect()
    }

    fn with_new_children(self: Arc<Self>, operands: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self { operands }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn boolean(is_nullable: bool) -> FieldRef {
    Arc::new(Field::new("and", DataType::Boolean, is_nullable))
}

/// The result of the operands so far, for one batch.
#[derive(Debug)]
struct Known(ColumnarValue);

// It lives for one evaluation and is compared with nothing.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("known")
    }
}

impl PhysicalExpr for Known {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(boolean(true))
    }

    fn evaluate(&self, _: &RecordBatch) -> Result<ColumnarValue> {
        Ok(self.0.clone())
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![]
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
