//! Reading a partition from a position on, as types.
//!
//! Owns: positions, and the segments behind one. Does not own: opening objects (crate `consumer`).

use common::Incarnation;
use serde::{Deserialize, Serialize};

use super::{Expiration, IncarnationStart, Partition, SegmentInfo, Topic};

/// A place in a partition: an offset, and the history that it counts in. Places are read in their order: all of an
/// incarnation, then the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// The offset.
    pub offset: u64,
}

/// A place to read from that may depend on the partition's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// A place in some incarnation.
    Position(Position),
    /// An offset of the current incarnation.
    Offset(u64),
    /// The first message of this queue time or a later one, in microseconds UTC.
    Time(i64),
}

/// The next segments of a partition, and what else a reader must know to pass from one to the next: from one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAhead {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
    /// Live data segments by incarnation and base offset: the one that holds the place, if there is one, and the next ones.
    /// From a time on: the first one that reaches it, and the next ones.
    pub segments: Vec<SegmentInfo>,
    /// The starts of incarnations from the second one on, by number.
    pub incarnations: Vec<IncarnationStart>,
    /// The progress of retention in each incarnation, by number.
    pub expirations: Vec<Expiration>,
}

impl ReadAhead {
    /// The first offset of an incarnation.
    pub fn start_of(&self, incarnation: Incarnation) -> u64 {
        let found = self.incarnations.iter().find(|start| start.incarnation == incarnation);
        found.map_or(0, |start| start.start_offset)
    }

    /// Exclusive: retention took smaller offsets of the incarnation off the list.
    pub fn expired_before(&self, incarnation: Incarnation) -> u64 {
        let found = self.expirations.iter().find(|expiration| expiration.incarnation == incarnation);
        found.map_or(0, |expiration| expiration.before_offset)
    }
}
