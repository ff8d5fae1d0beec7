//! Random aggregates and window functions.
//!
//! Owns: their arguments, and the tolerance of sums of doubles. Does not own: the statement around them.

use common::topic::ColumnType;
use fastrand::Rng;

use crate::differences;
use crate::predicate::predicate;
use crate::scope::{Class, Operand, Scope};
use crate::statement::Output;
use crate::values::one_of;

/// An aggregate over the scope.
pub(crate) fn aggregate(rng: &mut Rng, scope: &Scope) -> Output {
    let mut output = plain(rng, scope);
    if rng.u8(0..5) == 0 {
        output.sql.push_str(&format!(" FILTER (WHERE {})", predicate(rng, scope, 0)));
    }
    output
}

fn plain(rng: &mut Rng, scope: &Scope) -> Output {
    let is_plain = |operand: &Operand| operand.class() != Class::Nested;
    match rng.u8(0..10) {
        9 => {
            let argument = &scope.pick(rng, is_plain).expect("x.k").sql;
            Output::exact(format!("array_agg({argument} ORDER BY {})", scope.row_names.join(", ")))
        }
        0 => Output::exact("count(*)"),
        1 => Output::exact(format!("count({})", scope.pick(rng, |_| true).expect("a column").sql)),
        2 => Output::exact(format!("count(DISTINCT {})", scope.pick(rng, is_plain).expect("x.k").sql)),
        3 | 4 => sum_or_mean(rng, scope),
        5 => {
            let Some(bool) = scope.of(rng, Class::Bool) else { return Output::exact("count(*)") };
            Output::exact(format!("{}({})", one_of(rng, &["bool_and", "bool_or"]), bool.sql))
        }
        _ => {
            let argument = scope.pick(rng, differences::has_sure_extremes).expect("x.k");
            Output::exact(format!("{}({})", one_of(rng, &["min", "max"]), argument.sql))
        }
    }
}

fn sum_or_mean(rng: &mut Rng, scope: &Scope) -> Output {
    let number = scope.pick(rng, |operand| matches!(operand.class(), Class::Exact | Class::Float)).expect("x.k");
    let is_float = number.class() == Class::Float;
    let bound = scope.rows_max as f64 * f64::EPSILON * number.absolute_sum;
    let decimal = matches!(number.column_type, ColumnType::Decimal { .. });
    match rng.u8(0..3) {
        0 if decimal => Output::within(format!("avg(CAST({} AS DOUBLE))", number.sql), bound),
        0 => Output::within(format!("avg({})", number.sql), bound),
        _ if is_float => Output::within(format!("sum({})", number.sql), bound),
        1 => Output::exact(format!("sum(DISTINCT {})", number.sql)),
        _ => Output::exact(format!("sum({})", number.sql)),
    }
}

/// A window function in an order without equals.
pub(crate) fn window(rng: &mut Rng, scope: &Scope) -> Output {
    let direction = one_of(rng, &["ASC", "DESC"]);
    let rows: Vec<String> = scope.row_names.iter().map(|name| format!("{name} {direction}")).collect();
    let rows = rows.join(", ");
    let partition = match scope.pick(rng, |operand| operand.class() != Class::Nested) {
        Some(operand) if rng.bool() => format!("PARTITION BY {} ", operand.sql),
        _ => String::new(),
    };
    let argument = scope.pick(rng, |operand| operand.class() != Class::Nested).expect("x.k").sql.clone();
    let tame =
        scope.pick(rng, |operand| operand.is_tame() && operand.class() == Class::Exact).expect("x.k").sql.clone();
    let frame = one_of(
        rng,
        &[
            "",
            " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
            " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
        ],
    );
    match rng.u8(0..8) {
        0 => Output::exact(format!("row_number() OVER ({partition}ORDER BY {rows})")),
        1 => {
            let nulls = one_of(rng, &["NULLS FIRST", "NULLS LAST"]);
            let is_ranked = |operand: &Operand| differences::may_order_a_window(operand.class());
            let argument = scope.pick(rng, is_ranked).expect("x.k").sql.clone();
            Output::exact(format!(
                "{}() OVER ({partition}ORDER BY {argument} {direction} {nulls})",
                one_of(rng, &["rank", "dense_rank"])
            ))
        }
        2 => Output::exact(format!(
            "{}({argument}, {}) OVER ({partition}ORDER BY {rows})",
            one_of(rng, &["lag", "lead"]),
            rng.u8(1..3)
        )),
        3 => Output::exact(format!(
            "{}({argument}) OVER ({partition}ORDER BY {rows}{frame})",
            one_of(rng, &["first_value", "last_value"])
        )),
        4 => Output::exact(format!("count({argument}) OVER ({partition}ORDER BY {rows}{frame})")),
        5 => Output::exact(format!(
            "{}({argument}) OVER ({partition}ORDER BY {rows}{})",
            one_of(rng, &["min", "max"]),
            if differences::may_slide_extremes() { frame } else { "" }
        )),
        _ => Output::exact(format!("sum({tame}) OVER ({partition}ORDER BY {rows}{frame})")),
    }
}
