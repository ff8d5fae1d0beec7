//! One seed: its tables, its statements, and the report of a disagreement.
//!
//! Owns: the loop over statements, the figures, the text of a report.
//! Does not own: the seeds to run (`main`), asking both engines (`shrink`).

use std::collections::BTreeMap;
use std::fmt::Write;

use fastrand::Rng;
use support::duckdb_session::DuckDbSession;

use crate::differences;
use crate::shrink::{Answers, smallest};
use crate::statement::Statement;
use crate::statements::statement;
use crate::tables::Table;
use crate::verdict::{Answer, Disagreement};
use crate::world::World;

/// Figures of many statements.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Statements, and those of them that both engines refused, by shape.
    pub(crate) shapes: BTreeMap<&'static str, (u64, u64)>,
    /// Rows of all answers.
    pub(crate) rows: u64,
}

impl Figures {
    fn count(&mut self, statement: &Statement, answers: &Answers) {
        let (total, refused) = self.shapes.entry(statement.shape).or_default();
        *total += 1;
        *refused += u64::from(answers.here.is_err() && answers.there.is_err());
        self.rows += answers.there.as_ref().map_or(0, Vec::len) as u64;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (shape, (statements, refused)) in &other.shapes {
            let mine = self.shapes.entry(shape).or_default();
            *mine = (mine.0 + statements, mine.1 + refused);
        }
        self.rows += other.rows;
    }
}

/// A seed's tables.
pub(crate) fn tables(seed: u64) -> Vec<Table> {
    let mut rng = Rng::with_seed(seed);
    vec![Table::random(&mut rng, "t"), Table::random(&mut rng, "u")]
}

/// Runs the statements of a seed; the reports of those on which the engines disagree.
pub(crate) async fn run(seed: u64, statements: u64, duckdb: &mut DuckDbSession) -> (Figures, Vec<String>) {
    let tables = tables(seed);
    let parallelism = usize::try_from(seed % 3).expect("small") + 1;
    let world = World::make(&tables, parallelism, duckdb).await;
    let (mut figures, mut failed) = (Figures::default(), Vec::new());
    for number in 0..statements {
        let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let statement = statement(&mut rng, &tables);
        let answers = Answers::ask(&world, &statement, duckdb).await;
        figures.count(&statement, &answers);
        let is_known = differences::is_known(&answers.here, &answers.there);
        if let Some(disagreement) = answers.judge(&statement).filter(|_| !is_known) {
            failed.push((number, statement, disagreement));
        }
    }
    let mut reports = Vec::new();
    for (number, statement, disagreement) in failed {
        let smallest = smallest((tables.clone(), statement), parallelism, disagreement, duckdb).await;
        reports.push(report(&format!("seed {seed}, statement {number}"), disagreement, &smallest));
    }
    (figures, reports)
}

fn report(
    name: &str,
    disagreement: Disagreement,
    (tables, statement, answers): &(Vec<Table>, Statement, Answers),
) -> String {
    let mut text = format!("{name}, {}: {disagreement:?}\n{}\n", statement.shape, statement.sql());
    let mut line = |name: &str, answer: &Answer| {
        writeln!(text, "{name}: {}", shown(answer)).expect("writing to a string does not fail");
    };
    line("siltstone", &answers.here);
    line("DuckDB", &answers.there);
    line("without pruning", &answers.unpruned);
    for table in tables.iter().filter(|table| statement.sql().contains(&format!("{} AS ", table.name))) {
        text.push_str(&shown_table(table));
    }
    text
}

fn shown(answer: &Answer) -> String {
    let row = |row: &Vec<_>| row.iter().map(ToString::to_string).collect::<Vec<String>>().join(" | ");
    match answer {
        Ok(rows) => {
            let mut rows: Vec<String> = rows.iter().map(row).collect();
            rows.sort();
            format!("{} rows\n    {}", rows.len(), rows.join("\n    "))
        }
        Err(error) => format!("error: {error}"),
    }
}

fn shown_table(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| column.spec.to_string()).collect();
    let mut text = format!("table {}: {}\n", table.name, columns.join(", "));
    for segment in &table.segments {
        let age = if segment.is_old { "first schema" } else { "present schema" };
        text.push_str(&format!("  segment of partition {}, {age}\n", segment.partition));
        for row in &segment.rows {
            let row: Vec<String> = row.iter().map(ToString::to_string).collect();
            text.push_str(&format!("    {}\n", row.join(" | ")));
        }
    }
    text
}
