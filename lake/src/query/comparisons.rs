//! Comparisons of rows, `(a, b) < (x, y)`, and with ANY of a list.
//!
//! Owns: that rows are compared value by value, also by IN, BETWEEN, CASE and IS NULL, and that `x = ANY (list)` is null where the
//! list has a null and nothing that decides; how large this may make a statement.
//! Does not own: IS DISTINCT FROM, and columns that are objects, whose nulls are equal (DataFusion); ANY of a subquery.
//!
//! Why it is needed, for DataFusion 54.1: it makes an object of each row, and compares these as it sorts them, nulls first; a null in
//! the list counts as if it were not there.

use std::ops::ControlFlow;

use datafusion::common::{plan_datafusion_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, UnaryOperator, VisitMut, VisitorMut,
};

use super::lists::NULL_WITHIN;
use super::names::visit;
use super::statements::TOKENS_MAX;

/// Most parts of expressions that are made of comparisons: more are made of comparisons within comparisons alone.
const PARTS_MAX: usize = 2 * TOKENS_MAX;

/// Writes out the statement's comparisons of rows and with ANY of a list.
///
/// # Errors
/// When rows of different lengths are compared, or the statement would become too large.
pub(super) fn write_out(statement: &mut Statement) -> Result<()> {
    match visit(statement, &mut Comparisons { parts: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Comparisons {
    /// Parts of what was made so far.
    parts: usize,
}

impl VisitorMut for Comparisons {
    type Break = DataFusionError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let made = match written_out(expr) {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(made)) => made,
            Err(error) => return ControlFlow::Break(error),
        };
        *expr = made;
        // What is within has been counted: each time that it is doubled, it counts again.
        let mut parts = Parts(0);
        let _ = expr.visit(&mut parts);
        self.parts += parts.0;
        match self.parts > PARTS_MAX {
            true => ControlFlow::Break(plan_datafusion_err!(
                "comparisons of rows or with ANY, one within the other, make this statement too large; compute what is compared in a \
                 subquery of FROM"
            )),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Counts expressions.
struct Parts(usize);

impl VisitorMut for Parts {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

/// What the expression means; `None` where it means what it says.
fn written_out(expr: &Expr) -> Result<Option<Expr>> {
    Ok(match expr {
        Expr::BinaryOp { left, op, right } => match (row(left), row(right)) {
            (Some(left), Some(right)) if is_comparison(op) => Some(compared(&left, op, &right)?),
            _ => None,
        },
        Expr::InList { expr, list, negated } if row(expr).is_some() => {
            let equal = list.iter().map(|other| comparison(expr, &BinaryOperator::Eq, other));
            Some(not_if(*negated, joined(&BinaryOperator::Or, equal.collect::<Result<_>>()?)))
        }
        Expr::Between { expr, negated, low, high } if row(expr).is_some() => {
            let within =
                vec![comparison(expr, &BinaryOperator::GtEq, low)?, comparison(expr, &BinaryOperator::LtEq, high)?];
            Some(not_if(*negated, joined(&BinaryOperator::And, within)))
        }
        Expr::IsNull(operand) | Expr::IsNotNull(operand) => row(operand).map(|values| {
            let is_null = matches!(expr, Expr::IsNull(_));
            let test = |value: &Expr| match is_null {
                true => Expr::IsNull(Box::new(value.clone())),
                false => Expr::IsNotNull(Box::new(value.clone())),
            };
            joined(&BinaryOperator::And, values.into_iter().map(test).collect())
        }),
        Expr::Case { case_token, end_token, operand: Some(operand), conditions, else_result }
            if row(operand).is_some() =>
        {
            let branch = |branch: &CaseWhen| {
                let condition = comparison(operand, &BinaryOperator::Eq, &branch.condition)?;
                Ok(CaseWhen { condition, result: branch.result.clone() })
            };
            Some(Expr::Case {
                case_token: case_token.clone(),
                end_token: end_token.clone(),
                operand: None,
                conditions: conditions.iter().map(branch).collect::<Result<_>>()?,
                else_result: else_result.clone(),
            })
        }
        Expr::AnyOp { left, compare_op, right, .. } => any_of(expr, (left, compare_op), right),
        _ => None,
    })
}

/// The comparison with any element of the list as one of three values.
fn any_of(whole: &Expr, (left, op): (&Expr, &BinaryOperator), list: &Expr) -> Option<Expr> {
    match without_parentheses(list) {
        Expr::Subquery(_) => None,
        Expr::Array(Array { elem, .. }) if *op == BinaryOperator::Eq && !elem.is_empty() => {
            Some(Expr::InList { expr: Box::new(left.clone()), list: elem.clone(), negated: false })
        }
        list => Some(joined(&BinaryOperator::Or, vec![whole.clone(), call(NULL_WITHIN, list.clone())])),
    }
}

fn without_parentheses(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => without_parentheses(inner),
        other => other,
    }
}

/// The values of a row that is written as such.
fn row(expr: &Expr) -> Option<Vec<&Expr>> {
    match without_parentheses(expr) {
        Expr::Tuple(values) => Some(values.iter().collect()),
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. })
            if name.to_string().eq_ignore_ascii_case("row") =>
        {
            let value = |argument| match argument {
                &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref value)) => Some(value),
                _ => None,
            };
            list.args.iter().map(value).collect()
        }
        _ => None,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) || is_order(op)
}

