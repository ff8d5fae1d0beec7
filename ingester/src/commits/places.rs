//! Places: the partitions that somebody waits for, and what the last look found in each.
//!
//! Owns: who waits for which offset, the turn to look, and the answer that a view gives to one who waits.
//! Does not own: the look (`look`), its moment (`pace`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use catalog::{Partition, PartitionState};
use common::queue::Announcement;
use common::{TopicPartition, mutation};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::error::WaitError;
use super::found::{Answers, Found, Shown, Trouble};
use super::pace::Pace;
use super::{Before, Fate};

/// Every partition that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Places {
    // A std mutex: held to find, add or remove, never across an await.
    places: Mutex<HashMap<TopicPartition, Arc<Place>>>,
}

/// A partition that somebody waits for.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) partition: TopicPartition,
    /// One of those who wait looks on behalf of all.
    pub(super) turn: tokio::sync::Mutex<Pace>,
    /// Somebody new waits.
    pub(super) arrived: Notify,
    /// A writer says that something is committed that somebody waits for.
    pub(super) announced: Notify,
    /// Wakes those who wait, in the order in which they came.
    changed: Notify,
    // Std mutexes: held to read, change or count, never across an await.
    view: Mutex<View>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// How many wait for each offset.
    offsets: BTreeMap<u64, usize>,
    arrivals: u64,
    looks: u64,
}

/// A look that began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    number: u64,
    arrivals: u64,
}

/// The results of the looks at a partition.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Number of the last look that was answered, and the arrivals before it.
    look: u64,
    arrivals: u64,
    found: Option<Found>,
    /// The answers in the incarnation of `found`.
    answers: Answers,
    /// The history of the queue that was compared with the committed one for the newest answers.
    history: Option<String>,
    /// The obstacle that the last look met.
    trouble: Option<Trouble>,
}

/// One who waits. Dropping it ends the wait.
#[derive(Debug)]
pub(super) struct Visitor<'a> {
    places: &'a Places,
    pub(super) place: Arc<Place>,
    offset: u64,
    /// Looks that began before: what they found may be older than the record.
    looks_before: u64,
}

impl Places {
    /// Notes that somebody waits for the offset.
    pub(super) fn visit(&self, partition: &TopicPartition, offset: u64, pace: impl FnOnce() -> Pace) -> Visitor<'_> {
        let mut places = lock(&self.places);
        let place = places.entry(partition.clone()).or_insert_with(|| Arc::new(Place::new(partition, pace())));
        let place = Arc::clone(place);
        let mut waiting = lock(&place.waiting);
        *waiting.offsets.entry(offset).or_default() += 1;
        waiting.arrivals += 1;
        let looks_before = waiting.looks;
        drop(waiting);
        place.arrived.notify_one();
        Visitor { places: self, place, offset, looks_before }
    }
}

impl Places {
    /// Wakes the look at the partition if somebody waits for an offset below the announced watermark.
    pub(super) fn announced(&self, announcement: &Announcement) {
        let places = lock(&self.places);
        let Some(place) = places.get(&announcement.partition) else { return };
        let first = lock(&place.waiting).offsets.keys().next().copied();
        if first.is_some_and(|offset| offset < announcement.high_watermark) {
            place.announced.notify_one();
        }
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let mut places = lock(&self.places.places);
        let mut waiting = lock(&self.place.waiting);
        if let Some(count) = waiting.offsets.get_mut(&self.offset) {
            *count -= 1;
            if *count == 0 {
                waiting.offsets.remove(&self.offset);
            }
        }
        if waiting.offsets.is_empty() {
            places.remove(&self.place.partition);
        }
    }
}

