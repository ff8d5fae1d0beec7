//! How much work a function does, where that grows faster than its operands.
//!
//! Owns: the functions of DataFusion that compare each part of one operand with each part of another, and the most that they
//! may compare at once: nothing can end such a function on its way. Does not own: sizes of results (`growth`).

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;

use super::growth::Operands;

/// Comparisons for one row: about a second.
const ROW_MAX: u64 = 1_000_000_000;
/// Comparisons for the rows of a batch: some seconds.
const BATCH_MAX: u64 = 10_000_000_000;
/// Bytes of texts that are compared at once.
const BYTES_AT_ONCE: u64 = 64;
/// The start of the reason of an error that says which work is too much.
pub(in crate::query) const TOO_MUCH: &str = "the work of ";

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Each character of one text with each of another.
    Characters,
    /// Each element of one list with each of another.
    Elements,
    /// A text with each place of another, many bytes at once.
    Places,
}

impl Work {
    /// The work of the function of this name; `None` where it grows as its operands do.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "levenshtein" => Some(Self::Characters),
            "strpos" => Some(Self::Places),
            "array_has_all" | "array_has_any" => Some(Self::Elements),
            _ => None,
        }
    }

    /// Refuses too much work for the rows of a batch.
    ///
    /// # Errors
    /// Names the function and both limits.
    pub(super) fn check(self, name: &str, operands: &[ColumnarValue], rows: usize) -> Result<()> {
        let operands = Operands::new(operands, rows)?;
        if operands.arrays.len() < 2 || (self == Self::Elements && is_of_texts(operands.arrays[1].as_ref())) {
            return Ok(());
        }
        let (mut most, mut all) = (0_u64, 0_u64);
        for row in 0..operands.rows() {
            let [left, right] = [0, 1].map(|at| match self {
                Self::Characters => operands.text(at, row).chars().count() as u64,
                Self::Elements => operands.elements(at, row),
                Self::Places => operands.text(at, row).len() as u64,
            });
            let comparisons = match self {
                Self::Places => left.saturating_sub(right).saturating_mul(right) / BYTES_AT_ONCE,
                Self::Characters | Self::Elements => left.saturating_mul(right),
            };
            (most, all) = (most.max(comparisons), all.saturating_add(comparisons));
        }
        if most <= ROW_MAX && all <= BATCH_MAX {
            return Ok(());
        }
        Err(DataFusionError::ResourcesExhausted(format!(
            "{TOO_MUCH}{name} is {all} comparisons, of which {ROW_MAX} are allowed for one row and {BATCH_MAX} for the rows \
             of a batch; shorten its texts or lists"
        )))
    }
}

/// Lists of texts are compared by hashes.
fn is_of_texts(lists: &dyn Array) -> bool {
    let element = match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().value_type(),
        DataType::LargeList(_) => lists.as_list::<i64>().value_type(),
        DataType::FixedSizeList(element, _) => element.data_type().clone(),
        _ => return false,
    };
    matches!(element, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
