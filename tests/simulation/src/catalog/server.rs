//! The database server: the tables, the observer, the locked rows, the living connections.
//!
//! Owns: running each transaction at one moment, and the faults of the server as a whole.
//! Does not own: transactions (the files of the roles), the way to the server (`session`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use ::catalog::SnapshotId;
use common::TopicPartition;
use common::clock::SharedClock;
use tokio::sync::OwnedMutexGuard;

use super::client::{Call, Client, Door, Failure, Rows};
use super::event::{Change, Event};
use super::guards::Guards;
use super::state::{CatalogState, Drawn};

/// Sees the tables after each transaction that changed something, while they are locked: it must not call the catalog.
/// A panic in it ends the call that is served, and every later one.
pub type Observer = Box<dyn FnMut(&CatalogState, &Event) + Send>;

/// The model without a network: each call is a transaction as soon as the rows it needs are free. Clones share it.
pub type ModelCatalog = Client<Server>;

/// The server. Clones share it.
#[derive(Clone)]
pub struct Server {
    // A plain lock, never held across an await: several threads use the model in the conformance suite.
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: CatalogState,
    clock: SharedClock,
    observer: Option<Observer>,
    /// Rises when the server loses its connections, and the transactions under way with them.
    generation: u64,
    /// The last number of a snapshot that was taken without the head's lock.
    drawn: u64,
    rows: BTreeMap<TopicPartition, Arc<tokio::sync::Mutex<()>>>,
}

/// Rows that a transaction has locked, until it is dropped.
pub(crate) type RowLocks = Vec<OwnedMutexGuard<()>>;

impl Inner {
    fn transaction<T>(&mut self, writer: Option<u32>, body: impl FnOnce(&mut CatalogState) -> T) -> T {
        self.state.now_ms = self.clock.now_ms() + self.state.clock_offset_ms;
        let answer = body(&mut self.state);
        let changes = std::mem::take(&mut self.state.changes);
        if let Some(observer) = self.observer.as_mut().filter(|_| !changes.is_empty()) {
            observer(&self.state, &Event { at_ms: self.state.now_ms, writer, changes });
        }
        answer
    }

    fn end_connections(&mut self) {
        self.generation += 1;
        self.rows.clear();
    }
}

impl Server {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no observer panics")
    }

    /// Proof of a connection that is made now.
    pub(crate) fn connect(&self) -> u64 {
        self.lock().generation
    }

    pub(crate) fn is_connected(&self, connection: u64) -> bool {
        self.lock().generation == connection
    }

    /// Runs a transaction over a connection, unless the server has lost it.
    pub(crate) fn transaction_over<T>(
        &self,
        connection: u64,
        writer: u32,
        drawn: Option<Drawn>,
        body: impl FnOnce(&mut CatalogState) -> T,
    ) -> Option<T> {
        let mut inner = self.lock();
        if inner.generation != connection {
            return None;
        }
        inner.state.drawn = drawn;
        let answer = inner.transaction(Some(writer), body);
        inner.state.drawn = None;
        Some(answer)
    }

    /// Draws the number and time of a snapshot that is made later; `None` while they are taken under the head's lock.
    pub(crate) fn draw_snapshot(&self) -> Option<Drawn> {
        let mut inner = self.lock();
        if inner.state.guards.head_lock {
            return None;
        }
        inner.drawn += 1;
        let next = inner.state.head.snapshot_id.0.max(inner.drawn) + 1;
        inner.drawn = next;
        Some((SnapshotId(next), (inner.clock.now_ms() + inner.state.clock_offset_ms) * 1000))
    }

    /// Locks the rows in order of topic and number; those who wait for a row get it in turn.
    pub(crate) async fn lock_rows(&self, rows: &Rows) -> RowLocks {
        let mut locks = RowLocks::new();
        for row in self.row_mutexes(rows) {
            locks.push(row.lock_owned().await);
        }
        locks
    }

    fn row_mutexes(&self, rows: &Rows) -> Vec<Arc<tokio::sync::Mutex<()>>> {
        let mut inner = self.lock();
        let mut partitions = match rows {
            Rows::None => vec![],
            Rows::These(partitions) => partitions.clone(),
            Rows::OfTopic(topic) => inner.state.partitions_of(topic).map(|(partition, _)| partition.clone()).collect(),
            Rows::OwnedBy(owner) => inner.state.partitions_owned_by(*owner),
        };
        partitions.sort();
        partitions.dedup();
        partitions.into_iter().map(|partition| inner.rows.entry(partition).or_default().clone()).collect()
    }
}

impl Door for Server {
    async fn run<T, F>(&self, call: Call, transaction: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut CatalogState) -> T + Send + 'static,
    {
        let _rows = self.lock_rows(&call.rows).await;
        Ok(self.lock().transaction(None, transaction))
    }
}

impl ModelCatalog {
    /// An empty catalog whose database keeps the time of `clock`.
    pub fn new(clock: SharedClock, guards: Guards) -> Self {
        let state = CatalogState::new(guards, clock.now_ms());
        let inner = Inner { state, clock, observer: None, generation: 0, drawn: 0, rows: BTreeMap::new() };
        Self::through(Server { inner: Arc::new(Mutex::new(inner)) })
    }

    /// From now on `observer` sees each change; it replaces the one before.
    pub fn observe(&self, observer: Observer) {
        self.door.lock().observer = Some(observer);
    }

    /// The tables as they are now: a backup, or a standby that will lag.
    pub fn state(&self) -> CatalogState {
        self.door.lock().state.clone()
    }

    /// Looks at the tables without copying them.
    pub fn inspect<T>(&self, look: impl FnOnce(&CatalogState) -> T) -> T {
        look(&self.door.lock().state)
    }

    /// Switches compares on or off.
    pub fn set_guards(&self, guards: Guards) {
        self.door.lock().state.guards = guards;
    }

    /// A server that holds `state` takes over; its clock is as wrong as the old one's. Requests and transactions under way
    /// are lost with the old server.
    pub fn restore(&self, state: CatalogState) {
        let mut inner = self.door.lock();
        inner.end_connections();
        inner.transaction(None, |now| {
            let (now_ms, clock_offset_ms) = (now.now_ms, now.clock_offset_ms);
            *now = CatalogState { now_ms, clock_offset_ms, ..state };
            now.changed(Change::Restored);
        });
    }

    /// The server stops and starts: requests and transactions under way are lost, committed rows stay.
    pub fn crash(&self) {
        self.door.lock().end_connections();
    }

    /// Sets the database's clock forward or back.
    pub fn jump_clock(&self, milliseconds: i64) {
        self.door.lock().transaction(None, |state| {
            state.clock_offset_ms += milliseconds;
            state.now_ms += milliseconds;
            state.changed(Change::ClockJumped(milliseconds));
        });
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}
