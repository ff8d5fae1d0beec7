//! Random expressions of a class of types.
//!
//! Owns: arithmetic, functions, CASE, casts. Does not own: conditions (`predicate`), the dialects' differences
//! (`differences`).

use common::topic::ColumnType;
use fastrand::Rng;

use crate::predicate::predicate;
use crate::scope::{Class, Operand, SCALARS, Scope, identifier};
use crate::values::one_of;

/// A random expression of a random class.
pub(crate) fn any(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    match rng.u8(0..4) {
        0 => {
            let operand = scope.pick(rng, |_| true).expect("a column");
            operand.sql.clone()
        }
        _ => {
            let class = one_of(rng, &SCALARS);
            scalar(rng, scope, class, depth)
        }
    }
}

/// An expression of a class; the plainest one is a literal.
pub(crate) fn scalar(rng: &mut Rng, scope: &Scope, class: Class, depth: u32) -> String {
    if depth == 0 || rng.u8(0..3) == 0 {
        return leaf(rng, scope, class);
    }
    match rng.u8(0..6) {
        0 => {
            let (condition, yes) = (predicate(rng, scope, depth - 1), operand(rng, scope, class));
            let no = leaf_beside(rng, scope, yes.as_ref(), class);
            let yes = yes.map_or_else(|| no.clone(), |operand| operand.sql);
            format!("CASE WHEN {condition} THEN {yes} ELSE {no} END")
        }
        1 => {
            let Some(operand) = operand(rng, scope, class) else { return leaf(rng, scope, class) };
            format!("coalesce({}, {})", operand.sql, operand.literal(rng))
        }
        2 => {
            let Some(operand) = operand(rng, scope, class) else { return leaf(rng, scope, class) };
            format!("nullif({}, {})", operand.sql, operand.literal(rng))
        }
        _ => of_class(rng, scope, class, depth),
    }
}

fn operand(rng: &mut Rng, scope: &Scope, class: Class) -> Option<Operand> {
    scope.of(rng, class).cloned()
}

fn leaf(rng: &mut Rng, scope: &Scope, class: Class) -> String {
    let Some(operand) = operand(rng, scope, class) else { return constant(class).to_owned() };
    if rng.u8(0..4) > 0 { operand.sql } else { operand.literal(rng) }
}

/// An operand or a literal of the same type as `other`.
fn leaf_beside(rng: &mut Rng, scope: &Scope, other: Option<&Operand>, class: Class) -> String {
    let Some(other) = other else { return constant(class).to_owned() };
    let same = scope.pick(rng, |operand| operand.column_type == other.column_type).cloned();
    match same {
        Some(operand) if rng.bool() => operand.sql,
        _ => other.literal(rng),
    }
}

fn constant(class: Class) -> &'static str {
    match class {
        Class::Bool => "true",
        Class::Exact => "7",
        Class::Float => "CAST('0.5' AS DOUBLE)",
        Class::Text => "'a'",
        Class::Bytes => "CAST('a' AS BYTEA)",
        Class::Date => "CAST('2022-01-10' AS DATE)",
        Class::Time => "CAST('2023-11-15 00:00:00+00:00' AS TIMESTAMP WITH TIME ZONE)",
        Class::Nested => "NULL",
    }
}

fn of_class(rng: &mut Rng, scope: &Scope, class: Class, depth: u32) -> String {
    match class {
        Class::Bool => format!("({})", predicate(rng, scope, depth - 1)),
        Class::Exact => exact(rng, scope, depth),
        Class::Float => float(rng, scope, depth),
        Class::Text => text(rng, scope),
        Class::Time => time(rng, scope),
        Class::Date => date(rng, scope),
        Class::Bytes | Class::Nested => leaf(rng, scope, class),
    }
}

/// A small integer or a short decimal: one whose sums and products stay in range.
fn tame_exact(rng: &mut Rng, scope: &Scope) -> String {
    let is_short = |operand: &Operand| match operand.column_type {
        ColumnType::Int32 | ColumnType::Int64 => true,
        ColumnType::Decimal { precision, .. } => precision <= 10,
        _ => false,
    };
    let operand = scope.pick(rng, |operand| operand.is_tame() && is_short(operand));
    operand.map_or_else(|| "3".to_owned(), |operand| operand.sql.clone())
}

