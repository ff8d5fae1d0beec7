//! Step 3 of the commit: the rows that stay, of every request that was accepted.
//!
//! Owns: commits, segments and gaps as rows. Does not own: which requests are accepted (`commit`).

use sqlx::QueryBuilder;

use super::commit_rows::CommitColumns;
use super::dialect::{postgres, sqlite};
use super::input;
use super::rows;
use crate::commit::{CommitRequest, Gap, NewSegment};
use crate::error::Result;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

/// Rows of one INSERT: 16 columns each stay far below the 32,766 parameters that SQLite takes.
const ROWS_PER_INSERT: usize = 500;

/// A request whose watermark is moved and whose intents are consumed.
pub(super) struct Accepted<'a> {
    pub(super) request: &'a CommitRequest,
    pub(super) columns: &'a CommitColumns,
    pub(super) commit_no: i64,
}

macro_rules! impl_inserts {
    ($store:ty, $db:ty, $dialect:ident) => {
        impl $store {
            /// Step 3, the immutable rows.
            pub(super) async fn insert_commits(
                connection: &mut <$db as sqlx::Database>::Connection,
                accepted: &[Accepted<'_>],
            ) -> Result<()> {
                for chunk in accepted.chunks(ROWS_PER_INSERT) {
                    let mut insert = QueryBuilder::<$db>::new(
                        "INSERT INTO commits (topic, partition_id, incarnation, commit_no, base_offset, end_offset,
                                epoch, owner, message_count, data_segment_id, quarantine_segment_id, anchor_offset,
                                anchor_timestamp_us, anchor_hash, committed_at) ",
                    );
                    insert.push_values(chunk, |mut row, Accepted { request, columns, commit_no }| {
                        row.push_bind(request.partition.topic.as_str())
                            .push_bind(i64::from(request.partition.partition_id))
                            .push_bind(columns.incarnation)
                            .push_bind(*commit_no)
                            .push_bind(columns.base_offset)
                            .push_bind(columns.end_offset)
                            .push_bind(columns.epoch)
                            .push_bind(&columns.owner)
                            .push_bind(columns.message_count)
                            .push_bind(&columns.data_segment_id)
                            .push_bind(&columns.quarantine_segment_id)
                            .push_bind(columns.anchor_offset)
                            .push_bind(columns.anchor_timestamp_us)
                            .push_bind(columns.anchor_hash)
                            .push($dialect!(now_ms));
                    });
                    insert.build().persistent(chunk.len() == 1).execute(&mut *connection).await?;
                }
                Ok(())
            }

            /// Step 3, the segments.
            pub(super) async fn insert_segments(
                connection: &mut <$db as sqlx::Database>::Connection,
                accepted: &[Accepted<'_>],
            ) -> Result<()> {
                let listed: Vec<(&Accepted<'_>, &NewSegment)> = accepted
                    .iter()
                    .flat_map(|accepted| accepted.request.segments.iter().map(move |segment| (accepted, segment)))
                    .collect();
                for chunk in listed.chunks(ROWS_PER_INSERT) {
                    let mut insert = QueryBuilder::<$db>::new(concat!(
                        "INSERT INTO segments (", rows::segment_columns!(), ") "
                    ));
                    insert.push_values(chunk, |mut row, (Accepted { request, columns, .. }, segment)| {
                        row.push_bind(&segment.id)
                            .push_bind(request.partition.topic.as_str())
                            .push_bind(i64::from(request.partition.partition_id))
                            .push_bind(columns.incarnation)
                            .push_bind(rows::kind_word(segment.kind))
                            .push_bind(columns.base_offset)
                            .push_bind(columns.end_offset)
                            .push_bind(segment.record_count.cast_signed())
                            .push_bind(segment.size_bytes.cast_signed())
                            .push_bind(&segment.bucket)
                            .push_bind(&segment.key)
                            .push_bind(segment.min_timestamp_us)
                            .push_bind(segment.max_timestamp_us)
                            .push_bind(i64::from(segment.checksum))
                            .push_bind(i64::from(segment.schema_version))
                            .push($dialect!(now_ms));
                    });
                    insert.build().persistent(chunk.len() == 1).execute(&mut *connection).await?;
                }
                Ok(())
            }

            /// Step 3, the gaps.
            pub(super) async fn insert_gaps(
                connection: &mut <$db as sqlx::Database>::Connection,
                accepted: &[Accepted<'_>],
            ) -> Result<()> {
                let recorded: Vec<(&Accepted<'_>, &Gap)> = accepted
                    .iter()
                    .flat_map(|accepted| accepted.request.gaps.iter().map(move |gap| (accepted, gap)))
                    .collect();
                for chunk in recorded.chunks(ROWS_PER_INSERT) {
                    let mut insert = QueryBuilder::<$db>::new(
                        "INSERT INTO gaps (topic, partition_id, incarnation, base_offset, end_offset, reason, created_at) ",
                    );
                    insert.push_values(chunk, |mut row, (Accepted { request, columns, .. }, gap)| {
                        row.push_bind(request.partition.topic.as_str())
                            .push_bind(i64::from(request.partition.partition_id))
                            .push_bind(columns.incarnation)
                            .push_bind(gap.base_offset.cast_signed())
                            .push_bind(gap.end_offset.cast_signed())
                            .push_bind(input::note(&gap.reason))
                            .push($dialect!(now_ms));
                    });
                    insert.build().persistent(chunk.len() == 1).execute(&mut *connection).await?;
                }
                Ok(())
            }
        }
    };
}

impl_inserts!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_inserts!(PostgresMetadataStore, sqlx::Postgres, postgres);
