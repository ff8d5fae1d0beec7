//! Random statements.
//!
//! Owns: the shapes: projections, filters, aggregates, joins, subqueries, windows, set operations.
//! Does not own: expressions (`scalar`, `predicate`), aggregates (`aggregates`).

use common::topic::ColumnType;
use fastrand::Rng;

use crate::aggregates::{aggregate, window};
use crate::differences;
use crate::predicate::predicate;
use crate::scalar::{any, scalar};
use crate::scope::{Class, Operand, SCALARS, Scope};
use crate::statement::{Output, Statement, table};
use crate::tables::Table;
use crate::values::{Pool, one_of};

/// The statement of a seed.
pub(crate) fn statement(rng: &mut Rng, tables: &[Table]) -> Statement {
    let (one, two) = if rng.bool() { (&tables[0], &tables[1]) } else { (&tables[1], &tables[0]) };
    match rng.u8(0..27) {
        0..=5 => filter(rng, one),
        6..=8 => project(rng, one),
        9 | 10 => totals(rng, one),
        11..=13 => groups(rng, one),
        14..=16 => join(rng, one, two),
        17 => semi_join(rng, one, two),
        18 => distinct(rng, one),
        19 => unnest(rng, one),
        20 => windows(rng, one),
        21 => set_operation(rng, one, two),
        22 => overflow(rng, one),
        23 | 24 => three(rng, one, two),
        25 => derived(rng, one),
        _ => star(rng, one),
    }
}

fn from(one: &Table) -> (Scope, String) {
    (Scope::new(&[("x", one)]), format!("{} AS x", table(one.name)))
}

fn filters(rng: &mut Rng, scope: &Scope) -> Vec<String> {
    (0..rng.usize(0..3)).map(|_| predicate(rng, scope, 1)).collect()
}

fn row_names(scope: &Scope) -> Vec<Output> {
    scope.row_names.iter().map(Output::exact).collect()
}

/// The names of the rows for which a condition holds.
fn filter(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let mut filters = vec![predicate(rng, &scope, 2)];
    filters.extend((0..rng.usize(0..2)).map(|_| predicate(rng, &scope, 1)));
    Statement { shape: "filter", outputs: row_names(&scope), from, filters, ..Statement::default() }
}

fn project(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let mut outputs: Vec<Output> = (0..rng.usize(1..5)).map(|_| Output::exact(any(rng, &scope, 2))).collect();
    let order = (rng.u8(0..3) == 0).then(|| order(rng, &scope));
    if order.is_some() {
        outputs.extend(row_names(&scope));
    }
    Statement { shape: "project", outputs, from, filters: filters(rng, &scope), order, ..Statement::default() }
}

/// An order of the rows in which no two are equal, and a part of them.
fn order(rng: &mut Rng, scope: &Scope) -> String {
    let direction =
        |rng: &mut Rng| one_of(rng, &["ASC NULLS FIRST", "ASC NULLS LAST", "DESC NULLS FIRST", "DESC NULLS LAST"]);
    let mut keys = Vec::new();
    for _ in 0..rng.usize(0..3) {
        let class = one_of(rng, &SCALARS);
        if let Some(operand) = scope.of(rng, class) {
            keys.push(format!("{} {}", operand.sql, direction(rng)));
        }
    }
    keys.extend(scope.row_names.iter().map(|name| format!("{name} {}", direction(rng))));
    let part = match rng.u8(0..3) {
        0 => String::new(),
        1 => format!(" LIMIT {}", rng.u8(0..8)),
        _ => format!(" LIMIT {} OFFSET {}", rng.u8(1..8), rng.u8(0..5)),
    };
    format!("ORDER BY {}{part}", keys.join(", "))
}

fn totals(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let outputs = (0..rng.usize(1..5)).map(|_| aggregate(rng, &scope)).collect();
    Statement { shape: "totals", outputs, from, filters: filters(rng, &scope), ..Statement::default() }
}

fn groups(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let keys = group_keys(rng, &scope);
    let mut outputs: Vec<Output> = keys.iter().map(Output::exact).collect();
    outputs.extend((0..rng.usize(1..4)).map(|_| aggregate(rng, &scope)));
    let having = (rng.u8(0..3) == 0).then(|| format!(" HAVING count(*) {} 1", one_of(rng, &["=", ">", "<>"])));
    let tail = format!("GROUP BY {}{}", keys.join(", "), having.unwrap_or_default());
    Statement { shape: "groups", outputs, from, filters: filters(rng, &scope), tail, ..Statement::default() }
}

