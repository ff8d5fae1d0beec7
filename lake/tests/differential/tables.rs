//! Random topics: their columns, in two versions of the schema, and their rows in segments.
//!
//! Owns: the choice of types and values. Does not own: storing them (`world`).

use common::topic::{ColumnSpec, ColumnType, Format, TopicOptions};
use fastrand::Rng;

use crate::value::Value;
use crate::values::{Pool, value};

/// A declared column, and the sort of values it holds.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) spec: ColumnSpec,
    /// Its type in the first version of the schema; `None` if it was added later.
    pub(crate) first_type: Option<ColumnType>,
    pub(crate) pool: Pool,
}

/// The rows of one object.
#[derive(Clone, Debug)]
pub(crate) struct SegmentRows {
    pub(crate) partition: u32,
    /// Written under the first version of the schema.
    pub(crate) is_old: bool,
    /// A value for each declared column.
    pub(crate) rows: Vec<Vec<Value>>,
}

/// A topic with its rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) segments: Vec<SegmentRows>,
}

const NAMES: [&str; 8] = ["a", "b1", "camelCase", "two words", "order", "ünï", "x_y", "Q"];

impl Table {
    pub(crate) fn random(rng: &mut Rng, name: &'static str) -> Self {
        let count = rng.usize(3..=NAMES.len());
        let mut columns: Vec<Column> = NAMES[..count].iter().map(|name| column(rng, name)).collect();
        // A key to join by, that the other table has as well.
        let key_type = if rng.bool() { ColumnType::Int32 } else { ColumnType::Int64 };
        let spec = ColumnSpec::new("k", key_type.clone());
        columns.insert(0, Column { first_type: Some(spec.column_type.clone()), spec, pool: Pool::Tame });
        columns.iter_mut().for_each(|column| widen(rng, column));
        add_later(rng, &mut columns);
        let mut table = Self { name, columns, segments: Vec::new() };
        table.segments = table.random_segments(rng);
        table
    }

    /// The options of the topic in the first version, or in the present one.
    pub(crate) fn options(&self, is_first: bool) -> TopicOptions {
        let of = |column: &Column| match is_first {
            true => Some(ColumnSpec { column_type: column.first_type.clone()?, ..column.spec.clone() }),
            false => Some(column.spec.clone()),
        };
        let columns = self.columns.iter().filter_map(of).collect();
        TopicOptions { format: Format::Json, columns, ..TopicOptions::default() }
    }

    pub(crate) fn row_count(&self) -> usize {
        self.segments.iter().map(|segment| segment.rows.len()).sum()
    }

    /// The sum of the absolute values of a column, as far as they are finite.
    pub(crate) fn absolute_sum(&self, column: usize) -> f64 {
        let rows = self.segments.iter().flat_map(|segment| &segment.rows);
        let number = |row: &Vec<Value>| match row.get(column) {
            Some(Value::Float(value)) if value.is_finite() => value.abs(),
            Some(Value::Number(number)) => number.nearest().abs(),
            _ => 0.0,
        };
        rows.map(number).sum()
    }

    fn random_segments(&self, rng: &mut Rng) -> Vec<SegmentRows> {
        let old_count = rng.usize(0..=2);
        (0..old_count + rng.usize(1..=3)).map(|number| self.random_segment(rng, number < old_count)).collect()
    }

    fn random_segment(&self, rng: &mut Rng, is_old: bool) -> SegmentRows {
        let count = rng.usize(1..=10);
        let mut columns: Vec<Vec<Value>> = Vec::new();
        for column in &self.columns {
            // Some objects hold one value, no null or nothing but nulls in a column: their statistics exclude more.
            let style = rng.u8(0..8);
            let constant = value(rng, &column.stored_type(is_old), column.pool);
            let of_row = |rng: &mut Rng| match style {
                0 => constant.clone(),
                1 if column.spec.nullable => Value::Null,
                2 => value(rng, &column.stored_type(is_old), column.pool),
                _ if column.spec.nullable && rng.u8(0..5) == 0 => Value::Null,
                _ => value(rng, &column.stored_type(is_old), column.pool),
            };
            let is_absent = is_old && column.first_type.is_none();
            columns.push((0..count).map(|_| if is_absent { Value::Null } else { of_row(rng) }).collect());
        }
        let row = |number: usize| columns.iter().map(|column| column[number].clone()).collect();
        SegmentRows { partition: rng.u32(0..2), is_old, rows: (0..count).map(row).collect() }
    }
}

impl Column {
    fn stored_type(&self, is_old: bool) -> ColumnType {
        let first = self.first_type.as_ref().filter(|_| is_old);
        first.unwrap_or(&self.spec.column_type).clone()
    }
}

fn column(rng: &mut Rng, name: &str) -> Column {
    let column_type = random_type(rng, 2);
    let pool = if rng.bool() { Pool::Tame } else { Pool::Wild };
    let spec = ColumnSpec { nullable: rng.u8(0..4) > 0, ..ColumnSpec::new(name, column_type.clone()) };
    Column { spec, first_type: Some(column_type), pool }
}

/// Some columns of 64 bits had 32 at first.
fn widen(rng: &mut Rng, column: &mut Column) {
    if column.spec.column_type == ColumnType::Int64 && rng.bool() {
        column.first_type = Some(ColumnType::Int32);
    }
}

/// The last columns were added later, so they may be null.
fn add_later(rng: &mut Rng, columns: &mut [Column]) {
    let later = rng.usize(0..=2).min(columns.len() - 1);
    let kept = columns.len() - later;
    for column in &mut columns[kept..] {
        column.first_type = None;
        column.spec.nullable = true;
    }
}

fn random_type(rng: &mut Rng, depth: u32) -> ColumnType {
    match rng.u8(0..if depth > 0 { 17 } else { 13 }) {
        0 => ColumnType::Bool,
        1 | 2 => ColumnType::Int32,
        3 | 4 => ColumnType::Int64,
        5 | 6 => ColumnType::Float64,
        7 => random_decimal(rng),
        8 | 9 => ColumnType::String,
        10 => ColumnType::Binary,
        11 => ColumnType::Date,
        12 => [ColumnType::Timestamp, ColumnType::TimestampMs, ColumnType::Json][rng.usize(0..3)].clone(),
        13 | 14 => ColumnType::List(Box::new(random_type(rng, depth - 1))),
        _ => ColumnType::Struct(random_members(rng, depth - 1)),
    }
}

fn random_decimal(rng: &mut Rng) -> ColumnType {
    let (precision, scale) =
        [(4, 1), (9, 2), (10, 2), (18, 4), (18, 0), (20, 6), (38, 10), (38, 0), (3, 3)][rng.usize(0..9)];
    ColumnType::Decimal { precision, scale }
}

fn random_members(rng: &mut Rng, depth: u32) -> Vec<ColumnSpec> {
    let names = ["m", "Nn", "o o"];
    let member = |rng: &mut Rng, name: &str| ColumnSpec {
        nullable: rng.bool(),
        ..ColumnSpec::new(name, random_type(rng, depth))
    };
    (0..rng.usize(1..=3)).map(|place| member(rng, names[place])).collect()
}
