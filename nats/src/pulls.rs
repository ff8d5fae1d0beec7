//! What the server may still send for the pull requests made so far.
//!
//! Owns: the account of messages and bytes asked for and not received, and the memory that this may need.
//! Does not own: sending requests, or the memory itself.
//!
//! A server serves several requests of one reader in turns, so that a message cannot be charged to one of them:
//! only the sums are kept, and a request that ends says what it leaves unserved.

use common::message::MESSAGE_OVERHEAD_BYTES;

/// Most messages of one pull. Two pulls stay far below the 65,536 messages that the client's channel holds; beyond,
/// it drops silently.
const BATCH_MAX: usize = 10_000;

/// Largest credit of one pull, unless a single message needs more. Two of them stay below the 64 MiB at which the
/// server gives up on a slow reader.
const CREDIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a pull needs beyond the largest payload: subjects, and the overhead of at least 300 messages.
const CREDIT_BYTES_ROOM: usize = 64 * 1024;

/// Part of the room that is kept for the subjects of the largest message.
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

/// The sums over all pulls that the server has not finished.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    messages_left: usize,
    bytes_left: usize,
    last: Option<PullSize>,
}

impl Pulls {
    /// A pull was requested.
    pub(super) fn requested(&mut self, size: PullSize) {
        self.messages_left += size.batch;
        self.bytes_left += size.bytes_max;
        self.last = Some(size);
    }

    /// A message of `bytes` on the wire arrived.
    pub(super) fn delivered(&mut self, bytes: usize) {
        self.messages_left = self.messages_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.settle();
    }

    /// A pull ended and left so much unserved; what is unknown counts as everything.
    pub(super) fn ended(&mut self, messages: Option<usize>, bytes: Option<usize>) {
        let (Some(messages), Some(bytes)) = (messages, bytes) else {
            (self.messages_left, self.bytes_left) = (0, 0);
            return;
        };
        self.messages_left = self.messages_left.saturating_sub(messages);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.settle();
    }

    /// A pull whose last message or byte was served ends without a word.
    fn settle(&mut self) {
        if self.messages_left == 0 || self.bytes_left == 0 {
            (self.messages_left, self.bytes_left) = (0, 0);
        }
    }

    /// Whether the server may still send something.
    pub(super) fn is_outstanding(&self) -> bool {
        self.messages_left > 0
    }

    /// Whether the last pull is half served, so that another should be on its way.
    pub(super) fn is_half_served(&self) -> bool {
        match self.last {
            Some(last) => self.messages_left <= last.batch / 2 || self.bytes_left <= last.bytes_max / 2,
            None => true,
        }
    }

    /// Memory that what may still come can need.
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
        let mut pulls = Pulls::default();
        pulls.requested(size);
        (0..10).for_each(|_| pulls.delivered(10));
        assert!(!pulls.is_outstanding(), "the batch is complete");
        pulls.requested(size);
        (0..5).for_each(|_| pulls.delivered(200));
        assert!(!pulls.is_outstanding(), "not a byte is left");
        pulls.requested(size);
        pulls.requested(size);
        pulls.delivered(100);
        pulls.ended(Some(9), Some(900));
        assert_eq!(pulls.credit_bytes(), size.credit_bytes());
        pulls.ended(Some(10), Some(1_000));
        assert!(!pulls.is_outstanding());
    }
}
