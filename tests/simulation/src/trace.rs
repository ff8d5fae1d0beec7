//! The trace of a run, line by line.
//!
//! Owns: the lines and their hash; the same seed must give the same. Ids that differ from run to run (keys of
//! objects) are replaced by the number of their first appearance.
//! Does not own: the choice of events.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use crate::clock::VirtualClock;

/// The lines of one run; shared by all its parts.
#[derive(Clone)]
pub struct Trace {
    clock: Arc<VirtualClock>,
    // Held to add a line.
    lines: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    texts: Vec<String>,
    ids: BTreeMap<String, usize>,
}

const UUID_LENGTH: usize = 36;

impl Trace {
    /// An empty trace.
    pub fn new(clock: Arc<VirtualClock>) -> Self {
        Self { clock, lines: Arc::default() }
    }

    /// Adds a line: the time, the actor, the event.
    pub fn note(&self, actor: impl fmt::Display, event: impl fmt::Display) {
        let text = format!("{:>7} ms  {actor:<10} {event}", self.clock.elapsed_ms());
        let mut lines = self.lines.lock().expect("no holder panics");
        let text = lines.without_ids(&text);
        lines.texts.push(text);
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no holder panics").texts.clone()
    }

    /// A number that differs when any line does.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lines.lock().expect("no holder panics").texts.hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} lines)", self.lines.lock().expect("no holder panics").texts.len())
    }
}

impl Lines {
    /// The text with every UUID replaced by its number.
    fn without_ids(&mut self, text: &str) -> String {
        let mut found = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = find_uuid(rest) {
            let (before, from) = rest.split_at(at);
            let (id, after) = from.split_at(UUID_LENGTH);
            let next = self.ids.len() + 1;
            let number = *self.ids.entry(id.to_owned()).or_insert(next);
            found.push_str(before);
            found.push_str(&format!("#{number}"));
            rest = after;
        }
        found.push_str(rest);
        found
    }
}

fn find_uuid(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_at = |start: usize| {
        bytes[start..start + UUID_LENGTH].iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    (0..bytes.len().saturating_sub(UUID_LENGTH - 1)).find(|start| is_at(*start))
}
