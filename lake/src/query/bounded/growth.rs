//! How large the result of a function is, before it is made.
//!
//! Owns: the functions of DataFusion whose results may be far larger than their operands, and the size of each result.
//! Does not own: refusing (`function`), sizes of operands (`size`).
//!
//! All other functions of a session give less than a small multiple of their operands: numbers and times, parts of a
//! text or list, cases of a text, elements in another order.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampNanosecondType,
};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use super::size::{range_bytes, range_elements};

/// Bytes of the text of any number or time, as an element of a list.
const ELEMENT_TEXT_BYTES: u64 = 64;
/// Results that may be larger are counted before they are made.
const COUNTED_BYTES_MIN: usize = 4096;
const DAY_NS: i64 = 86_400 * 1_000_000_000;
/// The shortest month.
const MONTH_NS: i64 = 28 * DAY_NS;

/// The kinds of growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// All operands, one behind the other. Harmless once, but the result of one may be both operands of the next.
    Sum,
    /// The first operand, as often as the second says.
    Repeated,
    /// As many characters as the second operand says.
    Padded,
    /// The third operand for each occurrence of the second one in the first one.
    Replaced,
    /// The same, where the second operand is a pattern and the third may quote its match.
    ReplacedByPattern,
    /// The first operand between all others.
    Joined,
    /// The second operand between all elements of the first.
    JoinedElements,
    /// The first operand as an element, as often as the second says.
    RepeatedElement,
    /// The third operand as an element, until there are as many as the second says.
    Resized,
    /// Numbers or times between two bounds.
    Series,
    /// The third operand for any element of the first.
    ReplacedElements,
}

/// The size of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) bytes: u64,
    /// False where the result may be much smaller.
    pub(super) is_exact: bool,
}

impl Growth {
    /// The growth of the function of this name; `None` if it has none.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "concat" | "overlay" | "to_char" | "make_array" | "array_concat" | "array_append" | "array_prepend"
            | "array_union" | "arrays_zip" | "struct" | "named_struct" | "map" => Self::Sum,
            "repeat" => Self::Repeated,
            "lpad" | "rpad" => Self::Padded,
            "replace" => Self::Replaced,
            "regexp_replace" => Self::ReplacedByPattern,
            "concat_ws" => Self::Joined,
            "array_to_string" => Self::JoinedElements,
            "array_repeat" => Self::RepeatedElement,
            "array_resize" => Self::Resized,
            "range" | "generate_series" => Self::Series,
            "array_replace" | "array_replace_n" | "array_replace_all" => Self::ReplacedElements,
            _ => return None,
        })
    }

    /// The size of the result for these operands of a batch of `rows` rows.
    ///
    /// # Errors
    /// When an operand is not of the function's types; the function would refuse it as well.
    pub(super) fn bound(self, operands: &[ColumnarValue], rows: usize) -> Result<Bound> {
        let operands = Operands::new(operands, rows)?;
        let is_exact = !matches!(self, Self::ReplacedByPattern | Self::JoinedElements | Self::ReplacedElements);
        Ok(Bound { bytes: self.bytes(&operands)?, is_exact })
    }

    fn bytes(self, operands: &Operands) -> Result<u64> {
        let of = |at: usize, row: usize| operands.bytes(at, row);
        Ok(match self {
            Self::Sum => operands.sum(),
            Self::Joined => {
                let others = operands.arrays.len().saturating_sub(2) as u64;
                let separators = operands.each_row(|row| of(0, row).saturating_mul(others));
                operands.sum().saturating_add(separators)
            }
            Self::Repeated => {
                let counts = operands.numbers(1)?;
                operands.each_row(|row| (operands.text(0, row).len() as u64).saturating_mul(counts.at(row)))
            }
            Self::RepeatedElement => {
                let counts = operands.numbers(1)?;
                operands.each_row(|row| of(0, row).saturating_mul(counts.at(row)))
            }
            Self::Padded => {
                let (counts, width) = (operands.numbers(1)?, operands.character_bytes());
                operands.each_row(|row| counts.at(row).saturating_mul(width))
            }
            Self::Resized => {
                let counts = operands.numbers(1)?;
                let element = |row: usize| if operands.arrays.len() > 2 { of(2, row).max(8) } else { 8 };
                operands.each_row(|row| of(0, row).saturating_add(element(row).saturating_mul(counts.at(row))))
            }
            Self::Replaced => operands.each_row(|row| {
                let [text, searched, by] = [0, 1, 2].map(|at| operands.text(at, row));
                let most = (text.len() / searched.len().max(1) + 1).saturating_mul(by.len());
                // Counting costs as much as replacing.
                let added = match most {
                    0..COUNTED_BYTES_MIN => most,
                    _ => text.matches(searched).count().saturating_mul(by.len()),
                };
                text.len().saturating_add(added) as u64
            }),
            Self::ReplacedByPattern => operands.each_row(|row| {
                let (text, by) = (operands.text(0, row), operands.text(2, row));
                let matches = if operands.text(3, row).contains('g') { text.len() + 1 } else { 1 };
                // A quotation of the match has a sign in front, and all matches are within the text.
                let quotations = by.bytes().filter(|byte| matches!(byte, b'\\' | b'$')).count();
                let quoted = text.len().saturating_mul(quotations + 1);
                quoted.saturating_add(matches.saturating_mul(by.len())) as u64
            }),
            Self::JoinedElements => operands.each_row(|row| {
                let null = if operands.arrays.len() > 2 { of(2, row) } else { 0 };
                let each = ELEMENT_TEXT_BYTES.saturating_add(of(1, row)).saturating_add(null);
                of(0, row).saturating_add(operands.elements(0, row).saturating_mul(each))
            }),
            Self::ReplacedElements => {
                operands.each_row(|row| of(0, row).saturating_add(operands.elements(0, row).saturating_mul(of(2, row))))
            }
            Self::Series => series_bytes(operands)?,
        })
    }
}

