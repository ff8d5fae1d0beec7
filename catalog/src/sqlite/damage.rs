//! Damage to the file by a broken disk.
//!
//! Owns: detecting it. Does not own: repairing it; an operator must decide about a contradictory catalog.
//!
//! A write-ahead log that was cut or altered after a part of it was copied into the database gives a mixture of an
//! earlier and a later state: every page is valid, but the whole is wrong. SQLite detects only a broken tree, so the
//! tables are compared with each other as well.

use crate::database::{Session, Sql, values};
use crate::error::{CatalogError, Result};

/// Contradictions within one partition, and the query for each. Retention takes segments off the list from the start of
/// a partition and records an expiration; an import, which lists segments without commits, leaves no anchor. A run of
/// commits has the number and the end of its last one.
const CONTRADICTIONS: [(&str, &str); 7] = [
    (
        "the number of its last commit is not the number of commits",
        "SELECT topic, partition_id FROM partitions AS p WHERE commit_no <> COALESCE(
            (SELECT max(c.commit_no) FROM commits AS c WHERE c.topic = p.topic AND c.partition_id = p.partition_id), 0)",
    ),
    (
        "its commits are not numbered without a hole",
        "SELECT topic, partition_id FROM commits GROUP BY topic, partition_id
         HAVING sum(commit_no - first_commit_no + 1) <> max(commit_no) OR min(first_commit_no) <> 1",
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
        "the object of a segment is not listed",
        "SELECT topic, partition_id FROM segments WHERE file_id NOT IN (SELECT file_id FROM objects)",
    ),
    (
        "a committed range has no segment, and is not expired",
        "SELECT c.topic, c.partition_id FROM commits AS c WHERE (c.record_count IS NULL OR c.record_count > 0)
            AND NOT EXISTS (SELECT 1 FROM segments AS s WHERE s.topic = c.topic AND s.partition_id = c.partition_id
                AND s.incarnation = c.incarnation AND s.kind = 'data' AND s.base_offset = (
                    SELECT max(b.base_offset) FROM segments AS b WHERE b.topic = c.topic
                        AND b.partition_id = c.partition_id AND b.incarnation = c.incarnation AND b.kind = 'data'
                        AND b.base_offset <= c.base_offset)
                AND s.end_offset >= c.end_offset)
            AND NOT EXISTS (SELECT 1 FROM expirations AS e WHERE e.topic = c.topic AND e.partition_id = c.partition_id
                AND e.incarnation = c.incarnation AND e.before_offset > c.end_offset)",
    ),
    (
        "an object has more or fewer rows than its segments",
        "SELECT s.topic, s.partition_id FROM segments AS s JOIN objects AS o ON o.file_id = s.file_id
         GROUP BY s.file_id HAVING sum(s.record_count) <> max(o.record_count)",
    ),
];

/// Contradictions in the lists of objects and snapshots, and the query for each.
const CONTRADICTIONS_OF_LISTS: [(&str, &str); 4] = [
    (
        "the newest snapshot of the lake is not the one that its head says",
        "SELECT 1 FROM lake_head WHERE snapshot_id <> (SELECT max(snapshot_id) FROM lake_snapshots)",
    ),
    (
        "an object has a number that was not given yet",
        "SELECT 1 FROM lake_head WHERE next_file_id <= (SELECT max(file_id) FROM objects)
            OR next_file_id <= (SELECT max(file_id) FROM retired_objects)",
    ),
    ("an object is listed and retired", "SELECT 1 FROM objects JOIN retired_objects USING (file_id) LIMIT 1"),
    (
        "an object is listed that holds no segment",
        "SELECT 1 FROM objects WHERE file_id NOT IN (SELECT file_id FROM segments) LIMIT 1",
    ),
];

/// Reads the whole file and compares its tables, as one snapshot when the session is in a transaction.
///
/// # Errors
/// `Inconsistent` names the contradiction.
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
    for (what, query) in CONTRADICTIONS_OF_LISTS {
        if !session.fetch(&Sql::only(query), values![]).await?.is_empty() {
            return Err(damaged(what));
        }
    }
    Ok(())
}

fn damaged(what: &str) -> CatalogError {
    CatalogError::Inconsistent(format!(
        "{what}; the file or its write-ahead log was damaged: restore a backup, what came later is read again"
    ))
}
