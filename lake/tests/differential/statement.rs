//! A statement in parts, so that a failing one can be made smaller.
//!
//! Owns: putting the parts together, with or without a barrier that keeps filters away from the scans.
//! Does not own: the choice of parts (`statements`).

use crate::scalar::output;
use crate::value::Tolerance;
use crate::verdict::Form;

/// An output column.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) sql: String,
    pub(crate) tolerance: Tolerance,
}

impl Output {
    /// A column whose values must be the same to the last bit.
    pub(crate) fn exact(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), tolerance: Tolerance::default() }
    }

    /// A sum or mean of doubles.
    pub(crate) fn within(sql: impl Into<String>, absolute: f64) -> Self {
        Self { sql: sql.into(), tolerance: Tolerance { absolute } }
    }
}

/// A SELECT. Tables stand in it as [`table`] writes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statement {
    /// The kind of statement, for the figures.
    pub(crate) shape: &'static str,
    pub(crate) is_distinct: bool,
    pub(crate) outputs: Vec<Output>,
    pub(crate) from: String,
    /// Conditions that all hold.
    pub(crate) filters: Vec<String>,
    /// GROUP BY, HAVING, set operations.
    pub(crate) tail: String,
    /// ORDER BY, LIMIT and OFFSET: the answer's rows have this order.
    pub(crate) order: Option<String>,
}

/// A table in a statement's text.
pub(crate) fn table(name: &str) -> String {
    format!("«{name}»")
}

impl Statement {
    /// The text for both engines.
    pub(crate) fn sql(&self) -> String {
        self.text().replace(['«', '»'], "")
    }

    /// The same rows without any use of statistics: no filter passes a LIMIT, so that all rows are read.
    pub(crate) fn sql_without_pruning(&self) -> String {
        self.text().replace('«', "(SELECT * FROM ").replace('»', " LIMIT 1000000)")
    }

    pub(crate) fn form(&self) -> Form {
        let tolerances = self.outputs.iter().map(|output| output.tolerance).collect();
        Form { is_ordered: self.order.is_some(), tolerances }
    }

    /// Statements with one part less.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        if self.outputs.len() > 1 && self.tail.is_empty() {
            smaller.extend((0..self.outputs.len()).map(|place| {
                let mut less = self.clone();
                less.outputs.remove(place);
                less
            }));
        }
        smaller.extend((0..self.filters.len()).map(|place| {
            let mut less = self.clone();
            less.filters.remove(place);
            less
        }));
        smaller
    }

    fn text(&self) -> String {
        let column = |(number, column): (usize, &Output)| match column.sql.as_str() {
            "*" => "*".to_owned(),
            sql => format!("{sql} AS {}", output(number)),
        };
        let outputs: Vec<String> = self.outputs.iter().enumerate().map(column).collect();
        let distinct = if self.is_distinct { "DISTINCT " } else { "" };
        let mut text = format!("SELECT {distinct}{} FROM {}", outputs.join(", "), self.from);
        if !self.filters.is_empty() {
            text.push_str(&format!(" WHERE {}", self.filters.join(" AND ")));
        }
        for part in [Some(&self.tail), self.order.as_ref()].into_iter().flatten().filter(|part| !part.is_empty()) {
            text.push_str(&format!(" {part}"));
        }
        text
    }
}
