//! Publisher: tables for readers of Iceberg follow the catalog.
//!
//! Owns: the times of publications, and the lag that is shown. Does not own: a publication (crate `open_tables`), the tables
//! that are behind: the catalog knows them.
//!
//! Every writer runs one. Two at the same time cost work, not truth: the catalog compares the last version, and what the
//! loser stored is given up. A table that another one published a moment ago is left alone.

use std::time::Duration;

use catalog::PublishedTable;
use open_tables::{Done, Extent, Publisher};

use crate::service::metrics;

/// Publishes without end; nothing if there is no interval.
pub(crate) async fn run(publisher: Publisher, interval: Option<Duration>) {
    match interval {
        Some(interval) => PublishJob { publisher, interval }.run().await,
        None => std::future::pending().await,
    }
}

/// The publisher of one process.
struct PublishJob {
    publisher: Publisher,
    /// Time between two publications of a table that changes.
    interval: Duration,
}

impl PublishJob {
    async fn run(self) {
        loop {
            // Random, so that writers that started together do not look at the same time.
            tokio::time::sleep(self.interval.mul_f64(0.5 + fastrand::f64())).await;
            self.pass().await;
        }
    }

    /// Publishes each table that is due.
    async fn pass(&self) {
        let Some(tables) = self.tables().await else { return };
        for table in tables.iter().filter(|table| self.is_due(table)) {
            let (topic, kind) = (&table.topic, table.kind);
            match self.publisher.publish(topic, kind, Extent::Changes).await {
                Ok(Done::Published(published)) => {
                    ::metrics::counter!(metrics::TABLES_PUBLISHED).increment(1);
                    let (snapshot, location) = (published.lake_snapshot, &published.metadata_location);
                    let (added, removed) = (published.added_objects, published.removed_objects);
                    tracing::info!(%topic, ?kind, %snapshot, added, removed, location, "table published for readers of Iceberg");
                }
                Ok(Done::Unchanged(_) | Done::Gone) => {}
                Err(error) => {
                    ::metrics::counter!(metrics::PUBLICATIONS_FAILED).increment(1);
                    tracing::warn!(%topic, ?kind, %error, "table not published for readers of Iceberg, tried again later");
                }
            }
        }
        self.tables().await;
    }

    /// All tables; shows the greatest lag among them.
    async fn tables(&self) -> Option<Vec<PublishedTable>> {
        match self.publisher.catalog.list_published().await {
            Ok(tables) => {
                let lag = tables.iter().filter_map(|table| table.behind).max().unwrap_or_default();
                ::metrics::gauge!(metrics::ICEBERG_LAG).set(lag.as_secs_f64());
                Some(tables)
            }
            Err(error) => {
                tracing::warn!(%error, "the catalog does not say which tables are behind; none is published");
                None
            }
        }
    }

    fn is_due(&self, table: &PublishedTable) -> bool {
        let is_settled = table.age.is_none_or(|age| age >= self.interval / 2);
        (table.behind.is_some() || table.has_expired) && is_settled
    }
}
