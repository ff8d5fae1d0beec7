//! Averages of decimals, rounded to the nearest, halves away from zero.
//!
//! Owns: the division of a sum by a count. Does not own: sums and counts, which DataFusion's accumulators make; these cut
//! an average off.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal256Array, UInt64Array};
use datafusion::arrow::compute::sum;
use datafusion::arrow::datatypes::{DataType, Decimal256Type, DecimalType, UInt64Type, i256};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// The average of one group, or of a window that moves.
#[derive(Debug)]
pub(super) struct RoundedAverage {
    pub(super) sums: Box<dyn Accumulator>,
    pub(super) data_type: DataType,
}

impl Accumulator for RoundedAverage {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sums.update_batch(values)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sums.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.sums.supports_retract_batch()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sums.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = match self.sums.state()?.as_slice() {
            [ScalarValue::List(distinct)] => counted(distinct.values())?,
            state => state.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?,
        };
        ScalarValue::try_from_array(&averages(&state, &self.data_type)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.sums.state()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.size()
    }
}

/// The averages of many groups.
pub(super) struct RoundedAverages {
    pub(super) sums: Box<dyn GroupsAccumulator>,
    pub(super) data_type: DataType,
}

impl GroupsAccumulator for RoundedAverages {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.sums.update_batch(values, groups, filter, group_count)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.sums.merge_batch(states, groups, filter, group_count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        averages(&self.sums.state(emit_to)?, &self.data_type)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.sums.convert_to_state(values, filter)
    }

    fn supports_convert_to_state(&self) -> bool {
        self.sums.supports_convert_to_state()
    }

    fn size(&self) -> usize {
        self.sums.size()
    }
}

/// The count and the sum of distinct values, which DataFusion collects.
fn counted(values: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let counts = UInt64Array::from_iter_values([(values.len() - values.null_count()) as u64]);
    let sum = sum(values.as_primitive::<Decimal256Type>());
    let sums = Decimal256Array::from(vec![sum]).with_data_type(values.data_type().clone());
    Ok(vec![Arc::new(counts), Arc::new(sums)])
}

/// The averages of states: counts, and sums of decimals.
fn averages(state: &[ArrayRef], data_type: &DataType) -> Result<ArrayRef> {
    let ([counts, sums], DataType::Decimal256(precision, scale)) = (state, data_type) else {
        return Err(DataFusionError::Internal(format!("{} parts of an average of type {data_type}", state.len())));
    };
    let DataType::Decimal256(_, sum_scale) = sums.data_type() else {
        return Err(DataFusionError::Internal(format!("a sum of type {}", sums.data_type())));
    };
    let further = i256::from(10).checked_pow(u32::from((scale - sum_scale).unsigned_abs()));
    let (counts, sums) = (counts.as_primitive::<UInt64Type>(), sums.as_primitive::<Decimal256Type>());
    let averages = counts.iter().zip(sums).map(|(count, sum)| {
        let (Some(count), Some(sum)) = (count.filter(|count| *count > 0), sum) else { return Ok(None) };
        let average = further.and_then(|further| sum.checked_mul(further)).and_then(|sum| divided(sum, count));
        let average = average.ok_or_else(|| {
            DataFusionError::Execution("an average does not fit; average CAST(… AS double)".to_owned())
        })?;
        Decimal256Type::validate_decimal_precision(average, *precision, *scale)?;
        Ok(Some(average))
    });
    let averages = averages.collect::<Result<Decimal256Array>>()?;
    Ok(Arc::new(averages.with_precision_and_scale(*precision, *scale)?))
}

/// The nearest quotient.
fn divided(sum: i256, count: u64) -> Option<i256> {
    let count = i256::from_i128(i128::from(count));
    let (quotient, rest) = (sum.checked_div(count)?, sum.checked_rem(count)?);
    let is_half = rest.wrapping_abs().checked_add(rest.wrapping_abs())? >= count;
    let away = if sum.is_negative() { i256::MINUS_ONE } else { i256::ONE };
    if is_half { quotient.checked_add(away) } else { Some(quotient) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_is_the_nearest() {
        for (sum, count, expected) in [(5, 3, 2), (4, 3, 1), (5, 2, 3), (-5, 2, -3), (-4, 3, -1), (0, 7, 0), (1, 3, 0)]
        {
            let sum = i256::from_i128(sum);
            assert_eq!(divided(sum, count), Some(i256::from_i128(expected)), "{sum} / {count}");
        }
    }
}
