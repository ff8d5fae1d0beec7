//! A watched value whose watchers are woken in the order in which they came.
//!
//! Owns: the part of tokio's `watch` that the simulation needs. Tokio wakes watchers in a random order, which would
//! make two runs of one seed differ.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changes: Notify,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    version: u64,
    is_closed: bool,
}

/// Changes the value. Dropping it ends the watching.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the value.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

/// The sender is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A value and one watcher.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no holder panics")
    }
}

impl<T> Sender<T> {
    /// A value without watchers.
    pub fn new(value: T) -> Self {
        let state = Mutex::new(State { value, version: 0, is_closed: false });
        Self { shared: Arc::new(Shared { state, changes: Notify::new() }) }
    }

    /// A watcher that has seen the value as it is.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.lock().version;
        Receiver { shared: Arc::clone(&self.shared), seen }
    }

    /// Changes the value; watchers wake if `change` returns true.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) {
        let mut state = self.shared.lock();
        if change(&mut state.value) {
            state.version += 1;
            drop(state);
            self.shared.changes.notify_waiters();
        }
    }

    /// Changes the value.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Puts another value in its place.
    pub fn send_replace(&self, value: T) {
        self.send_modify(|held| *held = value);
    }
}

impl<T: Clone> Sender<T> {
    /// The value now.
    pub fn get(&self) -> T {
        self.shared.lock().value.clone()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changes.notify_waiters();
    }
}

impl<T: Clone> Receiver<T> {
    /// The value now.
    pub fn get(&self) -> T {
        self.shared.lock().value.clone()
    }
}

impl<T> Receiver<T> {
    /// Counts the present value as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.lock().version;
    }

    /// True when the value is unseen.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        let state = self.shared.lock();
        if state.is_closed { Err(Closed) } else { Ok(state.version != self.seen) }
    }

    /// Waits for an unseen value, and counts it as seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let shared = Arc::clone(&self.shared);
        loop {
            let changes = shared.changes.notified();
            tokio::pin!(changes);
            // Waiting begins before the check, so that no change falls between the two.
            changes.as_mut().enable();
            {
                let state = shared.lock();
                if state.version != self.seen {
                    self.seen = state.version;
                    return Ok(());
                }
                if state.is_closed {
                    return Err(Closed);
                }
            }
            changes.await;
        }
    }

    /// Waits until the value fulfils the condition, or the sender is gone.
    pub async fn wait_for(&mut self, holds: impl Fn(&T) -> bool) {
        loop {
            if holds(&self.shared.lock().value) {
                return;
            }
            if self.changed().await.is_err() {
                return;
            }
        }
    }
}