/// Operands as arrays; one of a single row is the same for all rows.
struct Operands {
    arrays: Vec<ArrayRef>,
    rows: usize,
}

/// Numbers that are no less than zero; null is zero.
struct Numbers(ArrayRef);

impl Numbers {
    fn signed(&self, row: usize) -> Option<i64> {
        let numbers = self.0.as_primitive::<Int64Type>();
        let row = row.min(numbers.len() - 1);
        (!self.0.is_null(row)).then(|| numbers.value(row))
    }

    fn at(&self, row: usize) -> u64 {
        self.signed(row).and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
    }
}

impl Operands {
    fn new(operands: &[ColumnarValue], rows: usize) -> Result<Self> {
        let is_constant = operands.iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let array = |operand: &ColumnarValue| match operand {
            ColumnarValue::Array(array) => Ok(ArrayRef::clone(array)),
            ColumnarValue::Scalar(scalar) => scalar.to_array(),
        };
        let arrays = operands.iter().map(array).collect::<Result<_>>()?;
        Ok(Self { arrays, rows: if is_constant { 1 } else { rows } })
    }

    fn each_row(&self, bytes: impl Fn(usize) -> u64) -> u64 {
        (0..self.rows).map(bytes).fold(0, u64::saturating_add)
    }

    fn row_of(&self, at: usize, row: usize) -> Option<usize> {
        let array = self.arrays.get(at)?;
        (!array.is_empty()).then(|| row.min(array.len() - 1))
    }

    fn bytes(&self, at: usize, row: usize) -> u64 {
        self.row_of(at, row).map_or(0, |row| range_bytes(&self.arrays[at], row, 1))
    }

