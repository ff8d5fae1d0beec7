//! `duckdb-sql`: statements by which DuckDB reads every topic as a table.
//!
//! Owns: deriving DuckDB's access to catalog and store from settings and environment. Does not own: the statements
//! (lake::duckdb).

mod watch;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use catalog::{MetadataStore, OpenTables, TopicSnapshot};
use clap::ArgGroup;
use common::TopicName;
use common::config::{CatalogPlace, Settings, StorageType};
use lake::Storage;
use lake::duckdb::{DuckDbCatalog, DuckDbLocation, S3Access, attach_sql, views_sql};

use crate::opened::reading_catalog;
use crate::output::{self, UsageError};

/// Print SQL by which DuckDB reads every topic as a table.
///
/// It attaches the catalog with DuckDB's extension ducklake, from DuckDB 1.5.2 on: each query sees the segments that are
/// committed at that moment, and nothing can be written. Records that could not be decoded are in quarantine."TOPIC", as
/// in `query`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: siltstone duckdb-sql > lake.sql && duckdb -init lake.sql",
    group = ArgGroup::new("of-views").multiple(true)
)]
pub(crate) struct Args {
    /// Instead, a view of each topic over exactly the segments that are committed now, for a DuckDB without the
    /// extension; print them again to see later segments
    #[arg(long, group = "of-views")]
    views: bool,

    /// Write these views into FILE instead, and again each time that the segments or columns change, until a signal
    #[arg(long, value_name = "FILE", group = "of-views")]
    watch: Option<PathBuf>,

    /// Views of these topics alone
    #[arg(requires = "of-views")]
    topics: Vec<TopicName>,
}

/// Prints the statements, or with `json` an object with the member `sql`.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    if let Some(path) = &args.watch {
        ensure!(!json, UsageError::new("--watch writes SQL into a file; --json is for what is printed"));
        let location = location(&service::connect::existing_storage(settings)?)?;
        let following = async |catalog: &Arc<dyn MetadataStore>| {
            watch::follow(catalog.as_ref(), &args.topics, &location, path).await
        };
        return reading_catalog(settings, following).await;
    }
    let sql = match args.views {
        true => views(&args.topics, settings).await?,
        false => attach(settings).await?,
    };
    if json { output::print_json(&serde_json::json!({ "sql": sql })) } else { output::print_exactly(&sql) }
}

async fn views(wanted: &[TopicName], settings: &Settings) -> anyhow::Result<String> {
    let (topics, taken) = reading_catalog(settings, async |catalog| snapshots(wanted, catalog.as_ref()).await).await?;
    let location = location(&service::connect::existing_storage(settings)?)?;
    Ok(views_sql(&taken, &topics, &location).map_err(|same| UsageError::new(same.to_string()))?)
}

async fn attach(settings: &Settings) -> anyhow::Result<String> {
    let opened = reading_catalog(settings, async |catalog| Ok(catalog.open_tables(None).await?)).await?;
    let storage = service::connect::existing_storage(settings)?;
    let location = location(&storage)?;
    let recorded = opened.roots.iter().find(|(bucket, _)| *bucket == storage.bucket).map(|(_, root)| root);
    let Some(recorded) = recorded else {
        bail!(
            "no writer has recorded yet where the objects are: start one (`siltstone up` or `writer`), or give --views"
        );
    };
    let is_elsewhere = storage.reader_root().as_ref() != Some(recorded);
    if is_elsewhere && !Path::new(recorded).is_dir() {
        bail!(
            "the catalog says that the objects are in {recorded}, which is not there; a writer that starts with these \
             settings corrects that, and --views does without it"
        );
    }
    let note = if is_elsewhere {
        format!("-- Objects are read where the writer put them: {recorded}\n")
    } else {
        String::new()
    };
    Ok(note + &attach_sql(&catalog_of(settings, &opened)?, &location))
}

/// The catalog as DuckDB reaches it.
fn catalog_of(settings: &Settings, opened: &OpenTables) -> anyhow::Result<DuckDbCatalog> {
    let url = match settings.catalog_place() {
        CatalogPlace::File(path) => return sqlite(path),
        CatalogPlace::Url(url) => url,
    };
    if let Some(path) = catalog::file_of(url.expose()) {
        return sqlite(path);
    }
    match (catalog::libpq_words(url.expose()), opened.schema.clone()) {
        (Some(words), Some(schema)) => Ok(DuckDbCatalog::Postgres { words, schema }),
        (Some(_), None) => bail!(
            "this login may not read the schema with DuckLake's views; an administrator runs GRANT lake_reader TO it, as \
             docs/ducklake.md says"
        ),
        _ => bail!(UsageError::new("DuckDB cannot read a catalog inside this process; set CATALOG_URL".to_owned())),
    }
}

fn sqlite(path: PathBuf) -> anyhow::Result<DuckDbCatalog> {
    let absolute = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    Ok(DuckDbCatalog::Sqlite { path: absolute })
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
