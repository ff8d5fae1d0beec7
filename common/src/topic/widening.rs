//! Widening: which column may take the place of another one, of which rows are stored.
//!
//! Owns: the types that readers widen to, and members that are added inside objects.
//! Does not own: columns that are added, renamed or dropped (`evolution`).

use super::columns::{ColumnSpec, ColumnType};
use super::member::Member;

/// The column `held` with all that `wanted` takes; its parts keep their ids.
///
/// # Errors
/// When stored rows have another type, or `wanted` refuses null and `held` does not.
pub(super) fn wider(held: &ColumnSpec, wanted: &ColumnSpec) -> Result<ColumnSpec, String> {
    check_null(held, wanted).map_err(|reason| format!("column {reason}"))?;
    with_type_of(held, wanted).map_err(|reason| {
        let (name, member) = (&held.name, held.member().unwrap_or(&held.name));
        let other = format!("--column '{name}2:{}={member}'", wanted.column_type);
        format!(
            "column {held} cannot become {wanted}: {reason}; a column of another name can read the member from now on, as in \
             {other}; --rename-column or --drop-column changes what becomes of {name}"
        )
    })
}

fn check_null(held: &ColumnSpec, wanted: &ColumnSpec) -> Result<(), String> {
    if held.nullable && !wanted.nullable {
        return Err(format!("{held} cannot refuse null from now on: rows without it are stored"));
    }
    Ok(())
}

fn with_type_of(held: &ColumnSpec, wanted: &ColumnSpec) -> Result<ColumnSpec, String> {
    let column_type = wider_type(&held.column_type, &wanted.column_type)?;
    let from = if wanted.from == Member::Own { held.from.clone() } else { wanted.from.clone() };
    Ok(ColumnSpec { column_type, from, nullable: wanted.nullable, ..held.clone() }.settled())
}

fn wider_type(held: &ColumnType, wanted: &ColumnType) -> Result<ColumnType, String> {
    match (held, wanted) {
        (ColumnType::Struct(held), ColumnType::Struct(wanted)) => Ok(ColumnType::Struct(wider_members(held, wanted)?)),
        (ColumnType::List(held), ColumnType::List(wanted)) => Ok(ColumnType::List(Box::new(wider_type(held, wanted)?))),
        (ColumnType::Int32, ColumnType::Int64) => Ok(wanted.clone()),
        (held, wanted) if held == wanted || (is_time(held) && is_time(wanted)) => Ok(wanted.clone()),
        (held, _) => Err(format!("rows are stored as {held}")),
    }
}

fn wider_members(held: &[ColumnSpec], wanted: &[ColumnSpec]) -> Result<Vec<ColumnSpec>, String> {
    let mut members = Vec::with_capacity(wanted.len());
    for member in held {
        let replacing = wanted.iter().find(|wanted| wanted.name == member.name).ok_or_else(|| {
            format!("member {:?} is left out, but nothing inside an object can be dropped or renamed", member.name)
        })?;
        check_null(member, replacing)?;
        let named = |reason| format!("member {:?}: {reason}", member.name);
        members.push(with_type_of(member, replacing).map_err(named)?);
    }
    for added in wanted.iter().filter(|wanted| held.iter().all(|held| held.name != wanted.name)) {
        if !added.nullable {
            return Err(format!("a new member must take null, as older objects have none: {added}"));
        }
        members.push(added.settled());
    }
    Ok(members)
}

/// Whether the values are stored as instants.
fn is_time(column_type: &ColumnType) -> bool {
    matches!(
        column_type,
        ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs
    )
}
