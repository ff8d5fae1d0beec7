//! The event that a producer waits for before it calls a record sent.
//!
//! Owns: the words. Does not own: the waiting (`producer`, `commits`).

use std::fmt;
use std::str::FromStr;

/// The event after which a producer returns the result of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// The queue has stored the record. It is as safe as the queue: one in memory ends with its process.
    #[default]
    Queued,
    /// The catalog lists the record: it is in SQL, and survives the loss of the queue.
    Committed,
}

/// A word that names no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("acks {0:?} is unknown; allowed are queued and committed")]
pub struct UnknownAcks(String);

impl Acks {
    /// Its word in arguments and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Committed => "committed",
        }
    }
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Acks {
    type Err = UnknownAcks;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Queued, Self::Committed].into_iter().find(|acks| acks.as_str() == word);
        known.ok_or_else(|| UnknownAcks(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_shown_and_others_are_refused() {
        for acks in [Acks::Queued, Acks::Committed] {
            assert_eq!(acks.to_string().parse(), Ok(acks));
        }
        let unknown = "all".parse::<Acks>().expect_err("no such word");
        assert_eq!(unknown.to_string(), "acks \"all\" is unknown; allowed are queued and committed");
    }
}
