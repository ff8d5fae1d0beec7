//! Relief: closes batches early while somebody waits for memory.
//!
//! Owns: the choice of the batches, and the pace. Does not own: batches; it only sends commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::memory::MemoryBudget;
use common::{Queue, TopicPartition};

use crate::ownership::pipeline_tasks::CommandSenders;
use crate::pipeline::assemble::Command;
use crate::service::status::StatusBoard;

/// Time for a closed batch to give memory back before the next is closed.
const RELIEF_INTERVAL: Duration = Duration::from_millis(50);

/// Closes the largest batch while a fetch waits for memory. Never returns.
pub(crate) async fn relieve_memory(memory: MemoryBudget, board: StatusBoard, commands: CommandSenders) {
    loop {
        memory.pressure().await;
        while memory.waiters() > 0 {
            if let Some(partition) = board.largest_batch() {
                close(&partition, &commands);
            }
            tokio::time::sleep(RELIEF_INTERVAL).await;
        }
    }
}

/// Closes every batch while a publisher waits for room in a queue that holds its messages in this process's memory, and
/// nothing but that would make room. Returns at once for a queue of another kind, else never.
pub(crate) async fn relieve_queue(queue: Arc<dyn Queue>, board: StatusBoard, commands: CommandSenders) {
    let Some(room) = queue.memory() else { return };
    loop {
        room.pressure().await;
        while room.waiters() > 0 {
            let open = board.open_batches();
            if is_stuck(queue.as_ref(), &board, open.len()).await {
                open.iter().for_each(|partition| close(partition, &commands));
            }
            tokio::time::sleep(RELIEF_INTERVAL).await;
        }
    }
}

/// True if all that the queue holds of these partitions is in open batches: it is fetched, and none of it is on its way to
/// a commit, which would make room.
async fn is_stuck(queue: &dyn Queue, board: &StatusBoard, open: usize) -> bool {
    let owned = board.all();
    if owned.iter().map(|(_, progress)| progress.uncommitted_batches()).sum::<usize>() > open {
        return false;
    }
    for (partition, progress) in &owned {
        // A partition that the queue does not know holds nothing in it.
        let next_offset = queue.bounds(partition).await.map_or(0, |bounds| bounds.next_offset);
        if progress.position.load(Ordering::Relaxed) < next_offset {
            return false;
        }
    }
    true
}

/// Asks the pipeline to close its batch. One whose command channel is full already does.
fn close(partition: &TopicPartition, commands: &CommandSenders) {
    let sender = commands.lock().expect("no holder panics").get(partition).cloned();
    sender.map(|sender| sender.try_send(Command::Relieve).ok());
}
