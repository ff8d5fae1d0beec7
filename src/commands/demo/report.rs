//! The report at the end of the demo.
//!
//! Owns: the query, the check that nothing is missing, the hints at next steps. Does not own: the run.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use catalog::{ListedSegment, MetadataStore, SegmentInfo, SegmentKind};
use common::TopicName;
use common::config::Settings;
use lake::query::{QuerySession, QueryStore, format_table, write_json_lines};
use serde_json::json;

use super::orders;
use crate::commands::segments::object_bytes;
use crate::output::{self, Align, Table};
use crate::shell;
use crate::units::{bytes_text, count_text};

const STATUS_QUERY: &str = "SELECT status, count(*) AS orders, sum(amount) AS amount, min(created_at) AS first, \
     max(created_at) AS last FROM orders GROUP BY status ORDER BY orders DESC";
const COUNT_QUERY: &str = "SELECT count(*) FROM orders";
const QUARANTINE_QUERY: &str = "SELECT _partition_id, _offset, reason FROM quarantine.orders ORDER BY 1, 2 LIMIT 5";
const EXTRA_QUERY: &str = "SELECT order_id, _extra FROM orders WHERE _extra IS NOT NULL ORDER BY order_id LIMIT 5";

/// The content of the report.
#[derive(Debug)]
pub(super) struct Report {
    published: u64,
    /// Rows that the query counts.
    counted: u64,
    /// Records in quarantine segments.
    quarantined: u64,
    seconds: f64,
    segments: Vec<SegmentInfo>,
    /// Each query with its answer, as a table and as JSON lines.
    answers: Vec<(&'static str, String, Vec<serde_json::Value>)>,
    root: PathBuf,
}

impl Report {
    /// Reads the catalog and, through it, the segments.
    pub(super) async fn collect(
        published: u64,
        seconds: f64,
        settings: &Settings,
        catalog: &Arc<dyn MetadataStore>,
    ) -> anyhow::Result<Self> {
        let snapshot = catalog.snapshot(&TopicName::new(orders::TOPIC)?).await?;
        let storage = service::connect::storage(settings)?;
        let store = QueryStore { url: storage.url, store: storage.store };
        let session = QuerySession::open(Arc::clone(catalog), store)?;
        let count = session.sql(COUNT_QUERY).await?.collect().await?;
        let counted = count.first().context("a count has one row")?.column(0).as_primitive::<Int64Type>().value(0);
        let mut answers = Vec::new();
        for query in [STATUS_QUERY, QUARANTINE_QUERY, EXTRA_QUERY] {
            let batches = session.sql(query).await?.collect().await?;
            let mut lines = Vec::new();
            write_json_lines(&mut lines, &batches)?;
            let rows = serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<_, _>>()?;
            answers.push((query, format_table(&batches)?, rows));
        }
        let quarantine = snapshot.segments.iter().filter(|segment| segment.kind == SegmentKind::Quarantine);
        Ok(Self {
            published,
            counted: u64::try_from(counted)?,
            quarantined: quarantine.map(|segment| segment.record_count).sum(),
            seconds,
            segments: snapshot.segments,
            answers,
            root: settings.storage_path.clone(),
        })
    }

    /// Fails unless every published order is in exactly one place.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let (counted, quarantined, published) = (self.counted, self.quarantined, self.published);
        ensure!(
            counted + quarantined == published,
            "NOT RIGHT: {published} orders were published, but {counted} rows + {quarantined} in quarantine = {}",
            counted + quarantined
        );
        let wrong = orders::wrong_count(published);
        ensure!(quarantined == wrong, "NOT RIGHT: {wrong} orders are wrong, but {quarantined} are in quarantine");
        Ok(())
    }

    /// Prints it.
    /// With `is_kept`, the text says what to do with the files.
    pub(super) fn print(&self, json: bool, is_kept: bool) -> anyhow::Result<()> {
        if !json {
            return output::print(&self.text(is_kept)?);
        }
        let answers: Vec<_> =
            self.answers.iter().map(|(query, _, rows)| json!({ "query": query, "rows": rows })).collect();
        output::print_json(&json!({
            "published": self.published,
            "rows": self.counted,
            "quarantined": self.quarantined,
            "segments": self.segments.iter().map(ListedSegment::from).collect::<Vec<_>>(),
            "segment_bytes": self.segment_bytes(),
            "seconds": self.seconds,
            "rows_per_s": self.rows_per_s(),
            "build": build(),
            "directory": self.root,
            "answers": answers,
        }))
    }

    fn text(&self, is_kept: bool) -> anyhow::Result<String> {
        let mut text = String::new();
        for (query, table, _) in &self.answers {
            writeln!(text, "{query}\n{table}\n")?;
        }
        writeln!(text, "{}", self.segment_table())?;
        writeln!(
            text,
            "{} orders published = {} rows + {} in quarantine; {} segments, {}",
            count_text(self.published),
            count_text(self.counted),
            count_text(self.quarantined),
            count_text(self.segments.len() as u64),
            bytes_text(self.segment_bytes()),
        )?;
        writeln!(
            text,
            "{:.2} s from the first message to the last commit, {} rows/s ({})",
            self.seconds,
            count_text(self.rows_per_s()),
            build()
        )?;
        if is_kept {
            text.push_str(&self.next_steps()?);
        }
        Ok(text)
    }

    fn segment_table(&self) -> Table {
        let mut table = Table::new(&[
            ("PARTITION", Align::Right),
            ("OFFSETS", Align::Left),
            ("KIND", Align::Left),
            ("ROWS", Align::Right),
            ("BYTES", Align::Right),
            ("OBJECT", Align::Left),
        ]);
        for segment in &self.segments {
            table.row([
                segment.partition_id.to_string(),
                format!("{}-{}", segment.range.base(), segment.range.end()),
                segment.kind.as_str().to_owned(),
                count_text(segment.record_count),
                bytes_text(segment.object.size_bytes),
                segment.object.key.clone(),
            ]);
        }
        table
    }

    fn next_steps(&self) -> anyhow::Result<String> {
        let root = shell::word(&self.root.display().to_string());
        let program = std::env::current_exe().ok().and_then(|path| path.to_str().map(shell::word));
        let program = program.unwrap_or_else(|| "siltstone".to_owned());
        let mut text = format!("\nLook at the files, which every Parquet reader understands:\n  find {root} -type f\n");
        writeln!(text, "Ask your own questions:")?;
        for command in ["query \"SELECT country, count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC\"", "segments orders"]
        {
            writeln!(text, "  STORAGE_PATH={root} {program} {command}")?;
        }
        writeln!(text, "With DuckDB:\n  STORAGE_PATH={root} {program} duckdb-sql > lake.sql && duckdb -init lake.sql")?;
        Ok(text)
    }

    fn segment_bytes(&self) -> u64 {
        object_bytes(&self.segments)
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    fn rows_per_s(&self) -> u64 {
        (self.counted as f64 / self.seconds) as u64
    }
}

fn build() -> &'static str {
    if cfg!(debug_assertions) { "a debug build: a release build is many times faster" } else { "release build" }
}
