//! Declared columns: their names, their types, and the notation of the command line that shows them.
//!
//! Owns: the list of types, and the JSON that each accepts.
//! Does not own: reading that notation (`notation`), the combinations of columns that a topic may have (`validity`), the Arrow types (crate `lake`),
//! decoding (crate `writer`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::member::Member;

/// A declared column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name in tables.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// True (the default) if the value may be absent or null. If false, such a record goes to quarantine.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub nullable: bool,
    /// The member of the JSON object that it reads.
    #[serde(default, skip_serializing_if = "Member::is_own")]
    pub from: Member,
    /// The id by which readers find it in objects, where that is not the one of its position ([`super::DECLARED_ID_FIRST`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i32>,
}

impl ColumnSpec {
    /// A column that takes null, and reads the member of its name.
    pub fn new(name: &str, column_type: ColumnType) -> Self {
        Self { name: name.to_owned(), column_type, nullable: true, from: Member::Own, id: None }
    }

    /// The same column, which refuses null.
    #[must_use]
    pub fn required(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// The name of the member that it reads; `None` if it reads none.
    pub fn member(&self) -> Option<&str> {
        match &self.from {
            Member::Own => Some(&self.name),
            Member::Named(name) => Some(name),
            Member::None => None,
        }
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_true(value: &bool) -> bool {
    *value
}

/// The type of a column, and the JSON that it accepts. Any other JSON sends the record to quarantine.
// The derived form is that of objects and plain names; `notation` reads types of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, remote = "Self")]
pub enum ColumnType {
    /// `true` or `false`.
    Bool,
    /// An integer of 32 bits, without fraction or exponent.
    Int32,
    /// An integer of 64 bits, without fraction or exponent.
    Int64,
    /// A number. One with a point or an exponent becomes the nearest double, as in all JSON readers; an integer that
    /// no double is equal to is refused.
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

/// The notation of the command line: `name:type`, with `!` for a column that accepts no null, and `=member` behind it for
/// another member than that of the column's name.
impl fmt::Display for ColumnSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.nullable { "" } else { "!" };
        write!(f, "{}:{}{required}", self.name, self.column_type)?;
        match &self.from {
            Member::Own => Ok(()),
            Member::Named(member) => write!(f, "={member}"),
            Member::None => f.write_str("="),
        }
    }
}
