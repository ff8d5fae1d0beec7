//! The differences that are not compared: documented semantics of an engine, and defects of DataFusion that are not mended.
//!
//! Owns: the list, with the reason of each. Does not own: the generators, which keep off what stands here.
//!
//! Kept out of the statements, and so is what the functions below keep out:
//!
//! | statement | the dialects |
//! |---|---|
//! | `7 / 2` of integers | DataFusion divides integers, DuckDB makes a double |
//! | `x % 0` | DataFusion refuses, DuckDB says NULL |
//! | `a / b` of decimals, `avg` of decimals | a decimal in DataFusion, a double in DuckDB |
//! | an integer literal in 32-bit arithmetic | DataFusion's literals have 64 bits, DuckDB's 32 where they fit |
//! | `date + INTERVAL` | a date in DataFusion, a timestamp in DuckDB |
//! | `upper`, `lower` beyond ASCII | DataFusion maps `ß` to `SS`, DuckDB to `ẞ` |
//! | `LIKE` with a backslash | an escape in DataFusion, a character in DuckDB unless ESCAPE says otherwise |
//! | `TRY_CAST('1.50' AS INTEGER)` | NULL in DataFusion, 2 in DuckDB |
//! | `CAST` of a double to text or to an integer | other digits, other rounding |
//! | ORDER BY without NULLS | DataFusion sorts nulls first in DESC, DuckDB last |
//! | division by a zero that may have a sign | zero has none in the product's answers |
//! | an unquoted name in another case before `[…]` | not found by `lake::query` yet where a table's name precedes it |
//! | `substr` of a place below 1 | DataFusion counts from 1, DuckDB from the end |

use crate::scope::{Class, Operand};
use crate::value::Value;
use crate::verdict::Answer;

/// Digits of the longest decimal.
const DIGITS_MAX: usize = 38;

/// True if the disagreement is one that depends on the values or on the plan, so that no generator keeps it off: DuckDB gives
/// sums of 39 digits as decimals of 38, and DataFusion 54 refuses some UNIONs of columns whose fields have other metadata.
pub(crate) fn is_known(here: &Answer, there: &Answer) -> bool {
    let (Err(error), Ok(rows)) = (here, there) else { return false };
    let is_too_long = |value: &Value| {
        matches!(value, Value::Number(_)) && value.to_string().chars().filter(char::is_ascii_digit).count() > DIGITS_MAX
    };
    let has_too_long = rows.iter().flatten().any(is_too_long);
    (error.contains("a sum has more than 38 digits") && has_too_long)
        || error.contains("Physical input schema should be the same as the one converted from logical input schema")
}

/// True if a window may be ordered by values of the class: DataFusion 54 refuses bytes where the frame is a range, as that of
/// `rank` is.
pub(crate) fn may_order_a_window(class: Class) -> bool {
    !matches!(class, Class::Bytes | Class::Nested)
}

/// True if `min` and `max` may have a frame whose beginning moves: in DataFusion 54 they keep the last value where all values
/// in the frame are null.
pub(crate) fn may_slide_extremes() -> bool {
    false
}

/// True if `min` and `max` of the operand are sure in groups: in DataFusion 54 a group's depend on the order of its rows where a
/// float is NaN, and are the ends of the finite floats where all are infinite.
pub(crate) fn has_sure_extremes(operand: &Operand) -> bool {
    match operand.class() {
        Class::Nested => false,
        Class::Float => operand.is_tame(),
        _ => true,
    }
}
