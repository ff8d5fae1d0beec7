//! Functions that stand for operators.
//!
//! Owns: `+`, `-` and `*` of integers and decimals that fail instead of wrapping around, with an error that says what to
//! do; and settling of computed floats. Each is shown as the operator it stands for.
//! Does not own: the expressions they replace (`checked`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Datum, Scalar};
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
pub(super) fn settled(operand: Expr, data_type: DataType) -> Expr {
    call(Function::Settled, data_type, vec![operand])
}

/// The negation, or an error where it does not fit.
pub(super) fn negative(operand: Expr, data_type: DataType) -> Expr {
    call(Function::Negative, data_type, vec![operand])
}

/// The result of `+`, `-` or `*`, or an error where it does not fit. A chain of them is one function of many operands:
/// DataFusion computes the name and the type of a node from all nodes below it, at every node.
pub(super) fn binary(left: Expr, operator: Operator, right: Expr, data_type: DataType) -> Expr {
    let chain = match &left {
        Expr::ScalarFunction(left) => left.func.inner().downcast_ref::<Arithmetic>().and_then(Arithmetic::chain),
        _ => None,
    };
    match (chain.map(<[_]>::to_vec), left) {
        (Some(mut operators), Expr::ScalarFunction(ScalarFunction { mut args, .. })) => {
            operators.push(operator);
            args.push(right);
            call(Function::Chain(operators), data_type, args)
        }
        (_, left) => call(Function::Chain(vec![operator]), data_type, vec![left, right]),
    }
}

/// The type of the expression where it is a function of this file, which need not be computed again.
pub(super) fn known_type(expr: &Expr) -> Option<&DataType> {
    let Expr::ScalarFunction(call) = expr else { return None };
    call.func.inner().downcast_ref::<Arithmetic>().map(|arithmetic| &arithmetic.data_type)
}

/// The operand of a settled expression, which is the same but for signs of zeros and the kind of NaN.
pub(super) fn unsettled(expr: Expr) -> Expr {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if func
                .inner()
                .downcast_ref::<Arithmetic>()
                .is_some_and(|settled| settled.function == Function::Settled) =>
        {
            args.swap_remove(0)
        }
        other => other,
    }
}

fn call(function: Function, data_type: DataType, operands: Vec<Expr>) -> Expr {
    let signature = Signature::any(operands.len(), Volatility::Immutable);
    let function = Arc::new(ScalarUDF::new_from_impl(Arithmetic { function, data_type, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, operands))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Function {
    Settled,
    Negative,
    /// One operator less than operands, applied from the left to the right.
    Chain(Vec<Operator>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    function: Function,
    /// The type of the result.
    data_type: DataType,
    signature: Signature,
}

impl Arithmetic {
    fn chain(&self) -> Option<&[Operator]> {
        match &self.function {
            Function::Chain(operators) => Some(operators),
            _ => None,
        }
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match &self.function {
            Function::Settled => SETTLED,
            Function::Negative => "checked_negative",
            Function::Chain(operators) => match operators.as_slice() {
                [Operator::Plus] => "checked_plus",
                [Operator::Minus] => "checked_minus",
                [_] => "checked_multiply",
                _ => "checked_chain",
            },
        }
    }

    fn schema_name(&self, operands: &[Expr]) -> Result<String> {
        let name = |at: usize| operands[at].schema_name();
        Ok(match &self.function {
            Function::Settled => name(0).to_string(),
            Function::Negative => format!("(- {})", name(0)),
            Function::Chain(operators) => {
                let further = operators.iter().zip(1..).map(|(operator, at)| format!(" {operator} {}", name(at)));
                format!("{}{}", name(0), further.collect::<String>())
            }
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, operands: &[DataType]) -> Result<DataType> {
        match &self.function {
            Function::Chain(operators) => {
                let (first, further) = operands.split_first().unwrap_or((&DataType::Null, &[]));
                operators.iter().zip(further).try_fold(first.clone(), |left, (operator, right)| {
                    BinaryTypeCoercer::new(&left, operator, right).get_result_type()
                })
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
        if self.function != Function::Settled && args.arg_fields.iter().any(|field| field.data_type().is_null()) {
            // DataFusion tries out what a subquery gives for no rows.
            return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(args.return_field.data_type())?));
        }
        let is_scalar = args.args.iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let operands = args.args.iter().map(datum).collect::<Result<Vec<_>>>()?;
        let result = match (&self.function, operands.as_slice()) {
            (Function::Settled, [only]) => settled::settled(&only.array())?,
            (Function::Negative, [only]) => fitting(neg(only.array().as_ref()), "-")?,
            (Function::Chain(operators), [first, second, further @ ..]) => {
                let (operator, operators) = operators.split_first().expect("a chain has an operator");
                let mut result = applied(first.datum(), *operator, second.datum())?;
                // Two literals give one value, which the next operand may have many of.
                let mut is_one = first.is_scalar() && second.is_scalar();
                for (operator, operand) in operators.iter().zip(further) {
                    result = match is_one {
                        true => applied(&Scalar::new(result), *operator, operand.datum())?,
                        false => applied(&result, *operator, operand.datum())?,
                    };
                    is_one &= operand.is_scalar();
                }
                result
            }
            _ => return Err(DataFusionError::Internal(format!("{} of {} operands", self.name(), operands.len()))),
        };
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?),
            false => ColumnarValue::Array(result),
        })
    }
}

/// The result of one operator.
fn applied(left: &dyn Datum, operator: Operator, right: &dyn Datum) -> Result<ArrayRef> {
    let kernel = match operator {
        Operator::Plus => add,
        Operator::Minus => sub,
        _ => mul,
    };
    fitting(kernel(left, right), &operator.to_string())
}

/// An operand for the kernels of Arrow.
enum Operand {
    Array(ArrayRef),
    Scalar(Scalar<ArrayRef>),
}

fn datum(value: &ColumnarValue) -> Result<Operand> {
    Ok(match value {
        ColumnarValue::Array(array) => Operand::Array(Arc::clone(array)),
        ColumnarValue::Scalar(scalar) => Operand::Scalar(scalar.to_scalar()?),
    })
}

impl Operand {
    fn is_scalar(&self) -> bool {
        matches!(self, Self::Scalar(_))
    }

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