impl Visitor<'_> {
    /// Ends when the view changes after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.place.changed.notified()
    }

    /// The answer in the view, if there is one. A view of an earlier look has none.
    pub(super) fn answer(&self, before: &Before) -> Option<Result<Fate, WaitError>> {
        let view = lock(&self.place.view);
        if view.look <= self.looks_before {
            return None;
        }
        let (partition, offset) = (self.place.partition.clone(), self.offset);
        let row = match view.found.as_ref()? {
            Found::Gone => return Some(Err(WaitError::TopicGone { partition })),
            Found::Failed(error) => return Some(Err(error.clone().into())),
            Found::Row(row) => row,
        };
        if row.created_at > before.created_at {
            return Some(Err(WaitError::TopicGone { partition }));
        }
        if row.incarnation > before.incarnation {
            let reason = format!(
                "the partition was resumed in incarnation {} after the record was published in incarnation {}",
                row.incarnation, before.incarnation
            );
            return Some(Err(WaitError::OtherHistory { partition, offset, reason }));
        }
        if (row.created_at, row.incarnation) != (before.created_at, before.incarnation) {
            // A replica that lags behind the one that answered before.
            return None;
        }
        let answer = view.answers.get(&offset).cloned();
        if let (Some(Ok(_)), Some(then), Some(now)) = (&answer, &before.history, &view.history)
            && then != now
        {
            let reason = format!("the queue was \"{then}\" before the record was published, and is \"{now}\" now");
            return Some(Err(WaitError::OtherHistory { partition, offset, reason }));
        }
        let reason = row.halt_reason.clone().unwrap_or_default();
        let is_halted = row.state == PartitionState::Halted && offset >= row.high_watermark;
        answer.or_else(|| is_halted.then_some(Err(WaitError::Halted { partition, offset, reason })))
    }

    /// The error after the time allowed has passed.
    pub(super) fn not_in_time(&self, limit: Duration) -> WaitError {
        let view = lock(&self.place.view);
        let (partition, offset) = (self.place.partition.clone(), self.offset);
        let row = match &view.found {
            Some(Found::Row(row)) => Some(row),
            _ => None,
        };
        let reason = match (&view.trouble, row) {
            (Some(Trouble::Quarantine(reason)), Some(row)) if offset < row.high_watermark => {
                return WaitError::QuarantineUnread { partition, offset, reason: reason.clone() };
            }
            (Some(Trouble::Unavailable(reason) | Trouble::Quarantine(reason)), _) => reason.clone(),
            (None, Some(row)) if row.owner.is_none() => "no writer owns the partition".to_owned(),
            (None, Some(row)) => format!("everything below offset {} is committed so far", row.high_watermark),
            (None, None) => "the catalog has not answered yet".to_owned(),
        };
        WaitError::NotInTime { partition, offset, limit, reason }
    }
}

impl Place {
    fn new(partition: &TopicPartition, pace: Pace) -> Self {
        Self {
            partition: partition.clone(),
            turn: tokio::sync::Mutex::new(pace),
            arrived: Notify::new(),
            announced: Notify::new(),
            changed: Notify::new(),
            view: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn begin_look(&self) -> Look {
        let mut waiting = lock(&self.waiting);
        waiting.looks += 1;
        Look { number: waiting.looks, arrivals: waiting.arrivals }
    }

    /// The offsets that somebody waits for, that are committed according to the row, and that have no answer yet.
    pub(super) fn due(&self, row: &Partition) -> BTreeSet<u64> {
        let view = lock(&self.view);
        let is_known = |offset: &u64| view.is_of(row) && view.answers.contains_key(offset);
        let waiting = lock(&self.waiting);
        let committed = waiting.offsets.keys().copied().take_while(|offset| is_below(*offset, row.high_watermark));
        committed.filter(|offset| !is_known(offset)).collect()
    }

    /// Publishes what a look found; wakes those who wait if it may concern them.
    pub(super) fn show(&self, look: Look, shown: Shown) {
        let Shown { found, answers, history, trouble } = shown;
        let mut view = lock(&self.view);
        let is_new = !answers.is_empty() || view.arrivals != look.arrivals || view.differs_from(&found);
        match &found {
            Found::Row(row) if view.is_of(row) => {
                let waiting = lock(&self.waiting);
                view.answers.retain(|offset, _| waiting.offsets.contains_key(offset));
            }
            _ => view.answers.clear(),
        }
        view.answers.extend(answers);
        view.history = history.or(view.history.take());
        (view.look, view.arrivals, view.found, view.trouble) = (look.number, look.arrivals, Some(found), trouble);
        drop(view);
        if is_new {
            self.changed.notify_waiters();
        }
    }

    /// Notes that a look found nothing; what was found before stays.
    pub(super) fn show_trouble(&self, trouble: Trouble) {
        lock(&self.view).trouble = Some(trouble);
    }
}

impl View {
    fn is_of(&self, row: &Partition) -> bool {
        let Some(Found::Row(known)) = &self.found else { return false };
        (known.created_at, known.incarnation) == (row.created_at, row.incarnation)
    }

    /// True if `found` may be an answer that this view is not.
    fn differs_from(&self, found: &Found) -> bool {
        match (&self.found, found) {
            (Some(Found::Row(known)), Found::Row(row)) => !self.is_of(row) || known.state != row.state,
            _ => true,
        }
    }
}

/// A watermark is exclusive.
pub(super) fn is_below(offset: u64, high_watermark: u64) -> bool {
    offset < high_watermark || (offset == high_watermark && mutation::is_off("commits.below"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
