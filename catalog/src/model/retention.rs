//! The work of retention by age, as types.
//!
//! Owns: their shape. Does not own: the choice of objects (`sql::retention_plan`), the progress of retention in a partition's
//! history (`history`).

use common::Incarnation;
use serde::{Deserialize, Serialize};

/// The objects of a topic that retention by age takes off the list, or would take, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Rows of this queue time and later stay, microseconds UTC: the database's clock less the retention. `None`: there
    /// is no such topic, or it keeps everything.
    pub before_us: Option<i64>,
    /// Objects that leave the list.
    pub objects: u64,
    /// Their segments.
    pub segments: u64,
    /// Their rows of data.
    pub records: u64,
    /// Their quarantined rows.
    pub quarantined: u64,
    /// Their size.
    pub bytes: u64,
    /// The part of each incarnation of each partition that leaves the list, by partition and incarnation.
    pub parts: Vec<ExpiredPart>,
    /// Older objects that stay, since a partition of theirs has an earlier segment that stays.
    pub held_back: u64,
    /// True if more is due than one transaction takes.
    pub has_more: bool,
}

/// The oldest part of an incarnation, which leaves the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredPart {
    /// The partition's number.
    pub partition_id: u32,
    /// The incarnation.
    pub incarnation: Incarnation,
    /// Exclusive: all segments of smaller offsets leave.
    pub before_offset: u64,
    /// Number of these segments.
    pub segments: u64,
    /// Their rows, of data and quarantine.
    pub records: u64,
}
