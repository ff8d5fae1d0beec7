//! The plan of a run, drawn from its seed before it starts.
//!
//! Owns: topology, the times of publishes and faults, the highest count of each kind of fault (`Profile`).
//! Does not own: carrying it out (`world`).
//!
//! Each run has only some of the kinds of faults, so that rare combinations are not drowned by frequent faults.

mod publishes;
mod settings;

use std::time::Duration;

use common::topic::Format;

use crate::chance::Chance;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A writer dies between any two steps.
    Crash,
    /// A writer pauses for longer than its lease, and resumes.
    Pause,
    /// A writer is asked to stop.
    Shutdown,
    /// One more writer comes.
    Join,
    /// A writer and the queue do not reach each other.
    QueueCut,
    /// The connection to the queue breaks for a moment.
    Disturb,
    /// Deliveries are lost, doubled, swapped, repeated.
    Deliveries,
    /// The queue answers slowly.
    QueueSlow,
    /// The consumers of a partition are deleted.
    ConsumersDeleted,
    /// A writer and the catalog do not reach each other.
    CatalogCut,
    /// Requests reach the catalog, its answers do not arrive.
    CatalogRepliesLost,
    /// Requests and answers of the catalog get lost or come late, here and there.
    CatalogNoise,
    /// The database stops, and starts again later.
    CatalogDown,
    /// The database's clock is set.
    ClockJump,
    /// A writer and the store do not reach each other.
    StoreCut,
    /// The store answers with errors, before or after the work, or stores wrong bytes.
    StoreNoise,
    /// Puts land long after the writer gave up.
    StoreLate,
    /// Old messages are purged, read or not.
    Purge,
    /// Single messages are deleted.
    Delete,
    /// The stream keeps only some messages for a while.
    Limit,
    /// A stream goes back to an earlier end.
    TailLoss,
    /// A stream is deleted and made again.
    Recreate,
    /// A standby that lags by seconds takes the catalog over.
    Failover,
}

/// The highest count of each kind of fault in one run.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name for people.
    pub name: &'static str,
    /// Each kind with its highest count.
    pub most: Vec<(Kind, u64)>,
    /// True when every kind comes in every run, instead of in every second one.
    pub is_forced: bool,
    /// True when objects are replaced in every run, instead of in every third one.
    pub is_compacted: bool,
    /// True when writers merge objects in every run, without a compactor.
    pub is_merged: bool,
    /// True when the topic has a retention in every run, instead of in every fourth one.
    pub is_retained: bool,
    /// True when writers publish tables of Iceberg in every run, instead of in two of seven.
    pub is_published: bool,
}

impl Profile {
    /// All faults that the protocol promises to survive without loss.
    pub fn all() -> Self {
        use Kind::*;
        let most = vec![
            (Crash, 6),
            (Pause, 4),
            (Shutdown, 3),
            (Join, 2),
            (QueueCut, 3),
            (Disturb, 6),
            (Deliveries, 4),
            (QueueSlow, 3),
            (ConsumersDeleted, 4),
            (CatalogCut, 3),
            (CatalogRepliesLost, 3),
            (CatalogNoise, 4),
            (CatalogDown, 2),
            (ClockJump, 3),
            (StoreCut, 3),
            (StoreNoise, 4),
            (StoreLate, 3),
            (Purge, 2),
            (Delete, 2),
            (Limit, 1),
            (TailLoss, 2),
            (Recreate, 1),
            (Failover, 1),
        ];
        Self { is_forced: false, ..Self::only("all", &most) }
    }

    /// No faults.
    pub fn calm() -> Self {
        Self { is_forced: false, ..Self::only("calm", &[]) }
    }

    /// Only these kinds, in every run.
    pub fn only(name: &'static str, most: &[(Kind, u64)]) -> Self {
        Self {
            name,
            most: most.to_vec(),
            is_forced: true,
            is_compacted: false,
            is_merged: false,
            is_retained: false,
            is_published: false,
        }
    }

    /// The same with a compactor in every run.
    pub fn compacted(self) -> Self {
        Self { is_compacted: true, ..self }
    }

    /// The same with writers that merge objects in every run, and no compactor beside them.
    pub fn merged(self) -> Self {
        Self { is_merged: true, ..self }
    }

    /// The same with a retention in every run.
    pub fn retained(self) -> Self {
        Self { is_retained: true, ..self }
    }

    /// The same with writers that publish tables of Iceberg in every run.
    pub fn published(self) -> Self {
        Self { is_published: true, ..self }
    }

    /// The profile of this name.
    pub fn named(name: &str) -> Option<Self> {
        let history = Self::only("history", HISTORY);
        let late = Self::only("late", LATE);
        let published = Self::only("published", PUBLISHED).compacted().published();
        [Self::all(), Self::calm(), history, late, published].into_iter().find(|profile| profile.name == name)
    }
}

/// Streams that lose their history while writers attach to them again and again.
pub const HISTORY: &[(Kind, u64)] =
    &[(Kind::TailLoss, 8), (Kind::Recreate, 2), (Kind::Disturb, 4), (Kind::QueueSlow, 8), (Kind::CatalogNoise, 3)];

/// Puts that land late, among writers that die.
pub const LATE: &[(Kind, u64)] =
    &[(Kind::StoreLate, 10), (Kind::StoreCut, 4), (Kind::Crash, 8), (Kind::CatalogDown, 4)];

/// Publishers that stand still or die between two steps, while servers that lag take the catalog over.
pub const PUBLISHED: &[(Kind, u64)] =
    &[(Kind::Failover, 6), (Kind::Pause, 10), (Kind::Crash, 4), (Kind::CatalogNoise, 4), (Kind::StoreNoise, 3)];

