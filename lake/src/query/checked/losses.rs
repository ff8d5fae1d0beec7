//! Which casts lose something.
//!
//! Owns: telling casts of numbers and times that make one value of two, or fail, from those that can be taken back.
//! Does not own: what is done about them (`checked`); casts of other types, which comparisons keep.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

use super::operands::is_utc;

/// True when a cast of numbers or times may fail, or make one value of two. A cast of times to dates is none of these:
/// comparisons keep it, and objects are pruned by it.
pub(super) fn loses(source: &DataType, made: &DataType) -> bool {
    match (source, made) {
        (DataType::Timestamp(from, zone), DataType::Timestamp(to, wanted)) => {
            let is_moved = zone.is_none() && wanted.as_deref().is_some_and(|zone| !is_utc(zone));
            is_moved || ticks(to) < ticks(from)
        }
        (DataType::Timestamp(..), other) | (other, DataType::Timestamp(..)) => whole(other).is_some(),
        (source, DataType::Date32 | DataType::Date64) => whole(source).is_some(),
        (source, made) => match (whole(source), whole(made)) {
            (Some(source), Some(made)) => !made.holds(&source),
            _ => false,
        },
    }
}

fn ticks(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// The numbers of a type: integers times 10^-scale.
struct Whole {
    least: f64,
    greatest: f64,
    scale: i8,
}

impl Whole {
    fn holds(&self, other: &Self) -> bool {
        self.scale >= other.scale && self.least <= other.least && self.greatest >= other.greatest
    }
}

fn whole(data_type: &DataType) -> Option<Whole> {
    let integer = |bits: i32, is_signed: bool| {
        let (least, power) = if is_signed { (-(2_f64.powi(bits - 1)), bits - 1) } else { (0.0, bits) };
        Some(Whole { least, greatest: 2_f64.powi(power) - 1.0, scale: 0 })
    };
    match data_type {
        DataType::Int8 => integer(8, true),
        DataType::Int16 => integer(16, true),
        DataType::Int32 => integer(32, true),
        DataType::Int64 => integer(64, true),
        DataType::UInt8 => integer(8, false),
        DataType::UInt16 => integer(16, false),
        DataType::UInt32 => integer(32, false),
        DataType::UInt64 => integer(64, false),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            // The least number beyond, which no decimal of so many digits reaches; powers of ten are near enough.
            let end = 10_f64.powi(i32::from(*precision) - i32::from(*scale));
            Some(Whole { least: -end, greatest: end, scale: *scale })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_number_and_a_finer_time_lose_nothing() {
        let decimal = DataType::Decimal128;
        let time = |unit| DataType::Timestamp(unit, None);
        for (source, made, expected) in [
            (DataType::Int32, DataType::Int64, false),
            (DataType::Int64, DataType::Int32, true),
            (DataType::UInt64, DataType::Int64, true),
            (DataType::Int64, decimal(20, 0), false),
            (DataType::Int64, decimal(19, 0), false),
            (DataType::Int64, decimal(20, 2), true),
            (decimal(10, 2), decimal(12, 4), false),
            (decimal(10, 2), decimal(11, 4), true),
            (decimal(10, 2), decimal(10, 0), true),
            (decimal(10, 2), DataType::Int64, true),
            (decimal(9, 0), DataType::Int32, false),
            (decimal(19, 0), DataType::Int64, true),
            (time(TimeUnit::Microsecond), time(TimeUnit::Nanosecond), false),
            (time(TimeUnit::Microsecond), time(TimeUnit::Second), true),
            (time(TimeUnit::Microsecond), DataType::Date32, false),
            (DataType::Int64, time(TimeUnit::Second), true),
            (time(TimeUnit::Second), DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into())), true),
            (time(TimeUnit::Second), DataType::Timestamp(TimeUnit::Second, Some("UTC".into())), false),
            (DataType::Utf8, DataType::Int64, false),
        ] {
            assert_eq!(loses(&source, &made), expected, "{source} as {made}");
        }
    }
}
