//! The comparison of two answers.
//!
//! Owns: rows as multisets or in order, and the refusals that count as agreement.
//! Does not own: the comparison of single values (`value`).

use crate::value::{Tolerance, Value, is_same, sort_key};

/// The rows of an engine, or its error.
pub(crate) type Answer = Result<Vec<Vec<Value>>, String>;

/// The expected form of an answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    /// The rows have an order.
    pub(crate) is_ordered: bool,
    /// One for each column.
    pub(crate) tolerances: Vec<Tolerance>,
}

/// The kind of a disagreement. Shrinking keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disagreement {
    Rows,
    ErrorHere,
    ErrorThere,
    /// The engines agree; without pruning there are other rows.
    Pruning,
    /// Both refuse, for reasons that are no property of the values.
    Malformed,
}

/// Words of the errors that values cause: overflow, and values that a type does not have.
const OF_VALUES: [&str; 9] = [
    "overflow",
    "out of range",
    "could not convert",
    "cannot cast",
    "can't cast",
    "conversion error",
    "too large",
    "does not fit",
    "more than 38 digits",
];

pub(crate) fn judge(here: &Answer, there: &Answer, form: &Form) -> Option<Disagreement> {
    match (here, there) {
        (Ok(here), Ok(there)) => (!are_same(here, there, form)).then_some(Disagreement::Rows),
        (Err(_), Ok(_)) => Some(Disagreement::ErrorHere),
        (Ok(_), Err(_)) => Some(Disagreement::ErrorThere),
        (Err(here), Err(there)) => (!is_of_values(here) || !is_of_values(there)).then_some(Disagreement::Malformed),
    }
}

fn is_of_values(error: &str) -> bool {
    let error = error.to_lowercase();
    OF_VALUES.iter().any(|words| error.contains(words))
}

fn are_same(here: &[Vec<Value>], there: &[Vec<Value>], form: &Form) -> bool {
    if here.len() != there.len() {
        return false;
    }
    let pairs = |a: &[&Vec<Value>], b: &[&Vec<Value>]| a.iter().zip(b).all(|(a, b)| is_same_row(a, b, form));
    let (mut here, mut there): (Vec<_>, Vec<_>) = (here.iter().collect(), there.iter().collect());
    if form.is_ordered {
        return pairs(&here, &there);
    }
    here.sort_by_cached_key(|row| sort_key(row));
    there.sort_by_cached_key(|row| sort_key(row));
    pairs(&here, &there) || matches_in_any_order(&here, &there, form)
}

/// For rows that the rough keys did not bring into the same order.
fn matches_in_any_order(here: &[&Vec<Value>], there: &[&Vec<Value>], form: &Form) -> bool {
    let mut left: Vec<&Vec<Value>> = there.to_vec();
    here.iter().all(|row| {
        let place = left.iter().position(|other| is_same_row(row, other, form));
        place.map(|place| left.swap_remove(place)).is_some()
    })
}

fn is_same_row(a: &[Value], b: &[Value], form: &Form) -> bool {
    let tolerance = |column: usize| form.tolerances.get(column).copied().unwrap_or_default();
    a.len() == b.len() && a.iter().zip(b).enumerate().all(|(column, (a, b))| is_same(a, b, tolerance(column)))
}
