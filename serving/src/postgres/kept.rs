//! The prepared statements and portals that one connection keeps.
//!
//! Owns: how many they may be, and how many bytes. Does not own: keeping and removing them (pgwire's store, which is asked for
//! those that are left).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use pgwire::error::PgWireResult;

use super::failure::error;

/// Bytes of one column or parameter of a description, about.
const ENTRY_BYTES: usize = 200;

/// What a connection keeps.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) statements: Names,
    pub(super) portals: Names,
}

/// The names of one kind, with the bytes of each.
#[derive(Debug)]
pub(super) struct Names {
    kind: &'static str,
    count_max: usize,
    bytes_max: usize,
    sizes: Mutex<HashMap<String, usize>>,
}

impl Default for Kept {
    fn default() -> Self {
        let names = |kind, count_max| Names { kind, count_max, bytes_max: 16 << 20, sizes: Mutex::new(HashMap::new()) };
        Self { statements: names("prepared statements", 1000), portals: names("portals", 64) }
    }
}

impl Names {
    /// Takes note of one, in place of that with its name. `is_kept` tells of a name whether the store still has it.
    ///
    /// # Errors
    /// 53400: it would be one too many, or their bytes too many.
    pub(super) fn add(&self, name: &str, bytes: usize, is_kept: impl Fn(&str) -> bool) -> PgWireResult<()> {
        // Only whole changes happen under the lock: a poisoned one is still valid.
        let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.have_room(&sizes, name, bytes) {
            sizes.retain(|name, _| is_kept(name));
        }
        if !self.have_room(&sizes, name, bytes) {
            let (kind, count, most) = (self.kind, self.count_max, self.bytes_max);
            let text = format!("a connection keeps {count} {kind}, of {most} bytes together; close some of them first");
            return Err(error("ERROR", "53400", text));
        }
        sizes.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn have_room(&self, sizes: &HashMap<String, usize>, name: &str, bytes: usize) -> bool {
        let others = || sizes.iter().filter(|(other, _)| *other != name).map(|(_, bytes)| bytes);
        others().count() < self.count_max && others().sum::<usize>() + bytes <= self.bytes_max
    }
}

/// The bytes of a statement with its description, about.
pub(super) fn statement_bytes(text: usize, entries: usize) -> usize {
    text + ENTRY_BYTES * entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_keeps_so_many_and_no_more() {
        let kept = Kept::default();
        for number in 0..64 {
            kept.portals.add(&number.to_string(), 1, |_| true).expect("room");
        }
        kept.portals.add("5", 2, |_| true).expect("in place of the one before it");
        let refused = kept.portals.add("64", 1, |_| true).expect_err("one too many").to_string();
        assert!(refused.contains("53400") && refused.contains("keeps 64 portals"), "{refused}");
        kept.portals.add("64", 1, |name| name != "7").expect("one was closed");
    }

    #[test]
    fn their_bytes_are_bounded_too() {
        let kept = Kept::default();
        for number in 0..4 {
            kept.statements.add(&number.to_string(), 4 << 20, |_| true).expect("room");
        }
        let refused = kept.statements.add("4", 1, |_| true).expect_err("too large").to_string();
        assert!(refused.contains("16777216 bytes"), "{refused}");
        kept.statements.add("3", 1, |_| true).expect("smaller than before");
    }
}
