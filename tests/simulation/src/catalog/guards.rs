//! The compares of the protocol, each with a switch.
//!
//! Owns: their names. Does not own: the compares themselves (the files that make them).

/// Switches of the compares. All are on; a test that switches one off shows that the invariants notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// Commit: the watermark must be the request's base.
    pub watermark_compare: bool,
    /// Commit: the partition's epoch must be the request's.
    pub epoch_compare: bool,
    /// Commit: the partition's owner must be the request's.
    pub owner_compare: bool,
    /// Commit: the partition's incarnation must be the request's.
    pub incarnation_compare: bool,
    /// Commit: the partition must be active.
    pub state_compare: bool,
    /// Commit: each segment needs its intent.
    pub intent_check: bool,
    /// Commit: the intent must be of the request's epoch and owner.
    pub intent_epoch: bool,
    /// Commit: the intent must be pending, not doomed.
    pub intent_pending: bool,
    /// Commit: rows of commits, segments and gaps are unique, as the indexes demand.
    pub unique_rows: bool,
    /// Commit of shared objects: all requests or none.
    pub together_all: bool,
    /// Intent: the partition must be active and held at the intent's epoch by its owner.
    pub intent_fence: bool,
    /// Intent: a key that is listed, doomed or of another intent cannot be used again.
    pub key_reuse_check: bool,
    /// Takeover: pending intents of older epochs are doomed.
    pub doom_at_takeover: bool,
    /// Takeover: the owner's lease must have expired.
    pub lease_check: bool,
    /// Takeover: the epoch rises.
    pub epoch_rises: bool,
    /// Takeover: a halted partition takes no owner.
    pub halt_check: bool,
    /// Replacement: each input must be live.
    pub replace_live_check: bool,
    /// Replacement: the output needs its pending intent, which is consumed.
    pub replace_intent: bool,
    /// Replacement: the output must have as many rows as the inputs.
    pub replace_row_count: bool,
    /// Lake snapshots get their number under the lock of the head, in the order in which they become visible.
    pub head_lock: bool,
    /// Folding: a run ends where a live segment or an expired range ends.
    pub fold_within_segments: bool,
    /// Folding: the counts of a run are the sums of its commits.
    pub fold_sums: bool,
    /// Janitor: an object must have been doomed for the hold before it is due.
    pub gc_hold: bool,
    /// Janitor: an object that is listed is never due.
    pub gc_listed_check: bool,
    /// Janitor: an object that a kept lake snapshot has is never due.
    pub gc_snapshot_check: bool,
    /// Retention: the age counts from the database's clock, not from that of a writer.
    pub age_by_database_clock: bool,
    /// Retention: an object stays behind one that stays.
    pub age_prefix: bool,
    /// Janitor: a pending intent is never due, however old.
    pub gc_doomed_only: bool,
    /// Janitor: an object that a kept snapshot of Iceberg has is never due.
    pub gc_iceberg_check: bool,
    /// Publication: it follows the newest one.
    pub publish_compare: bool,
    /// Publication: its lake snapshot is of this catalog's history.
    pub publish_history: bool,
    /// Publication: each added object is live.
    pub publish_live_check: bool,
    /// Consumers: an offset is committed by the member that holds the partition, at the generation of its claim.
    pub claim_compare: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            watermark_compare: true,
            epoch_compare: true,
            owner_compare: true,
            incarnation_compare: true,
            state_compare: true,
            intent_check: true,
            intent_epoch: true,
            intent_pending: true,
            unique_rows: true,
            together_all: true,
            intent_fence: true,
            key_reuse_check: true,
            doom_at_takeover: true,
            lease_check: true,
            epoch_rises: true,
            halt_check: true,
            replace_live_check: true,
            replace_intent: true,
            replace_row_count: true,
            head_lock: true,
            fold_within_segments: true,
            fold_sums: true,
            gc_hold: true,
            gc_listed_check: true,
            gc_snapshot_check: true,
            age_by_database_clock: true,
            age_prefix: true,
            gc_doomed_only: true,
            gc_iceberg_check: true,
            publish_compare: true,
            publish_history: true,
            publish_live_check: true,
            claim_compare: true,
        }
    }
}
