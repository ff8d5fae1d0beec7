//! `publish-tables`: tables for readers of Iceberg are published now.
//!
//! Owns: the choice of topics, the registration of this process while it publishes, showing what was published.
//! Does not own: a publication (crate `open_tables`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{Agent, MetadataStore, Scope, SegmentKind, iceberg_namespace};
use common::config::Settings;
use common::{OwnerId, TopicName, agent_name};
use open_tables::{Done, Extent, Publisher};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::opened::{self, with_catalog};
use crate::output::{self, Align, Table};
use crate::units::count_text;

/// Heartbeats in a lease.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// Publish tables for readers of Iceberg now.
///
/// Every topic is two tables, topics.TOPIC and quarantine.TOPIC. Readers find them through the catalog itself, or over
/// HTTP at /iceberg; docs/iceberg.md shows how. A table that shows the newest state already is left as it is. Metadata
/// that is missing in the store, or that somebody changed, is written anew. A writer publishes by itself when
/// ICEBERG_PUBLISH_INTERVAL_SECS is set.
///
/// With --withdraw the tables are taken from the readers instead: their metadata is deleted after JANITOR_HOLD_SECS, and
/// objects that retention or a compaction took off the list are no longer kept for them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone publish-tables orders")]
pub(crate) struct Args {
    /// Only this topic
    topic: Option<TopicName>,
    /// Take the tables from the readers
    #[arg(long)]
    withdraw: bool,
}

/// A table after the command.
#[derive(Debug, Serialize)]
struct Row {
    table: String,
    action: &'static str,
    lake_snapshot: Option<u64>,
    added_objects: u64,
    removed_objects: u64,
    written_objects: u64,
    metadata_location: Option<String>,
}

/// Prints a line for each table, or with `json` the same as objects.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let rows = with_catalog(settings, async |catalog| match args.withdraw {
        true => withdraw(&args, catalog.as_ref()).await,
        false => publish(&args, settings, catalog).await,
    });
    let rows = rows.await?;
    output::show(json, &json!({ "tables": rows }), || table(&rows).to_string())
}

async fn withdraw(args: &Args, catalog: &dyn MetadataStore) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for topic in opened::topics(catalog, args.topic.as_ref()).await? {
        let published = catalog.unpublish(&topic).await?;
        for kind in SegmentKind::ALL.into_iter().take(published.try_into().unwrap_or(usize::MAX)) {
            rows.push(Row::new(&topic, kind, "withdrawn"));
        }
    }
    Ok(rows)
}

async fn publish(args: &Args, settings: &Settings, catalog: &Arc<dyn MetadataStore>) -> anyhow::Result<Vec<Row>> {
    let storage = opened::storage(settings)?;
    storage.take_place(catalog.as_ref()).await?;
    let owner = OwnerId(Uuid::now_v7());
    let publisher = Publisher { catalog: Arc::clone(catalog), storage, owner };
    let agent = Agent { owner, name: agent_name(), scope: Scope::Nothing, contact: Default::default() };
    // Without heartbeats a janitor would give up what this process stores.
    catalog.heartbeat(&agent).await?;
    let published = tokio::select! {
        published = publish_all(args, &publisher) => published,
        never = beat(catalog.as_ref(), &agent, Duration::from_secs(settings.lease_secs)) => match never {},
    };
    catalog.remove_agent(owner).await?;
    published
}

async fn beat(catalog: &dyn MetadataStore, agent: &Agent, lease: Duration) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(lease / HEARTBEATS_PER_LEASE).await;
        if let Err(error) = catalog.heartbeat(agent).await {
            tracing::warn!(%error, "heartbeat failed; what was stored so far may be given up");
        }
    }
}

async fn publish_all(args: &Args, publisher: &Publisher) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for topic in opened::topics(publisher.catalog.as_ref(), args.topic.as_ref()).await? {
        for kind in SegmentKind::ALL {
            rows.extend(match publisher.publish(&topic, kind, Extent::Mended).await? {
                Done::Published(published) => Some(Row {
                    lake_snapshot: Some(published.lake_snapshot.0),
                    added_objects: published.added_objects,
                    removed_objects: published.removed_objects,
                    written_objects: published.written,
                    metadata_location: Some(published.metadata_location),
                    ..Row::new(&topic, kind, if published.is_rebuilt { "written anew" } else { "published" })
                }),
                Done::Unchanged(head) => Some(Row {
                    lake_snapshot: Some(head.lake_snapshot.0),
                    metadata_location: Some(head.metadata_location),
                    ..Row::new(&topic, kind, "unchanged")
                }),
                Done::Gone => None,
            });
        }
    }
    Ok(rows)
}

impl Row {
    fn new(topic: &TopicName, kind: SegmentKind, action: &'static str) -> Self {
        Self {
            table: format!("{}.{topic}", iceberg_namespace(kind)),
            action,
            lake_snapshot: None,
            added_objects: 0,
            removed_objects: 0,
            written_objects: 0,
            metadata_location: None,
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let (left, right) = (Align::Left, Align::Right);
    let mut table = Table::new(&[
        ("TABLE", left),
        ("ACTION", left),
        ("SNAPSHOT", right),
        ("ADDED", right),
        ("REMOVED", right),
        ("WRITTEN", right),
        ("METADATA", left),
    ]);
    for row in rows {
        let metadata = row.metadata_location.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            row.table.clone(),
            row.action.to_owned(),
            row.lake_snapshot.map_or_else(|| "-".to_owned(), |snapshot| snapshot.to_string()),
            count_text(row.added_objects),
            count_text(row.removed_objects),
            count_text(row.written_objects),
            metadata,
        ]);
    }
    table
}
