//! The message ids that one partition remembers, so that a repeated publish is stored once.
//!
//! Owns: the window's time and size. Does not own: the messages, which may already be acked and removed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Time for which an id is remembered, in microseconds: the default window of JetStream.
const WINDOW_US: i64 = 120 * 1_000_000;

/// Most ids remembered per partition; the oldest are forgotten first. About 10 MiB of short ids.
const IDS_MAX: usize = 65_536;

#[derive(Default)]
pub(super) struct Duplicates {
    offsets: HashMap<Arc<str>, u64>,
    in_order: VecDeque<(i64, Arc<str>)>,
}

impl Duplicates {
    /// The offset at which `id` was stored, if it is still remembered at `now_us`.
    pub(super) fn find(&mut self, id: &str, now_us: i64) -> Option<u64> {
        while self.in_order.front().is_some_and(|(stored_us, _)| now_us - stored_us > WINDOW_US) {
            self.forget_oldest();
        }
        self.offsets.get(id).copied()
    }

    /// Remembers `id`, which must be new, as stored at `offset`.
    pub(super) fn insert(&mut self, id: String, offset: u64, now_us: i64) {
        if self.in_order.len() >= IDS_MAX {
            self.forget_oldest();
        }
        let id: Arc<str> = id.into();
        self.in_order.push_back((now_us, Arc::clone(&id)));
        self.offsets.insert(id, offset);
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.in_order.pop_front() {
            self.offsets.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_for_the_window_and_no_longer() {
        let mut duplicates = Duplicates::default();
        duplicates.insert("a".to_owned(), 7, 0);
        assert_eq!(duplicates.find("a", WINDOW_US), Some(7));
        assert_eq!(duplicates.find("b", WINDOW_US), None);
        assert_eq!(duplicates.find("a", WINDOW_US + 1), None);
    }

    #[test]
    fn the_number_of_ids_is_bounded() {
        let mut duplicates = Duplicates::default();
        for id in 0..=IDS_MAX as u64 {
            duplicates.insert(id.to_string(), id, 0);
        }
        assert_eq!(duplicates.offsets.len(), IDS_MAX);
        assert_eq!((duplicates.find("0", 0), duplicates.find("1", 0)), (None, Some(1)));
    }
}
