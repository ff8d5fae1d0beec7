//! The message ids that one partition remembers, so that a repeated publish is stored once.
//!
//! Owns: the window's time and size. Does not own: the messages, which may already be acked and removed.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Time for which an id is remembered, in microseconds: the default window of JetStream.
const WINDOW_US: i64 = 120 * 1_000_000;

/// Most ids remembered per partition; the oldest are forgotten first. About 8 MiB of short ids.
const IDS_MAX: usize = 65_536;

/// The ids, each held once: the table has their numbers, so that a new id costs no memory but its entry.
#[derive(Default)]
pub(super) struct Duplicates {
    hasher: RandomState,
    in_order: VecDeque<Remembered>,
    /// Number of the oldest entry; the others follow.
    first: u64,
    numbers: HashTable<u64>,
}

struct Remembered {
    stored_us: i64,
    offset: u64,
    hash: u64,
    id: String,
}

/// The hash of an id that is not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewId(u64);

impl Duplicates {
    /// The offset at which `id` was stored, if it is still remembered at `now_us`.
    pub(super) fn find(&mut self, id: &str, now_us: i64) -> Result<u64, NewId> {
        while self.in_order.front().is_some_and(|oldest| now_us - oldest.stored_us > WINDOW_US) {
            self.forget_oldest();
        }
        let hash = self.hasher.hash_one(id);
        let number = self.numbers.find(hash, |number| at(&self.in_order, self.first, *number).id == id);
        number.map(|number| at(&self.in_order, self.first, *number).offset).ok_or(NewId(hash))
    }

    /// Remembers `id`, which [`Duplicates::find`] has just not found, as stored at `offset`.
    pub(super) fn insert(&mut self, id: String, new: NewId, offset: u64, now_us: i64) {
        if self.in_order.len() >= IDS_MAX {
            self.forget_oldest();
        }
        let (NewId(hash), number) = (new, self.first + self.in_order.len() as u64);
        self.in_order.push_back(Remembered { stored_us: now_us, offset, hash, id });
        self.numbers.insert_unique(hash, number, |number| at(&self.in_order, self.first, *number).hash);
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.in_order.pop_front() else { return };
        if let Ok(entry) = self.numbers.find_entry(oldest.hash, |number| *number == self.first) {
            entry.remove();
        }
        self.first += 1;
    }
}

fn at(in_order: &VecDeque<Remembered>, first: u64, number: u64) -> &Remembered {
    let index = usize::try_from(number - first).expect("it is below the number of ids");
    in_order.get(index).expect("a number in the table has its entry")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remember(duplicates: &mut Duplicates, id: &str, offset: u64) {
        let new = duplicates.find(id, 0).expect_err("it is new");
        duplicates.insert(id.to_owned(), new, offset, 0);
    }

    #[test]
    fn an_id_is_remembered_for_the_window_and_no_longer() {
        let mut duplicates = Duplicates::default();
        remember(&mut duplicates, "a", 7);
        assert_eq!(duplicates.find("a", WINDOW_US), Ok(7));
        assert!(duplicates.find("b", WINDOW_US).is_err());
        assert!(duplicates.find("a", WINDOW_US + 1).is_err());
        remember(&mut duplicates, "a", 8);
        assert_eq!(duplicates.find("a", 0), Ok(8));
    }

    #[test]
    fn the_number_of_ids_is_bounded() {
        let mut duplicates = Duplicates::default();
        for id in 0..=IDS_MAX as u64 {
            remember(&mut duplicates, &id.to_string(), id);
        }
        assert_eq!((duplicates.numbers.len(), duplicates.in_order.len()), (IDS_MAX, IDS_MAX));
        assert!(duplicates.find("0", 0).is_err());
        for id in 1..=IDS_MAX as u64 {
            assert_eq!(duplicates.find(&id.to_string(), 0), Ok(id));
        }
    }

    #[test]
    fn ids_of_one_hash_are_told_apart() {
        let mut duplicates = Duplicates::default();
        for (id, offset) in [("a", 1), ("b", 2), ("c", 3)] {
            duplicates.insert(id.to_owned(), NewId(7), offset, 0);
        }
        duplicates.forget_oldest();
        let found = |id: &str| {
            duplicates.numbers.find(7, |number| at(&duplicates.in_order, duplicates.first, *number).id == id)
        };
        assert_eq!([found("a"), found("b"), found("c")], [None, Some(&1), Some(&2)]);
    }
}
