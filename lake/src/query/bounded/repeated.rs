//! Functions that stand for `||` and for a large literal.
//!
//! Owns: their bounds, and that each is shown as what it stands for. Does not own: the expressions they replace
//! (`bounded`).

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::array::RecordBatchOptions;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};

use super::Bounds;
use super::growth::Growth;

/// The operator `||`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Concatenation {
    signature: Signature,
    bounds: Bounds,
}

impl Concatenation {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable), bounds }
    }
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &str {
        "||"
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        Ok(format!("{} || {}", operands[0].schema_name(), operands[1].schema_name()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        BinaryTypeCoercer::new(&operands[0], &Operator::StringConcat, &operands[1]).get_result_type()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bound = Growth::Sum.bound(&args.args, args.number_rows)?;
        if bound.bytes > self.bounds.result_bytes as u64 {
            return Err(self.bounds.exceeded(self.name(), bound.bytes));
        }
        let (mut fields, mut columns, mut operands) = (Vec::new(), Vec::new(), Vec::new());
        for (field, operand) in args.arg_fields.iter().zip(args.args) {
            let operand: Arc<dyn PhysicalExpr> = match operand {
                ColumnarValue::Scalar(value) => Arc::new(Literal::new(value)),
                ColumnarValue::Array(array) => {
                    fields.push(field.as_ref().clone().with_data_type(array.data_type().clone()).with_nullable(true));
                    columns.push(array);
                    Arc::new(Column::new(field.name(), columns.len() - 1))
                }
            };
            operands.push(operand);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        let [left, right] = <[_; 2]>::try_from(operands)
            .map_err(|operands| DataFusionError::Internal(format!("|| of {} operands", operands.len())))?;
        BinaryExpr::new(left, Operator::StringConcat, right).evaluate(&batch)
    }
}

/// A large literal: whatever uses it may copy it for each row of a batch.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Repeated {
    signature: Signature,
    bounds: Bounds,
}

impl Repeated {
    pub(super) fn new(bounds: Bounds) -> Self {
        // Volatile, so that it is not folded into the literal again.
        Self { signature: Signature::any(1, Volatility::Volatile), bounds }
    }
}

impl ScalarUDFImpl for Repeated {
    fn name(&self) -> &str {
        "a large literal"
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        Ok(operands[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        Ok(operands[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&args.arg_fields[0]))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows as u64;
        let [ColumnarValue::Scalar(value)] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("a literal is one value".to_owned()));
        };
        let bytes = (value.size() as u64).saturating_mul(rows);
        if bytes > self.bounds.result_bytes as u64 {
            return Err(self.bounds.exceeded(self.name(), bytes));
        }
        Ok(ColumnarValue::Scalar(value.clone()))
    }
}