fn is_order(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq)
}

/// Two expressions compared, which may be rows.
fn comparison(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Expr> {
    match (row(left), row(right)) {
        (Some(left), Some(right)) => compared(&left, op, &right),
        _ => Ok(binary(left.clone(), op, right.clone())),
    }
}

/// Two rows compared: the first values that differ decide their order.
fn compared(left: &[&Expr], op: &BinaryOperator, right: &[&Expr]) -> Result<Expr> {
    if left.len() != right.len() {
        return plan_err!("a row of {} values is compared with one of {}", left.len(), right.len());
    }
    let pairs = || left.iter().zip(right);
    if !is_order(op) {
        let link = if *op == BinaryOperator::Eq { BinaryOperator::And } else { BinaryOperator::Or };
        let compared = pairs().map(|(left, right)| comparison(left, op, right)).collect::<Result<_>>()?;
        return Ok(joined(&link, compared));
    }
    if pairs().any(|(left, right)| row(left).is_some() || row(right).is_some()) {
        return plan_err!("rows within rows have no order; write their values in one row");
    }
    let strict = match op {
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        _ => BinaryOperator::Gt,
    };
    let mut pairs = pairs().rev();
    let Some((left, right)) = pairs.next() else { return plan_err!("a row without values is compared") };
    let last = binary((*left).clone(), op, (*right).clone());
    Ok(pairs.fold(last, |rest, (left, right)| {
        let (left, right) = ((*left).clone(), (*right).clone());
        let is_equal = binary(left.clone(), &BinaryOperator::Eq, right.clone());
        let decided = binary(left, &strict, right);
        nested(binary(decided, &BinaryOperator::Or, nested(binary(is_equal, &BinaryOperator::And, rest))))
    }))
}

/// The conditions linked with AND or OR, in a tree that is not deep.
fn joined(link: &BinaryOperator, mut conditions: Vec<Expr>) -> Expr {
    let behind = conditions.split_off(conditions.len().div_ceil(2));
    match conditions.pop() {
        Some(only) if conditions.is_empty() && behind.is_empty() => only,
        Some(last) => {
            conditions.push(last);
            nested(binary(joined(link, conditions), link, joined(link, behind)))
        }
        // No condition at all is never linked.
        None => Expr::Tuple(Vec::new()),
    }
}

fn binary(left: Expr, op: &BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn not_if(is_negated: bool, expr: Expr) -> Expr {
    if is_negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expr)) } } else { expr }
}

/// `function(argument)`.
pub(super) fn call(function: &str, argument: Expr) -> Expr {
    call_with(function, [argument])
}

/// A call of a function with arguments.
pub(super) fn call_with<const N: usize>(function: &str, arguments: [Expr; N]) -> Expr {
    let args = FunctionArguments::List(FunctionArgumentList {
        duplicate_treatment: None,
        args: arguments.map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).into(),
        clauses: Vec::new(),
    });
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
