//! The oracle: knows every message that a stream ever held, and checks each step of the catalog against them.
//!
//! Owns: the invariants of the protocol, by the numbers of `ARCHITECTURE.md`'s design: 1 no row twice, 2 nothing
//! missing, 3 ranges chain, 4 one owner per epoch, 5 no watermark goes back, 6 right content, 7 listed objects exist,
//! 8 keys are used once, 9 anchors, 10 acks after commits, 11 doomed intents stay doomed, 12 fenced writers, 13
//! progress, 14 loud halts, 15 the lists of objects and segments agree, 16 snapshots rise and name the live objects, 17
//! a replacement keeps every row, 18 runs of commits and live segments agree, 19 what a producer was told is committed,
//! 20 retention takes the oldest part of partitions, and nothing that is younger, 21 kept snapshots have their objects, 22
//! the segments of a snapshot and the tail behind them have every record once, and none of another history, 23 readers of
//! Iceberg find what the catalog lists, and kept versions have their objects.
//! Does not own: the end of a run (`world`), the tables (`catalog`).
//!
//! Ranges that chain (3), hold exactly the messages of one history (6) and are compared row by row with the published
//! messages cover invariants 1 and 2.

mod changes;
mod commits;
mod confirmations;
mod histories;
mod lists;
mod publications;
mod replacements;
mod retention;
mod runs;
mod tails;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use catalog::{FileId, LakeSnapshot, SnapshotId, TableId};
use common::topic::Format;
use common::{CommitReceipt, Epoch, Incarnation, Message, TopicPartition};

use crate::catalog::{CatalogState, Event, ObjectName};
use crate::queue::{AckObserver, StreamObserver};
use crate::rows::PlacedRows;
use crate::store::StoreServer;
use crate::trace::Trace;
pub use confirmations::Confirmation;
pub use histories::{Histories, History, Known};
use publications::ShownTable;
pub use tails::{Agreed, TailSeen};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Number of the invariant.
    pub invariant: u32,
    /// The finding.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.found)
    }
}

/// Events of one run, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Commits.
    pub commits: u64,
    /// Messages committed.
    pub messages: u64,
    /// Takeovers from owners that did not release.
    pub takeovers: u64,
    /// Partitions halted.
    pub halts: u64,
    /// Gaps recorded.
    pub gaps: u64,
    /// Messages set aside as suspects of killing their writers.
    pub condemned: u64,
    /// Replacements.
    pub replacements: u64,
    /// Commits of shared objects.
    pub shared: u64,
    /// Objects that retention took off the list.
    pub expired: u64,
    /// Objects that retention took off the list for their age.
    pub aged: u64,
    /// Rows of commits that were folded away.
    pub folded: u64,
    /// Versions of tables that were published for readers of Iceberg.
    pub publications: u64,
    /// Losses of a tail that no reader can notice: see `commits::follow_unnoticed`.
    pub unnoticed: u64,
    /// Records whose commit a producer waited for and was told of.
    pub confirmed: u64,
    /// Tails that were read to their ends.
    pub tails: u64,
    /// Those of them of which a part was committed while they were read.
    pub seams: u64,
}

/// The oracle. Cloning gives another handle.
#[derive(Clone)]
pub struct Oracle {
    // Held for one event, never across an await.
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    trace: Trace,
    store: StoreServer,
    format: Format,
    histories: Histories,
    view: View,
    /// Every watermark that a commit left, for acks: also of commits that a lagging server never received.
    committed: BTreeMap<(TopicPartition, Epoch), BTreeSet<u64>>,
    /// Suspects: messages noted while decoded by themselves, each with its highest count.
    suspects: BTreeMap<(TopicPartition, u64), u32>,
    /// Every object that was ever intended. A lagging server does not know those that the present view lacks: they will
    /// never be listed or deleted.
    ever_intended: BTreeSet<ObjectName>,
    /// The row that was committed last for each place, which live objects must hold.
    rows: PlacedRows,
    /// Objects that were doomed when the clock was put forward: the janitor may delete them although a lagging server
    /// lists them again, and forget them before the last request about them arrives.
    swept_early: BTreeSet<String>,
    /// Retired objects that snapshots had when a lagging server took over: the lost one may have thinned these out, and
    /// handed the objects to the janitor.
    seen_again: BTreeSet<ObjectName>,
    /// Confirmed commits; those before a failover are forgotten.
    confirmations: Vec<Confirmation>,
    failovers: u64,
    figures: Figures,
    violation: Option<Violation>,
}