/// One action. Slots are places for writers, `lasting` is the duration of the effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Messages come in.
    Publish {
        /// Number of the partition.
        partition_id: u32,
        /// Number of messages.
        count: u64,
        /// True when the producer gives them ids, and repeats until it has a confirmation.
        is_repeated: bool,
    },
    /// A fault.
    Fault {
        /// Its kind.
        kind: Kind,
        /// Slot of the writer, if it is about one.
        slot: usize,
        /// Number of the partition, if it is about one.
        partition_id: u32,
        /// Duration, if it has an end.
        lasting: Duration,
        /// A number from 0 to 999 for further choices.
        size: u64,
    },
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Partitions of the topic.
    pub partition_count: u32,
    /// Places for writers; the first `writers` are taken from the start.
    pub slots: usize,
    /// Writers from the start on.
    pub writers: usize,
    /// Format of the topic.
    pub format: Format,
    /// True when the messages of about every second publish travel packed.
    pub is_packed: bool,
    /// Actions with their times, in order.
    pub actions: Vec<(Duration, Action)>,
    /// End of the faults.
    pub end: Duration,
    /// True when a compactor replaces objects, takes old ones off the list and folds history.
    pub has_compactor: bool,
    /// True when two compactors run at a time and take the same objects.
    pub has_rival: bool,
    /// True when streams drop messages once they are acked. Without faults that need the messages to be noticed.
    pub drops_acked: bool,
    /// Retention of the topic.
    pub retention: Option<Duration>,
    /// Settings of the writers.
    pub config: writer::WriterConfig,
}

const RETENTION_MS_MIN: u64 = 3_000;

impl Plan {
    /// True when objects are replaced by others.
    pub fn replaces(&self) -> bool {
        self.has_compactor || self.config.compaction.is_on
    }

    /// True when writers publish tables of Iceberg.
    pub fn publishes(&self) -> bool {
        self.config.publish_interval.is_some()
    }

    /// True when a fault of this kind is still to come.
    pub fn has(&self, wanted: Kind) -> bool {
        self.actions.iter().any(|(_, action)| matches!(action, Action::Fault { kind, .. } if *kind == wanted))
    }

    /// Draws the plan from a seed's chance.
    pub fn draw(chance: &Chance, profile: &Profile) -> Self {
        let end_ms = chance.between(30_000..70_000);
        let partition_count = chance.between(1..5) as u32;
        let writers = chance.between(1..4) as usize;
        let slots = writers + 1;
        let format = chance.pick(&[Format::Raw, Format::Json]);
        let mut actions = publishes::publishes(chance, partition_count, end_ms);
        for (kind, most) in &profile.most {
            if !profile.is_forced && chance.below(2) == 0 {
                continue;
            }
            for _ in 0..chance.between(1..most + 1) {
                let fault = Action::Fault {
                    kind: *kind,
                    slot: chance.below(slots as u64) as usize,
                    partition_id: chance.below(u64::from(partition_count)) as u32,
                    lasting: Duration::from_millis(lasting_ms(chance, *kind)),
                    size: chance.below(1000),
                };
                let at_ms = chance.between(300..end_ms);
                // Every second loss of a tail comes while readers attach, because their connections broke just before.
                if *kind == Kind::TailLoss && chance.below(2) == 0 {
                    let before_ms = at_ms - chance.between(50..300);
                    let breaks = (0..slots).map(|slot| (Duration::from_millis(before_ms), disturb(slot)));
                    actions.extend(breaks);
                }
                actions.push((Duration::from_millis(at_ms), fault));
            }
        }
        actions.sort_by_key(|(at, _)| *at);
        let end = Duration::from_millis(end_ms);
        // Not drawn, so that the other runs are those of the same seeds as ever.
        let is_packed = end_ms.is_multiple_of(3);
        let has_retention = profile.is_retained || end_ms.is_multiple_of(4);
        let retention = has_retention.then(|| Duration::from_millis(RETENTION_MS_MIN + end_ms % 20_000));
        let mut config = settings::config(chance);
        let has_compactor = (profile.is_compacted || chance.below(3) == 0) && !profile.is_merged;
        let has_rival = profile.is_compacted || chance.below(4) == 0;
        // Not drawn either.
        let is_merging = profile.is_merged || profile.is_compacted || end_ms.is_multiple_of(2);
        config.compaction = settings::compaction(is_merging, end_ms);
        config.publish_interval = settings::publish_interval(profile.is_published, end_ms);
        let forgets = |(_, action): &(Duration, Action)| {
            matches!(action, Action::Fault { kind: Kind::TailLoss | Kind::Recreate | Kind::Failover, .. })
        };
        let drops_acked = (end_ms % 5) < 2 && !actions.iter().any(forgets);
        Self {
            partition_count,
            slots,
            writers,
            format,
            is_packed,
            actions,
            end,
            has_compactor,
            has_rival,
            drops_acked,
            retention,
            config,
        }
    }
}

fn disturb(slot: usize) -> Action {
    Action::Fault { kind: Kind::Disturb, slot, partition_id: 0, lasting: Duration::ZERO, size: 0 }
}

fn lasting_ms(chance: &Chance, kind: Kind) -> u64 {
    match kind {
        // Mostly longer than the lease.
        Kind::Pause => chance.between(500..9_000),
        Kind::CatalogDown => chance.between(200..6_000),
        _ => chance.between(200..8_000),
    }
}
