//! The agents that a producer knows, and which of them answer.
//!
//! Owns: finding them in the catalog at the start, at intervals and after failures; the order in which they are tried.
//! Does not own: requests (`request`), attempts (`deliver`).

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use catalog::{AgentRole, MetadataStore, RegisteredAgent};
use common::{AgentGroup, AgentUrl, OwnerId};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Agents;
use super::request::{Client, RequestError};
use crate::error::{ProducerError, Result};

/// A list of this age is not read again for the sake of another failure: many partitions fail at once.
const FRESH: Duration = Duration::from_millis(200);

/// Longest wait for the answer of an agent that is only asked if it answers.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// The ingesters of a group, as a catalog lists them.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) catalog: Arc<dyn MetadataStore>,
    pub(crate) name: AgentGroup,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.name)
    }
}

/// The agents that a producer knows.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Absent if the only agent has a fixed address.
    group: Option<Group>,
    client: Client,
    request_timeout: Duration,
    // A std mutex: held to look or change, never across an await.
    state: Mutex<State>,
    // Held during a look at the catalog, so that one serves all who want it.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    agents: Vec<Known>,
    read_at: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// Tells a process from an earlier one at its address; absent for a fixed address.
    id: Option<OwnerId>,
    url: AgentUrl,
    /// It did not answer last time: the others are tried before it.
    is_suspect: bool,
}

impl Directory {
    /// Finds agents, and waits until one of them answers.
    ///
    /// # Errors
    /// None answers, or the catalog does not.
    pub(super) async fn open(agents: Agents, client: Client, request_timeout: Duration) -> Result<Self> {
        let (group, agents) = match agents {
            Agents::Address(url) => (None, vec![Known { id: None, url, is_suspect: false }]),
            Agents::Group(group) => {
                let agents = listed(&group).await?;
                (Some(group), agents)
            }
        };
        let state = Mutex::new(State { agents, read_at: Instant::now() });
        let this = Self { group, client, request_timeout, state, looking: tokio::sync::Mutex::default() };
        this.first_answer().await?;
        Ok(this)
    }

    /// True if agents come and go.
    pub(super) fn is_group(&self) -> bool {
        self.group.is_some()
    }

    /// Reads the list at intervals, and asks agents that did not answer if they do again.
    pub(super) async fn keep_fresh(self: Arc<Self>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, and the list has just been read.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            self.look().await;
            self.probe_suspects().await;
        }
    }

    /// Reads the list after a failure, unless that was done just now.
    pub(super) async fn refresh(&self) {
        let wanted_at = Instant::now();
        let _one_at_a_time = self.looking.lock().await;
        let read_at = self.state().read_at;
        if self.is_group() && read_at < wanted_at && read_at.elapsed() >= FRESH {
            self.look().await;
        }
    }

    /// The agents in the order in which they are tried for `subject`, a partition or a topic: those that answered last
    /// time, then the others. One subject has the same first agent as long as the same agents answer, and an agent that
    /// comes takes subjects evenly from all others.
    pub(super) fn in_turn(&self, subject: impl Hash) -> Vec<AgentUrl> {
        let mut agents = self.state().agents.clone();
        agents.sort_by_cached_key(|agent| {
            let mut hasher = DefaultHasher::new();
            (&subject, &agent.url).hash(&mut hasher);
            (agent.is_suspect, hasher.finish(), agent.id)
        });
        agents.into_iter().map(|agent| agent.url).collect()
    }

    /// Notes that the agent answered.
    pub(super) fn answered(&self, url: &AgentUrl) {
        self.mark(url, false);
    }

    /// Notes that the agent did not answer, or cannot do its work.
    pub(super) fn failed(&self, url: &AgentUrl) {
        self.mark(url, true);
    }

    /// The error if no agent is known.
    pub(super) fn nobody(&self) -> ProducerError {
        let group = self.group.as_ref().map_or_else(AgentGroup::default, |group| group.name.clone());
        let reason = format!(
            "the catalog lists no living ingester of the group {group} that has an address; `siltstone agents` shows the list"
        );
        ProducerError::NoAgentsAvailable { reason }
    }

    /// The error after all agents of a group were tried, of which `last` is that of the last one.
    pub(super) fn none_available(&self, last: ProducerError) -> ProducerError {
        match (&self.group, last) {
            (Some(group), ProducerError::AgentConnectionFailed { agent, reason }) => {
                let known = self.state().agents.len();
                let reason =
                    format!("none of {known} in the group {} answers; the last is {agent}: {reason}", group.name);
                ProducerError::NoAgentsAvailable { reason }
            }
            (_, last) => last,
        }
    }

    fn mark(&self, url: &AgentUrl, is_suspect: bool) {
        let mut state = self.state();
        for agent in state.agents.iter_mut().filter(|agent| agent.url == *url && agent.is_suspect != is_suspect) {
            agent.is_suspect = is_suspect;
            match is_suspect {
                true => tracing::warn!(agent = %url, "an agent does not answer; others are tried before it"),
                false => tracing::info!(agent = %url, "an agent answers again"),
            }
        }
    }

    /// Reads the list. Without an answer the old one stays.
    async fn look(&self) {
        let Some(group) = &self.group else { return };
        let mut found = match timeout(self.request_timeout, listed(group)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::warn!(%error, "the list of agents could not be read; using the old one"),
            Err(_) => return tracing::warn!("the catalog did not list the agents in time; using the old list"),
        };
        let mut state = self.state();
        for agent in &mut found {
            agent.is_suspect =
                state.agents.iter().any(|old| old.id == agent.id && old.url == agent.url && old.is_suspect);
        }
        *state = State { agents: found, read_at: Instant::now() };
    }

    async fn probe_suspects(&self) {
        let suspects: Vec<Known> = self.state().agents.iter().filter(|agent| agent.is_suspect).cloned().collect();
        let limit = self.request_timeout.min(PROBE_MAX);
        let probes = suspects.iter().map(|agent| async move {
            if self.client.probe(&agent.url, limit).await.is_ok() {
                self.answered(&agent.url);
            }
        });
        join_all(probes).await;
    }

    /// Asks all agents at once, and waits for the first that answers.
    async fn first_answer(&self) -> Result<()> {
        let urls = self.in_turn("");
        let probe = |url| async move { (url, self.client.probe(url, self.request_timeout).await) };
        let mut probes: FuturesUnordered<_> = urls.iter().map(probe).collect();
        let mut last = self.nobody();
        while let Some((url, probed)) = probes.next().await {
            match probed {
                Ok(()) => return Ok(()),
                Err(RequestError { error, .. }) => {
                    self.failed(url);
                    last = error;
                }
            }
        }
        Err(self.none_available(last))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// The ingesters of the group that are alive and have an address.
async fn listed(group: &Group) -> Result<Vec<Known>> {
    // Ingesters have leases of their own, and writers are not wanted.
    let agents = group.catalog.list_registered(Duration::ZERO).await?;
    Ok(agents.into_iter().filter_map(|agent| known(&group.name, agent)).collect())
}

fn known(group: &AgentGroup, agent: RegisteredAgent) -> Option<Known> {
    if agent.role != AgentRole::Ingester || agent.contact.group != *group {
        return None;
    }
    match AgentUrl::new(&agent.contact.address?) {
        Ok(url) => Some(Known { id: Some(agent.id), url, is_suspect: false }),
        Err(error) => {
            tracing::warn!(agent = agent.name, %error, "an agent has an address that cannot be used");
            None
        }
    }
}
