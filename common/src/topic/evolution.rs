//! Evolution: the changes of a topic's columns that keep every older segment readable.
//!
//! Owns: these rules. A column may be added or widened; nothing is removed, renamed or narrowed.
//! Does not own: storing the change (crate `catalog`), the validity of the changed options as a whole (`validity`).

use super::TopicOptions;
use super::columns::{ColumnSpec, ColumnType};
use super::format::Format;

/// The reason for refusing a change of columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EvolutionRefused {
    reason: String,
}

impl TopicOptions {
    /// These options with `columns` added: each replaces the column of its name, or follows the existing columns.
    /// Segments written under the older options stay readable under the new ones.
    ///
    /// # Errors
    /// [`EvolutionRefused`] names the first column that rules it out: a new column that refuses null, a type that
    /// stored rows do not have, or an existing column that would now refuse null. A format with fixed columns is
    /// refused too.
    pub fn evolve(&self, columns: &[ColumnSpec]) -> Result<Self, EvolutionRefused> {
        let mut options = self.clone();
        if options.format.fixed_rows().is_some() {
            let declaring = Format::ALL.into_iter().filter(|format| format.fixed_rows().is_none());
            let declaring: Vec<&str> = declaring.map(Format::as_str).collect();
            return Err(refused(format!("only a {} topic has columns", declaring.join(" or "))));
        }
        for wanted in columns {
            match options.columns.iter_mut().find(|held| held.name == wanted.name) {
                Some(held) => {
                    check_wider(held, wanted).map_err(refused)?;
                    *held = wanted.clone();
                }
                None if wanted.nullable => options.columns.push(wanted.clone()),
                None => {
                    let reason = "a new column must take null, as older rows have none of it";
                    return Err(refused(format!("column {wanted}: {reason}")));
                }
            }
        }
        Ok(options)
    }
}

fn refused(reason: String) -> EvolutionRefused {
    EvolutionRefused { reason }
}

/// Checks that `wanted` accepts every value that `held` accepts, in the same type or one that readers widen to.
fn check_wider(held: &ColumnSpec, wanted: &ColumnSpec) -> Result<(), String> {
    let is_wider = held.column_type == wanted.column_type
        || (held.column_type == ColumnType::Int32 && wanted.column_type == ColumnType::Int64);
    if !is_wider {
        return Err(format!(
            "column {held} cannot become {wanted}: rows are stored as {}; add a column of another name instead",
            held.column_type
        ));
    }
    if held.nullable && !wanted.nullable {
        return Err(format!("column {held} cannot refuse null from now on: rows without it are stored"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, column_type: ColumnType, nullable: bool) -> ColumnSpec {
        ColumnSpec { name: name.to_owned(), column_type, nullable }
    }

    fn held() -> TopicOptions {
        let columns = vec![column("id", ColumnType::Int32, false), column("name", ColumnType::String, true)];
        TopicOptions { format: Format::Json, columns, ..TopicOptions::default() }
    }

    fn changed(columns: &[ColumnSpec]) -> Result<Vec<String>, String> {
        let changed = held().evolve(columns).map_err(|refused| refused.to_string())?;
        assert_eq!(TopicOptions { columns: held().columns, ..changed.clone() }, held(), "nothing else is changed");
        Ok(changed.columns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn columns_are_added_behind_the_others_and_widened_in_place() {
        let added = [column("note", ColumnType::String, true), column("id", ColumnType::Int64, false)];
        assert_eq!(changed(&added).expect("both"), ["id:int64!", "name:string", "note:string"]);
        assert_eq!(changed(&[column("id", ColumnType::Int32, true)]).expect("takes null"), ["id:int32", "name:string"]);
        assert_eq!(changed(&[]).expect("nothing"), ["id:int32!", "name:string"]);
        assert_eq!(changed(&held().columns).expect("the same"), ["id:int32!", "name:string"]);
    }

    #[test]
    fn a_change_that_stored_rows_contradict_is_refused() {
        let refusals = [
            (column("note", ColumnType::String, false), "must take null"),
            (column("name", ColumnType::Int64, true), "stored as string"),
            (column("name", ColumnType::String, false), "refuse null"),
            (column("id", ColumnType::Float64, false), "stored as int32"),
            (column("Id", ColumnType::Int64, false), "must take null"),
        ];
        for (column, part) in refusals {
            let refused = changed(std::slice::from_ref(&column)).expect_err(part);
            assert!(refused.contains(part), "{refused}");
        }
        let narrower = [column("big", ColumnType::Int64, true), column("big", ColumnType::Int32, true)];
        assert!(changed(&narrower).expect_err("twice").contains("stored as int64"));
    }

    #[test]
    fn a_format_with_fixed_columns_takes_none() {
        for format in Format::ALL.into_iter().filter(|format| format.fixed_rows().is_some()) {
            let options = TopicOptions { format, ..TopicOptions::default() };
            let refused = options.evolve(&[column("a", ColumnType::Json, true)]).expect_err("fixed");
            assert_eq!(refused.to_string(), "only a json topic has columns");
        }
    }
}
