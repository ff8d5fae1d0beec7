//! The account of messages and bytes that were requested and not received.
//!
//! Owns: the size of a pull, the sums over all unfinished pulls, and the memory that they may need.
//! Does not own: sending requests (`pull_requests`), the memory itself (`credit`), the phase of reading (`phase`).
//!
//! The server serves several requests of one reader in turn, so that a message cannot be charged to one of them. Only
//! the sums are kept; the server states the unserved part of a request that ends.

use common::message::MESSAGE_OVERHEAD_BYTES;

/// Most messages of one pull. Two pulls stay far below the 65,536 messages that the client's channel holds; beyond
/// that it drops silently.
const BATCH_MAX: usize = 10_000;

/// Largest credit of one pull, unless a single message needs more. Two of them stay below the 64 MiB at which the
/// server drops a slow reader.
const CREDIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The need of a pull beyond the largest payload: subjects, and the overhead of at least 300 messages.
const CREDIT_BYTES_ROOM: usize = 64 * 1024;

/// Part of the room that is reserved for the subjects of the largest message.
const SUBJECT_BYTES_ROOM: usize = 16 * 1024;

/// One pull to be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PullSize {
    /// Most messages.
    pub(super) batch: usize,
    /// Most bytes as the server counts them: subject, reply, headers and payload.
    pub(super) bytes_max: usize,
}

impl PullSize {
    /// A pull whose messages fit in a fair share of memory: at most `bytes_max`, and at most a share of 16 MiB among
    /// `reader_count` readers of the connection, but always enough for one message of `message_bytes_max`.
    pub(super) fn new(bytes_max: usize, reader_count: usize, message_bytes_max: usize) -> Self {
        let floor = message_bytes_max + CREDIT_BYTES_ROOM;
        let share = CREDIT_BYTES_MAX / reader_count.max(1);
        let credit = bytes_max.min(share).max(floor);
        let spare = credit - message_bytes_max - SUBJECT_BYTES_ROOM;
        // At most a quarter for the overhead, which suits messages of about 500 bytes.
        let batch = (spare.min(credit / 4) / MESSAGE_OVERHEAD_BYTES).clamp(1, BATCH_MAX);
        Self { batch, bytes_max: credit - batch * MESSAGE_OVERHEAD_BYTES }
    }

    /// Memory to take before the pull is requested.
    pub(super) fn credit_bytes(self) -> usize {
        credit_bytes(self.batch, self.bytes_max)
    }
}

fn credit_bytes(messages: usize, bytes: usize) -> usize {
    messages * MESSAGE_OVERHEAD_BYTES + bytes
}

/// The sums over all unfinished pulls: at least one message and one byte; without pulls there is no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PullAccount {
    messages_left: usize,
    bytes_left: usize,
    last: PullSize,
}

impl PullAccount {
    /// The account of a first pull.
    pub(super) fn new(size: PullSize) -> Self {
        assert!(size.batch > 0 && size.bytes_max > 0, "a pull asks for something: {size:?}");
        Self { messages_left: size.batch, bytes_left: size.bytes_max, last: size }
    }

    /// Adds a pull that was requested before the last one was finished.
    pub(super) fn add(&mut self, size: PullSize) {
        self.messages_left += size.batch;
        self.bytes_left += size.bytes_max;
        self.last = size;
    }

    /// Subtracts a message of `bytes` on the wire. `None` once the last message or byte was served: such a pull ends
    /// without a status.
    pub(super) fn delivered(self, bytes: usize) -> Option<Self> {
        self.less(1, bytes)
    }

    /// Subtracts the part that an ended pull left unserved; an unknown part counts as everything. `None` if no pull
    /// remains.
    pub(super) fn ended(self, messages: Option<usize>, bytes: Option<usize>) -> Option<Self> {
        self.less(messages?, bytes?)
    }

    fn less(self, messages: usize, bytes: usize) -> Option<Self> {
        let messages_left = self.messages_left.saturating_sub(messages);
        let bytes_left = self.bytes_left.saturating_sub(bytes);
        (messages_left > 0 && bytes_left > 0).then_some(Self { messages_left, bytes_left, last: self.last })
    }

    /// True if the last pull is half served, so that the next one is due.
    pub(super) fn is_half_served(&self) -> bool {
        self.messages_left <= self.last.batch / 2 || self.bytes_left <= self.last.bytes_max / 2
    }

    /// Memory that the unserved part may need.
    pub(super) fn credit_bytes(&self) -> usize {
        credit_bytes(self.messages_left, self.bytes_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn a_pull_always_has_room_for_the_largest_message() {
        for (bytes_max, readers, message_bytes_max) in
            [(1, 1, MIB), (MIB, 1, 0), (64 * MIB, 5_000, MIB), (usize::MAX, 1, 64 * MIB), (16 * MIB, 2, MIB)]
        {
            let size = PullSize::new(bytes_max, readers, message_bytes_max);
            assert!(size.bytes_max >= message_bytes_max + SUBJECT_BYTES_ROOM, "{size:?}");
            assert!((1..=BATCH_MAX).contains(&size.batch), "{size:?}");
            assert!(size.credit_bytes() <= CREDIT_BYTES_MAX.max(message_bytes_max + CREDIT_BYTES_ROOM), "{size:?}");
        }
        assert_eq!(PullSize::new(16 * MIB, 1, MIB).batch, BATCH_MAX);
    }

    #[test]
    fn pulls_end_by_messages_by_bytes_or_by_word() {
        let size = PullSize { batch: 10, bytes_max: 1_000 };
        let deliver = |times: usize, bytes: usize| {
            (0..times).try_fold(PullAccount::new(size), |account, _| account.delivered(bytes))
        };
        assert!(deliver(9, 10).is_some());
        assert_eq!(deliver(10, 10), None, "the batch is complete");
        assert!(deliver(4, 200).is_some());
        assert_eq!(deliver(5, 200), None, "not a byte is left");
        let mut two = PullAccount::new(size);
        two.add(size);
        let one = two.delivered(100).and_then(|account| account.ended(Some(9), Some(900))).expect("the second pull");
        assert_eq!(one.credit_bytes(), size.credit_bytes());
        assert_eq!(one.clone().ended(Some(10), Some(1_000)), None);
        assert_eq!(one.ended(Some(1), None), None, "an unknown part counts as everything");
    }
}
