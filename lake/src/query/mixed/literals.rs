//! Literals of numbers with a point, with the digits that were typed.
//!
//! Owns: the decimal that a literal shows, and keeping digits that a double has no room for.
//! Does not own: where a literal is a decimal (`mixed`).

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, i256};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, lit};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, CastKind, ExactNumberInfo, Value, VisitorMut};

use crate::query::names::visit;

/// Digits that every double keeps.
const DOUBLE_DIGITS: usize = 15;

/// Makes decimals of the statement's literals that have more digits than a double keeps, and no exponent. An integer of 64
/// bits stays one.
pub(in crate::query) fn keep_digits(statement: &mut Statement) {
    let _ = visit(statement, &mut KeepDigits);
}

struct KeepDigits;

impl VisitorMut for KeepDigits {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Value(value) = expr
            && let Value::Number(text, _) = &value.value
            && let Some((precision, scale)) = long_decimal(text)
        {
            *expr = ast::Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(ast::Expr::value(Value::SingleQuotedString(text.clone()))),
                data_type: ast::DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)),
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

/// Precision and scale of a literal that is to be a decimal.
fn long_decimal(text: &str) -> Option<(u64, i64)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit());
    let whole = whole.trim_start_matches('0');
    let digits = whole.len() + decimals.len();
    let fits = digits > DOUBLE_DIGITS && digits <= usize::from(DECIMAL128_MAX_PRECISION);
    if !is_digits || !fits || text.parse::<u64>().is_ok() {
        return None;
    }
    Some((digits as u64, i64::try_from(decimals.len()).ok()?))
}

/// The decimal that a literal of a float shows, if 38 digits are enough for it.
pub(super) fn decimal_of(expr: &Expr) -> Option<ScalarValue> {
    let value = match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => *value,
        Expr::Literal(ScalarValue::Float64(None), _) => return Some(ScalarValue::Decimal128(None, 1, 0)),
        Expr::Negative(operand) => {
            return match decimal_of(operand)? {
                ScalarValue::Decimal128(value, precision, scale) => {
                    Some(ScalarValue::Decimal128(value.map(|value| -value), precision, scale))
                }
                _ => None,
            };
        }
        _ => return None,
    };
    // The shortest digits that mean this double: those that were typed.
    let text = value.to_string();
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits = whole.trim_start_matches(['-', '0']).len() + decimals.len();
    let unscaled = format!("{whole}{decimals}").parse::<i128>().ok()?;
    let precision = u8::try_from(digits.max(1)).ok().filter(|digits| *digits <= DECIMAL128_MAX_PRECISION)?;
    Some(ScalarValue::Decimal128(Some(unscaled), precision, i8::try_from(decimals.len()).ok()?))
}

/// The same decimal in 256 bits.
pub(super) fn wide(decimal: ScalarValue) -> ScalarValue {
    match decimal {
        ScalarValue::Decimal128(value, precision, scale) => {
            ScalarValue::Decimal256(value.map(i256::from_i128), precision, scale)
        }
        other => other,
    }
}

/// The double of a literal whose digits were kept.
pub(super) fn double_of(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Negative(operand) => match double_of(operand)? {
            Expr::Literal(ScalarValue::Float64(Some(value)), _) => Some(lit(-value)),
            _ => None,
        },
        Expr::Cast(Cast { expr, field }) if matches!(field.data_type(), DataType::Decimal128(..)) => match &**expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _)
                if long_decimal(text).is_some() =>
            {
                text.parse::<f64>().ok().map(lit)
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_the_decimal_of_its_digits() {
        for (value, expected) in [
            (0.1, Some((1, 1, 1))),
            (-1.5, Some((-15, 2, 1))),
            (0.0, Some((0, 1, 0))),
            (1e-20, Some((1, 20, 20))),
            (1e18, Some((10_i128.pow(18), 19, 0))),
            (1e300, None),
            (1e-300, None),
            (f64::INFINITY, None),
            (f64::NAN, None),
        ] {
            let expected =
                expected.map(|(value, precision, scale)| ScalarValue::Decimal128(Some(value), precision, scale));
            assert_eq!(decimal_of(&lit(value)), expected, "{value}");
        }
    }

    #[test]
    fn digits_are_kept_where_a_double_would_lose_them() {
        for (text, expected) in [
            ("12345678901234567.89", Some((19, 2))),
            ("9223372036854775809", None),
            ("18446744073709551616", Some((20, 0))),
            ("0000000000000000000000000000000000000000001.5", None),
            ("1.5e300", None),
            ("1234567890123456e3", None),
            ("123456789012345678901234567890123456789", None),
            ("3.14", None),
            (".1234567890123456", Some((16, 16))),
        ] {
            assert_eq!(long_decimal(text), expected, "{text}");
        }
    }
}
