//! Every decision about a replacement that needs no database.
//!
//! Owns: the check of a request, the comparison of inputs and output, and the choice of segments to join.
//! Does not own: statements (`replace`).

use std::collections::HashSet;

use common::{Incarnation, OffsetRange};

use super::input;
use super::objects::Bounds;
use crate::database::Row;
use crate::error::{CatalogError, Result};
use crate::model::{ObjectInfo, TableId};
use crate::replace::{REPLACEMENT_INPUTS_MAX, ReplaceRefusal, Replacement};

/// The reason why the request can never be carried out, independent of the list.
///
/// # Errors
/// As [`input::object`]: the output cannot be stored.
pub(super) fn check(replacement: &Replacement) -> Result<Option<ReplaceRefusal>> {
    input::object(&replacement.output)?;
    let mut seen = HashSet::new();
    let doubled = replacement.inputs.iter().map(|input| input.file_id).find(|id| !seen.insert(*id));
    let reason = match (replacement.inputs.len(), doubled) {
        (0, _) => "there are none".to_owned(),
        (count, _) if count > REPLACEMENT_INPUTS_MAX => {
            format!("there are {count}; at most {REPLACEMENT_INPUTS_MAX} are replaced at once")
        }
        (_, Some(id)) => format!("object {id} is among them twice"),
        (_, None) => return Ok(None),
    };
    Ok(Some(ReplaceRefusal::Mismatch { reason }))
}

/// The reason why the output cannot take the place of the inputs.
pub(super) fn refusal(
    replacement: &Replacement,
    table: TableId,
    inputs: &[(TableId, ObjectInfo)],
) -> Option<ReplaceRefusal> {
    let output = &replacement.output;
    let mut rows = 0_u64;
    for (of_table, object) in inputs {
        let id = object.file_id;
        let reason = if *of_table != table {
            let kind = replacement.kind.as_str();
            format!("object {id} is of table {of_table}, not of {table}, the {kind} of topic {}", replacement.topic)
        } else if object.bucket != output.bucket {
            format!("object {id} is in bucket {:?}, the new one in {:?}", object.bucket, output.bucket)
        } else if object.schema_version > output.schema_version {
            format!("object {id} has schema version {}, the new one {}", object.schema_version, output.schema_version)
        } else {
            rows = rows.saturating_add(object.record_count);
            continue;
        };
        return Some(ReplaceRefusal::Mismatch { reason });
    }
    let reason = format!("they have {rows} rows, the new one {}", output.record_count);
    (rows != output.record_count).then_some(ReplaceRefusal::Mismatch { reason })
}

impl Bounds {
    /// Those of a listed object.
    pub(super) fn of(object: &ObjectInfo) -> Self {
        Self {
            partitions: (object.min_partition_id, object.max_partition_id),
            offsets: (object.min_offset.cast_signed(), object.max_offset.cast_signed()),
            timestamps_us: (object.min_timestamp_us, object.max_timestamp_us),
        }
    }
}

/// A segment of the new object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) partition_id: u32,
    pub(super) incarnation: Incarnation,
    pub(super) range: OffsetRange,
    pub(super) record_count: u64,
    pub(super) timestamps_us: (i64, i64),
    pub(super) schema_version: u32,
    pub(super) created_at: i64,
}

/// Joins neighbours. `parts` stand in order of partition, incarnation and offset; the first of each row of neighbours
/// is extended, the returned ids are those of the others.
pub(super) fn joined(parts: Vec<Part>) -> (Vec<Part>, Vec<String>) {
    let mut kept: Vec<(Part, bool)> = Vec::new();
    let mut merged_away = Vec::new();
    for part in parts {
        let neighbour =
            kept.last_mut().and_then(|(first, is_longer)| Some((first.range_with(&part)?, first, is_longer)));
        let Some((range, first, is_longer)) = neighbour else {
            kept.push((part, false));
            continue;
        };
        first.range = range;
        first.record_count += part.record_count;
        first.timestamps_us.0 = first.timestamps_us.0.min(part.timestamps_us.0);
        first.timestamps_us.1 = first.timestamps_us.1.max(part.timestamps_us.1);
        first.schema_version = first.schema_version.min(part.schema_version);
        first.created_at = first.created_at.max(part.created_at);
        *is_longer = true;
        merged_away.push(part.id);
    }
    let longer = kept.into_iter().filter_map(|(part, is_longer)| is_longer.then_some(part)).collect();
    (longer, merged_away)
}

impl Part {
    /// The range of both, if `next` is the next neighbour.
    fn range_with(&self, next: &Self) -> Option<OffsetRange> {
        let is_of_same = (self.partition_id, self.incarnation) == (next.partition_id, next.incarnation);
        if is_of_same { self.range.joined(next.range) } else { None }
    }
}

impl TryFrom<Row> for Part {
    type Error = CatalogError;
    fn try_from(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            partition_id: row.unsigned("partition_id")?,
            incarnation: row.incarnation()?,
            range: row.range()?,
            record_count: row.unsigned("record_count")?,
            timestamps_us: (row.integer("min_timestamp_us")?, row.integer("max_timestamp_us")?),
            schema_version: row.unsigned("schema_version")?,
            created_at: row.integer("created_at")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(id: &str, partition_id: u32, incarnation: u32, base: u64, end: u64) -> Part {
        let time = i64::try_from(base).expect("small");
        Part {
            id: id.to_owned(),
            partition_id,
            incarnation: Incarnation(incarnation),
            range: OffsetRange::new(base, end).expect("in order"),
            record_count: end - base + 1,
            timestamps_us: (-time, time),
            schema_version: 9 - partition_id,
            created_at: time,
        }
    }

    #[test]
    fn neighbours_become_one_segment_with_all_their_rows() {
        let parts = vec![
            part("a", 0, 0, 0, 9),
            part("b", 0, 0, 10, 14),
            part("c", 0, 0, 15, 19),
            part("d", 0, 0, 30, 39),
            part("e", 0, 1, 40, 49),
            part("f", 1, 1, 50, 59),
            part("g", 1, 1, 60, 69),
        ];
        let (longer, merged_away) = joined(parts);
        assert_eq!(merged_away, ["b", "c", "g"]);
        let a = Part { record_count: 20, timestamps_us: (-15, 15), created_at: 15, ..part("a", 0, 0, 0, 19) };
        let f = Part { record_count: 20, timestamps_us: (-60, 60), created_at: 60, ..part("f", 1, 1, 50, 69) };
        assert_eq!(longer, [a, f], "a hole, another incarnation and another partition part segments");
    }

    #[test]
    fn a_segment_without_neighbours_stays_as_it_is() {
        assert_eq!(joined(vec![part("a", 0, 0, 0, 9), part("b", 0, 0, 11, 14)]), (vec![], vec![]));
        assert_eq!(joined(vec![]), (vec![], vec![]));
    }
}
