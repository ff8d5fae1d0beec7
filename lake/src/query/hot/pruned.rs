//! The parts of a tail that a query's filters leave, before any message is read.
//!
//! Owns: cutting the offsets of each partition to those that may have a row for which the filters are true.
//! Does not own: reading them (`scan`). Times are no bound: a queue's clock may go back.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, Int64Array, UInt64Array};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicate;

use crate::query::chains::balanced;
use crate::schema::{INCARNATION, OFFSET, PARTITION};
use crate::tail::TailEnd;
use catalog::Partition;

/// A range is cut into so many pieces, and so are the pieces at the edges of what is left, again and again.
const CUTS: u64 = 16;
/// Rounds that find one offset among 2^32.
const ROUNDS_MAX: usize = 8;
/// Beyond this many pieces no more are cut: reading a little too much is cheaper.
const PIECES_MAX: usize = 4_096;

/// Offsets of one partition's tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TailPart {
    pub(super) partition: Partition,
    pub(super) end: TailEnd,
    pub(super) from: u64,
    /// Exclusive.
    pub(super) to: u64,
}

impl TailPart {
    fn count(&self) -> u64 {
        self.to - self.from
    }

    /// True if `next` begins where this one ends.
    fn is_before(&self, next: &Self) -> bool {
        self.partition.partition_id == next.partition.partition_id && self.to == next.from
    }

    fn cut(self) -> Vec<Self> {
        let step = self.count().div_ceil(CUTS).max(1);
        let mut pieces = Vec::new();
        let mut from = self.from;
        while from < self.to {
            let to = (from + step).min(self.to);
            pieces.push(Self { from, to, ..self.clone() });
            from = to;
        }
        pieces
    }
}

/// The parts of the tails that may have rows for which all of `filters` are true.
pub(super) fn pruned(
    ends: &[(Partition, TailEnd)],
    schema: &DFSchema,
    filters: &[Expr],
    session: &dyn Session,
) -> Result<Vec<TailPart>> {
    let whole = |(partition, end): &(Partition, TailEnd)| TailPart {
        partition: partition.clone(),
        end: end.clone(),
        from: end.first_offset,
        to: end.next_offset,
    };
    let mut parts: Vec<TailPart> = ends.iter().map(whole).collect();
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(parts) };
    let filter = session.create_physical_expr(balanced(filter)?, schema)?;
    let predicate = PruningPredicate::try_new(filter, Arc::clone(schema.inner()))?;
    if predicate.always_true() {
        return Ok(parts);
    }
    for _ in 0..ROUNDS_MAX {
        let may_match = predicate.prune(&Pieces(&parts))?;
        let mut may_match = may_match.into_iter();
        parts.retain(|_| may_match.next().unwrap_or(true));
        if parts.len() > PIECES_MAX || !(0..parts.len()).any(|at| is_edge(&parts, at)) {
            break;
        }
        parts = (0..parts.len())
            .flat_map(|at| if is_edge(&parts, at) { parts[at].clone().cut() } else { vec![parts[at].clone()] })
            .collect();
    }
    Ok(joined(parts))
}

/// True if the piece can be cut, and is the first or the last of those in a row.
fn is_edge(parts: &[TailPart], at: usize) -> bool {
    let follows = at > 0 && parts[at - 1].is_before(&parts[at]);
    let is_followed = parts.get(at + 1).is_some_and(|next| parts[at].is_before(next));
    parts[at].count() > 1 && !(follows && is_followed)
}

fn joined(parts: Vec<TailPart>) -> Vec<TailPart> {
    let mut joined: Vec<TailPart> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if last.is_before(&part) => last.to = part.to,
            _ => joined.push(part),
        }
    }
    joined
}

struct Pieces<'p>(&'p [TailPart]);

impl Pieces<'_> {
    fn numbers(&self, number: impl Fn(&TailPart) -> u32) -> ArrayRef {
        Arc::new(self.0.iter().map(|piece| i32::try_from(number(piece)).ok()).collect::<Int32Array>())
    }

    fn offsets(&self, offset: impl Fn(&TailPart) -> u64) -> ArrayRef {
        Arc::new(self.0.iter().map(|piece| i64::try_from(offset(piece)).ok()).collect::<Int64Array>())
    }

    /// The least and the greatest value of the column, at the least one of both ends.
    fn bound(&self, column: &str, offset: impl Fn(&TailPart) -> u64) -> Option<ArrayRef> {
        match column {
            PARTITION => Some(self.numbers(|piece| piece.partition.partition_id)),
            INCARNATION => Some(self.numbers(|piece| piece.partition.incarnation.0)),
            OFFSET => Some(self.offsets(offset)),
            _ => None,
        }
    }
}

