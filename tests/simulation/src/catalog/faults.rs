//! Faults of a call between a writer and the catalog.
//!
//! Owns: the dice, the links, the paused writers. Does not own: the effect of each fate on a call (`session`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

/// The fate of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is applied and answered.
    Delivered,
    /// It is lost before it is complete: certainly not applied, and a commit reports that.
    RequestLost,
    /// Its last statement, COMMIT, is lost: not applied, but the caller cannot know.
    CommitLost,
    /// It is applied, the answer is lost.
    ReplyLost,
    /// The caller gives up while the request is under way; it arrives later, and is applied then. A later call over a
    /// fresh connection may overtake it.
    ArrivesLate,
    /// The caller gives up while the server works; the rows stay locked until the transaction ends and is applied.
    EndsLate,
}

/// The link of a writer to the catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Requests and answers pass.
    #[default]
    Up,
    /// Requests arrive and are applied, no answer comes back.
    RepliesLost,
    /// Neither requests nor answers pass.
    Down,
}

/// The frequency of each fate, in calls of a thousand, and durations, in milliseconds from least to most. The default
/// is a network without faults and delays.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// See [`Fate::RequestLost`].
    pub request_lost: u32,
    /// See [`Fate::CommitLost`].
    pub commit_lost: u32,
    /// See [`Fate::ReplyLost`].
    pub reply_lost: u32,
    /// See [`Fate::ArrivesLate`].
    pub arrives_late: u32,
    /// See [`Fate::EndsLate`].
    pub ends_late: u32,
    /// One way through the network.
    pub network_ms: (u64, u64),
    /// From the first to the last statement of a commit.
    pub commit_ms: (u64, u64),
    /// Delay of late calls.
    pub late_ms: (u64, u64),
}

/// One call's fate and times.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) fate: Fate,
    pub(crate) request: Duration,
    pub(crate) execution: Duration,
    pub(crate) reply: Duration,
    /// Patience of the caller; unlimited when `None`.
    pub(crate) patience: Option<Duration>,
}

/// The network of all sessions. Clones share it, and its one seeded source of chance.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

struct Shared {
    dice: Mutex<Dice>,
    resumed: Notify,
}

struct Dice {
    random: fastrand::Rng,
    rates: Rates,
    forced: BTreeMap<&'static str, VecDeque<Fate>>,
    links: BTreeMap<u32, Link>,
    other_links: Link,
    paused: BTreeSet<u32>,
}

impl Faults {
    /// A network whose faults follow from `seed` and the order of the calls.
    pub fn new(seed: u64, rates: Rates) -> Self {
        let dice = Dice {
            random: fastrand::Rng::with_seed(seed),
            rates,
            forced: BTreeMap::new(),
            links: BTreeMap::new(),
            other_links: Link::Up,
            paused: BTreeSet::new(),
        };
        Self { shared: Arc::new(Shared { dice: Mutex::new(dice), resumed: Notify::new() }) }
    }

    /// A network without faults, until some are asked for.
    pub fn none() -> Self {
        Self::new(0, Rates::default())
    }

    /// Other rates from now on.
    pub fn set_rates(&self, rates: Rates) {
        self.dice().rates = rates;
    }

    /// Sets the fate of the next call of this name, of any session; several are used up in order.
    pub fn force(&self, call: &'static str, fate: Fate) {
        self.dice().forced.entry(call).or_default().push_back(fate);
    }

    /// Sets the link of one writer. It applies to requests under way when they arrive.
    pub fn set_link(&self, writer: u32, link: Link) {
        self.dice().links.insert(writer, link);
    }

    /// Sets the links of all writers. All links down is a catalog that is down; `ModelCatalog::crash` also loses the
    /// requests under way.
    pub fn set_links(&self, link: Link) {
        let mut dice = self.dice();
        dice.links.clear();
        dice.other_links = link;
    }

    /// Pauses the writer's calls: none is sent, none returns. Sent requests are applied.
    pub fn pause(&self, writer: u32) {
        self.dice().paused.insert(writer);
    }

    /// Resumes the writer's calls.
    pub fn resume(&self, writer: u32) {
        self.dice().paused.remove(&writer);
        self.shared.resumed.notify_waiters();
    }

    pub(crate) fn link(&self, writer: u32) -> Link {
        let dice = self.dice();
        dice.links.get(&writer).copied().unwrap_or(dice.other_links)
    }

    pub(crate) async fn wait_while_paused(&self, writer: u32) {
        loop {
            let resumed = self.shared.resumed.notified();
            // `notify_waiters` reaches futures that exist already, polled or not.
            if !self.dice().paused.contains(&writer) {
                return;
            }
            resumed.await;
        }
    }

    pub(crate) fn plan(&self, call: &'static str) -> Plan {
        self.dice().plan(call)
    }

    fn dice(&self) -> MutexGuard<'_, Dice> {
        self.shared.dice.lock().expect("no holder panics")
    }
}

impl Dice {
    /// Every call throws the same dice in the same order, regardless of its fate: a forced fate does not change others.
    fn plan(&mut self, call: &'static str) -> Plan {
        let thrown = self.throw_fate();
        let (network, late) = (self.rates.network_ms, self.rates.late_ms);
        let (request, reply, late) = (self.throw(network), self.throw(network), self.throw(late));
        let execution = self.throw(self.rates.commit_ms);
        let forced = self.forced.get_mut(call).and_then(VecDeque::pop_front);
        let fate = forced.unwrap_or(thrown);
        let execution = if call == "commit" { execution } else { Duration::ZERO };
        let plan = Plan { fate, request, execution, reply, patience: None };
        let patience = Some(request + reply);
        match fate {
            Fate::ArrivesLate => Plan { request: request + late, patience, ..plan },
            Fate::EndsLate => Plan { execution: execution + late, patience, ..plan },
            _ => plan,
        }
    }

    fn throw_fate(&mut self) -> Fate {
        let mut left = self.random.u32(0..1000);
        let rates = [
            (self.rates.request_lost, Fate::RequestLost),
            (self.rates.commit_lost, Fate::CommitLost),
            (self.rates.reply_lost, Fate::ReplyLost),
            (self.rates.arrives_late, Fate::ArrivesLate),
            (self.rates.ends_late, Fate::EndsLate),
        ];
        for (rate, fate) in rates {
            if left < rate {
                return fate;
            }
            left -= rate;
        }
        Fate::Delivered
    }

    fn throw(&mut self, (least, most): (u64, u64)) -> Duration {
        Duration::from_millis(self.random.u64(least..=most))
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}
