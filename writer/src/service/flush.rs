//! Flush: closes open batches and waits until everything fetched before is committed.
//!
//! Owns: the wait, and the reasons for a partition whose messages are not committed. Does not own: closing and committing
//! (`pipeline`), waiting for given offsets (`handle`).

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use catalog::MetadataStore;
use common::TopicPartition;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::{Result, WriterError};
use crate::pipeline::assemble::Command;
use crate::pipeline::partition::CommandSender;
use crate::service::status::{KEEPS_FAILING, StatusBoard};

/// Time between two checks of a partition that has not answered.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Closes the open batch of one pipeline and returns after everything fetched before is committed; false if the pipeline
/// ended first.
pub(crate) async fn flush(commands: CommandSender) -> bool {
    let (answer, answered) = oneshot::channel();
    commands.send(Command::Flush(answer)).await.is_ok() && answered.await.is_ok()
}

/// Flushes all these pipelines at the same time.
///
/// # Errors
/// [`WriterError::NotCommitted`] with the reason of each partition and topic.
pub(crate) async fn flush_all(
    catalog: &dyn MetadataStore,
    board: &StatusBoard,
    senders: Vec<(TopicPartition, CommandSender)>,
) -> Result<()> {
    let flushes = senders.into_iter().map(|(partition, sender)| async move {
        // Read before the flush: a pipeline that ends takes its position along.
        let fetched = board.place(&partition).map_or(0, |(position, _)| position);
        let failed = flush_one(catalog, board, &partition, fetched, sender).await.err()?;
        Some((partition.to_string(), failed))
    });
    let failed = futures::future::join_all(flushes).await.into_iter().flatten();
    let mut reasons: BTreeMap<String, String> = failed.collect();
    // A halt or a defect says more than the end of its pipeline.
    reasons.extend(board.troubles());
    if reasons.is_empty() { Ok(()) } else { Err(WriterError::NotCommitted { reasons }) }
}

/// Flushes one pipeline, which had fetched everything below `fetched`. The error is the reason.
async fn flush_one(
    catalog: &dyn MetadataStore,
    board: &StatusBoard,
    partition: &TopicPartition,
    fetched: u64,
    sender: CommandSender,
) -> Result<(), String> {
    let mut flushed = pin!(flush(sender));
    loop {
        match timeout(CHECK_INTERVAL, &mut flushed).await {
            Ok(true) => return Ok(()),
            Ok(false) => break,
            Err(_) if board.is_failing(partition) => return Err(KEEPS_FAILING.to_owned()),
            Err(_) => {}
        }
    }
    // A pipeline that was drained committed everything; after any other end the catalog knows how far it came.
    match catalog.get_partition(partition).await {
        Ok(Some(stored)) if stored.high_watermark >= fetched => Ok(()),
        Ok(_) => Err("its pipeline ended first; the next owner reads what is not committed again".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
