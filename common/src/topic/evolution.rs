//! Evolution: the changes of a topic's columns that keep every older segment readable.
//!
//! Owns: these rules. A column may be added, widened, renamed or dropped; nothing is narrowed, and no id is used again.
//! Does not own: the types that are wider (`widening`), storing the change (crate `catalog`), the validity of the changed
//! options as a whole (`validity`).

use super::TopicOptions;
use super::columns::{ColumnSpec, ColumnType};
use super::format::Format;
use super::member::Member;
use super::widening::wider;

/// A change of the columns of a topic: drops first, then renames, then what is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnChange {
    /// Names of columns that tables have no longer.
    pub drop: Vec<String>,
    /// Names of columns, each with its new one.
    pub rename: Vec<(String, String)>,
    /// Columns that are new, or replace the column of their name.
    pub declare: Vec<ColumnSpec>,
}

/// The reason for refusing a change of columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EvolutionRefused {
    reason: String,
}

impl TopicOptions {
    /// These options after `change`. Segments written under the older options stay readable under the new ones.
    ///
    /// A column that is renamed reads the same member as before. A member that a declared column reads is read by no
    /// other column from now on: the one that read it before keeps the values of older rows and is null in new ones.
    ///
    /// # Errors
    /// [`EvolutionRefused`] names the first column that rules it out: one that does not exist, a new one that refuses
    /// null, a type that stored rows do not have, or an existing one that would now refuse null. A format with fixed
    /// columns is refused too.
    pub fn evolve(&self, change: &ColumnChange) -> Result<Self, EvolutionRefused> {
        self.changed(change).map_err(|reason| EvolutionRefused { reason })
    }

    fn changed(&self, change: &ColumnChange) -> Result<Self, String> {
        let mut options = self.clone();
        if options.format.fixed_rows().is_some() {
            let declaring = Format::ALL.into_iter().filter(|format| format.fixed_rows().is_none());
            let declaring: Vec<&str> = declaring.map(Format::as_str).collect();
            return Err(format!("only a {} topic has columns", declaring.join(" or ")));
        }
        options.keep_ids();
        for name in &change.drop {
            let at = options.position(name)?;
            options.check_dropped(name)?;
            options.columns.remove(at);
        }
        for (name, new_name) in &change.rename {
            let at = options.position(name)?;
            if options.columns.iter().enumerate().any(|(other, column)| other != at && column.name == *new_name) {
                return Err(format!(
                    "column {name:?} cannot be renamed to {new_name:?}, which is a column then: renames are done one after the \
                     other; rename that one before, or drop it, and swap two names by way of a third"
                ));
            }
            options.columns[at] = options.columns[at].renamed(new_name);
            options.rename_arranged(name, new_name);
        }
        for wanted in &change.declare {
            options.declare(wanted)?;
        }
        check_members(&options.columns, &change.declare)?;
        options.keep_ids();
        let mut by_position = options.clone().without_ids();
        by_position.keep_ids();
        // Ids that positions tell are left out: options stay as somebody would declare them.
        Ok(if by_position == options { options.without_ids() } else { options })
    }

    fn position(&self, name: &str) -> Result<usize, String> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| {
            let of_struct = |column: &&ColumnSpec| {
                let inside = name.strip_prefix(&column.name).is_some_and(|rest| rest.starts_with('.'));
                inside && matches!(column.column_type, ColumnType::Struct(_))
            };
            if let Some(column) = self.columns.iter().find(of_struct) {
                return format!(
                    "{name:?} is inside of column {}: nothing inside an object can be dropped or renamed",
                    column.name
                );
            }
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            format!("there is no column {name:?}; the columns are {}", names.join(", "))
        })
    }

    /// Adds `wanted`, or lets it replace the column of its name, and gives it the member that it reads.
    fn declare(&mut self, wanted: &ColumnSpec) -> Result<(), String> {
        let at = match self.columns.iter().position(|held| held.name == wanted.name) {
            Some(at) => {
                self.columns[at] = wider(&self.columns[at], wanted)?;
                at
            }
            None if wanted.nullable => {
                self.columns.push(wanted.settled());
                self.columns.len() - 1
            }
            None => {
                return Err(format!("column {wanted}: a new column must take null, as older rows have none of it"));
            }
        };
        let Some(member) = self.columns[at].member().map(str::to_owned) else { return Ok(()) };
        let others = self.columns.iter_mut().enumerate().filter(|(index, _)| *index != at);
        for (_, other) in others.filter(|(_, other)| other.member() == Some(&member)) {
            other.from = Member::None;
            other.nullable = true;
        }
        Ok(())
    }
}

/// Checks that of the columns that were declared, each reads its member in the end.
fn check_members(columns: &[ColumnSpec], declared: &[ColumnSpec]) -> Result<(), String> {
    for wanted in declared.iter().filter(|wanted| wanted.from != Member::None) {
        let column = columns.iter().find(|column| column.name == wanted.name);
        if column.is_some_and(|column| column.from == Member::None) {
            return Err(format!(
                "column {:?} reads no member: another column reads it; say which one this column reads, as in {wanted}=member",
                wanted.name
            ));
        }
    }
    Ok(())
}

impl ColumnSpec {
    /// The column under another name; it reads the same member.
    fn renamed(&self, name: &str) -> Self {
        let from = match &self.from {
            Member::Own => Member::Named(self.name.clone()),
            other => other.clone(),
        };
        Self { name: name.to_owned(), from, ..self.clone() }.settled()
    }

    /// The same column, where a member of its own name is not named.
    #[must_use]
    pub fn settled(&self) -> Self {
        let is_own = matches!(&self.from, Member::Named(name) if *name == self.name);
        let from = if is_own { Member::Own } else { self.from.clone() };
        Self { from, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
