//! The name of the column that reads a member.
//!
//! Owns: names beside those that are taken. Does not own: the rules for names (`common::topic`).

use std::collections::HashSet;

use common::topic::{ColumnSpec, ColumnType, Member, RESERVED_PREFIX, SYSTEM_COLUMNS};

/// The names that were given.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Without case, as they are compared.
    taken: HashSet<String>,
}

impl Names {
    /// A column that reads `member`, of its own name if that is free. Its type is still open.
    ///
    /// # Errors
    /// The reason why no column can have it.
    pub(super) fn column_of(&mut self, member: &str) -> Result<ColumnSpec, String> {
        if member.is_empty() || member.chars().any(char::is_control) {
            return Err("a column's name is printable text".to_owned());
        }
        let lower = member.to_lowercase();
        let is_reserved = SYSTEM_COLUMNS.contains(&lower.as_str()) || lower.starts_with(RESERVED_PREFIX);
        // Siltstone's own names all begin with an underscore.
        let wished = if is_reserved { format!("source{member}") } else { member.to_owned() };
        let others = (2..).map(|number: u32| format!("{wished}_{number}"));
        let mut names = std::iter::once(wished.clone()).chain(others);
        let name = names.find(|name| self.taken.insert(name.to_lowercase())).expect("numbers do not end");
        let column = ColumnSpec::new(&name, ColumnType::Json);
        let from = if name == member { Member::Own } else { Member::Named(member.to_owned()) };
        Ok(ColumnSpec { from, ..column })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_written_in_another_way_and_reads_the_member() {
        let mut names = Names::default();
        let mut shown = |member: &str| names.column_of(member).map(|column| column.to_string());
        for (member, column) in [
            ("id", "id:json"),
            ("ID", "ID_2:json=ID"),
            ("iD", "iD_3:json=iD"),
            ("_offset", "source_offset:json=_offset"),
            ("_siltstone_x", "source_siltstone_x:json=_siltstone_x"),
            ("_id", "_id:json"),
        ] {
            assert_eq!(shown(member), Ok(column.to_owned()));
        }
        for member in ["", "a\nb"] {
            assert!(shown(member).expect_err("not printable").contains("printable"));
        }
    }
}
