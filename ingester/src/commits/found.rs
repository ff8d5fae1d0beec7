//! What a look found: the words between the look and those who wait.
//!
//! Owns: the forms. Does not own: finding it (`look`), the answer that follows for one who waits (`places`).

use std::collections::BTreeMap;

use catalog::{CatalogError, Partition};
use common::ErrorKind;

use super::Fate;
use super::error::WaitError;

/// The answers to those who wait, by offset.
pub(super) type Answers = BTreeMap<u64, Result<Fate, WaitError>>;

/// What a look found.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) found: Found,
    pub(super) answers: Answers,
    /// The queue's history, if it was compared.
    pub(super) history: Option<String>,
    pub(super) trouble: Option<Trouble>,
}

impl From<Found> for Shown {
    fn from(found: Found) -> Self {
        Self { found, answers: Answers::new(), history: None, trouble: None }
    }
}

/// The answer of the catalog.
#[derive(Debug)]
pub(super) enum Found {
    /// There is no such partition.
    Gone,
    /// The catalog failed in a way that waiting does not mend.
    Failed(CatalogError),
    /// The partition.
    Row(Box<Partition>),
}

/// An obstacle that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The catalog or the queue does not answer.
    Unavailable(String),
    /// The catalog lists the batch, and its quarantine cannot be read.
    Quarantine(String),
}

impl Trouble {
    pub(super) fn is_of(error: &CatalogError) -> Option<Self> {
        (error.kind() == ErrorKind::Unavailable).then(|| Self::Unavailable(error.to_string()))
    }
}
