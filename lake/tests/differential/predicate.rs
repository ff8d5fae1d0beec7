//! Random conditions.
//!
//! Owns: comparisons, IN, BETWEEN, IS NULL, LIKE, lists, and their combinations by three-valued logic.
//! Does not own: what is compared (`scalar`), subqueries (`statements`).

use common::topic::ColumnType;
use fastrand::Rng;

use crate::scalar::scalar;
use crate::scope::{Class, Operand, SCALARS, Scope, literal};
use crate::values::{one_of, value};

const COMPARISONS: [&str; 8] = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"];

/// A condition over the scope.
pub(crate) fn predicate(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    if depth > 0 {
        match rng.u8(0..6) {
            0 => return format!("({} AND {})", predicate(rng, scope, depth - 1), predicate(rng, scope, depth - 1)),
            1 => return format!("({} OR {})", predicate(rng, scope, depth - 1), predicate(rng, scope, depth - 1)),
            2 => return format!("(NOT {})", predicate(rng, scope, depth - 1)),
            3 => {
                let operator = one_of(rng, &["IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "IS NULL"]);
                return format!("(({}) {operator})", predicate(rng, scope, depth - 1));
            }
            _ => {}
        }
    }
    simple(rng, scope, depth)
}

fn simple(rng: &mut Rng, scope: &Scope, depth: u32) -> String {
    let class = one_of(rng, &SCALARS);
    let Some(operand) = scope.of(rng, class).cloned() else { return compare_expressions(rng, scope, class, depth) };
    match rng.u8(0..11) {
        0..=2 => format!("({} {} {})", operand.sql, one_of(rng, &COMPARISONS), operand.literal(rng)),
        3 => format!("({} {} {})", operand.literal(rng), one_of(rng, &COMPARISONS), operand.sql),
        4 => in_list(rng, &operand),
        5 => {
            let not = if rng.bool() { "NOT " } else { "" };
            format!("({} {not}BETWEEN {} AND {})", operand.sql, operand.literal(rng), operand.literal(rng))
        }
        6 => {
            let any = scope.pick(rng, |_| true).expect("a column");
            format!("({} IS {}NULL)", any.sql, if rng.bool() { "NOT " } else { "" })
        }
        7 => like(rng, scope),
        8 => of_list(rng, scope),
        9 => compare_operands(rng, scope, &operand),
        _ => compare_expressions(rng, scope, class, depth),
    }
}

fn compare_expressions(rng: &mut Rng, scope: &Scope, class: Class, depth: u32) -> String {
    let (left, right) = (scalar(rng, scope, class, depth), scalar(rng, scope, class, depth));
    format!("({left} {} {right})", one_of(rng, &COMPARISONS))
}

/// Two columns of one class, or two numbers of any types.
fn compare_operands(rng: &mut Rng, scope: &Scope, left: &Operand) -> String {
    let is_number = |class: Class| class == Class::Exact || class == Class::Float;
    let fits = |other: &Operand| other.class() == left.class() || (is_number(left.class()) && is_number(other.class()));
    let right = scope.pick(rng, fits).expect("the operand itself");
    format!("({} {} {})", left.sql, one_of(rng, &COMPARISONS), right.sql)
}

fn in_list(rng: &mut Rng, operand: &Operand) -> String {
    let mut items: Vec<String> = (0..rng.usize(1..4)).map(|_| operand.literal(rng)).collect();
    if rng.u8(0..5) == 0 {
        items.push("NULL".to_owned());
    }
    format!("({} {}IN ({}))", operand.sql, if rng.bool() { "NOT " } else { "" }, items.join(", "))
}

fn like(rng: &mut Rng, scope: &Scope) -> String {
    let Some(text) = scope.of(rng, Class::Text) else { return "true".to_owned() };
    let pattern = one_of(rng, &["a%", "%b", "%", "_", "__", "%a_c%", "", "x_y", "%'%", "日%", "A", "100%", "%\t%"]);
    let operator = one_of(rng, &["LIKE", "NOT LIKE"]);
    format!("({} {operator} '{}')", text.sql, pattern.replace('\'', "''"))
}

fn of_list(rng: &mut Rng, scope: &Scope) -> String {
    let lists = |operand: &Operand| matches!(&operand.column_type, ColumnType::List(element) if is_plain(element));
    let Some(list) = scope.pick(rng, lists).cloned() else { return like(rng, scope) };
    let ColumnType::List(element) = &list.column_type else { return like(rng, scope) };
    let item = literal(&value(rng, element, list.pool), element);
    match rng.u8(0..3) {
        0 => format!("array_has({}, {item})", list.sql),
        1 => format!("({} IS NULL)", list.sql),
        _ => format!("(array_length({}) {} {})", list.sql, one_of(rng, &["=", ">", "<"]), rng.u8(0..3)),
    }
}

fn is_plain(element: &ColumnType) -> bool {
    !matches!(element, ColumnType::List(_) | ColumnType::Struct(_))
}
