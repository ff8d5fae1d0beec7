//! `percentile_cont` between two values.
//!
//! Owns: the value that lies between two, to the last digit of a double.
//! Does not own: gathering the values, and all else about the aggregate (DataFusion).
//!
//! Why it is needed, for DataFusion 54.1: it cuts the place between two values off after six digits.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::percentile_cont::percentile_cont_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature};
use datafusion::physical_expr::expressions::Literal;

/// The aggregate.
pub(super) fn percentile_cont() -> AggregateUDF {
    AggregateUDF::new_from_impl(Between(percentile_cont_udaf()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Between(Arc<AggregateUDF>);

impl AggregateUDFImpl for Between {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.0.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let is_descending = args.order_bys.first().is_some_and(|order| order.options.descending);
        let literal = args.exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
        let fraction = match literal.map(|literal| literal.value().cast_to(&DataType::Float64)) {
            Some(Ok(ScalarValue::Float64(Some(fraction)))) if args.expr_fields[0].data_type().is_floating() => {
                Some(fraction)
            }
            // DataFusion refuses it, or has no values.
            _ => None,
        };
        let data_type = args.return_field.data_type().clone();
        let values = self.0.accumulator(args)?;
        Ok(match fraction {
            Some(fraction) => Box::new(Values { values, fraction, is_descending, data_type }),
            None => values,
        })
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.0.simplify()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.0.supports_within_group_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }
}

/// DataFusion's accumulator, whose state is a list of all values.
#[derive(Debug)]
struct Values {
    values: Box<dyn Accumulator>,
    fraction: f64,
    is_descending: bool,
    data_type: DataType,
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.values.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = self.values.state()?;
        // Telling the state may have emptied it; a frame that moves goes on with it.
        let arrays = state.iter().map(|state| state.to_array()).collect::<Result<Vec<_>>>()?;
        self.values.merge_batch(&arrays)?;
        let Some(list) = arrays[0].as_list_opt::<i32>().filter(|list| list.is_valid(0)) else {
            return ScalarValue::try_from(&self.data_type);
        };
        let values = cast(&list.value(0), &DataType::Float64)?;
        let mut values: Vec<f64> = values.as_primitive::<Float64Type>().iter().flatten().collect();
        let fraction = if self.is_descending { 1.0 - self.fraction } else { self.fraction };
        ScalarValue::Float64(between(&mut values, fraction)).cast_to(&self.data_type)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }
}

/// The value at the place of the fraction; none of no values.
fn between(values: &mut [f64], fraction: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = fraction * last as f64;
    let below = (place.floor() as usize).min(last);
    let (_, lower, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let (lower, part) = (*lower, place - below as f64);
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(upper) if part > 0.0 && upper != lower => Some(lower + (upper - lower) * part),
        _ => Some(lower),
    }
}
