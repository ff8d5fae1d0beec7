//! `topic update`: columns that are added, or take more than before.
//!
//! Owns: which changes keep every older segment readable. Does not own: the running writers, which follow the catalog,
//! and what the change makes of quarantined records (`quarantine replay`).

use anyhow::bail;
use common::TopicName;
use common::config::Settings;
use common::topic::{ColumnSpec, ColumnType, Format, TopicOptions};

use crate::columns::parse_column;
use crate::output::{self, UsageError};

/// Arguments of `topic update`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the topic
    name: TopicName,
    /// A column to add, or to let take more: without its mark !, or int64 for int32; repeat it
    #[arg(long = "column", value_name = "NAME:TYPE", value_parser = parse_column, required = true)]
    columns: Vec<ColumnSpec>,
}

/// Changes the columns. Writers follow within a third of their lease, without a restart.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let catalog = writer::connect::catalog(settings).await?;
    let updated = async {
        let Some(topic) = catalog.get_topic(&args.name).await? else { bail!("topic not found: {}", args.name) };
        let (seen, retention_ms) = (topic.schema_version, topic.retention_ms);
        let options = with_columns(topic.config, args.columns).map_err(UsageError::new)?;
        Ok(catalog.update_topic_config(&args.name, seen, retention_ms, options).await?)
    };
    let updated = updated.await;
    catalog.close().await;
    let topic = updated?;
    if json {
        return output::print_json(&topic);
    }
    let columns: Vec<String> = topic.config.columns.iter().map(ToString::to_string).collect();
    let (name, version) = (&topic.name, topic.schema_version);
    output::print(&format!("topic {name} has schema version {version}: {}\n", columns.join(", ")))?;
    output::note("running writers follow; `siltstone quarantine replay` publishes what did not fit before");
    Ok(())
}

fn with_columns(mut options: TopicOptions, columns: Vec<ColumnSpec>) -> Result<TopicOptions, String> {
    if options.format != Format::Json {
        return Err("only a json topic has columns".to_owned());
    }
    for wanted in columns {
        match options.columns.iter_mut().find(|held| held.name == wanted.name) {
            Some(held) => {
                widen(held, &wanted)?;
                *held = wanted;
            }
            None if wanted.nullable => options.columns.push(wanted),
            None => {
                return Err(format!("column {wanted}: a new column must take null, as older rows have none of it"));
            }
        }
    }
    Ok(options)
}

fn widen(held: &ColumnSpec, wanted: &ColumnSpec) -> Result<(), String> {
    let is_wider = held.column_type == wanted.column_type
        || (held.column_type == ColumnType::Int32 && wanted.column_type == ColumnType::Int64);
    if !is_wider {
        return Err(format!(
            "column {held} cannot become {wanted}: rows are stored as {}; add a column of another name instead",
            held.column_type
        ));
    }
    if held.nullable && !wanted.nullable {
        return Err(format!("column {held} cannot refuse null from now on: rows without it are stored"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(column: &str) -> Result<Vec<String>, String> {
        let columns = ["id:int32!", "name:string"].map(|text| parse_column(text).expect("valid")).to_vec();
        let options = TopicOptions { format: Format::Json, columns, ..TopicOptions::default() };
        let changed = with_columns(options, vec![parse_column(column).expect("valid")])?;
        Ok(changed.columns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn columns_are_added_and_widened_and_never_narrowed() {
        assert_eq!(changed("note:string").expect("new"), ["id:int32!", "name:string", "note:string"]);
        assert_eq!(changed("id:int64!").expect("wider"), ["id:int64!", "name:string"]);
        assert_eq!(changed("id:int32").expect("takes null"), ["id:int32", "name:string"]);
        for (column, part) in
            [("note:string!", "must take null"), ("name:int64", "stored as string"), ("name:string!", "refuse null")]
        {
            let refused = changed(column).expect_err(column);
            assert!(refused.contains(part), "{refused}");
        }
    }
}
