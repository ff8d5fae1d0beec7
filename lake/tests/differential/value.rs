//! Values of answers, of either engine, and their comparison.
//!
//! Owns: one notation for both engines' values, and the rules by which two of them are the same.
//! Does not own: reading them (`arrow`, `reference`).

use std::fmt;

/// A value of a row. Integers and decimals of every width are one kind: their digits say the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i64),
    /// Microseconds since 1970-01-01 UTC.
    Time(i64),
    List(Vec<Value>),
    Struct(Vec<(String, Value)>),
    /// A value that the other engine has no counterpart of.
    Other(String),
}

/// An exact number: sign and digits without superfluous zeros, of any length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(String);

impl Number {
    /// From digits with an optional sign, point and fraction.
    pub(crate) fn parse(text: &str) -> Self {
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if fraction.is_empty() { "" } else { "." };
        let sign = if whole == "0" && fraction.is_empty() { "" } else { sign };
        Self(format!("{sign}{whole}{point}{fraction}"))
    }

    /// The nearest double.
    pub(crate) fn nearest(&self) -> f64 {
        self.0.parse().expect("digits")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => f.write_str(&number.0),
            Self::Float(value) => write!(f, "{value:?}f"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Self::Date(days) => write!(f, "day {days}"),
            Self::Time(microseconds) => write!(f, "{microseconds} us"),
            Self::List(items) => {
                f.write_str("[")?;
                items.iter().try_for_each(|item| write!(f, "{item}, "))?;
                f.write_str("]")
            }
            Self::Struct(members) => {
                f.write_str("{")?;
                members.iter().try_for_each(|(name, value)| write!(f, "{name}: {value}, "))?;
                f.write_str("}")
            }
            Self::Other(text) => write!(f, "?{text}"),
        }
    }
}

/// The tolerance of one column of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tolerance {
    /// Largest difference of two doubles. A sum of `n` doubles in any order is within `n * EPSILON * Σ|x|` of the exact
    /// one: each of the `n` additions rounds by at most half of `EPSILON` times a partial sum, which is at most `Σ|x|`.
    pub(crate) absolute: f64,
}

/// True if both values are the same within the tolerance.
pub(crate) fn is_same(a: &Value, b: &Value, tolerance: Tolerance) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => is_same_float(*a, *b, tolerance),
        // A mean of integers is a double in one engine and may be a decimal in the other.
        (Value::Float(float), Value::Number(number)) | (Value::Number(number), Value::Float(float)) => {
            tolerance.absolute > 0.0 && is_same_float(*float, number.nearest(), tolerance)
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b, tolerance))
        }
        (Value::Struct(a), Value::Struct(b)) => {
            let is_same_member =
                |((x, a), (y, b)): (&(String, Value), &(String, Value))| x == y && is_same(a, b, tolerance);
            a.len() == b.len() && a.iter().zip(b).all(is_same_member)
        }
        _ => a == b,
    }
}

fn is_same_float(a: f64, b: f64, tolerance: Tolerance) -> bool {
    if a.is_nan() || b.is_nan() {
        // Where the bound is infinite, one order of additions may overflow on its way and another not.
        return a.is_nan() == b.is_nan() || tolerance.absolute == f64::INFINITY;
    }
    // Zeros are equal: in the product's answers zero has no sign.
    a == b || (a - b).abs() <= tolerance.absolute
}

/// A key by which rows of a multiset are put in the same order in both answers. Doubles count roughly, since a sum may
/// differ in its last digits.
pub(crate) fn sort_key(row: &[Value]) -> String {
    let rough = |value: &Value| match value {
        Value::Float(float) if float.is_nan() => "NaN".to_owned(),
        Value::Float(0.0) => "0".to_owned(),
        Value::Float(float) => format!("{float:.6e}"),
        Value::Number(number) => format!("{:.6e}", number.nearest()),
        other => other.to_string(),
    };
    // Exact values first: they decide, where they can.
    let is_exact = |value: &&Value| !matches!(value, Value::Float(_));
    let exact = row.iter().filter(is_exact).map(ToString::to_string);
    let rough = row.iter().filter(|value| !is_exact(value)).map(rough);
    exact.chain(rough).collect::<Vec<_>>().join("\u{1}")
}
