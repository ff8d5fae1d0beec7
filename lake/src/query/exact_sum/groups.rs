//! The exact sums of many groups.
//!
//! Owns: a sum for each group, and its state between two steps of an aggregate. Does not own: adding (`exact_sum`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array};
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::{DIGITS, each, plus};

/// The sums of many groups.
pub(super) struct GroupSums {
    pub(super) scale: i8,
    /// By group, null without values.
    pub(super) sums: Vec<Option<i128>>,
}

/// True if the aggregate's filter, where there is one, takes the row.
fn is_wanted(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl GroupSums {
    fn array(&self, sums: Vec<Option<i128>>) -> Result<ArrayRef> {
        Ok(Arc::new(Decimal128Array::from(sums).with_precision_and_scale(DIGITS, self.scale)?))
    }
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        batch: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.sums.resize(group_count, None);
        each(&batch[0], |row, value| {
            if is_wanted(filter, row) {
                let sum = &mut self.sums[groups[row]];
                *sum = Some(plus(sum.unwrap_or_default(), value)?);
            }
            Ok(())
        })
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.update_batch(states, groups, filter, group_count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        self.array(sums)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, batch: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut sums = vec![None; batch[0].len()];
        each(&batch[0], |row, value| {
            sums[row] = is_wanted(filter, row).then_some(value);
            Ok(())
        })?;
        Ok(vec![self.array(sums)?])
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i128>>()
    }
}
