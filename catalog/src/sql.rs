//! A catalog in an SQL database: every role, written once for both databases.
//!
//! Owns: the store, and the statements of its roles. A role is a file or a few: an `impl` of its trait, which goes
//! through the door, and plain functions of a session. Does not own: running statements, giving a database up
//! (`database`), pools and migrations (each database's own files).

mod agents;
mod commit;
mod commit_compares;
mod commit_inserts;
mod commit_judge;
mod commit_moves;
mod commit_rows;
mod commit_together;
mod consumers;
mod ending;
mod exceptions;
mod expire;
mod fold;
mod fold_plan;
mod group_view;
mod groups;
mod history;
mod iceberg;
mod iceberg_state;
mod input;
mod intents;
mod janitor;
mod listing;
mod objects;
mod ownership;
mod partition_row;
mod read_ahead;
mod replace;
mod replace_rows;
mod replays;
mod resume;
mod retention;
mod retention_plan;
pub(crate) mod rows;
mod segments;
mod snapshots;
mod statistics;
pub(crate) mod tables;
mod takeover;
mod tokens;
mod topic_names;
mod topics;
mod view;

use std::fmt;
use std::marker::PhantomData;

use async_trait::async_trait;
use common::diagnosis::Finding;

use crate::database::{Door, sql, values};
use crate::error::Result;
use crate::store::MetadataStore;

/// A catalog in a database of the kind `D`. Clones share it.
pub struct SqlMetadataStore<D> {
    door: Door,
    kind: PhantomData<fn() -> D>,
}

impl<D> SqlMetadataStore<D> {
    pub(crate) fn new_behind(door: Door) -> Self {
        Self { door, kind: PhantomData }
    }

    pub(crate) fn map_door(self, change: impl FnOnce(Door) -> Door) -> Self {
        Self::new_behind(change(self.door))
    }

    pub(crate) fn door(&self) -> &Door {
        &self.door
    }
}

impl<D> Clone for SqlMetadataStore<D> {
    fn clone(&self) -> Self {
        Self::new_behind(self.door.clone())
    }
}

impl<D> fmt::Debug for SqlMetadataStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlMetadataStore").field("door", &self.door).finish_non_exhaustive()
    }
}

#[async_trait]
impl<D> MetadataStore for SqlMetadataStore<D> {
    async fn check(&self) -> Result<()> {
        self.door.fetch(&sql!("SELECT count(*) FROM agents"), values![]).await?;
        Ok(())
    }

    async fn diagnose(&self) -> Vec<Finding> {
        self.door.diagnose().await
    }

    async fn verify(&self) -> Result<()> {
        self.door.verify().await
    }

    async fn close(&self) {
        self.door.close().await;
    }
}