fn exact(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    let tame = tame_exact(rng, scope);
    match rng.u8(0..11) {
        0 | 1 => format!("({tame} {} {})", one_of(rng, &["+", "-", "*"]), tame_exact(rng, scope)),
        2 => format!("(-{tame})"),
        3 => format!("({tame} % {})", one_of(rng, &["2", "3", "-4", "5"])),
        9 => format!("abs({tame})"),
        10 => json(rng, scope).map_or(tame, |json| format!("TRY_CAST({json} AS INTEGER)")),
        4 => format!("CAST({} AS INTEGER)", predicate(rng, scope, depth - 1)),
        5 => {
            let Some(text) = operand(rng, scope, Class::Text) else { return tame };
            format!("{}({})", one_of(rng, &["length", "char_length"]), text.sql)
        }
        6 => {
            let Some(list) = scope.pick(rng, |operand| matches!(operand.column_type, ColumnType::List(_))) else {
                return tame;
            };
            format!("array_length({})", list.sql)
        }
        7 => {
            let Some(time) = scope.pick(rng, |operand| matches!(operand.class(), Class::Date | Class::Time)) else {
                return tame;
            };
            format!("extract({} FROM {})", one_of(rng, &["year", "month", "day"]), time.sql)
        }
        _ => {
            let is_text = |operand: &Operand| operand.column_type == ColumnType::String;
            let Some(text) = scope.pick(rng, is_text) else { return tame };
            format!("TRY_CAST({} AS {})", text.sql, one_of(rng, &["INTEGER", "BIGINT"]))
        }
    }
}

fn float(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    let tame = scope.pick(rng, |operand| operand.is_tame() && operand.class() == Class::Float);
    let tame = tame.map_or_else(|| constant(Class::Float).to_owned(), |operand| operand.sql.clone());
    match rng.u8(0..5) {
        0 => format!("CAST({} AS DOUBLE)", tame_exact(rng, scope)),
        1 => format!("(-{})", scalar(rng, scope, Class::Float, depth - 1)),
        // What IEEE 754 says about one operation is the same everywhere.
        2 => {
            let operator = one_of(rng, &["+", "-", "*"]);
            format!("({} {operator} {})", leaf(rng, scope, Class::Float), leaf(rng, scope, Class::Float))
        }
        3 => format!("{}({tame})", one_of(rng, &["abs", "floor", "ceil", "round"])),
        _ => format!("({tame} {} CAST('0.25' AS DOUBLE))", one_of(rng, &["+", "-", "*", "/"])),
    }
}

/// The text of a member of a JSON column.
fn json(rng: &mut Rng, scope: &Scope) -> Option<String> {
    let json = scope.pick(rng, |operand| operand.column_type == ColumnType::Json)?;
    Some(format!("({} ->> '{}')", json.sql, one_of(rng, &["a", "b", "c"])))
}

fn text(rng: &mut Rng, scope: &Scope) -> String {
    let Some(any) = operand(rng, scope, Class::Text) else { return constant(Class::Text).to_owned() };
    match rng.u8(0..10) {
        8 => json(rng, scope).unwrap_or(any.sql),
        0 | 1 if any.is_tame() => format!("{}({})", one_of(rng, &["upper", "lower"]), any.sql),
        2 => format!("substr({}, {}, {})", any.sql, rng.u8(1..4), rng.u8(0..3)),
        3 => format!("replace({}, 'a', 'xy')", any.sql),
        4 => format!("trim({})", any.sql),
        5 => format!("({} || {})", any.sql, leaf(rng, scope, Class::Text)),
        6 => format!("left({}, {})", any.sql, rng.u8(0..3)),
        7 => format!("concat({}, '-', {})", any.sql, leaf(rng, scope, Class::Text)),
        _ => {
            let exact = scope.pick(rng, |operand| operand.class() == Class::Exact).expect("_offset");
            format!("CAST({} AS VARCHAR)", exact.sql)
        }
    }
}

fn time(rng: &mut Rng, scope: &Scope) -> String {
    let Some(time) = scope.pick(rng, |operand| operand.is_tame() && operand.class() == Class::Time) else {
        return constant(Class::Time).to_owned();
    };
    match rng.u8(0..2) {
        0 => format!("date_trunc('{}', {})", one_of(rng, &["hour", "day", "month", "year"]), time.sql),
        _ => format!("({} + INTERVAL '{} hours')", time.sql, rng.u8(1..50)),
    }
}

fn date(rng: &mut Rng, scope: &Scope) -> String {
    let time = scope.pick(rng, |operand| operand.class() == Class::Time).expect("_timestamp");
    format!("CAST({} AS DATE)", time.sql)
}

/// The name of an output column.
pub(crate) fn output(number: usize) -> String {
    identifier(&format!("c{number}"))
}
