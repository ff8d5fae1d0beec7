//! Functions that stand for operators.
//!
//! Owns: `+`, `-` and `*` of integers and decimals that fail instead of wrapping around, with an error that says what to
//! do; and settling of computed floats. Each is shown as the operator it stands for.
//! Does not own: the expressions they replace (`checked`).

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, sub};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, FieldRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::settled;

/// Name of the function that settles.
pub(super) const SETTLED: &str = "settled";

/// The settled value of a float, or of something that holds floats.
pub(super) fn settled(operand: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Function::Settled));
    call(&FUNCTION, vec![operand])
}

/// The negation, or an error where it does not fit.
pub(super) fn negative(operand: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Function::Negative));
    call(&FUNCTION, vec![operand])
}

/// The result of `+`, `-` or `*`, or an error where it does not fit.
pub(super) fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    static PLUS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Function::Binary(Operator::Plus)));
    static MINUS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Function::Binary(Operator::Minus)));
    static MULTIPLY: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function(Function::Binary(Operator::Multiply)));
    let function = match operator {
        Operator::Plus => &PLUS,
        Operator::Minus => &MINUS,
        Operator::Multiply => &MULTIPLY,
        other => return Expr::BinaryExpr(datafusion::logical_expr::BinaryExpr::new(left.into(), other, right.into())),
    };
    call(function, vec![left, right])
}

fn call(function: &Arc<ScalarUDF>, operands: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), operands))
}

fn function(function: Function) -> Arc<ScalarUDF> {
    let operands = if matches!(function, Function::Binary(_)) { 2 } else { 1 };
    let signature = Signature::any(operands, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(Arithmetic { function, signature }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    Settled,
    Negative,
    Binary(Operator),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    function: Function,
    signature: Signature,
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match self.function {
            Function::Settled => SETTLED,
            Function::Negative => "checked_negative",
            Function::Binary(Operator::Plus) => "checked_plus",
            Function::Binary(Operator::Minus) => "checked_minus",
            Function::Binary(_) => "checked_multiply",
        }
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        let name = |at: usize| operands[at].schema_name();
        Ok(match self.function {
            Function::Settled => name(0).to_string(),
            Function::Negative => format!("(- {})", name(0)),
            Function::Binary(operator) => format!("{} {operator} {}", name(0), name(1)),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        match self.function {
            Function::Binary(operator) => {
                BinaryTypeCoercer::new(&operands[0], &operator, &operands[1]).get_result_type()
            }
            _ => Ok(operands[0].clone()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if self.function == Function::Settled {
            return Ok(Arc::clone(&args.arg_fields[0]));
        }
        let types: Vec<_> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let field = args.arg_fields[0].as_ref().clone().with_name(self.name()).with_nullable(is_nullable);
        Ok(Arc::new(field.with_metadata(Default::default()).with_data_type(self.return_type(&types)?)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let operands = args.args.iter().map(datum).collect::<Result<Vec<_>>>()?;
        let result = match (self.function, operands.as_slice()) {
            (Function::Settled, [only]) => settled::settled(&only.array())?,
            (Function::Negative, [only]) => fitting(neg(only.array().as_ref()), "-")?,
            (Function::Binary(operator), [left, right]) => {
                let kernel = match operator {
                    Operator::Plus => add,
                    Operator::Minus => sub,
                    _ => mul,
                };
                fitting(kernel(left.datum(), right.datum()), &operator.to_string())?
            }
            _ => return Err(DataFusionError::Internal(format!("{} of {} operands", self.name(), operands.len()))),
        };
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}

/// An operand for the kernels of Arrow.
enum Operand {
    Array(ArrayRef),
    Scalar(datafusion::arrow::array::Scalar<ArrayRef>),
}

fn datum(value: &ColumnarValue) -> Result<Operand> {
    Ok(match value {
        ColumnarValue::Array(array) => Operand::Array(Arc::clone(array)),
        ColumnarValue::Scalar(scalar) => Operand::Scalar(scalar.to_scalar()?),
    })
}

impl Operand {
    fn datum(&self) -> &dyn Datum {
        match self {
            Self::Array(array) => array,
            Self::Scalar(scalar) => scalar,
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Self::Array(array) => Arc::clone(array),
            Self::Scalar(scalar) => scalar.clone().into_inner(),
        }
    }
}

/// The result where all of it fits its type, or an error that names a way out.
fn fitting(result: Result<ArrayRef, ArrowError>, operator: &str) -> Result<ArrayRef> {
    let checked = result.and_then(|array| {
        match array.data_type() {
            DataType::Decimal128(precision, _) => {
                array.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision)?;
            }
            DataType::Decimal256(precision, _) => {
                array.as_primitive::<Decimal256Type>().validate_decimal_precision(*precision)?;
            }
            _ => {}
        }
        Ok(array)
    });
    checked.map_err(|error| match error {
        ArrowError::ArithmeticOverflow(text) => overflow(operator, &text),
        ArrowError::InvalidArgumentError(text) => overflow(operator, &text),
        other => other.into(),
    })
}

fn overflow(operator: &str, text: &str) -> DataFusionError {
    DataFusionError::Execution(format!(
        "the result of {operator} does not fit its type ({text}); CAST an operand to decimal(38,0) for whole numbers of \
         up to 38 digits, or to double for an approximate result"
    ))
}