    /// A text; empty where there is none.
    fn text(&self, at: usize, row: usize) -> &str {
        let Some(row) = self.row_of(at, row).filter(|row| self.arrays[at].is_valid(*row)) else { return "" };
        let array = &self.arrays[at];
        match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(row),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row),
            DataType::Utf8View => array.as_string_view().value(row),
            _ => "",
        }
    }

    fn elements(&self, at: usize, row: usize) -> u64 {
        self.row_of(at, row).map_or(0, |row| range_elements(&self.arrays[at], row, 1))
    }

    /// Bytes of all operands in all rows.
    fn sum(&self) -> u64 {
        let bytes = |array: &ArrayRef| {
            let all = range_bytes(array, 0, array.len());
            if array.len() == 1 { all.saturating_mul(self.rows as u64) } else { all }
        };
        self.arrays.iter().map(bytes).fold(0, u64::saturating_add)
    }

    fn numbers(&self, at: usize) -> Result<Numbers> {
        let array = cast(&self.arrays[at], &DataType::Int64)?;
        Ok(Numbers(array))
    }

    /// The most bytes that a character of the texts may have.
    fn character_bytes(&self) -> u64 {
        let is_ascii = |array: &ArrayRef| match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().is_ascii(),
            DataType::LargeUtf8 => array.as_string::<i64>().is_ascii(),
            DataType::Utf8View => array.as_string_view().is_ascii(),
            _ => true,
        };
        if self.arrays.iter().all(is_ascii) { 1 } else { 4 }
    }
}

fn series_bytes(operands: &Operands) -> Result<u64> {
    let kind = operands.arrays[0].data_type().clone();
    let count = |row: usize, steps: &dyn Fn(usize) -> Option<i128>, ends: [Option<i64>; 2]| {
        let ([Some(start), Some(stop)], Some(step)) = (ends, steps(row)) else { return 0 };
        let span = i128::from(stop) - i128::from(start);
        // A step of zero is refused, and one away from the end gives nothing.
        if step == 0 || (span != 0 && (span < 0) != (step < 0)) {
            return 0;
        }
        u64::try_from(span / step + 1).unwrap_or(u64::MAX).saturating_mul(8)
    };
    Ok(match kind {
        DataType::Int64 => {
            let numbers = (0..operands.arrays.len()).map(|at| operands.numbers(at)).collect::<Result<Vec<_>>>()?;
            let steps = |row: usize| numbers.get(2).map_or(Some(1), |step| step.signed(row).map(i128::from));
            operands.each_row(|row| match numbers.as_slice() {
                [stop] => count(row, &steps, [Some(0), stop.signed(row)]),
                [start, stop, ..] => count(row, &steps, [start.signed(row), stop.signed(row)]),
                [] => 0,
            })
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) if operands.arrays.len() > 2 => {
            let (start, stop) = (moments(&operands.arrays[0])?, moments(&operands.arrays[1])?);
            let steps = |row: usize| {
                let steps = operands.arrays[2].as_primitive_opt::<IntervalMonthDayNanoType>()?;
                Some(least_ns(steps.value(operands.row_of(2, row)?)))
            };
            operands.each_row(|row| count(row, &steps, [start.signed(row), stop.signed(row)]))
        }
        _ => 0,
    })
}

/// Dates and times in nanoseconds; null where they are too far away for that.
fn moments(array: &ArrayRef) -> Result<Numbers> {
    let days = matches!(array.data_type(), DataType::Date32 | DataType::Date64);
    if days {
        let days = cast(array, &DataType::Date32)?;
        let ns = days.as_primitive::<Date32Type>().unary::<_, Int64Type>(|day| i64::from(day).saturating_mul(DAY_NS));
        return Ok(Numbers(std::sync::Arc::new(ns)));
    }
    let times = cast(array, &DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Nanosecond, None))?;
    Ok(Numbers(std::sync::Arc::new(times.as_primitive::<TimestampNanosecondType>().reinterpret_cast::<Int64Type>())))
}

/// The least that a step may be, in nanoseconds: months differ.
fn least_ns(step: IntervalMonthDayNano) -> i128 {
    i128::from(step.months) * i128::from(MONTH_NS)
        + i128::from(step.days) * i128::from(DAY_NS)
        + i128::from(step.nanoseconds)
}
