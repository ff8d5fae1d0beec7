//! The aggregate `avg`, whose sums of decimals cannot wrap around.
//!
//! Owns: adding decimals up in 256 bits; an average of decimal(p, s) is decimal(p + 4, s + 4).
//! Does not own: dividing (`rounded`); averages of integers and floats in double, which are DataFusion's, and those of moving
//! frames (`moving`).

mod rounded;

use std::sync::Arc;

use datafusion::arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, FieldRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::average::Avg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use self::rounded::{RoundedAverage, RoundedAverages};
use super::moving::moving_frame;

/// `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ExactAverage {
    signature: Signature,
    average: Avg,
}

impl ExactAverage {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable), average: Avg::new() }
    }
}

impl AggregateUDFImpl for ExactAverage {
    fn name(&self) -> &'static str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        self.average.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [only] = types else {
            return Err(DataFusionError::Plan(format!("avg takes one argument, not {}", types.len())));
        };
        let coerced = match only {
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                DataType::Decimal256((*precision).min(DECIMAL256_MAX_PRECISION), *scale)
            }
            number if number.is_numeric() || number.is_null() => DataType::Float64,
            DataType::Duration(_) => only.clone(),
            DataType::Dictionary(_, values) => return self.coerce_types(&[values.as_ref().clone()]),
            other => return Err(DataFusionError::Plan(format!("avg takes numbers, not {other}"))),
        };
        Ok(vec![coerced])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.average.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        Ok(rounded(self.average.accumulator(args)?, data_type))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        if data_type.is_floating() && !args.is_distinct {
            return moving_frame(&Arc::new(AggregateUDF::new_from_impl(Avg::new())), &args);
        }
        Ok(rounded(self.average.create_sliding_accumulator(args)?, data_type))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.average.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.average.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.return_field.data_type().clone();
        let sums = self.average.create_groups_accumulator(args)?;
        Ok(if data_type.is_decimal() { Box::new(RoundedAverages { sums, data_type }) } else { sums })
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn rounded(sums: Box<dyn Accumulator>, data_type: DataType) -> Box<dyn Accumulator> {
    if data_type.is_decimal() { Box::new(RoundedAverage { sums, data_type }) } else { sums }
}
