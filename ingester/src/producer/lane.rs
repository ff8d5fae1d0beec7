//! A lane: the batches of one partition that wait to be sent, in order.
//!
//! Owns: the order, and the decision when a batch is due. Does not own: sending (`lanes`), memory (the caller takes it
//! first), outcomes (`batch`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use common::memory::MemoryPermit;
use common::{OutgoingMessage, TopicPartition};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::{Batch, Origin, SendHandle};
use super::ledger::Ledger;

/// The batches of one partition.
#[derive(Debug)]
pub(crate) struct Lane {
    partition: TopicPartition,
    batch_size: usize,
    batch_timeout: Duration,
    ledger: Arc<Ledger>,
    // Callers add to the last batch, the lane's task takes the first one; never locked across an await.
    state: Mutex<State>,
    /// Notified when the first batch became due before its time.
    pub(crate) hurried: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Only the last one takes messages.
    batches: VecDeque<Batch>,
    /// The first batch does not wait for more messages.
    is_hurried: bool,
    is_running: bool,
}

/// The next step of a lane's task.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this batch.
    Send(Box<Batch>),
    /// Wait for more messages until this time.
    Wait(Instant),
    /// End: the lane is empty, and the next message starts another task.
    End,
}

impl Lane {
    pub(crate) fn new(
        partition: TopicPartition,
        batch_size: usize,
        batch_timeout: Duration,
        ledger: Arc<Ledger>,
    ) -> Self {
        let (state, hurried) = Default::default();
        Self { partition, batch_size, batch_timeout, ledger, state, hurried }
    }

    /// Adds messages, whose bytes are in `memory`, at the end. True if the lane has no task: the caller starts one.
    pub(crate) fn push(
        &self,
        messages: impl ExactSizeIterator<Item = (OutgoingMessage, Origin)>,
        memory: MemoryPermit,
        is_hurried: bool,
        handles: &mut Vec<SendHandle>,
    ) -> bool {
        self.ledger.add(messages.len());
        let mut state = self.lock();
        let was_ready = match state.batches.back_mut() {
            Some(last) if !last.is_full() => {
                last.take_memory(memory);
                last.messages.len() >= self.batch_size
            }
            _ => {
                let due = Instant::now() + self.batch_timeout;
                state.batches.push_back(Batch::new(&self.partition, due, memory, &self.ledger));
                false
            }
        };
        let batch = state.batches.back_mut().expect("it was just found or added");
        handles.extend(messages.map(|(message, origin)| batch.push(message, origin)));
        let became_ready = !was_ready && self.is_ready(batch);
        if became_ready || is_hurried && !state.is_hurried {
            state.is_hurried |= is_hurried;
            self.hurried.notify_one();
        }
        !std::mem::replace(&mut state.is_running, true)
    }

    /// Lets what is buffered be sent without waiting for more.
    pub(crate) fn hurry(&self) {
        let mut state = self.lock();
        if !state.batches.is_empty() {
            state.is_hurried = true;
            self.hurried.notify_one();
        }
    }

    /// Takes back what is not on its way.
    pub(crate) fn take_back(&self) -> VecDeque<Batch> {
        let mut state = self.lock();
        state.is_hurried = false;
        // The lane's task may wait for a batch that is taken.
        self.hurried.notify_one();
        std::mem::take(&mut state.batches)
    }

    /// Decides the next step. Only the lane's task calls it, and it sends a batch before it asks again.
    pub(crate) fn step(&self) -> Step {
        let mut state = self.lock();
        let Some(first) = state.batches.front() else {
            state.is_running = false;
            return Step::End;
        };
        if !state.is_hurried && !self.is_ready(first) && Instant::now() < first.due {
            return Step::Wait(first.due);
        }
        let batch = state.batches.pop_front().expect("it was just seen");
        state.is_hurried &= !state.batches.is_empty();
        Step::Send(Box::new(batch))
    }

    /// Takes what the lane's task has left when it ended early; the next message starts another task.
    pub(crate) fn abandon(&self) -> VecDeque<Batch> {
        let mut state = self.lock();
        state.is_running = false;
        state.is_hurried = false;
        std::mem::take(&mut state.batches)
    }

    /// True if the batch needs no more messages.
    fn is_ready(&self, batch: &Batch) -> bool {
        batch.messages.len() >= self.batch_size || batch.is_full()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}