/// The oracle's view of the catalog at one moment. A lagging server brings back the view of its moment.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Histories that agree with all commits of an incarnation.
    agreeing: BTreeMap<(TopicPartition, Incarnation), Vec<usize>>,
    /// The first history that an incarnation may belong to.
    begun: BTreeMap<(TopicPartition, Incarnation), usize>,
    watermarks: BTreeMap<(TopicPartition, Incarnation), u64>,
    intended: BTreeSet<ObjectName>,
    doomed: BTreeSet<ObjectName>,
    listed: BTreeSet<ObjectName>,
    /// The newest lake snapshot.
    newest: Option<LakeSnapshot>,
    /// Retired objects that a kept snapshot has.
    seen: BTreeSet<ObjectName>,
    /// The newest version of each published table, and the objects that it keeps.
    shown: BTreeMap<TableId, ShownTable>,
    /// Live objects at some of the last snapshots.
    live: VecDeque<(SnapshotId, BTreeSet<FileId>)>,
}

impl Oracle {
    /// An oracle for one topic, which observes the store's deletions.
    pub fn new(trace: Trace, store: &StoreServer, format: Format) -> Self {
        let inner = Inner {
            trace,
            store: store.clone(),
            format,
            histories: Histories::new(format),
            view: View::default(),
            committed: BTreeMap::new(),
            suspects: BTreeMap::new(),
            ever_intended: BTreeSet::new(),
            rows: PlacedRows::new(),
            swept_early: BTreeSet::new(),
            seen_again: BTreeSet::new(),
            confirmations: Vec::new(),
            failovers: 0,
            figures: Figures::default(),
            violation: None,
        };
        let oracle = Self { inner: Arc::new(Mutex::new(inner)) };
        // Weak: the oracle holds the store, and a cycle would never be freed.
        let watching = Arc::downgrade(&oracle.inner);
        store.observe(Box::new(move |key| {
            if let Some(inner) = watching.upgrade() {
                Self { inner }.deleting(key);
            }
        }));
        oracle
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }

