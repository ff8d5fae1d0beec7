//! The aggregate `sum`, exact for integers and decimals.
//!
//! Owns: sums of integers and decimals as decimal(38, s), computed in 128 bits; a sum that does not fit is an error. Integers
//! are added as they are: making a decimal of each would take longer than the sum.
//! Does not own: the sums of many groups (`groups`); sums of floats and durations, which are DataFusion's; those of moving
//! frames (`moving`); averages (`exact_average`).

mod groups;

use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use self::groups::GroupSums;
use super::moving::moving_frame;

/// Digits of a sum.
const DIGITS: u8 = DECIMAL128_MAX_PRECISION;
/// The first number of more than [`DIGITS`] digits.
const END: u128 = 10_u128.pow(DIGITS as u32);

/// `sum`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ExactSum {
    signature: Signature,
    others: Sum,
}

impl ExactSum {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), others: Sum::new() }
    }
}

fn scale_of(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal128(_, scale) => Some(*scale),
        DataType::Int64 | DataType::UInt64 => Some(0),
        _ => None,
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [only] = types else {
            return Err(DataFusionError::Plan(format!("sum takes one argument, not {}", types.len())));
        };
        let coerced = match only {
            integer if integer.is_signed_integer() => DataType::Int64,
            integer if integer.is_unsigned_integer() => DataType::UInt64,
            DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                DataType::Decimal128(*precision, *scale)
            }
            decimal if decimal.is_decimal() => decimal.clone(),
            float if float.is_floating() || float.is_null() => DataType::Float64,
            DataType::Duration(_) => only.clone(),
            DataType::Dictionary(_, values) => return self.coerce_types(&[values.as_ref().clone()]),
            other => return Err(DataFusionError::Plan(format!("sum takes numbers, not {other}"))),
        };
        Ok(vec![coerced])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match scale_of(&types[0]) {
            Some(scale) => Ok(DataType::Decimal128(DIGITS, scale)),
            None => self.others.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let is_distinct = args.is_distinct;
        match scale_of(args.return_field.data_type()) {
            Some(scale) if is_distinct => Ok(Box::new(DistinctSum { scale, values: self.others.accumulator(args)? })),
            Some(scale) => Ok(Box::new(RunningSum { scale, sum: 0, count: 0 })),
            None => self.others.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match scale_of(args.return_field.data_type()) {
            Some(_) => self.accumulator(args),
            None if args.return_field.data_type().is_floating() && !args.is_distinct => {
                moving_frame(&Arc::new(AggregateUDF::new_from_impl(Sum::new())), &args)
            }
            None => self.others.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.others.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.others.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match scale_of(args.return_field.data_type()) {
            Some(scale) => Ok(Box::new(GroupSums { scale, sums: Vec::new() })),
            None => self.others.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The sum of two, if it has at most [`DIGITS`] digits.
fn plus(left: i128, right: i128) -> Result<i128> {
    let sum = left.checked_add(right).filter(|sum| sum.unsigned_abs() < END);
    sum.ok_or_else(|| {
        DataFusionError::Execution(format!(
            "a sum has more than {DIGITS} digits; sum CAST(… AS double) for an approximate result"
        ))
    })
}

/// Calls `add` with each value and its row.
fn each(array: &ArrayRef, mut add: impl FnMut(usize, i128) -> Result<()>) -> Result<()> {
    fn rows<T: ArrowPrimitiveType<Native: Into<i128>>>(
        array: &ArrayRef,
        add: &mut impl FnMut(usize, i128) -> Result<()>,
    ) -> Result<()> {
        let values = array.as_primitive::<T>();
        if values.null_count() == 0 {
            return values.values().iter().enumerate().try_for_each(|(row, value)| add(row, (*value).into()));
        }
        let values = values.iter().enumerate();
        values.filter_map(|(row, value)| Some((row, value?))).try_for_each(|(row, value)| add(row, value.into()))
    }
    match array.data_type() {
        DataType::Int64 => rows::<Int64Type>(array, &mut add),
        DataType::UInt64 => rows::<UInt64Type>(array, &mut add),
        _ => rows::<Decimal128Type>(array, &mut add),
    }
}

fn scalar(sum: Option<i128>, scale: i8) -> ScalarValue {
    ScalarValue::Decimal128(sum, DIGITS, scale)
}

/// The sum of one group, or of a window that moves.
#[derive(Debug)]
struct RunningSum {
    scale: i8,
    sum: i128,
    /// Values in the sum; it is null without any.
    count: u64,
}

impl Accumulator for RunningSum {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        each(&batch[0], |_, value| {
            self.sum = plus(self.sum, value)?;
            self.count += 1;
            Ok(())
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        each(&batch[0], |_, value| {
            self.sum = plus(self.sum, -value)?;
            self.count -= 1;
            Ok(())
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(scalar((self.count > 0).then_some(self.sum), self.scale))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum of distinct values, which DataFusion collects.
#[derive(Debug)]
struct DistinctSum {
    scale: i8,
    values: Box<dyn Accumulator>,
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, batch: &[ArrayRef]) -> Result<()> {
        self.values.update_batch(&[cast(&batch[0], &DataType::Decimal128(DIGITS, self.scale))?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut sum = RunningSum { scale: self.scale, sum: 0, count: 0 };
        for state in self.values.state()? {
            if let ScalarValue::List(list) = state {
                sum.update_batch(&[Arc::clone(list.values())])?;
            }
        }
        sum.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }
}
