//! Numbering: the id of each stored column, by which readers find it in objects of every age.
//!
//! Owns: which id a column has. Ids count in order of declaration, members and elements after their parent, until a change
//! of columns would move one: then every column keeps its id in the options, and new ones count on.
//! Does not own: the ids of system columns, which are below these (`lake::schema`).

use super::TopicOptions;
use super::columns::{ColumnSpec, ColumnType};

/// The id of the first declared column. Smaller ones are those of system columns.
pub const DECLARED_ID_FIRST: i32 = 100;

impl TopicOptions {
    /// The declared columns, each with its id. The element of a list has the id that follows its list's.
    pub fn numbered_columns(&self) -> Vec<ColumnSpec> {
        let mut columns = self.columns.clone();
        number(&mut columns, &mut self.next_column_id.unwrap_or(DECLARED_ID_FIRST));
        columns
    }

    /// Writes the ids of all columns into the options: from now on they do not depend on the order of columns.
    pub(super) fn keep_ids(&mut self) {
        let mut next = self.next_column_id.unwrap_or(DECLARED_ID_FIRST);
        number(&mut self.columns, &mut next);
        self.next_column_id = Some(next);
    }

    /// These options as somebody may declare them for another topic: without ids.
    #[must_use]
    pub fn without_ids(mut self) -> Self {
        self.next_column_id = None;
        forget(&mut self.columns);
        self
    }
}

/// Gives each column that has no id the next one, and its parts those behind it.
fn number(columns: &mut [ColumnSpec], next: &mut i32) {
    for column in columns {
        let (levels, members) = parts(&mut column.column_type);
        if column.id.is_none() {
            column.id = Some(*next);
            *next += 1 + levels;
        }
        number(members, next);
    }
}

fn forget(columns: &mut [ColumnSpec]) {
    for column in columns {
        column.id = None;
        forget(parts(&mut column.column_type).1);
    }
}

/// How many lists are around the innermost type, and its members, if it is a struct.
fn parts(column_type: &mut ColumnType) -> (i32, &mut [ColumnSpec]) {
    match column_type {
        ColumnType::List(element) => {
            let (levels, members) = parts(element);
            (levels + 1, members)
        }
        ColumnType::Struct(members) => (0, members),
        _ => (0, &mut []),
    }
}

/// Every id that is written in `columns`, and how many columns have none.
pub(super) fn written_ids(columns: &[ColumnSpec]) -> (Vec<i32>, usize) {
    let mut columns = columns.to_vec();
    let (mut ids, mut absent) = (Vec::new(), 0);
    collect(&mut columns, &mut ids, &mut absent);
    (ids, absent)
}

fn collect(columns: &mut [ColumnSpec], ids: &mut Vec<i32>, absent: &mut usize) {
    for column in columns {
        let (levels, members) = parts(&mut column.column_type);
        match column.id {
            Some(id) => ids.extend(id..=id.saturating_add(levels)),
            None => *absent += 1,
        }
        collect(members, ids, absent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> TopicOptions {
        let columns = r#"[{"name":"a","type":{"list":{"list":{"struct":[{"name":"x","type":"bool"},{"name":"y","type":"bool"}]}}}},
            {"name":"b","type":{"struct":[{"name":"c","type":{"list":"int64"}}]}},{"name":"d","type":"string"}]"#;
        serde_json::from_str(&format!(r#"{{"format":"json","columns":{columns}}}"#)).expect("valid")
    }

    fn ids(columns: &[ColumnSpec]) -> Vec<i32> {
        written_ids(columns).0
    }

    #[test]
    fn ids_count_in_order_of_declaration_with_parts_behind_their_whole() {
        let numbered = options().numbered_columns();
        assert_eq!(ids(&numbered), [100, 101, 102, 103, 104, 105, 106, 107, 108]);
        assert_eq!((numbered[0].id, numbered[1].id, numbered[2].id), (Some(100), Some(105), Some(108)));
    }

    #[test]
    fn kept_ids_do_not_move_and_new_ones_count_on() {
        let mut kept = options();
        kept.keep_ids();
        assert_eq!((kept.next_column_id, kept.columns.clone()), (Some(109), options().numbered_columns()));
        kept.columns.remove(0);
        kept.columns.insert(0, ColumnSpec::new("new", ColumnType::List(Box::new(ColumnType::Bool))));
        assert_eq!(ids(&kept.numbered_columns()), [109, 110, 105, 106, 107, 108]);
        kept.keep_ids();
        assert_eq!(kept.next_column_id, Some(111));
        assert_eq!(options().without_ids(), options());
        let mut again = options();
        again.keep_ids();
        assert_eq!(again.without_ids(), options());
    }
}
