//! Aggregates of floats over window frames that move, each from the values of its frame alone.
//!
//! Owns: the accumulator of a moving frame, and the aggregates of DataFusion that get it: deviations, variances, regressions.
//! Does not own: these aggregates elsewhere, which are DataFusion's; `sum` and `avg`, which ask for the accumulator
//! (`exact_sum`, `exact_average`); extremes (`extremes`).
//!
//! Why it is needed, for DataFusion 54.1. It takes a value that leaves the frame back out of the result. A large value leaves
//! its rounding behind, and an infinity leaves NaN, in all frames that follow.

use std::collections::VecDeque;
use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::{regr, stddev, variance};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature,
};
use datafusion::physical_expr::PhysicalExpr;

/// The aggregates of DataFusion that take values back, other than `sum` and `avg`.
pub(super) fn functions() -> Vec<AggregateUDF> {
    let functions = [
        stddev::stddev_udaf(),
        stddev::stddev_pop_udaf(),
        variance::var_samp_udaf(),
        variance::var_pop_udaf(),
        regr::regr_slope_udaf(),
        regr::regr_intercept_udaf(),
        regr::regr_r2_udaf(),
        regr::regr_avgx_udaf(),
        regr::regr_avgy_udaf(),
        regr::regr_sxx_udaf(),
        regr::regr_syy_udaf(),
        regr::regr_sxy_udaf(),
    ];
    functions.into_iter().map(|function| AggregateUDF::new_from_impl(Moving(function))).collect()
}

/// An aggregate of DataFusion with the accumulator of this file in moving frames.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Moving(Arc<AggregateUDF>);

impl AggregateUDFImpl for Moving {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        self.0.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        moving_frame(&self.0, &args)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.0.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.0.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        self.0.create_groups_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.0.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.0.reverse_udf()
    }
}

/// The accumulator of a frame that moves, for an aggregate whose states are numbers and can be merged.
pub(super) fn moving_frame(function: &Arc<AggregateUDF>, args: &AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
    let source = Source {
        function: Arc::clone(function),
        return_field: Arc::clone(&args.return_field),
        schema: args.schema.clone(),
        name: args.name.to_owned(),
        is_distinct: args.is_distinct,
        exprs: args.exprs.to_vec(),
        expr_fields: args.expr_fields.to_vec(),
    };
    let newer = source.empty()?;
    Ok(Box::new(MovingFrame { source, older: Vec::new(), width: 0, newer, rows: VecDeque::new() }))
}

/// What makes an accumulator.
#[derive(Debug)]
struct Source {
    function: Arc<AggregateUDF>,
    return_field: FieldRef,
    schema: Schema,
    name: String,
    is_distinct: bool,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
}

impl Source {
    fn empty(&self) -> Result<Box<dyn Accumulator>> {
        self.function.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: &self.name,
            is_distinct: self.is_distinct,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })
    }
}

/// A number of a state. Counts are below 2^53.
type Number = Option<f64>;

/// A frame as two stacks. No value is ever taken back out of a state: the states of the older rows are made when the last of
/// the newer ones before them has left, once for each row.
#[derive(Debug)]
struct MovingFrame {
    source: Source,
    /// For each older row, the last one first: the state of it and of all older rows behind it. Each has `width` numbers.
    older: Vec<Number>,
    width: usize,
    /// The state of the newer rows, and these rows.
    newer: Box<dyn Accumulator>,
    rows: VecDeque<Vec<ArrayRef>>,
}

impl MovingFrame {
    fn turn(&mut self) -> Result<()> {
        let mut suffix = self.source.empty()?;
        while let Some(rows) = self.rows.pop_back() {
            for row in (0..rows.first().map_or(0, |values| values.len())).rev() {
                let row: Vec<_> = rows.iter().map(|values| values.slice(row, 1)).collect();
                suffix.update_batch(&row)?;
                let state = suffix.state()?;
                self.width = state.len();
                for number in &state {
                    self.older.push(as_number(number)?);
                }
            }
        }
        self.newer = self.source.empty()?;
        Ok(())
    }
}

impl Accumulator for MovingFrame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.first().is_some_and(|values| !values.is_empty()) {
            self.rows.push_back(values.to_vec());
        }
        self.newer.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for _ in 0..values.first().map_or(0, |values| values.len()) {
            if self.older.is_empty() {
                self.turn()?;
            }
            self.older.truncate(self.older.len().saturating_sub(self.width));
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let newer = self.newer.state()?;
        let mut whole = self.source.empty()?;
        if let Some(begin) = self.older.len().checked_sub(self.width).filter(|_| !self.older.is_empty()) {
            let older = self.older[begin..].iter().zip(&newer).map(|(number, like)| as_scalar(*number, like));
            merge(whole.as_mut(), older)?;
        }
        merge(whole.as_mut(), newer.into_iter())?;
        whole.evaluate()
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        Err(DataFusionError::Internal("a moving frame is not merged".to_owned()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Err(DataFusionError::Internal("a moving frame has no state".to_owned()))
    }

    fn size(&self) -> usize {
        // The arrays are slices of what the window holds.
        size_of_val(self)
            + self.older.capacity() * size_of::<Number>()
            + self.rows.capacity() * size_of::<Vec<ArrayRef>>()
    }
}

fn merge(into: &mut dyn Accumulator, state: impl Iterator<Item = ScalarValue>) -> Result<()> {
    into.merge_batch(&state.map(|number| number.to_array()).collect::<Result<Vec<_>>>()?)
}

fn as_number(scalar: &ScalarValue) -> Result<Number> {
    match scalar {
        ScalarValue::Float64(number) => Ok(*number),
        ScalarValue::UInt64(count) => Ok(count.map(|count| count as f64)),
        other => Err(DataFusionError::Internal(format!("a state of {} in a moving frame", other.data_type()))),
    }
}

fn as_scalar(number: Number, like: &ScalarValue) -> ScalarValue {
    match like {
        ScalarValue::UInt64(_) => ScalarValue::UInt64(number.map(|count| count as u64)),
        _ => ScalarValue::Float64(number),
    }
}
