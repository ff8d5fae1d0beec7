//! Casts below aggregates, groups and windows.
//!
//! Owns: telling `sum(x)` from `sum(x::int)` where both are in one statement. Does not own: the names of the columns of the answer
//! (`labels`).
//!
//! Why it is needed, for DataFusion 54.1: a cast has the name of its operand, and what stands around it takes that name over; two of
//! one name are refused.

use std::ops::ControlFlow;

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr, Value, VisitorMut};

use super::comparisons::call_with;
use super::names::visit;
use super::plain::PLAIN;

/// True when planning failed because two columns of one step have the same name.
pub(super) fn may_be_to_blame(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::Plan(text) => text.contains("require unique expression names"),
        DataFusionError::SchemaError(error, _) => matches!(
            error.as_ref(),
            SchemaError::DuplicateUnqualifiedField { .. } | SchemaError::DuplicateQualifiedField { .. }
        ),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => may_be_to_blame(inner),
        _ => false,
    }
}

/// Gives every cast of the statement a name of its own. False when there is none. For one call: a second one would do it again.
pub(super) fn set_apart(statement: &mut Statement) -> bool {
    let mut casts = Casts { named: 0 };
    let _ = visit(statement, &mut casts);
    casts.named > 0
}

struct Casts {
    named: usize,
}

impl VisitorMut for Casts {
    type Break = ();

    /// From the inside out: what is put around a cast is not visited itself.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Cast { .. }) {
            let text = Value::SingleQuotedString(expr.to_string());
            *expr = call_with(PLAIN, [expr.clone(), Expr::Value(text.with_empty_span())]);
            self.named += 1;
        }
        ControlFlow::Continue(())
    }
}
