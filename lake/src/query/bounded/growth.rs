//! How large the result of a function is, before it is made.
//!
//! Owns: the functions of DataFusion whose results may be far larger than their operands, and the size of each result.
//! Does not own: refusing (`function`), sizes of operands (`size`).
//!
//! All other functions of a session give less than a small multiple of their operands: numbers and times, parts of a
//! text or list, cases of a text, elements in another order.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use super::series::series_bytes;
use super::size::{VIEW_BYTES, fixed_bytes, range_bytes, range_elements};

/// Bytes of the text of any number or time, as an element of a list.
const ELEMENT_TEXT_BYTES: u64 = 64;
/// Results that may be larger are counted before they are made.
const COUNTED_BYTES_MIN: usize = 4096;
/// The longest form of a time, `%+`, is 17 times as long as its name.
const FORMATTED_TIMES: u64 = 20;

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
    /// A time in the form that the second operand gives.
    Formatted,
    /// The parts of the first operand between those that are equal to the second; its characters, if that is null.
    Split,
    /// A list of as many structs as the longest operand has elements; the other elements are null.
    Zipped,
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
            "concat" | "overlay" | "make_array" | "array_concat" | "array_append" | "array_prepend" | "array_union"
            | "struct" | "named_struct" | "map" => Self::Sum,
            "to_char" => Self::Formatted,
            "string_to_array" => Self::Split,
            "arrays_zip" => Self::Zipped,
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
        let is_upper = matches!(self, Self::ReplacedByPattern | Self::JoinedElements | Self::ReplacedElements);
        let is_exact = !is_upper && self != Self::Formatted;
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
                let (counts, least) = (operands.numbers(1)?, operands.element_bytes(0).max(8));
                let element = |row: usize| if operands.arrays.len() > 2 { of(2, row).max(least) } else { least };
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
            Self::Formatted => operands.each_row(|row| of(1, row).saturating_mul(FORMATTED_TIMES)),
            Self::Split => split_bytes(operands),
            Self::Zipped => zipped_bytes(operands),
        })
    }
}

/// Bytes of the texts between separators.
fn split_bytes(operands: &Operands) -> u64 {
    operands.each_row(|row| {
        let (text, separator) = (operands.text(0, row), operands.text(1, row));
        let parts = match operands.is_null(1, row) {
            true => text.chars().count(),
            false if separator.is_empty() => 1,
            false => text.matches(separator).count() + 1,
        };
        (text.len() as u64).saturating_add((parts as u64).saturating_mul(VIEW_BYTES))
    })
}

/// Bytes of lists that are put side by side, all as long as the longest.
fn zipped_bytes(operands: &Operands) -> u64 {
    let columns = 0..operands.arrays.len();
    let element = columns.clone().map(|at| operands.element_bytes(at)).fold(0, u64::saturating_add);
    operands.each_row(|row| {
        let rows = columns.clone().map(|at| operands.elements(at, row)).max().unwrap_or_default();
        let own = columns.clone().map(|at| operands.bytes(at, row)).fold(0, u64::saturating_add);
        own.saturating_add(rows.saturating_mul(element))
    })
}

/// Operands as arrays; one of a single row is the same for all rows.
pub(super) struct Operands {
    pub(super) arrays: Vec<ArrayRef>,
    rows: usize,
}

/// Numbers that are no less than zero; null is zero.
pub(super) struct Numbers(pub(super) ArrayRef);

impl Numbers {
    pub(super) fn signed(&self, row: usize) -> Option<i64> {
        let numbers = self.0.as_primitive::<Int64Type>();
        let row = row.min(numbers.len() - 1);
        (!self.0.is_null(row)).then(|| numbers.value(row))
    }

    fn at(&self, row: usize) -> u64 {
        self.signed(row).and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
    }
}

impl Operands {
    pub(super) fn new(operands: &[ColumnarValue], rows: usize) -> Result<Self> {
        let is_constant = operands.iter().all(|operand| matches!(operand, ColumnarValue::Scalar(_)));
        let array = |operand: &ColumnarValue| match operand {
            ColumnarValue::Array(array) => Ok(ArrayRef::clone(array)),
            ColumnarValue::Scalar(scalar) => scalar.to_array(),
        };
        let arrays = operands.iter().map(array).collect::<Result<_>>()?;
        Ok(Self { arrays, rows: if is_constant { 1 } else { rows } })
    }

    /// Rows that differ.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn each_row(&self, bytes: impl Fn(usize) -> u64) -> u64 {
        (0..self.rows).map(bytes).fold(0, u64::saturating_add)
    }

    pub(super) fn row_of(&self, at: usize, row: usize) -> Option<usize> {
        let array = self.arrays.get(at)?;
        (!array.is_empty()).then(|| row.min(array.len() - 1))
    }

    fn bytes(&self, at: usize, row: usize) -> u64 {
        self.row_of(at, row).map_or(0, |row| range_bytes(&self.arrays[at], row, 1))
    }

    /// A text; empty where there is none.
    pub(super) fn text(&self, at: usize, row: usize) -> &str {
        let Some(row) = self.row_of(at, row).filter(|row| self.arrays[at].is_valid(*row)) else { return "" };
        let array = &self.arrays[at];
        match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(row),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row),
            DataType::Utf8View => array.as_string_view().value(row),
            _ => "",
        }
    }

    pub(super) fn elements(&self, at: usize, row: usize) -> u64 {
        self.row_of(at, row).map_or(0, |row| range_elements(&self.arrays[at], row, 1))
    }

    fn is_null(&self, at: usize, row: usize) -> bool {
        self.row_of(at, row).is_none_or(|row| self.arrays[at].is_null(row))
    }

    /// Bytes that an element of a list takes, also where it is null.
    fn element_bytes(&self, at: usize) -> u64 {
        self.arrays.get(at).map_or(0, |array| fixed_bytes(array.data_type()))
    }

    /// Bytes of all operands in all rows.
    fn sum(&self) -> u64 {
        let bytes = |array: &ArrayRef| {
            let all = range_bytes(array, 0, array.len());
            if array.len() == 1 { all.saturating_mul(self.rows as u64) } else { all }
        };
        self.arrays.iter().map(bytes).fold(0, u64::saturating_add)
    }

    pub(super) fn numbers(&self, at: usize) -> Result<Numbers> {
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
