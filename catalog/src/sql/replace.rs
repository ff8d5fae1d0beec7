//! The replacement: one transaction that lists an object in place of others.
//!
//! Owns: its steps and their order, and its outcome. Does not own: the checks of inputs and output (`replace_rows`),
//! objects as rows (`objects`), the intent (`intents`), the end of the transaction (`ending`).
//!
//! The topic is locked in the mode that replacements share, then the inputs by number: of two replacements with a
//! common input, the second finds it gone. Retention and the deletion of the topic hold the topic alone.

use std::collections::HashMap;

use super::ending::{Ending, begin, send_commit};
use super::objects::{self, Bounds, Listed, TopicLock, tables_of};
use super::replace_rows::{Part, check, joined, refusal};
use super::snapshots::{Change, Snapshot, advance};
use super::{input, intents};
use crate::database::{Access, Door, Row, Session, roll_back, sql, values};
use crate::error::{CatalogError, Result};
use crate::model::{FileId, ObjectInfo, TableId, Tables};
use crate::replace::{ReplaceOutcome, ReplaceRefusal, ReplacedObject, Replacement};

/// The judgement of the open transaction.
enum Verdict {
    /// The object is listed, by this transaction or an earlier one.
    Listed(FileId),
    /// It can never be listed.
    Refused(ReplaceRefusal),
}

/// See [`CommitStore::replace`](crate::CommitStore::replace).
pub(super) async fn replace(door: &Door, replacement: &Replacement) -> ReplaceOutcome {
    match check(replacement) {
        Ok(None) => {}
        Ok(Some(refusal)) => return ReplaceOutcome::Refused(refusal),
        Err(error) => return ReplaceOutcome::NotDone(error),
    }
    let mut connection = match door.bounded(door.connection(Access::Write)).await {
        Ok(connection) => connection,
        Err(error) => return ReplaceOutcome::NotDone(error),
    };
    let mut transaction = match door.answered(begin(&mut *connection)).await {
        Ok(transaction) => transaction,
        Err(error) => return ReplaceOutcome::NotDone(error),
    };
    let judged = async {
        let verdict = judge(transaction.session(), replacement).await?;
        transaction.prepare_commit().await?;
        Ok(verdict)
    };
    let file_id = match door.answered(judged).await {
        Ok(Verdict::Listed(file_id)) => file_id,
        Ok(Verdict::Refused(refusal)) => {
            roll_back(transaction).await;
            return ReplaceOutcome::Refused(refusal);
        }
        Err(error) => {
            roll_back(transaction).await;
            return ReplaceOutcome::NotDone(error);
        }
    };
    match send_commit(door, transaction).await {
        Ending::Committed => ReplaceOutcome::Done(file_id),
        Ending::NotCommitted(error) => ReplaceOutcome::NotDone(error),
        Ending::Unknown(error) => {
            // The state of this connection is unknown: no more statements may use it.
            connection.close_on_drop();
            ReplaceOutcome::Unknown(error)
        }
    }
}

/// See [`CommitStore::resolve_replacement`](crate::CommitStore::resolve_replacement).
pub(super) async fn resolve(door: &Door, replacement: &Replacement) -> Result<ReplaceOutcome> {
    if let Err(error) = input::object(&replacement.output) {
        return Ok(ReplaceOutcome::NotDone(error));
    }
    door.bounded(look_up(door, replacement)).await
}

async fn look_up(door: &Door, replacement: &Replacement) -> Result<ReplaceOutcome> {
    // The lock waits for a COMMIT that is still running on the lost connection: it deletes this row.
    let select = sql!("SELECT state FROM uploads WHERE bucket = $1 AND key = $2 AND state = 'pending'" for_update);
    let (bucket, key) = (&replacement.output.bucket, &replacement.output.key);
    let mut connection = door.fresh_connection().await?;
    let mut transaction = connection.begin(Access::Write).await?;
    let is_pending = !transaction.session().fetch(&select, values![bucket, key]).await?.is_empty();
    let found = objects::find(transaction.session(), bucket, key).await?;
    if found.is_some() {
        // On PostgreSQL, COMMIT of a change waits until a synchronous standby has it, and therefore everything before
        // it.
        tables_of(transaction.session(), replacement.topic.as_str(), TopicLock::Exclusive).await?;
    }
    transaction.commit_segments().await.map_err(|error| door.commit_failed(error))?;
    Ok(match found {
        Some(file_id) => ReplaceOutcome::Done(file_id),
        None if is_pending => ReplaceOutcome::NotDone(CatalogError::NotReplaced(key.clone())),
        None => ReplaceOutcome::Refused(ReplaceRefusal::IntentLost { key: key.clone() }),
    })
}

