//! What a broken disk may have made of the file.
//!
//! Owns: noticing it. Does not own: repairing it; a catalog that contradicts itself is an operator's.
//!
//! A write-ahead log that was cut or altered after a part of it was copied into the database gives a mixture of an
//! earlier and a later state, in which every page is well and the whole is wrong. SQLite notices only what does not
//! fit together as a tree, so the tables are compared with each other as well.

use crate::database::{Session, Sql, values};
use crate::error::{CatalogError, Result};

/// What must never be found, and the partition where it was. Retention takes segments off the list from the start of a
/// partition; an import, which lists segments without commits, leaves no anchor.
const CONTRADICTIONS: [(&str, &str); 4] = [
    (
        "the number of its last commit is not the number of commits",
        "SELECT topic, partition_id FROM partitions AS p WHERE commit_no <> COALESCE(
            (SELECT max(c.commit_no) FROM commits AS c WHERE c.topic = p.topic AND c.partition_id = p.partition_id), 0)",
    ),
    (
        "its watermark is not the end of its last commit",
        "SELECT p.topic, p.partition_id FROM partitions AS p JOIN commits AS c ON c.topic = p.topic
            AND c.partition_id = p.partition_id AND c.commit_no = p.commit_no AND c.incarnation = p.incarnation
         WHERE c.end_offset >= p.high_watermark
            OR (p.anchor_offset IS NOT NULL AND c.end_offset + 1 <> p.high_watermark)",
    ),
    (
        "a segment lies above its watermark",
        "SELECT p.topic, p.partition_id FROM partitions AS p JOIN segments AS s ON s.topic = p.topic
            AND s.partition_id = p.partition_id AND s.incarnation = p.incarnation
         WHERE p.anchor_offset IS NOT NULL AND s.end_offset >= p.high_watermark",
    ),
    (
        "a committed segment is not listed, though an earlier one is",
        "SELECT c.topic, c.partition_id FROM commits AS c WHERE c.data_segment_id IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM segments AS s WHERE s.id = c.data_segment_id)
            AND EXISTS (SELECT 1 FROM segments AS e WHERE e.topic = c.topic AND e.partition_id = c.partition_id
                AND e.incarnation = c.incarnation AND e.kind = 'data' AND e.base_offset < c.base_offset)",
    ),
];

/// Reads the whole file and compares its tables, as one snapshot when the session is in a transaction.
///
/// # Errors
/// `Inconsistent` says what contradicts what.
pub(super) async fn verify(session: &mut dyn Session) -> Result<()> {
    let said = session.fetch(&Sql::only("PRAGMA integrity_check(1)"), values![]).await?.pop();
    let said = said.map(|mut row| row.text("integrity_check")).transpose()?;
    if said.as_deref() != Some("ok") {
        return Err(damaged(said.as_deref().unwrap_or("the file cannot be checked")));
    }
    for (what, query) in CONTRADICTIONS {
        if let Some(mut found) = session.fetch(&Sql::only(query), values![]).await?.into_iter().next() {
            let (topic, partition_id) = (found.text("topic")?, found.integer("partition_id")?);
            return Err(damaged(&format!("of {topic}/{partition_id}, {what}")));
        }
    }
    Ok(())
}

fn damaged(what: &str) -> CatalogError {
    CatalogError::Inconsistent(format!(
        "{what}; the file or its write-ahead log was damaged: restore a backup, what came later is read again"
    ))
}
