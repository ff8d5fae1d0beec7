//! A function that knows the size of its result before it makes it.
//!
//! Owns: refusing a result that is too large, and making one whose size is not known exactly in parts.
//! Does not own: the sizes (`growth`), the function itself, which is DataFusion's.

use std::sync::Arc;

use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, StructFieldMapping,
};

use super::growth::Growth;
use super::size::range_bytes;
use super::work::Work;
use super::{Bounds, check_type};

/// Functions that make a value of any type.
const CASTS: [&str; 2] = ["arrow_cast", "arrow_try_cast"];

/// A function of DataFusion, bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounded {
    function: Arc<ScalarUDF>,
    growth: Option<Growth>,
    work: Option<Work>,
    bounds: Bounds,
}

impl Bounded {
    /// The bounded function; `None` where it needs no bound or has one.
    pub(super) fn of(function: &Arc<ScalarUDF>, bounds: Bounds) -> Option<Arc<ScalarUDF>> {
        let growth = Growth::of(function.name());
        let work = Work::of(function.name());
        let needs_none = growth.is_none() && work.is_none() && !CASTS.contains(&function.name());
        if needs_none || function.inner().is::<Self>() {
            return None;
        }
        Some(Arc::new(ScalarUDF::new_from_impl(Self { function: Arc::clone(function), growth, work, bounds })))
    }

    /// The result for a part of a batch. `used` are the bytes of the results of the parts before it.
    fn invoke(&self, growth: Growth, args: ScalarFunctionArgs, used: &mut u64) -> Result<ColumnarValue> {
        let bound = growth.bound(&args.args, args.number_rows)?;
        let allowed = self.bounds.result_bytes as u64;
        let rows = args.number_rows;
        if used.saturating_add(bound.bytes) > allowed && (bound.is_exact || rows < 2 || is_constant(&args.args)) {
            return Err(self.bounds.exceeded(self.name(), used.saturating_add(bound.bytes)));
        }
        if used.saturating_add(bound.bytes) <= allowed {
            let result = self.function.invoke_with_args(args)?;
            if let ColumnarValue::Array(array) = &result {
                *used = used.saturating_add(range_bytes(array, 0, array.len()));
            }
            return Ok(result);
        }
        let half = rows / 2;
        let first = self.invoke(growth, rows_of(&args, 0, half), used)?.into_array(half)?;
        let second = self.invoke(growth, rows_of(&args, half, rows - half), used)?.into_array(rows - half)?;
        Ok(ColumnarValue::Array(concat(&[first.as_ref(), second.as_ref()])?))
    }
}

fn is_constant(operands: &[ColumnarValue]) -> bool {
    operands.iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)))
}

fn rows_of(args: &ScalarFunctionArgs, from: usize, rows: usize) -> ScalarFunctionArgs {
    let part = |operand: &ColumnarValue| match operand {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
        scalar => scalar.clone(),
    };
    ScalarFunctionArgs {
        args: args.args.iter().map(part).collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: rows,
        return_field: Arc::clone(&args.return_field),
        config_options: Arc::clone(&args.config_options),
    }
}

/// All but the size of the result is the function's own.
impl ScalarUDFImpl for Bounded {
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
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.function.return_field_from_args(args)?;
        check_type(field.data_type())?;
        Ok(field)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.function.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self { function: Arc::new(updated), ..self.clone() }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(work) = self.work {
            work.check(self.name(), &args.args, args.number_rows)?;
        }
        match self.growth {
            Some(growth) => self.invoke(growth, args, &mut 0),
            None => self.function.invoke_with_args(args),
        }
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // Simplifying joins literals, which makes the result.
        let literals = args.iter().map(|arg| if let Expr::Literal(value, _) = arg { value.size() } else { 0 });
        let copies = if self.growth == Some(Growth::Joined) { args.len() } else { 1 };
        if literals.sum::<usize>().saturating_mul(copies) > self.bounds.result_bytes {
            return Ok(ExprSimplifyResult::Original(args));
        }
        self.function.simplify(args, context)
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, context: &SimplifyContext) -> Result<PreimageResult> {
        self.function.preimage(args, literal, context)
    }

    fn short_circuits(&self) -> bool {
        self.function.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.conditional_arguments(args)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        self.function.evaluate_bounds(inputs)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.function.propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.function.preserves_lex_ordering(inputs)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.function.struct_field_mapping(literals)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.function.placement(args)
    }
}
