//! Mutations: the protocol without one of its guards.
//!
//! Owns: the list of guards, the faults against which each of them stands, and the guards that cover for each other.
//! Does not own: the guards. Those of the catalog are switches of its model (`Guards`); those of the writer read
//! `common::mutation`, or are undone by a forged reply (`forgery`).
//!
//! A simulation that finds nothing proves little while its power is unknown. Each mutation here must be found out
//! within the given seeds.

use crate::catalog::Guards;
use crate::plan::Kind::{self, *};
use crate::plan::{HISTORY, LATE, Profile};
use crate::run::{Outcome, Setup, run};

/// The protocol without some guards.
#[derive(Clone, Copy)]
pub struct Mutation {
    /// Name for people.
    pub name: &'static str,
    /// Guards of the catalog that are off.
    pub guards: fn(&mut Guards),
    /// Guards of the writer that are off.
    pub off: &'static [&'static str],
    /// The faults under which it shows soonest, each with its highest count.
    pub faults: &'static [(Kind, u64)],
    /// True when each run replaces, retires and folds objects; the mutation shows nothing otherwise.
    pub is_compacted: bool,
    /// True when writers merge objects in each run, without a compactor beside them.
    pub is_merged: bool,
    /// True when the topic has a retention in each run.
    pub is_retained: bool,
    /// True when writers publish tables of Iceberg in each run.
    pub is_published: bool,
}

/// Seeds within which a mutation must be found out.
pub const SEEDS_MAX: u64 = 400;

const TAKEOVERS: &[(Kind, u64)] = &[(Pause, 8), (CatalogNoise, 8), (QueueSlow, 4), (StoreLate, 4)];
/// Owners that pause while a server takes the catalog over that knows other takeovers.
const FAILOVERS: &[(Kind, u64)] = &[(Failover, 8), (Pause, 12), (CatalogNoise, 4)];
const NOISE: &[(Kind, u64)] = &[(CatalogNoise, 12), (CatalogRepliesLost, 4), (Pause, 3)];

const fn mutation(
    name: &'static str,
    guards: fn(&mut Guards),
    off: &'static [&'static str],
    faults: &'static [(Kind, u64)],
) -> Mutation {
    Mutation {
        name,
        guards,
        off,
        faults,
        is_compacted: false,
        is_merged: false,
        is_retained: false,
        is_published: false,
    }
}

/// One without a guard of replacing, retiring or folding.
const fn compaction(name: &'static str, guards: fn(&mut Guards), faults: &'static [(Kind, u64)]) -> Mutation {
    Mutation { is_compacted: true, ..mutation(name, guards, &[], faults) }
}

/// One without a guard of the merges that writers do.
const fn merging(
    name: &'static str,
    guards: fn(&mut Guards),
    off: &'static [&'static str],
    faults: &'static [(Kind, u64)],
) -> Mutation {
    Mutation { is_merged: true, ..mutation(name, guards, off, faults) }
}

/// One without a guard of retention by age.
const fn retention(name: &'static str, guards: fn(&mut Guards), faults: &'static [(Kind, u64)]) -> Mutation {
    Mutation { is_retained: true, ..compaction(name, guards, faults) }
}

/// One without a guard of publishing tables of Iceberg.
const fn publishing(name: &'static str, guards: fn(&mut Guards), faults: &'static [(Kind, u64)]) -> Mutation {
    Mutation { is_published: true, ..compaction(name, guards, faults) }
}

fn none(_: &mut Guards) {}

/// A writer that lost a partition is kept out twice: by the compares of epoch and owner, which cover for each other,
/// and by its intents, which the takeover dooms. This switches off the latter.
fn intents(guards: &mut Guards) {
    (guards.intent_check, guards.intent_epoch, guards.intent_pending) = (false, false, false);
}

