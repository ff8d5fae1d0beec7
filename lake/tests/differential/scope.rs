//! The columns that a statement may name.
//!
//! Owns: operands: columns, members of structs, elements of lists, and literals of their types.
//! Does not own: what is made of them (`predicate`, `scalar`).

use common::topic::ColumnType;
use fastrand::Rng;

use crate::tables::Table;
use crate::value::Value;
use crate::values::{Pool, value};

/// The classes of types whose values are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Bool,
    /// Integers and decimals.
    Exact,
    Float,
    Text,
    Bytes,
    Date,
    Time,
    Nested,
}

pub(crate) const SCALARS: [Class; 7] =
    [Class::Bool, Class::Exact, Class::Float, Class::Text, Class::Bytes, Class::Date, Class::Time];

/// Something that has a value in every row.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) sql: String,
    pub(crate) column_type: ColumnType,
    pub(crate) pool: Pool,
    /// Σ|x| over the rows of its table, for numbers that are columns.
    pub(crate) absolute_sum: f64,
}

/// The operands of the tables in a FROM clause.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) operands: Vec<Operand>,
    /// Columns of each table that together name its rows.
    pub(crate) row_names: Vec<String>,
    /// Rows that the FROM clause has at most.
    pub(crate) rows_max: usize,
}

impl Scope {
    /// Each table with its alias.
    pub(crate) fn new(tables: &[(&str, &Table)]) -> Self {
        let mut scope = Self { operands: Vec::new(), row_names: Vec::new(), rows_max: 1 };
        for (alias, table) in tables {
            scope.add(alias, table);
            scope.rows_max *= table.row_count() + 1;
        }
        let rows_max = scope.rows_max as f64;
        scope.operands.iter_mut().for_each(|operand| operand.absolute_sum *= rows_max);
        scope
    }

    fn add(&mut self, alias: &str, table: &Table) {
        for (place, column) in table.columns.iter().enumerate() {
            let sql = format!("{alias}.{}", written(&column.spec.name));
            let absolute_sum = table.absolute_sum(place);
            self.add_with_parts(Operand {
                sql,
                column_type: column.spec.column_type.clone(),
                pool: column.pool,
                absolute_sum,
            });
        }
        let system = [
            ("_partition_id", ColumnType::Int32, Pool::Tame),
            ("_offset", ColumnType::Int64, Pool::Tame),
            ("_key", ColumnType::Binary, Pool::Wild),
            ("_timestamp", ColumnType::Timestamp, Pool::Tame),
        ];
        for (name, column_type, pool) in system {
            let sql = format!("{alias}.{name}");
            if column_type == ColumnType::Int32 || column_type == ColumnType::Int64 {
                self.row_names.push(sql.clone());
            }
            self.operands.push(Operand { sql, column_type, pool, absolute_sum: 10_000.0 });
        }
    }

    fn add_with_parts(&mut self, operand: Operand) {
        match &operand.column_type {
            ColumnType::Struct(members) => {
                for member in members {
                    let sql = format!("{}['{}']", operand.sql, member.name);
                    let column_type = member.column_type.clone();
                    self.add_with_parts(Operand { sql, column_type, absolute_sum: f64::INFINITY, ..operand });
                }
            }
            ColumnType::List(element) => {
                let sql = format!("{}[1]", operand.sql);
                let column_type = element.as_ref().clone();
                self.add_with_parts(Operand { sql, column_type, absolute_sum: f64::INFINITY, ..operand });
            }
            _ => {}
        }
        self.operands.push(operand);
    }

    /// A random operand for which `is_wanted` holds.
    pub(crate) fn pick(&self, rng: &mut Rng, is_wanted: impl Fn(&Operand) -> bool) -> Option<&Operand> {
        let wanted: Vec<&Operand> = self.operands.iter().filter(|operand| is_wanted(operand)).collect();
        (!wanted.is_empty()).then(|| wanted[rng.usize(0..wanted.len())])
    }

    /// A random operand of a class.
    pub(crate) fn of(&self, rng: &mut Rng, class: Class) -> Option<&Operand> {
        self.pick(rng, |operand| operand.class() == class)
    }
}

impl Operand {
    pub(crate) fn class(&self) -> Class {
        class_of(&self.column_type)
    }

    pub(crate) fn is_tame(&self) -> bool {
        self.pool == Pool::Tame
    }

    /// A literal of its type, from its pool.
    pub(crate) fn literal(&self, rng: &mut Rng) -> String {
        literal(&value(rng, &self.column_type, self.pool), &self.column_type)
    }
}

pub(crate) fn class_of(column_type: &ColumnType) -> Class {
    match column_type {
        ColumnType::Bool => Class::Bool,
        ColumnType::Int32 | ColumnType::Int64 | ColumnType::Decimal { .. } => Class::Exact,
        ColumnType::Float64 => Class::Float,
        ColumnType::String | ColumnType::Json => Class::Text,
        ColumnType::Binary => Class::Bytes,
        ColumnType::Date => Class::Date,
        ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs => {
            Class::Time
        }
        ColumnType::List(_) | ColumnType::Struct(_) => Class::Nested,
    }
}

/// A column's name as users write it, quoted where it must be.
fn written(name: &str) -> String {
    match name {
        "camelCase" | "k" | "a" => name.to_owned(),
        other => identifier(other),
    }
}

/// A name, quoted.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value in both dialects' notation.
pub(crate) fn literal(value: &Value, column_type: &ColumnType) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Number(_) => match column_type {
            ColumnType::Decimal { precision, scale } => format!("CAST('{value}' AS DECIMAL({precision},{scale}))"),
            _ => value.to_string(),
        },
        Value::Float(float) => format!("CAST('{float:?}' AS DOUBLE)"),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        // Bytes of ASCII letters are the same in both notations of bytes.
        Value::Bytes(bytes) => match bytes.iter().all(u8::is_ascii_alphabetic) {
            true => format!("CAST('{}' AS BYTEA)", bytes.escape_ascii()),
            false => "CAST('b' AS BYTEA)".to_owned(),
        },
        Value::Date(days) => format!("CAST('{}' AS DATE)", day(*days)),
        Value::Time(microseconds) => time(*microseconds),
        Value::Bool(value) => value.to_string(),
        Value::List(items) => {
            let ColumnType::List(element) = column_type else { panic!("a list's type") };
            format!("[{}]", items.iter().map(|item| literal(item, element)).collect::<Vec<_>>().join(", "))
        }
        Value::Struct(_) | Value::Other(_) => "NULL".to_owned(),
    }
}

fn day(days: i64) -> String {
    let time = chrono::DateTime::from_timestamp(days * 86_400, 0).expect("in range");
    time.format("%Y-%m-%d").to_string()
}

/// In the years 1 to 9999.
fn time(microseconds: i64) -> String {
    let inside = microseconds.clamp(-62_135_596_800_000_000, 253_402_300_799_999_999);
    let time = chrono::DateTime::from_timestamp_micros(inside).expect("in range");
    format!("CAST('{}' AS TIMESTAMP WITH TIME ZONE)", time.format("%Y-%m-%d %H:%M:%S%.6f+00:00"))
}
