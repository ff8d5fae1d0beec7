//! A partition's row within a transaction: as it is seen, or locked until the end.
//!
//! Owns: these two reads. Does not own: what is done to the row, and the order in which rows are locked (the callers').

use common::TopicPartition;

use super::dialect::{postgres, sqlite};
use super::rows::{PartitionRow, partition_columns};
use crate::error::Result;
use crate::model::Partition;
use crate::{PostgresMetadataStore, SqliteMetadataStore};

macro_rules! impl_partition_row {
    ($store:ty, $db:ty, $dialect:ident) => {
        impl $store {
            /// The partition as the open transaction sees it.
            pub(super) async fn read_partition(
                connection: &mut <$db as sqlx::Database>::Connection,
                partition: &TopicPartition,
            ) -> Result<Option<Partition>> {
                sqlx::query_as::<_, PartitionRow>(concat!(
                    "SELECT ",
                    partition_columns!(),
                    " FROM partitions WHERE topic = $1 AND partition_id = $2"
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_optional(connection)
                .await?
                .map(Partition::try_from)
                .transpose()
            }

            /// The row, if there is one; nobody else changes it while the transaction is open.
            pub(super) async fn lock_partition(
                connection: &mut <$db as sqlx::Database>::Connection,
                partition: &TopicPartition,
            ) -> Result<Option<PartitionRow>> {
                let row = sqlx::query_as::<_, PartitionRow>(concat!(
                    "SELECT ",
                    partition_columns!(),
                    " FROM partitions WHERE topic = $1 AND partition_id = $2",
                    $dialect!(for_update)
                ))
                .bind(partition.topic.as_str())
                .bind(i64::from(partition.partition_id))
                .fetch_optional(connection)
                .await?;
                Ok(row)
            }
        }
    };
}

impl_partition_row!(SqliteMetadataStore, sqlx::Sqlite, sqlite);
impl_partition_row!(PostgresMetadataStore, sqlx::Postgres, postgres);