/// All mutations that must be found out. Guards that cover for each other are off together:
///
/// | guard | alone it is covered by |
/// |---|---|
/// | watermark | intents and unique rows: a repeated commit finds its intents consumed |
/// | epoch | owner, a new one for every process start; intents; mostly the watermark |
/// | owner | epoch, which rises with every owner unless a server that lagged takes over; there the fence and owner of intents |
/// | incarnation, state | epoch and owner: a halted partition is drained first, a resumed one has no owner |
/// | intents: present, of this owner, pending | epoch and owner |
/// | unique rows | watermark |
/// | fence of intents | epoch and owner refuse the commit; the next takeover dooms |
/// | no used keys | keys are unique |
/// | no takeover of halted partitions | the anchor: the next owner halts again |
/// | listed objects are never due | a commit consumes its intents |
/// | history of a publication | nothing: the moment is rarer than these seeds, and is made by hand in a test of `open_tables` |
/// | lease | not a guard of safety: an early takeover costs work alone, which a test of its own shows |
pub const MUTATIONS: &[Mutation] = &[
    mutation(
        "commit without watermark, intents and unique rows",
        |g| {
            intents(g);
            (g.watermark_compare, g.unique_rows) = (false, false);
        },
        &[],
        NOISE,
    ),
    mutation(
        "commit without epoch, owner, watermark and intents",
        |g| {
            intents(g);
            (g.epoch_compare, g.owner_compare, g.watermark_compare, g.unique_rows) = (false, false, false, false);
        },
        &[],
        TAKEOVERS,
    ),
    mutation(
        "commit and intents without the owner",
        |g| {
            (g.owner_compare, g.intent_fence, g.intent_epoch) = (false, false, false);
        },
        &[],
        FAILOVERS,
    ),
    mutation("a shared object without the rows of one that is refused", |g| g.together_all = false, &[], FAILOVERS),
    mutation("a catalog that went back is not noticed", none, &["supervise.went_back"], FAILOVERS),
    mutation("takeover without dooming intents", |g| g.doom_at_takeover = false, &[], TAKEOVERS),
    mutation("takeover without a new epoch", |g| g.epoch_rises = false, &[], TAKEOVERS),
    mutation(
        "takeover of halted partitions, without the anchor",
        |g| {
            (g.halt_check, g.state_compare) = (false, false);
        },
        &["attach.anchor"],
        HISTORY,
    ),
    mutation("janitor without the hold", |g| g.gc_hold = false, &[], LATE),
    mutation("janitor that deletes what is pending", |g| g.gc_doomed_only = false, &[], LATE),
    mutation("attach without the anchor", none, &["attach.anchor"], HISTORY),
    mutation("attach without a second look", none, &["attach.second_look"], HISTORY),
    mutation("reading without the rule of contiguity", none, &["queue.contiguity"], &[(Deliveries, 6)]),
    mutation("gaps that are not recorded", none, &["fetch.gaps"], &[(Purge, 4), (Delete, 4), (Limit, 3), (Pause, 4)]),
    mutation("packed messages without their last record", none, &["packing.last_record"], &[(Crash, 1)]),
    mutation("acks before the commit", none, &["ack.after_commit"], &[(Crash, 1)]),
    mutation("an unknown outcome taken for done", none, &["commit.read_back"], NOISE),
    mutation("a failed put taken for done", none, &["upload.read_back"], &[(StoreNoise, 4)]),
    mutation(
        "keys that are used again",
        |g| g.key_reuse_check = false,
        &["keys.unique"],
        &[(StoreNoise, 6), (Pause, 6), (StoreLate, 4), (TailLoss, 2)],
    ),
    mutation(
        "intents repeated under a key that was forgotten",
        none,
        &["intent.new_key"],
        &[(ClockJump, 20), (CatalogRepliesLost, 12)],
    ),
    mutation("puts without an intent", |g| g.intent_check = false, &["upload.intent"], LATE),
    mutation("a wait that takes the watermark as inclusive", none, &["commits.below"], NOISE),
    mutation("a wait without the compare of histories", none, &["commits.history"], HISTORY),
    mutation("a tail without the compare of histories", none, &["tail.history"], HISTORY),
    mutation("a tail that takes what was dropped for absent", none, &["tail.seam"], NOISE),
    compaction("replacement of objects that are not live", |g| g.replace_live_check = false, NOISE),
    compaction("replacement without its intent", |g| g.replace_intent = false, NOISE),
    compaction("replacement without the compare of rows", |g| g.replace_row_count = false, NOISE),
    compaction("snapshots numbered without the lock", |g| g.head_lock = false, NOISE),
    compaction("folding across the end of a segment", |g| g.fold_within_segments = false, NOISE),
    compaction("folding that loses a sum", |g| g.fold_sums = false, NOISE),
    merging("writers that merge objects that are not live", |g| g.replace_live_check = false, &[], NOISE),
    merging("writers that merge while snapshots are numbered without the lock", |g| g.head_lock = false, &[], NOISE),
    merging("a merge that loses rows, without the compare", |g| g.replace_row_count = false, &["merge.every_row"], &[]),
    retention("deletion of objects that kept snapshots have", |g| g.gc_snapshot_check = false, NOISE),
    retention("retention by the clock of a writer", |g| g.age_by_database_clock = false, NOISE),
    retention("retention from the middle of a partition", |g| g.age_prefix = false, NOISE),
    publishing("publishing without the compare of the version", |g| g.publish_compare = false, NOISE),
    publishing("deletion of objects that readers of Iceberg need", |g| g.gc_iceberg_check = false, NOISE),
];

impl Mutation {
    /// A run of the seed under this mutation.
    pub fn run(&self, seed: u64) -> Outcome {
        let mut guards = Guards::default();
        (self.guards)(&mut guards);
        run(&Setup { profile: self.profile(), guards, off: self.off.to_vec(), ..Setup::of(seed) })
    }

    fn profile(&self) -> Profile {
        let profile = Profile::only(self.name, self.faults);
        let profile = if self.is_compacted { profile.compacted() } else { profile };
        let profile = if self.is_merged { profile.merged() } else { profile };
        let profile = if self.is_retained { profile.retained() } else { profile };
        if self.is_published { profile.published() } else { profile }
    }

    /// The same run with all guards on, which must hold.
    pub fn run_guarded(&self, seed: u64) -> Outcome {
        run(&Setup { profile: self.profile(), ..Setup::of(seed) })
    }

    /// Number of seeds until it is found out, with that outcome; `None` when `SEEDS_MAX` are not enough.
    pub fn find_out(&self) -> Option<(u64, Outcome)> {
        (0..SEEDS_MAX).find_map(|seed| {
            let outcome = self.run(seed);
            outcome.violation.is_some().then_some((seed + 1, outcome))
        })
    }
}
