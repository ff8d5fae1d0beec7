//! The messages that a queue in memory takes.
//!
//! Owns: the limits of one message. Does not own: the capacity of the queue.

use crate::message::{MESSAGE_OVERHEAD_BYTES, OutgoingMessage};
use crate::queue::QueueError;

/// Largest message that a queue of any capacity accepts, in bytes of payload, key and headers; NATS has the same
/// limit.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Refuses all messages if one of them cannot be stored in a queue of this capacity.
pub(super) fn check(messages: &[OutgoingMessage], capacity_bytes: usize) -> Result<(), QueueError> {
    let bytes_max = MESSAGE_BYTES_MAX.min(capacity_bytes.saturating_sub(MESSAGE_OVERHEAD_BYTES));
    for message in messages {
        let bytes = message.memory_bytes() - MESSAGE_OVERHEAD_BYTES;
        if bytes > bytes_max || bytes + MESSAGE_OVERHEAD_BYTES > capacity_bytes {
            return Err(QueueError::MessageTooLarge { bytes, bytes_max });
        }
        if let Some((name, _)) = message.headers.iter().find(|(_, value)| value.contains('\n')) {
            return Err(QueueError::unsendable(format!(
                "the value of header {name:?} holds a line break; allowed is a single line"
            )));
        }
    }
    Ok(())
}
