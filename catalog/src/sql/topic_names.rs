//! Names of topics without regard to the case of ASCII letters.
//!
//! Owns: refusing a new topic whose name differs from that of another in case alone. Topics that are older than this
//! rule stay. Does not own: validating names (`common`).

use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};

/// Takes the name for a new topic.
///
/// # Errors
/// `TopicAlreadyExists`, `TopicExistsAs`.
pub(super) async fn take(session: &mut dyn Session, name: &str) -> Result<()> {
    let insert = sql!("INSERT INTO topic_names (folded, name) VALUES ($1, $2) ON CONFLICT (folded) DO NOTHING");
    let folded = name.to_ascii_lowercase();
    if session.execute(&insert, values![&folded, name]).await? == 1 {
        return Ok(());
    }
    let same = session.fetch(&sql!("SELECT name FROM topics WHERE name = $1"), values![name]).await?;
    let other = session.fetch(&sql!("SELECT name FROM topic_names WHERE folded = $1"), values![&folded]).await?.pop();
    match other.map(|mut row| row.text("name")).transpose()? {
        Some(existing) if same.is_empty() && existing != name => {
            Err(CatalogError::TopicExistsAs { name: name.to_owned(), existing })
        }
        _ => Err(CatalogError::TopicAlreadyExists(name.to_owned())),
    }
}

/// Gives back the name of a deleted topic. If another topic has it in another case, that topic keeps it.
pub(super) async fn give_back(session: &mut dyn Session, name: &str) -> Result<()> {
    let pass_on = sql!(
        "INSERT INTO topic_names (folded, name)
         SELECT lower(name), min(name) FROM topics WHERE lower(name) = $1 AND name <> $2 GROUP BY lower(name)"
    );
    if session.execute(&sql!("DELETE FROM topic_names WHERE name = $1"), values![name]).await? == 1 {
        session.execute(&pass_on, values![name.to_ascii_lowercase(), name]).await?;
    }
    Ok(())
}
