//! Intents: the rows for objects that are about to be put.
//!
//! Owns: recording them and giving them up. Does not own: consuming them in a commit (`commit`), and the objects.

use super::input;
use super::partition_row::read_partition;
use crate::database::{Session, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{Partition, PartitionState, ReplacementIntent, UploadIntent};

/// Records the intents, one answer each; the outer error means that no intent is known to be recorded.
pub(super) async fn record(session: &mut dyn Session, intents: &[UploadIntent]) -> Result<Vec<Result<()>>> {
    // In the order in which every transaction locks partitions.
    let mut order: Vec<usize> = (0..intents.len()).collect();
    order.sort_by_key(|&index| &intents[index].partition);
    let mut answers = vec![Ok(()); intents.len()];
    for index in order {
        answers[index] = match record_one(session, &intents[index]).await {
            Err(error @ CatalogError::Database(_)) => return Err(error),
            answer => answer,
        };
    }
    Ok(answers)
}

/// Records one intent if its ownership holds. On PostgreSQL the partition's row is locked, so that a takeover comes
/// either before, and fences the intent, or after, and dooms it.
async fn record_one(session: &mut dyn Session, intent: &UploadIntent) -> Result<()> {
    let insert = sql!(
        "INSERT INTO uploads (bucket, key, topic, partition_id, epoch, owner, state, created_at)
         SELECT $1, $2, topic, partition_id, epoch, owner, 'pending', " now_ms "
         FROM partitions
         WHERE topic = $3 AND partition_id = $4 AND epoch = $5 AND owner = $6 AND state = 'active'
           AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.bucket = $1 AND objects.key = $2)
           AND NOT EXISTS (SELECT 1 FROM retired_objects WHERE bucket = $1 AND key = $2)" for_share "
         ON CONFLICT (bucket, key) DO UPDATE SET state = 'pending'
         WHERE uploads.topic = excluded.topic AND uploads.partition_id = excluded.partition_id
           AND uploads.epoch = excluded.epoch AND uploads.owner = excluded.owner AND uploads.state = 'pending'"
    );
    let partition = &intent.partition;
    let values = values![
        input::exact("bucket", &intent.bucket)?,
        input::exact("key", &intent.key)?,
        &partition.topic,
        partition.partition_id,
        input::number("epoch", intent.epoch.0)?,
        intent.owner,
    ];
    if session.execute(&insert, values).await? == 1 {
        return Ok(());
    }
    let now = read_partition(session, partition).await?;
    Err(CatalogError::Fenced { partition: partition.clone(), reason: reason(intent, now) })
}

/// Dooms the intents that are still pending.
pub(super) async fn abandon(session: &mut dyn Session, intents: &[UploadIntent]) -> Result<()> {
    let update = sql!(
        "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
         WHERE bucket = $1 AND key = $2 AND epoch = $3 AND owner = $4 AND state = 'pending'"
    );
    for intent in intents {
        let (bucket, key) = (input::exact("bucket", &intent.bucket)?, input::exact("key", &intent.key)?);
        let epoch = input::number("epoch", intent.epoch.0)?;
        session.execute(&update, values![bucket, key, epoch, intent.owner]).await?;
    }
    Ok(())
}

/// Records that the object of a replacement is about to be put. Deleting the topic meanwhile dooms it.
pub(super) async fn record_replacement(session: &mut dyn Session, intent: &ReplacementIntent) -> Result<()> {
    let insert = sql!(
        "INSERT INTO uploads (bucket, key, topic, partition_id, epoch, owner, state, created_at)
         SELECT $1, $2, name, CAST(NULL AS BIGINT), 0, $4, 'pending', " now_ms "
         FROM topics
         WHERE name = $3 AND NOT EXISTS (SELECT 1 FROM objects WHERE objects.bucket = $1 AND objects.key = $2)
           AND NOT EXISTS (SELECT 1 FROM retired_objects WHERE bucket = $1 AND key = $2)
           AND NOT EXISTS (SELECT 1 FROM iceberg_objects WHERE bucket = $1 AND key = $2)" for_share "
         ON CONFLICT (bucket, key) DO UPDATE SET state = 'pending'
         WHERE uploads.topic = excluded.topic AND uploads.partition_id IS NULL AND uploads.epoch = 0
           AND uploads.owner = excluded.owner AND uploads.state = 'pending'"
    );
    let (bucket, key) = (input::exact("bucket", &intent.bucket)?, input::exact("key", &intent.key)?);
    if session.execute(&insert, values![bucket, key, &intent.topic, intent.owner]).await? == 1 {
        return Ok(());
    }
    let topic = session.fetch(&sql!("SELECT name FROM topics WHERE name = $1"), values![&intent.topic]).await?;
    if topic.is_empty() {
        return Err(CatalogError::TopicNotFound(intent.topic.to_string()));
    }
    Err(CatalogError::KeyUsed(key.to_owned()))
}

/// Dooms the intent of a replacement if it is still pending.
pub(super) async fn abandon_replacement(session: &mut dyn Session, intent: &ReplacementIntent) -> Result<()> {
    let update = sql!(
        "UPDATE uploads SET state = 'doomed', doomed_at = " now_ms "
         WHERE bucket = $1 AND key = $2 AND topic = $3 AND partition_id IS NULL AND owner = $4 AND state = 'pending'"
    );
    let (bucket, key) = (input::exact("bucket", &intent.bucket)?, input::exact("key", &intent.key)?);
    session.execute(&update, values![bucket, key, &intent.topic, intent.owner]).await?;
    Ok(())
}

/// True if the intent of a replacement is pending; it stays so until the end of the transaction.
pub(super) async fn is_replacement_pending(session: &mut dyn Session, intent: &ReplacementIntent) -> Result<bool> {
    let select = sql!(
        "SELECT key FROM uploads WHERE bucket = $1 AND key = $2 AND topic = $3 AND partition_id IS NULL AND epoch = 0
            AND owner = $4 AND state = 'pending'" for_update
    );
    let values = values![&intent.bucket, &intent.key, &intent.topic, intent.owner];
    Ok(!session.fetch(&select, values).await?.is_empty())
}

/// Consumes the intent of a replacement; true if it was pending.
pub(super) async fn consume_replacement(session: &mut dyn Session, intent: &ReplacementIntent) -> Result<bool> {
    let delete = sql!(
        "DELETE FROM uploads WHERE bucket = $1 AND key = $2 AND topic = $3 AND partition_id IS NULL AND epoch = 0
            AND owner = $4 AND state = 'pending'"
    );
    let values = values![&intent.bucket, &intent.key, &intent.topic, intent.owner];
    Ok(session.execute(&delete, values).await? == 1)
}

fn reason(intent: &UploadIntent, now: Option<Partition>) -> String {
    let Some(now) = now else { return "it does not exist".to_owned() };
    if now.epoch != intent.epoch || now.owner != Some(intent.owner) {
        let owner = now.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string());
        return format!("its epoch is {} and its owner {owner}, not {} and {}", now.epoch, intent.epoch, intent.owner);
    }
    if now.state != PartitionState::Active {
        return format!("it is halted: {}", now.halt_reason.as_deref().unwrap_or("no reason given"));
    }
    format!("the key {:?} was used before; every object needs a new one", intent.key)
}
