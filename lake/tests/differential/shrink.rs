//! A failing case made smaller: fewer outputs and conditions, then fewer objects and rows.
//!
//! Owns: which parts are tried, and that the kind of disagreement stays.
//! Does not own: the parts of a statement (`statement`).

use support::duckdb_session::DuckDbSession;

use crate::reference;
use crate::statement::Statement;
use crate::tables::Table;
use crate::verdict::{Answer, Disagreement, judge};
use crate::world::World;

/// Worlds that are made at most to leave out rows.
const WORLDS_MAX: usize = 60;

/// Both engines' answers, and the product's without pruning.
pub(crate) struct Answers {
    pub(crate) here: Answer,
    pub(crate) there: Answer,
    pub(crate) unpruned: Answer,
}

impl Answers {
    /// Asks for the rows of a statement; a filter's also without pruning.
    pub(crate) async fn ask(world: &World, statement: &Statement, duckdb: &mut DuckDbSession) -> Self {
        let sql = statement.sql();
        let here = world.ask(&sql).await;
        let unpruned = match statement.shape {
            "filter" => world.ask(&statement.sql_without_pruning()).await,
            _ => here.clone(),
        };
        Self { here, there: reference::ask(duckdb, &sql), unpruned }
    }

    pub(crate) fn judge(&self, statement: &Statement) -> Option<Disagreement> {
        let form = statement.form();
        let hidden = || judge(&self.here, &self.unpruned, &form).map(|_| Disagreement::Pruning);
        judge(&self.here, &self.there, &form).or_else(hidden)
    }
}

/// The smallest case found that disagrees in the same way, with its answers.
pub(crate) async fn smallest(
    (mut tables, mut statement): (Vec<Table>, Statement),
    parallelism: usize,
    disagreement: Disagreement,
    duckdb: &mut DuckDbSession,
) -> (Vec<Table>, Statement, Answers) {
    let world = World::make(&tables, parallelism, duckdb).await;
    let mut answers = Answers::ask(&world, &statement, duckdb).await;
    'smaller: loop {
        for smaller in statement.smaller() {
            let fewer = Answers::ask(&world, &smaller, duckdb).await;
            if fewer.judge(&smaller) == Some(disagreement) {
                (statement, answers) = (smaller, fewer);
                continue 'smaller;
            }
        }
        break;
    }
    let mut worlds = 0;
    'fewer: loop {
        for fewer in fewer_rows(&tables) {
            worlds += 1;
            if worlds > WORLDS_MAX {
                break 'fewer;
            }
            let world = World::make(&fewer, parallelism, duckdb).await;
            let of_fewer = Answers::ask(&world, &statement, duckdb).await;
            if of_fewer.judge(&statement) == Some(disagreement) {
                (tables, answers) = (fewer, of_fewer);
                continue 'fewer;
            }
        }
        break;
    }
    (tables, statement, answers)
}

/// The tables without one object, or without one half of an object's rows. Each keeps an object of the present schema.
fn fewer_rows(tables: &[Table]) -> Vec<Vec<Table>> {
    let mut all = Vec::new();
    for (place, table) in tables.iter().enumerate() {
        let mut add = |segments| {
            let mut fewer = tables.to_vec();
            fewer[place].segments = segments;
            all.push(fewer);
        };
        for (number, segment) in table.segments.iter().enumerate() {
            let is_needed = table.segments.iter().filter(|other| !other.is_old).count() == 1 && !segment.is_old;
            if !is_needed {
                let mut segments = table.segments.clone();
                segments.remove(number);
                add(segments);
            }
            let half = segment.rows.len() / 2;
            for rows in [&segment.rows[..half], &segment.rows[half..]] {
                if !rows.is_empty() && rows.len() < segment.rows.len() {
                    let mut segments = table.segments.clone();
                    segments[number].rows = rows.to_vec();
                    add(segments);
                }
            }
        }
    }
    all
}
