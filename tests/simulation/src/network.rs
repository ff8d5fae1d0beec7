//! Processes and the links between them.
//!
//! Owns: the fate of a request: late, lost on the way out, carried out with its answer lost; processes that are paused
//! or dead. A sent request is carried out regardless of its sender.
//! Does not own: the effect of a request.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::chance::Chance;
use crate::watch;

/// Time that a client waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// State of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It works.
    Running,
    /// Stopped by a signal: no request and no answer passes until it is resumed.
    Paused,
    /// Ended permanently.
    Dead,
}

/// A process, seen from its links.
#[derive(Clone, Debug)]
pub struct Process {
    life: Arc<watch::Sender<Life>>,
}

impl Default for Process {
    fn default() -> Self {
        Self { life: Arc::new(watch::Sender::new(Life::Running)) }
    }
}

impl Process {
    /// Lets it run, pause or die. Death is final.
    pub fn set(&self, life: Life) {
        self.life.send_if_modified(|now| {
            let changes = *now != Life::Dead && *now != life;
            if changes {
                *now = life;
            }
            changes
        });
    }

    /// Its state.
    pub fn life(&self) -> Life {
        self.life.get()
    }

    /// Waits until it runs. Never returns in a dead process.
    pub async fn pass(&self) {
        let mut life = self.life.subscribe();
        // The sender lives as long as `self`.
        life.wait_for(|life| *life == Life::Running).await;
    }
}

/// Faults of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFaults {
    /// No request and no answer passes.
    pub is_cut: bool,
    /// Requests that get lost, of 1000.
    pub request_lost: u32,
    /// Answers that get lost, of 1000.
    pub reply_lost: u32,
    /// Requests that arrive long after the client gave up, of 1000.
    pub late: u32,
    /// Delay of late requests, in milliseconds.
    pub late_ms: Range<u64>,
    /// Time each way, in milliseconds.
    pub delay_ms: Range<u64>,
}

impl Default for LinkFaults {
    fn default() -> Self {
        Self { is_cut: false, request_lost: 0, reply_lost: 0, late: 0, late_ms: 0..0, delay_ms: 0..3 }
    }
}

/// A request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It certainly never left.
    NotSent,
    /// It may have been carried out, or be carried out later.
    Unknown,
}

/// The way from one process to one service.
#[derive(Clone, Debug)]
pub struct Link {
    process: Process,
    chance: Chance,
    // Read at each step of a request, written by the world.
    faults: Arc<Mutex<LinkFaults>>,
}

impl Link {
    /// A link without faults.
    pub fn new(process: Process, chance: Chance) -> Self {
        Self { process, chance, faults: Arc::default() }
    }

    /// The process it belongs to.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its present faults.
    pub fn faults(&self) -> LinkFaults {
        self.faults.lock().expect("no holder panics").clone()
    }

    /// Changes its faults.
    pub fn set(&self, change: impl FnOnce(&mut LinkFaults)) {
        change(&mut self.faults.lock().expect("no holder panics"));
    }

    /// Sends a request and waits for its answer. Dropping the future does not take a sent request back.
    ///
    /// # Errors
    /// [`Lost::NotSent`] when it certainly never left, else [`Lost::Unknown`].
    pub async fn call<T: Send + 'static>(&self, apply: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
        self.process.pass().await;
        let faults = self.faults();
        if faults.is_cut {
            tokio::time::sleep(Duration::from_millis(self.chance.between(1..200))).await;
            self.process.pass().await;
            return Err(Lost::NotSent);
        }
        let (answer, answered) = oneshot::channel();
        if !self.chance.happens(faults.request_lost) {
            let link = self.clone();
            tokio::spawn(async move { link.deliver(&faults, apply, answer).await });
        } else {
            drop(answer);
        }
        let reply = tokio::time::timeout(ANSWER_TIMEOUT, answered).await;
        let reply = match reply {
            Ok(Ok(reply)) => Ok(reply),
            // A lost answer shows by the time-out, or sooner by a connection that breaks.
            Ok(Err(_)) => {
                tokio::time::sleep(Duration::from_millis(self.chance.between(1..1500))).await;
                Err(Lost::Unknown)
            }
            Err(_) => Err(Lost::Unknown),
        };
        self.process.pass().await;
        reply
    }

    /// Takes the time of one way.
    pub async fn transit(&self) {
        pause(self.chance.between(self.faults().delay_ms)).await;
    }

    /// Sends a request without waiting for an answer.
    pub fn post(&self, apply: impl FnOnce() + Send + 'static) {
        let faults = self.faults();
        if self.process.life() == Life::Dead || faults.is_cut || self.chance.happens(faults.request_lost) {
            return;
        }
        let link = self.clone();
        let (answer, _) = oneshot::channel();
        tokio::spawn(async move { link.deliver(&faults, apply, answer).await });
    }

    async fn deliver<T>(self, faults: &LinkFaults, apply: impl FnOnce() -> T, answer: oneshot::Sender<T>) {
        let mut delay_ms = self.chance.between(faults.delay_ms.clone());
        if self.chance.happens(faults.late) {
            delay_ms += self.chance.between(faults.late_ms.clone());
        }
        pause(delay_ms).await;
        let result = apply();
        let faults = self.faults();
        if faults.is_cut || self.chance.happens(faults.reply_lost) {
            return;
        }
        pause(self.chance.between(faults.delay_ms)).await;
        // The client may have given up or died.
        let _nobody_waits = answer.send(result);
    }
}

async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}