    /// The first promise that was broken, if any.
    pub fn violation(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// Reports a broken promise that was found elsewhere.
    pub fn report(&self, invariant: u32, found: String) {
        self.lock().broken(invariant, found);
    }

    /// Counts of the run so far.
    pub fn figures(&self) -> Figures {
        self.lock().figures
    }

    /// Reads the histories.
    pub fn histories<T>(&self, look: impl FnOnce(&Histories) -> T) -> T {
        look(&self.lock().histories)
    }

    /// The offset for an operator's resume: the first one at which the stream differs from the committed messages, or
    /// the watermark when none of them was lost.
    pub fn resume_offset(&self, partition: &TopicPartition, incarnation: Incarnation, high_watermark: u64) -> u64 {
        let inner = self.lock();
        let key = (partition.clone(), incarnation);
        let committed = inner.view.agreeing.get(&key).and_then(|agreeing| agreeing.last().copied());
        let from = committed.or_else(|| inner.view.begun.get(&key).copied()).unwrap_or_default();
        high_watermark.min(inner.histories.same_until(partition, from).saturating_add(1))
    }

    /// Checks a change of the catalog, right after it was applied.
    pub fn catalog_changed(&self, state: &CatalogState, event: &Event) {
        let mut inner = self.lock();
        for change in &event.changes {
            if let Err(violation) = inner.check(state, event, change) {
                inner.broken(violation.invariant, violation.found);
            }
        }
        if let Err(violation) = inner.lists_hold(state, event) {
            inner.broken(violation.invariant, violation.found);
        }
    }

    /// The view of the catalog's present tables, to be kept with a copy of them.
    pub fn view(&self) -> View {
        self.lock().view.clone()
    }

    /// A server with the tables of this view takes over: commits that the view lacks were never made.
    pub fn goes_back(&self, view: View) {
        let mut inner = self.lock();
        inner.view = view;
        inner.confirmations.clear();
        inner.failovers += 1;
    }

    /// The clock was put forward while these objects were doomed.
    pub fn may_be_swept_early(&self, keys: &[String]) {
        self.lock().swept_early.extend(keys.iter().cloned());
    }

    /// True when the object was intended and the present view lacks it, after a lagging server took over.
    pub fn is_forgotten(&self, bucket: &str, key: &str) -> bool {
        self.lock().is_forgotten(&ObjectName::new(bucket, key))
    }

    /// Called before an object is deleted.
    fn deleting(&self, key: &str) {
        let mut inner = self.lock();
        let name = ObjectName::new("", key);
        if inner.view.listed.contains(&name) {
            inner.broken(7, format!("{key} is listed and was deleted"));
        }
        if inner.view.seen.contains(&name) && !inner.seen_again.contains(&name) {
            inner.broken(21, format!("{key} was deleted while a kept snapshot had it"));
        }
        if inner.is_shown(&name) {
            inner.broken(23, format!("{key} was deleted while a kept snapshot of Iceberg had it"));
        }
    }

    /// Checks the end of a run, once faults have stopped and everything was committed.
    pub fn check_settled(&self, state: &CatalogState) {
        let mut inner = self.lock();
        if let Err(violation) = inner.settled(state) {
            inner.broken(violation.invariant, violation.found);
        }
    }
}

impl Inner {
    fn is_forgotten(&self, object: &ObjectName) -> bool {
        self.ever_intended.contains(object) && !self.view.intended.contains(object)
    }

    fn broken(&mut self, invariant: u32, found: String) {
        let violation = Violation { invariant, found };
        self.trace.note("ORACLE", &violation);
        self.violation.get_or_insert(violation);
    }
}

fn broken<T>(invariant: u32, found: String) -> Result<T, Violation> {
    Err(Violation { invariant, found })
}

impl StreamObserver for Oracle {
    fn stored(&self, partition: &TopicPartition, message: &Message) {
        self.lock().histories.stored(partition, message);
    }

    fn removed(&self, partition: &TopicPartition, sequences: &[u64]) {
        let mut inner = self.lock();
        inner.trace.note("queue", format!("{partition} lost {} messages from {}", sequences.len(), sequences[0]));
        inner.histories.removed(partition, sequences);
    }

    fn went_back(&self, partition: &TopicPartition, last_sequence: u64) {
        let mut inner = self.lock();
        inner.trace.note("queue", format!("{partition} went back to {last_sequence}"));
        inner.histories.went_back(partition, last_sequence);
    }

    fn recreated(&self, partition: &TopicPartition) {
        let mut inner = self.lock();
        inner.trace.note("queue", format!("{partition} was made again"));
        inner.histories.recreated(partition);
    }
}

impl AckObserver for Oracle {
    fn acked(&self, receipt: &CommitReceipt) {
        let mut inner = self.lock();
        let key = (receipt.partition().clone(), receipt.epoch());
        let committed = inner.committed.get(&key);
        if committed.is_none_or(|committed| !committed.contains(&receipt.high_watermark())) {
            let (partition, acked) = (receipt.partition(), receipt.high_watermark());
            let found = format!("{partition} was acked below {acked}, committed below {committed:?}");
            inner.broken(10, found);
        }
    }
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Oracle({:?})", self.lock().violation)
    }
}