fn group_keys(rng: &mut Rng, scope: &Scope) -> Vec<String> {
    let key = |rng: &mut Rng| match rng.u8(0..4) {
        0 => {
            let class = one_of(rng, &[Class::Bool, Class::Exact, Class::Text, Class::Date]);
            // An operand alone is a constant where the table has none of its class; a constant is no key everywhere.
            let expression = scalar(rng, scope, class, 1);
            if expression.contains("x.") { expression } else { "x.k".to_owned() }
        }
        _ => {
            let class = one_of(rng, &SCALARS);
            scope.of(rng, class).map_or_else(|| "x.k".to_owned(), |operand| operand.sql.clone())
        }
    };
    let mut keys: Vec<String> = (0..rng.usize(1..3)).map(|_| key(rng)).collect();
    keys.dedup();
    keys
}

fn join(rng: &mut Rng, one: &Table, two: &Table) -> Statement {
    let scope = Scope::new(&[("x", one), ("y", two)]);
    let kind = one_of(rng, &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
    let mut conditions = vec![join_condition(rng, &scope)];
    if rng.u8(0..3) == 0 {
        conditions.push(join_condition(rng, &scope));
    }
    // DataFusion has no full join without an equation.
    if kind == "JOIN" && rng.u8(0..4) == 0 {
        conditions.push(predicate(rng, &scope, 1));
    }
    let from = format!("{} AS x {kind} {} AS y ON {}", table(one.name), table(two.name), conditions.join(" AND "));
    let outputs = match rng.u8(0..3) {
        0 => (0..rng.usize(1..3)).map(|_| aggregate(rng, &scope)).collect(),
        _ => row_names(&scope).into_iter().chain([Output::exact(any(rng, &scope, 1))]).collect(),
    };
    Statement { shape: "join", outputs, from, filters: filters(rng, &scope), ..Statement::default() }
}

/// Three tables, of which two are the same one, so that all names are there twice.
fn three(rng: &mut Rng, one: &Table, two: &Table) -> Statement {
    let scope = Scope::new(&[("x", one), ("y", two), ("z", one)]);
    let kinds = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];
    let (first, second) =
        (join_condition(rng, &scope), one_of(rng, &["x.k = z.k", "y.k = z.k", "z._offset = x._offset"]));
    let from = format!(
        "{} AS x {} {} AS y ON {first} {} {} AS z ON {second}",
        table(one.name),
        one_of(rng, &kinds),
        table(two.name),
        one_of(rng, &kinds),
        table(one.name)
    );
    let outputs = vec![Output::exact("count(*)"), aggregate(rng, &scope)];
    let mut filters = filters(rng, &scope);
    filters.push(predicate(rng, &scope, 1));
    Statement { shape: "three", outputs, from, filters, ..Statement::default() }
}

/// Groups in a derived table, filtered and counted again.
fn derived(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let key = group_keys(rng, &scope).swap_remove(0);
    let operand = scope.pick(rng, differences::has_sure_extremes).expect("x.k").sql.clone();
    let filter = predicate(rng, &scope, 1);
    let from = format!(
        "(SELECT {key} AS g, count({operand}) AS n, min({operand}) AS least FROM {from} WHERE {filter} GROUP BY {key}) AS v"
    );
    let outputs = ["v.n", "count(*)", "count(v.g)", "count(DISTINCT v.least)"].map(Output::exact).to_vec();
    let filters = match rng.u8(0..3) {
        0 => vec!["v.n > 1".to_owned()],
        1 => vec!["v.g IS NOT NULL".to_owned()],
        _ => vec![],
    };
    Statement { shape: "derived", outputs, from, filters, tail: "GROUP BY v.n".to_owned(), ..Statement::default() }
}

/// An equation of a column of each table.
fn join_condition(rng: &mut Rng, scope: &Scope) -> String {
    let of_x = |operand: &Operand| operand.sql.starts_with("x.") && operand.class() != Class::Nested;
    let left = scope.pick(rng, of_x).expect("x.k").clone();
    let fits = |operand: &Operand| operand.sql.starts_with("y.") && operand.class() == left.class();
    match scope.pick(rng, fits) {
        Some(right) => {
            format!("{} {} {}", left.sql, one_of(rng, &["=", "=", "=", "IS NOT DISTINCT FROM"]), right.sql)
        }
        None => "x.k = y.k".to_owned(),
    }
}

