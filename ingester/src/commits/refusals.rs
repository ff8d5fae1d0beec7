//! Refusals: which records of a message are in quarantine, and why.
//!
//! Owns: reading them for one message that is known to be committed with quarantined records.
//! Does not own: the wait for the commit, and the fate of the whole message (`look`).

use std::collections::{BTreeMap, BTreeSet};

use common::{OffsetRange, packing};
use lake::quarantine::QuarantinedRecord;

use super::error::WaitError;
use super::look::read_quarantined;
use super::{Before, Commits};

/// The quarantined records of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusals {
    /// The message as a whole, for this reason.
    Whole(String),
    /// Some of its rows, each with the reason; the others are in the table.
    Rows(BTreeMap<u32, String>),
}

impl Refusals {
    /// The reason why the row is not in the table, if it is not.
    pub fn of(&self, row: u32) -> Option<&str> {
        match self {
            Self::Whole(reason) => Some(reason),
            Self::Rows(reasons) => reasons.get(&row).map(String::as_str),
        }
    }
}

impl Commits {
    /// The quarantined rows of the message at `offset`, whose [`Fate`](super::Fate) is `Quarantined`.
    ///
    /// # Errors
    /// `QuarantineUnread` and `Catalog` if they cannot be read now; `OtherHistory` and `TopicGone` if another history or
    /// topic is there by now.
    pub async fn refusals(&self, before: &Before, offset: u64) -> Result<Refusals, WaitError> {
        let partition = before.partition();
        let unread = |reason: String| WaitError::QuarantineUnread { partition: partition.clone(), offset, reason };
        let Some(storage) = &self.storage else {
            return Err(unread("this process was given no object store to read it from".to_owned()));
        };
        let range = OffsetRange::new(offset, offset).expect("one offset is a range");
        let found = self.catalog.exceptions(partition, range).await?;
        let found = found.ok_or_else(|| WaitError::TopicGone { partition: partition.clone() })?;
        if (found.partition.created_at, found.partition.incarnation) != (before.created_at, before.incarnation) {
            let reason = format!("the partition is in incarnation {} now", found.partition.incarnation);
            return Err(WaitError::OtherHistory { partition: partition.clone(), offset, reason });
        }
        let (mut whole, mut rows) = (None, BTreeMap::new());
        let see = |record: QuarantinedRecord| {
            // A message that could not be opened still has the header.
            if record.headers.iter().any(|(name, _)| packing::is_header(name)) {
                whole.get_or_insert(record.reason);
            } else {
                rows.insert(record.origin.row, record.reason);
            }
        };
        let read = read_quarantined(storage, &found.quarantine, &BTreeSet::from([offset]), see).await;
        read.map_err(|error| unread(error.to_string()))?;
        if let Some(reason) = whole {
            return Ok(Refusals::Whole(reason));
        }
        match rows.is_empty() {
            true => Err(unread("retention has taken its batch off the list".to_owned())),
            false => Ok(Refusals::Rows(rows)),
        }
    }
}
