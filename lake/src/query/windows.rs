//! Windows with names that others refine.
//!
//! Owns: that `OVER (w ORDER BY x)` and `WINDOW v AS (w ORDER BY x)` have the partitions and the order of `w`, and that what cannot
//! be refined is refused. Does not own: `OVER w` alone (DataFusion), the case of names (`names`).
//!
//! Why it is needed, for DataFusion 54.1: it leaves the name in such a window out without a word.

use std::ops::ControlFlow;

use datafusion::common::plan_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, SetExpr, VisitorMut, WindowSpec, WindowType,
};

use super::names::visit;

/// Writes out what windows have from those that they refine.
///
/// # Errors
/// When a name is that of no window before it, or when the window has what the one that it refines has already.
pub(super) fn write_out(statement: &mut Statement) -> Result<()> {
    match visit(statement, &mut Windows::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// The windows of a SELECT by their names, with all their parts.
type Named = Vec<(Ident, WindowSpec)>;

#[derive(Default)]
struct Windows {
    /// Those of each SELECT around, the innermost last. That of a query's own SELECT comes twice: for its ORDER BY too.
    around: Vec<Named>,
}

impl VisitorMut for Windows {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        match query.body.as_mut() {
            SetExpr::Select(select) => self.enter(select),
            _ => {
                self.around.push(Named::new());
                ControlFlow::Continue(())
            }
        }
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        self.enter(select)
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Self::Break> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(function) = expr
            && let Some(WindowType::WindowSpec(spec)) = &mut function.over
            && let Some(named) = self.around.last()
            && let Err(error) = refine(spec, named)
        {
            return ControlFlow::Break(error);
        }
        ControlFlow::Continue(())
    }
}

impl Windows {
    /// Knows the windows of a SELECT from here on, each with all its parts.
    fn enter(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        let mut named = Named::new();
        for NamedWindowDefinition(name, window) in &mut select.named_window {
            let spec = match window {
                NamedWindowExpr::NamedWindow(other) => match find(&named, other) {
                    Ok(other) => other.clone(),
                    Err(error) => return ControlFlow::Break(error),
                },
                NamedWindowExpr::WindowSpec(spec) => match refine(spec, &named) {
                    Ok(()) => spec.clone(),
                    Err(error) => return ControlFlow::Break(error),
                },
            };
            named.push((name.clone(), spec));
        }
        self.around.push(named);
        ControlFlow::Continue(())
    }
}

/// Gives a window the parts of the one that it names, by the rules of the standard.
fn refine(spec: &mut WindowSpec, named: &Named) -> Result<()> {
    let Some(name) = spec.window_name.take() else { return Ok(()) };
    let refined = find(named, &name)?;
    let refuse = |what: &str| Err(plan_datafusion_err!("a window that refines window {name} {what}"));
    if !spec.partition_by.is_empty() {
        return refuse("has its partitions, and no PARTITION BY of its own");
    }
    if !refined.order_by.is_empty() && !spec.order_by.is_empty() {
        return refuse("has its order, and no ORDER BY of its own");
    }
    if refined.window_frame.is_some() {
        return refuse("cannot have its frame; leave the frame out there, or write OVER with the name alone");
    }
    spec.partition_by.clone_from(&refined.partition_by);
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&refined.order_by);
    }
    Ok(())
}

fn find<'n>(named: &'n Named, name: &Ident) -> Result<&'n WindowSpec> {
    let is_it = |(known, _): &&(Ident, WindowSpec)| match (known.quote_style, name.quote_style) {
        (None, None) => known.value.eq_ignore_ascii_case(&name.value),
        _ => known.value == name.value,
    };
    let found = named.iter().find(is_it).map(|(_, spec)| spec);
    found.ok_or_else(|| plan_datafusion_err!("no window {name} before it in this SELECT; windows are {}", list(named)))
}

fn list(named: &Named) -> String {
    match named.as_slice() {
        [] => "none here".to_owned(),
        some => some.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(", "),
    }
}
