//! The formats that a client asks for: text or binary, of each value and each column.
//!
//! Owns: that there are as many of them as the protocol allows. Does not own: reading and writing them (`parameters`, `rows`).

use pgwire::api::portal::Format;
use pgwire::api::results::FieldFormat;
use pgwire::error::PgWireResult;
use pgwire::messages::extendedquery::Bind;

use super::failure::error;

/// Refuses numbers of formats that are not none, one for all, or one for each.
///
/// # Errors
/// 08P01, with both numbers.
pub(super) fn check(bind: &Bind, columns: usize) -> PgWireResult<()> {
    let check = |given: usize, wanted: usize, of: &str| match given {
        0 | 1 => Ok(()),
        _ if given == wanted => Ok(()),
        _ => {
            let text = format!("{given} formats are given for {wanted} {of}; allowed are none, one, or one for each");
            Err(error("ERROR", "08P01", text))
        }
    };
    check(bind.parameter_format_codes.len(), bind.parameters.len(), "parameters")?;
    check(bind.result_column_format_codes.len(), columns, "columns")
}

/// The format of a column; text for one that was not there when the client chose.
pub(super) fn of(format: &Format, index: usize) -> FieldFormat {
    match format {
        Format::Individual(codes) if index >= codes.len() => FieldFormat::Text,
        known => known.format_for(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_none_one_or_one_for_each() {
        let bind = |parameters: usize, formats: usize, columns: usize| {
            Bind::new(None, None, vec![0; formats], vec![None; parameters], vec![1; columns])
        };
        for (parameters, formats, columns) in [(3, 0, 0), (3, 1, 1), (3, 3, 2), (0, 1, 2)] {
            check(&bind(parameters, formats, columns), 2).expect("allowed");
        }
        for (parameters, formats, columns) in [(3, 2, 0), (3, 4, 0), (0, 2, 0), (0, 0, 3)] {
            let refused = check(&bind(parameters, formats, columns), 2).expect_err("not allowed").to_string();
            assert!(refused.contains("08P01") && refused.contains("one for each"), "{refused}");
        }
        assert_eq!(of(&Format::Individual(vec![1, 1]), 2), FieldFormat::Text);
    }
}
