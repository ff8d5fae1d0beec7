//! Functions of bytes.
//!
//! Owns: `length`, `octet_length`, `bit_length` and `substr` of bytes, which count bytes, whatever these are.
//! Does not own: the same functions of texts (DataFusion).
//!
//! Why it is needed, for DataFusion 54.1: `length` makes a text of bytes, which fails where they are none, and the others refuse them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The functions.
pub(super) fn functions() -> impl Iterator<Item = ScalarUDF> {
    let functions = [unicode::character_length(), string::octet_length(), string::bit_length()];
    functions.into_iter().map(of_bytes).chain([substr()])
}

/// `substr`, which is `substring` too.
pub(super) fn substr() -> ScalarUDF {
    of_bytes(unicode::substr())
}

fn of_bytes(function: Arc<ScalarUDF>) -> ScalarUDF {
    let signature = Signature::user_defined(function.signature().volatility);
    ScalarUDF::new_from_impl(OfBytes { function, signature })
}

/// A function of texts, of bytes too.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfBytes {
    function: Arc<ScalarUDF>,
    signature: Signature,
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

impl ScalarUDFImpl for OfBytes {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.function.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((bytes, numbers)) = types.split_first().filter(|(first, _)| is_bytes(first)) else {
            let field = |data_type: &DataType| Arc::new(Field::new("argument", data_type.clone(), true));
            let fields: Vec<FieldRef> = types.iter().map(field).collect();
            let coerced = fields_with_udf(&fields, self.function.as_ref())?;
            return Ok(coerced.iter().map(|field| field.data_type().clone()).collect());
        };
        let wanted = if self.name() == "substr" { 1..=2 } else { 0..=0 };
        let is_number = |data_type: &DataType| data_type.is_integer() || data_type.is_null();
        if !wanted.contains(&numbers.len()) || !numbers.iter().all(is_number) {
            let types: Vec<String> = types.iter().map(ToString::to_string).collect();
            return plan_err!("{} of bytes does not take ({})", self.name(), types.join(", "));
        }
        Ok(std::iter::once(bytes.clone()).chain(numbers.iter().map(|_| DataType::Int64)).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(first) if is_bytes(first) && self.name() == "substr" => Ok(DataType::Binary),
            Some(first) if is_bytes(first) => Ok(DataType::Int64),
            _ => self.function.return_type(types),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields.first() {
            Some(first) if is_bytes(first.data_type()) => {
                let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
                let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
                Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, is_nullable)))
            }
            _ => self.function.return_field_from_args(args),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if !args.args.first().is_some_and(|first| is_bytes(&first.data_type())) {
            return self.function.invoke_with_args(args);
        }
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let result = self.computed(&arrays)?;
        match is_scalar {
            true => ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar),
            false => Ok(ColumnarValue::Array(result)),
        }
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.function.simplify(args, context)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

impl OfBytes {
    fn computed(&self, args: &[ArrayRef]) -> Result<ArrayRef> {
        let bytes = cast(&args[0], &DataType::Binary)?;
        let bytes = bytes.as_binary::<i32>();
        let unit = match self.name() {
            "substr" => return part(bytes, args),
            "bit_length" => 8,
            _ => 1,
        };
        let lengths = bytes.iter().map(|bytes| bytes.map(|bytes| bytes.len() as i64 * unit));
        Ok(Arc::new(lengths.collect::<Int64Array>()))
    }
}

/// The bytes of each row from a place on, of which the first is 1; as many as are wanted.
fn part(bytes: &BinaryArray, args: &[ArrayRef]) -> Result<ArrayRef> {
    let from = args[1].as_primitive::<Int64Type>().iter();
    let counts: Box<dyn Iterator<Item = Option<i64>>> = match args.get(2) {
        Some(counts) => Box::new(counts.as_primitive::<Int64Type>().iter()),
        None => Box::new(std::iter::repeat(Some(i64::MAX))),
    };
    let parts = bytes.iter().zip(from).zip(counts).map(|row| match row {
        ((Some(bytes), Some(from)), Some(count)) if count >= 0 => Ok(Some(cut(bytes, from, count))),
        ((Some(_), Some(_)), Some(count)) => exec_err!("substr takes no negative length, as {count}"),
        _ => Ok(None),
    });
    Ok(Arc::new(parts.collect::<Result<BinaryArray>>()?))
}

/// Places before the first count, and have no byte.
fn cut(bytes: &[u8], from: i64, count: i64) -> &[u8] {
    let place = |place: i64| usize::try_from(place.max(0)).unwrap_or(usize::MAX).min(bytes.len());
    let from = from.saturating_sub(1);
    let (begin, end) = (place(from), place(from.saturating_add(count)));
    &bytes[begin..end.max(begin)]
}