async fn judge(session: &mut dyn Session, replacement: &Replacement) -> Result<Verdict> {
    let Replacement { topic, inputs: wanted, output, .. } = replacement;
    let tables = tables_of(session, topic.as_str(), TopicLock::Shared).await?;
    let numbers = input::numbers(wanted.iter().map(|input| input.file_id.0))?;
    let keys: HashMap<FileId, &str> = wanted.iter().map(|input| (input.file_id, input.key.as_str())).collect();
    let mut inputs = lock_inputs(session, &numbers).await?;
    // A merge may have read its inputs before the database lost transactions and gave their numbers again.
    inputs.retain(|(_, object)| keys.get(&object.file_id) == Some(&object.key.as_str()));
    let (Some(tables), true) = (tables, inputs.len() == wanted.len()) else {
        // The inputs are not gone if this same replacement took them.
        if let Some(file_id) = objects::find(session, &output.bucket, &output.key).await? {
            return Ok(Verdict::Listed(file_id));
        }
        let is_there = |input: &ReplacedObject| {
            tables.is_some() && inputs.iter().any(|(_, object)| object.file_id == input.file_id)
        };
        let gone = wanted.iter().find(|input| !is_there(input)).expect("fewer are listed than were asked for");
        return Ok(Verdict::Refused(ReplaceRefusal::InputGone { file_id: gone.file_id }));
    };
    if let Some(refusal) = refusal(replacement, tables.of(replacement.kind), &inputs) {
        return Ok(Verdict::Refused(refusal));
    }
    if !intents::consume_replacement(session, &replacement.intent()).await? {
        return Ok(Verdict::Refused(ReplaceRefusal::IntentLost { key: output.key.clone() }));
    }
    let snapshot = advance(session, Change::compact(tables.of(replacement.kind))).await?;
    let change = Swap { replacement, tables, snapshot, file_id: FileId(snapshot.first_file_id), numbers: &numbers };
    change.make(session, &inputs).await?;
    Ok(Verdict::Listed(change.file_id))
}

/// The live inputs with their tables, by number; the lock keeps them on the list meanwhile.
async fn lock_inputs(session: &mut dyn Session, numbers: &str) -> Result<Vec<(TableId, ObjectInfo)>> {
    let select = sql!(
        "SELECT objects.table_id, " object_columns " FROM objects WHERE file_id IN " numbers_1 " ORDER BY file_id"
        for_update
    );
    let input = |mut row: Row| {
        let table = TableId(row.unsigned("table_id")?);
        // All inputs must be of one table: its kind is the kind of each.
        Ok((table, row.object(crate::model::SegmentKind::Data)?))
    };
    session.fetch(&select, values![numbers]).await?.into_iter().map(input).collect()
}

/// A judged replacement, with its new numbers.
struct Swap<'a> {
    replacement: &'a Replacement,
    tables: Tables,
    snapshot: Snapshot,
    file_id: FileId,
    numbers: &'a str,
}

impl Swap<'_> {
    async fn make(&self, session: &mut dyn Session, inputs: &[(TableId, ObjectInfo)]) -> Result<()> {
        let topic = self.replacement.topic.as_str();
        let bounds = inputs.iter().map(|(_, object)| Bounds::of(object)).reduce(Bounds::and);
        let listed = Listed {
            file_id: self.file_id,
            table_id: self.tables.of(self.replacement.kind),
            snapshot: self.snapshot.id,
            level: inputs.iter().map(|(_, object)| object.level).max().unwrap_or_default() + 1,
            object: &self.replacement.output,
            bounds: bounds.expect("a replacement has inputs"),
        };
        let retired = objects::retire(session, self.numbers, self.snapshot).await?;
        let doomed = objects::doom(session, topic, self.tables, self.snapshot).await?;
        objects::insert(session, &[listed]).await?;
        self.move_segments(session).await?;
        let dropped = objects::drop_retired(session, self.tables, self.snapshot).await?;
        let count = inputs.len() as u64;
        assert!([retired, doomed, dropped] == [count; 3], "{retired}, {doomed}, {dropped} of {count} inputs went");
        Ok(())
    }

    /// Points the segments at the new object, and joins those that are neighbours in it.
    async fn move_segments(&self, session: &mut dyn Session) -> Result<()> {
        let update = sql!("UPDATE segments SET file_id = $2 WHERE file_id IN " numbers_1);
        let select = sql!(
            "SELECT id, partition_id, incarnation, base_offset, end_offset, record_count, min_timestamp_us,
                    max_timestamp_us, schema_version, created_at
             FROM segments WHERE file_id = $1 ORDER BY partition_id, incarnation, base_offset"
        );
        let lengthen = sql!(
            "UPDATE segments SET end_offset = $2, record_count = $3, min_timestamp_us = $4, max_timestamp_us = $5,
                    schema_version = $6, created_at = $7
             WHERE id = $1"
        );
        let file_id = self.file_id.0.cast_signed();
        session.execute(&update, values![self.numbers, file_id]).await?;
        let parts = session.fetch(&select, values![file_id]).await?.into_iter().map(Part::try_from);
        let (longer, merged_away) = joined(parts.collect::<Result<Vec<_>>>()?);
        let ids = serde_json::to_string(&merged_away).expect("ids are text");
        if !merged_away.is_empty() {
            let delete = sql!("DELETE FROM segments WHERE id IN " texts_1);
            session.execute(&delete, values![&ids]).await?;
        }
        for part in longer {
            let times = (part.timestamps_us.0, part.timestamps_us.1);
            let (end, rows) = (part.range.end().cast_signed(), part.record_count.cast_signed());
            let values = values![&part.id, end, rows, times.0, times.1, part.schema_version, part.created_at];
            session.execute(&lengthen, values).await?;
        }
        Ok(())
    }
}
