//! The size of an object before it is complete.
//!
//! Owns: the part of the messages' bytes that is left in an object, learned from the objects of a topic.
//! Does not own: the end of a batch (`roll`), the objects.
//!
//! Parquet counts open pages and dictionaries before compression. There are some of each column, so that a batch that ended
//! when this sum reached the limit came out at about half of it. Objects of one topic resemble each other: the messages'
//! bytes and the last objects tell the size better.

use std::sync::{Mutex, PoisonError};

/// An object of less than this part of the limit has too much of footer and dictionaries to teach anything.
const TEACHING_PART: usize = 8;
/// Parquet's own estimate is at most this many times the size: a guess from an odd object does not go further.
const OVERESTIMATE_MAX: usize = 4;

/// Bytes of an object for each byte of its messages, of the objects of one topic.
#[derive(Debug, Default)]
pub(crate) struct SizeRatio {
    // A std mutex: held to copy a number.
    learned: Mutex<Option<f64>>,
}

/// Sizes that are known of an open object, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownSizes {
    /// Of the messages in it.
    pub(super) messages: usize,
    /// Of its complete row groups.
    pub(super) complete: usize,
    /// As Parquet estimates it, with open pages before compression.
    pub(super) estimated: usize,
}

impl SizeRatio {
    /// The learned ratio; `None` before the first object.
    pub(crate) fn value(&self) -> Option<f64> {
        *self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from a complete object of `size` bytes, which holds messages of `messages` bytes, when objects may have
    /// `size_max` bytes. The first object counts alone, each later one for half.
    pub(crate) fn learn(&self, size: usize, messages: usize, size_max: usize) {
        if messages == 0 || size < size_max / TEACHING_PART {
            return;
        }
        let measured = size as f64 / messages as f64;
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        *learned = Some(learned.map_or(measured, |known| known.midpoint(measured)));
    }
}

impl KnownSizes {
    /// The size of the object if it ended here.
    pub(super) fn size(self, ratio: Option<f64>) -> usize {
        let Some(ratio) = ratio else { return self.estimated };
        let smallest = self.complete.max(self.estimated / OVERESTIMATE_MAX).min(self.estimated);
        ((self.messages as f64 * ratio) as usize).clamp(smallest, self.estimated)
    }
}

#[cfg(test)]
mod tests;
