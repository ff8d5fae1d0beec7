//! Declared columns: their names, their types, and the notation of the command line that shows them.
//!
//! Owns: the list of types, and the JSON that each accepts.
//! Does not own: the combinations of columns that a topic may have (`validity`), the Arrow types (crate `lake`),
//! decoding (crate `writer`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name: the JSON member and the column. Not starting with `_`.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// True (the default) if the value may be absent or null. If false, such a record goes to quarantine.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub nullable: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_true(value: &bool) -> bool {
    *value
}

/// The type of a column, and the JSON that it accepts. Any other JSON sends the record to quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// `true` or `false`.
    Bool,
    /// An integer of 32 bits, without fraction or exponent.
    Int32,
    /// An integer of 64 bits, without fraction or exponent.
    Int64,
    /// A number, rounded to the nearest double as JSON readers do; whole numbers between 2^53 and 2^64 are refused.
    Float64,
    /// A string.
    String,
    /// A string in base64 (standard alphabet, padded).
    Binary,
    /// A string `yyyy-mm-dd`.
    Date,
    /// A string in RFC 3339; stored in microseconds UTC. More than six digits of a second are refused.
    Timestamp,
    /// An integer of seconds since the Unix epoch, or a string as for `timestamp`.
    TimestampS,
    /// An integer of milliseconds since the Unix epoch, or a string as for `timestamp`.
    TimestampMs,
    /// An integer of microseconds since the Unix epoch, or a string as for `timestamp`.
    TimestampUs,
    /// A number, or a string holding one, that fits without rounding.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, 0 to `precision`.
        scale: u8,
    },
    /// Any JSON value, kept as its text.
    Json,
    /// An array whose elements have one type and may be null.
    List(Box<ColumnType>),
    /// An object with these members; others are refused.
    Struct(Vec<ColumnSpec>),
}

/// The notation of the command line: `decimal(12,2)`, `list(string)`.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Binary => "binary",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampS => "timestamp_s",
            Self::TimestampMs => "timestamp_ms",
            Self::TimestampUs => "timestamp_us",
            Self::Json => "json",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::List(element) => return write!(f, "list({element})"),
            Self::Struct(members) => {
                let members: Vec<String> = members.iter().map(ToString::to_string).collect();
                return write!(f, "struct({})", members.join(", "));
            }
        })
    }
}

/// The notation of the command line: `name:type`, with `!` for a column that accepts no null.
impl fmt::Display for ColumnSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.nullable { "" } else { "!" };
        write!(f, "{}:{}{required}", self.name, self.column_type)
    }
}