impl PruningStatistics for Pieces<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(&column.name, |piece| piece.from)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(&column.name, |piece| piece.to - 1)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let is_bounded = [PARTITION, INCARNATION, OFFSET].contains(&column.name.as_str());
        is_bounded.then(|| Arc::new(UInt64Array::from(vec![0; self.0.len()])) as ArrayRef)
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    /// For lists of values: false where none of them can be in a piece.
    #[allow(clippy::mutable_key_type, reason = "the signature DataFusion asks for")]
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let (min, max) = (self.min_values(column)?, self.max_values(column)?);
        let values: Vec<&ScalarValue> = values.iter().collect();
        let may_hold = |at: usize| {
            let (min, max) = (ScalarValue::try_from_array(&min, at).ok()?, ScalarValue::try_from_array(&max, at).ok()?);
            let is_inside = |value: &&ScalarValue| {
                // Values of another type are not compared, and may be inside.
                value.partial_cmp(&&min).is_none_or(|order| order.is_ge())
                    && value.partial_cmp(&&max).is_none_or(|order| order.is_le())
            };
            (!values.iter().any(is_inside)).then_some(false)
        };
        Some((0..self.0.len()).map(may_hold).collect())
    }
}

#[cfg(test)]
mod tests {
    use catalog::PartitionState;
    use common::{Epoch, Incarnation, TopicName};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::logical_expr::{col, lit};
    use datafusion::prelude::SessionContext;

    use super::*;

    fn end(partition_id: u32, first_offset: u64, next_offset: u64) -> (Partition, TailEnd) {
        let partition = Partition {
            topic: TopicName::new("t").expect("valid"),
            partition_id,
            high_watermark: first_offset,
            incarnation: Incarnation::default(),
            epoch: Epoch::default(),
            owner: None,
            state: PartitionState::Active,
            halt_reason: None,
            anchor: None,
            commit_no: 0,
            created_at: 0,
            updated_at: 0,
        };
        (partition, TailEnd { partition_id, first_offset, next_offset, history: String::new() })
    }

    fn left(filter: Expr) -> Vec<(u32, u64, u64)> {
        let field = |name, data_type| Field::new(name, data_type, false);
        let schema = Schema::new(vec![
            field(PARTITION, DataType::Int32),
            field(OFFSET, DataType::Int64),
            field("n", DataType::Int64),
        ]);
        let schema = DFSchema::try_from(schema).expect("a schema");
        let ends = [end(0, 100, 250_100), end(1, 0, 10)];
        let state = SessionContext::new().state();
        let parts = pruned(&ends, &schema, &[filter], &state).expect("pruned");
        parts.iter().map(|part| (part.partition.partition_id, part.from, part.to)).collect()
    }

    #[test]
    fn only_offsets_that_may_match_are_left() {
        let all = [(0, 100, 250_100), (1, 0, 10)];
        let offset = || col(OFFSET);
        assert_eq!(left(col("n").gt(lit(3_i64))), all);
        assert_eq!(left(col(PARTITION).eq(lit(1_i32))), [(1, 0, 10)]);
        assert_eq!(left(offset().eq(lit(123_456_i64))), [(0, 123_456, 123_457)]);
        assert_eq!(left(offset().eq(lit(123_456_i64)).and(col("n").is_null())), [(0, 123_456, 123_457)]);
        assert_eq!(left(offset().lt(lit(100_i64))), [(1, 0, 10)]);
        assert_eq!(left(offset().gt_eq(lit(200_000_i64))), [(0, 200_000, 250_100)]);
        assert_eq!(left(offset().gt_eq(lit(250_100_i64))), []);
        assert_eq!(left(offset().between(lit(5_i64), lit(101_i64))), [(0, 100, 102), (1, 5, 10)]);
        let some = offset().in_list(vec![lit(7_i64), lit(200_000_i64), lit(300_000_i64)], false);
        assert_eq!(left(some), [(0, 200_000, 200_001), (1, 7, 8)]);
        assert_eq!(left(offset().eq(lit(7_i64)).or(col("n").eq(lit(1_i64)))), all);
    }
}