fn semi_join(rng: &mut Rng, one: &Table, two: &Table) -> Statement {
    let (scope, from) = from(one);
    let inner = Scope::new(&[("y", two)]);
    let both = Scope::new(&[("x", one), ("y", two)]);
    let from_two = format!("{} AS y", table(two.name));
    let condition = match rng.u8(0..6) {
        0 | 1 => {
            let not = if rng.bool() { "NOT " } else { "" };
            let (equation, more) =
                (join_condition(rng, &both).replace("IS NOT DISTINCT FROM", "="), predicate(rng, &inner, 0));
            format!("{not}EXISTS (SELECT 1 FROM {from_two} WHERE {equation} AND {more})")
        }
        2 | 3 => {
            let not = if rng.bool() { "NOT " } else { "" };
            format!("x.k {not}IN (SELECT y.k FROM {from_two} WHERE {})", predicate(rng, &inner, 0))
        }
        4 => format!("x.k {} (SELECT max(y.k) FROM {from_two})", one_of(rng, &["=", "<", ">="])),
        _ => format!("x.k = (SELECT count(*) FROM {from_two} WHERE y.k = x.k)"),
    };
    Statement { shape: "subquery", outputs: row_names(&scope), from, filters: vec![condition], ..Statement::default() }
}

fn distinct(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let outputs = (0..rng.usize(1..3)).map(|_| Output::exact(any(rng, &scope, 1))).collect();
    let filters = filters(rng, &scope);
    Statement { shape: "distinct", is_distinct: true, outputs, from, filters, ..Statement::default() }
}

fn unnest(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let is_list = |operand: &Operand| matches!(operand.column_type, ColumnType::List(_));
    let Some(list) = scope.pick(rng, is_list).cloned() else { return star(rng, one) };
    let mut outputs = row_names(&scope);
    outputs.push(Output::exact(format!("unnest({})", list.sql)));
    Statement { shape: "unnest", outputs, from, filters: filters(rng, &scope), ..Statement::default() }
}

fn windows(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let mut outputs = row_names(&scope);
    outputs.extend((0..rng.usize(1..3)).map(|_| window(rng, &scope)));
    Statement { shape: "windows", outputs, from, filters: filters(rng, &scope), ..Statement::default() }
}

fn set_operation(rng: &mut Rng, one: &Table, two: &Table) -> Statement {
    let (here, from) = from(one);
    let there = Scope::new(&[("y", two)]);
    let operation = one_of(rng, &["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
    let is_plain = |operand: &Operand| operand.class() != Class::Nested;
    let left = here.pick(rng, is_plain).expect("x.k").clone();
    let right = there.pick(rng, |operand| operand.column_type == left.column_type).map(|operand| operand.sql.clone());
    let (left, right) = right.map_or(("x.k".to_owned(), "y.k".to_owned()), |right| (left.sql.clone(), right));
    let tail = format!("{operation} SELECT {right} FROM {} AS y WHERE {}", table(two.name), predicate(rng, &there, 1));
    let outputs = vec![Output::exact(left)];
    Statement { shape: "set", outputs, from, filters: filters(rng, &here), tail, ..Statement::default() }
}

/// Arithmetic at the ends of the ranges, over every row: an error must be one in both engines.
fn overflow(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let is_wild = |operand: &Operand| {
        operand.pool == Pool::Wild && matches!(operand.column_type, ColumnType::Int32 | ColumnType::Int64)
    };
    let Some(left) = scope.pick(rng, is_wild).cloned() else { return totals(rng, one) };
    let right = scope.pick(rng, |operand| operand.column_type == left.column_type).expect("the left one");
    let expression = match rng.u8(0..5) {
        0 => format!("(-{})", left.sql),
        1 => format!("CAST({} AS INTEGER)", left.sql),
        _ => format!("({} {} {})", left.sql, one_of(rng, &["+", "-", "*"]), right.sql),
    };
    Statement { shape: "overflow", outputs: vec![Output::exact(expression)], from, ..Statement::default() }
}

fn star(rng: &mut Rng, one: &Table) -> Statement {
    let (scope, from) = from(one);
    let outputs = vec![Output::exact("*")];
    Statement { shape: "star", outputs, from, filters: filters(rng, &scope), ..Statement::default() }
}
