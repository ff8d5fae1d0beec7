//! A partition that a member reads: its claim, and how far it came.
//!
//! Owns: the places, and the note that is kept with a committed one. Does not own: when they change (`group`).

use catalog::{Claim, Position};
use tokio::time::Instant;

use crate::fetch::{LastRead, Seen, Start};

/// A partition that the member reads.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claim: Claim,
    /// The place of the next records.
    pub(super) next: Start,
    /// The place behind the records that were given out.
    pub(super) given: Option<Position>,
    pub(super) committed: Option<Position>,
    /// The committed place, if it was out of range and reading began at an earlier one: the next commit replaces it.
    pub(super) replaces: Option<Position>,
    /// Another member is to have it, since this time.
    pub(super) leaving_since: Option<Instant>,
    pub(super) seen: Seen,
}

impl Held {
    pub(super) fn uncommitted(&self) -> Option<Position> {
        self.given.filter(|given| self.committed != Some(*given))
    }

    /// The note of a committed place: the last message before it that was read out of the queue. The next holder so notices that
    /// the queue lost it.
    pub(super) fn note(&self, at: Position) -> Option<String> {
        let is_before = |last: &LastRead| last.incarnation == at.incarnation && last.anchor.offset < at.offset;
        let last = self.seen.last.filter(is_before)?;
        Some(serde_json::to_string(&last).expect("numbers are JSON"))
    }

    /// Takes the note of another holder. Text of somebody else's is no note.
    pub(super) fn take_note(&mut self, note: Option<&str>) {
        self.seen.last = note.and_then(|note| serde_json::from_str(note).ok());
    }
}
