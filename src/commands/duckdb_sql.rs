//! `duckdb-sql`: statements that give DuckDB a view of every topic.
//!
//! Owns: deriving DuckDB's access to the store from settings and environment. Does not own: the statements
//! (lake::duckdb).

use std::env;

use anyhow::bail;
use catalog::{MetadataStore, TopicSnapshot};
use common::TopicName;
use common::config::{Settings, StorageType};
use lake::Storage;
use lake::duckdb::{DuckDbLocation, S3Access, views_sql};

use crate::opened::reading_catalog;
use crate::output::{self, UsageError};

/// Print SQL that makes a view of every topic in DuckDB.
///
/// A view has the topic's columns as they are now and reads exactly the segments that are committed now; print it again to
/// see later ones. Records that could not be decoded are in quarantine."TOPIC", as in `query`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone duckdb-sql > views.sql && duckdb -init views.sql")]
pub(crate) struct Args {
    /// Only these topics
    topics: Vec<TopicName>,
}

/// Prints the statements, or with `json` an object with the member `sql`.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let (topics, taken) =
        reading_catalog(settings, async |catalog| snapshots(&args.topics, catalog.as_ref()).await).await?;
    let location = location(&service::connect::existing_storage(settings)?)?;
    let sql = views_sql(&taken, &topics, &location).map_err(|same| UsageError::new(same.to_string()))?;
    if json { output::print_json(&serde_json::json!({ "sql": sql })) } else { output::print_exactly(&sql) }
}

/// The names of all topics, and snapshots of those that are `wanted`: all where none is named.
async fn snapshots(
    wanted: &[TopicName],
    catalog: &dyn MetadataStore,
) -> anyhow::Result<(Vec<TopicName>, Vec<TopicSnapshot>)> {
    let topics: Vec<TopicName> = catalog.list_topics().await?.into_iter().map(|topic| topic.name).collect();
    let wanted = if wanted.is_empty() { &topics } else { wanted };
    let mut snapshots = Vec::with_capacity(wanted.len());
    for topic in wanted {
        snapshots.push(catalog.snapshot(topic).await?);
    }
    Ok((topics, snapshots))
}

fn location(storage: &Storage) -> anyhow::Result<DuckDbLocation> {
    if let Some(root) = &storage.local_root {
        return Ok(DuckDbLocation::Local { root: root.clone() });
    }
    let bucket = storage.bucket.clone();
    Ok(match storage.kind {
        StorageType::S3 => DuckDbLocation::S3 { bucket, access: s3_access() },
        StorageType::Gcs => DuckDbLocation::Gcs { bucket },
        StorageType::Azure => {
            DuckDbLocation::Azure { container: bucket, account: variable(&["AZURE_STORAGE_ACCOUNT_NAME"]) }
        }
        other => bail!(UsageError::new(format!(
            "DuckDB cannot read storage {}: it is inside the writer's process; choose local, s3, azure or gcs",
            other.as_str()
        ))),
    })
}

/// Access from the variables that the store's own client reads; keys are not among them.
fn s3_access() -> S3Access {
    S3Access {
        endpoint: variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]),
        region: variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
        virtual_hosted: variable(&["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"]).is_some_and(|value| value == "true"),
    }
}

/// The first of the variables that is set and not empty.
fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
}
