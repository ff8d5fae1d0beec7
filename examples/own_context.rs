//! The topics of a Siltstone in a DataFusion context of this program: `cargo run --example own_context`. Settings come from the
//! environment, as for the commands.
//!
//! Owns: the context. Does not own: the data, which is read.

use std::error::Error;

use siltstone::Settings;
use siltstone::datafusion::arrow::util::pretty::pretty_format_batches;
use siltstone::datafusion::prelude::SessionContext;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run(Settings::from_env()?, "SELECT * FROM lake.siltstone.topics").await?);
    Ok(())
}

/// Registers the lake of these settings beside a table of the program's own, and returns the rows of a statement.
pub(crate) async fn run(settings: Settings, sql: &str) -> Result<String, Box<dyn Error>> {
    let context = SessionContext::new();
    context.sql("CREATE TABLE wanted AS SELECT * FROM (VALUES (3), (5)) AS ids (id)").await?.collect().await?;

    let lake = siltstone::open_lake(&settings).await?;
    lake.register(&context, "lake").await?;

    let rows = context.sql(sql).await?.collect().await?;
    Ok(pretty_format_batches(&rows)?.to_string())
}
