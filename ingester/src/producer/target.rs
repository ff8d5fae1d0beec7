//! The target of a producer: a queue, NATS by its URL, the agents that a catalog lists, or one address.
//!
//! Owns: which options go together, and opening what they name. Does not own: the meaning of each option (`builder`),
//! sending over HTTP (`remote`).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::MetadataStore;
use common::agent_group::AGENT_GROUP_ALLOWED;
use common::agent_url::AGENT_URL_ALLOWED;
use common::secret::{Secret, SecretUrl, masked_url};
use common::{AgentGroup, AgentUrl, ErrorKind, Queue, QueueError};
use nats::{NatsConfig, NatsQueue};

use super::delivery::Route;
use super::options::{ConfigError, Options, time_within};
use crate::acks::Acks;
use crate::commits::Commits;
use crate::error::{ProducerError, Result};
use crate::remote::{Agents, Group, Remote, RemoteOptions};
use crate::topics::TopicSource;

const REFRESH_DEFAULT: Duration = Duration::from_secs(30);
const REFRESH_MIN: Duration = Duration::from_millis(100);
const REFRESH_MAX: Duration = Duration::from_secs(86_400);

/// The options that name the target; each is documented at the builder's method of its name.
#[derive(Clone, Default)]
pub(super) struct Target {
    pub(super) queue: Option<Arc<dyn Queue>>,
    pub(super) nats: Option<SecretUrl>,
    pub(super) catalog: Option<Arc<dyn MetadataStore>>,
    pub(super) address: Option<String>,
    pub(super) token: Option<Secret>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) agent_group: Option<String>,
    pub(super) agent_refresh_interval: Option<Duration>,
    pub(super) commits: Option<Arc<Commits>>,
}

/// The parts of a producer that follow from the target.
pub(super) struct Opened {
    pub(super) route: Route,
    pub(super) topics: TopicSource,
    /// Present if the producer itself waits for commits; agents wait on its behalf.
    pub(super) commits: Option<Arc<Commits>>,
}

/// A choice of options that go together.
enum Way {
    Queue(Arc<dyn Queue>, Arc<dyn MetadataStore>),
    Nats(SecretUrl, Arc<dyn MetadataStore>),
    Agents(Agents),
}

impl Target {
    /// Connects what the options name, and makes sure that it answers.
    ///
    /// # Errors
    /// `Config` if options are missing, contradict each other or are not allowed; else that nobody answers.
    pub(super) async fn open(self, options: &Options) -> Result<Opened> {
        let refresh = self.agent_refresh_interval.unwrap_or(REFRESH_DEFAULT);
        time_within("agent_refresh_interval", refresh, REFRESH_MIN..=REFRESH_MAX)?;
        let way = self.way()?;
        let (queue, catalog) = match way {
            Way::Queue(queue, catalog) => (queue, catalog),
            Way::Nats(url, catalog) => (connect_nats(url, self.ca_file).await?, catalog),
            Way::Agents(agents) => return self.open_agents(agents, refresh, options).await,
        };
        check(queue.as_ref(), options.request_timeout).await?;
        let commits = (options.acks == Acks::Committed).then(|| {
            let made = || Arc::new(Commits::new(Arc::clone(&catalog)).with_queue(Arc::clone(&queue)));
            self.commits.unwrap_or_else(made)
        });
        Ok(Opened { topics: TopicSource::Queue(catalog, Arc::clone(&queue)), route: Route::Queue(queue), commits })
    }

    async fn open_agents(self, agents: Agents, refresh: Duration, options: &Options) -> Result<Opened> {
        let catalog = match &agents {
            Agents::Address(_) => None,
            Agents::Group(group) => Some(Arc::clone(&group.catalog)),
        };
        let remote = RemoteOptions {
            token: self.token,
            ca_file: self.ca_file,
            acks: options.acks,
            request_timeout: options.request_timeout,
            commit_timeout: options.commit_timeout,
            max_attempts: options.max_attempts,
            retry_backoff: options.retry_backoff,
            agent_refresh_interval: refresh,
        };
        let remote = Arc::new(Remote::connect(agents, remote).await?);
        let topics = catalog.map_or_else(|| TopicSource::Agent(Arc::clone(&remote)), TopicSource::Catalog);
        Ok(Opened { route: Route::Agents(remote), topics, commits: None })
    }

    fn way(&self) -> Result<Way, ConfigError> {
        let targets =
            [("queue", self.queue.is_some()), ("nats", self.nats.is_some()), ("address", self.address.is_some())];
        let mut given = targets.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name);
        let target = given.next();
        if let (Some(first), Some(second)) = (target, given.next()) {
            let allowed = format!("one of queue, nats and address, and {first} is given too");
            return Err(refused(second, self.shown(second), allowed));
        }
        self.refuse_what_has_no_effect(target)?;
        let catalog = || {
            let allowed = "a connected catalog, which is required, unless an address is given";
            self.catalog.clone().ok_or_else(|| refused("catalog", "none".to_owned(), allowed.to_owned()))
        };
        if let Some(queue) = &self.queue {
            return Ok(Way::Queue(Arc::clone(queue), catalog()?));
        }
        if let Some(url) = &self.nats {
            return Ok(Way::Nats(checked_nats(url)?, catalog()?));
        }
        if let Some(address) = &self.address {
            let url = AgentUrl::new(address).map_err(|error| {
                refused("address", masked_url(address), format!("{AGENT_URL_ALLOWED}; {}", error.reason))
            })?;
            if self.ca_file.is_some() && !url.is_https() {
                let allowed = "none together with an address that begins with http://".to_owned();
                return Err(refused("ca_file", self.shown("ca_file"), allowed));
            }
            return Ok(Way::Agents(Agents::Address(url)));
        }
        let name = match &self.agent_group {
            None => AgentGroup::default(),
            Some(name) => AgentGroup::new(name)
                .map_err(|_| refused("agent_group", format!("{name:?}"), AGENT_GROUP_ALLOWED.to_owned()))?,
        };
        Ok(Way::Agents(Agents::Group(Group { catalog: catalog()?, name })))
    }

    /// Refuses options that the target does not use.
    fn refuse_what_has_no_effect(&self, target: Option<&str>) -> Result<(), ConfigError> {
        let options: [(&'static str, bool, &[Option<&str>]); 6] = [
            ("catalog", self.catalog.is_some(), &[Some("address")]),
            ("token", self.token.is_some(), &[Some("queue"), Some("nats")]),
            ("ca_file", self.ca_file.is_some(), &[Some("queue")]),
            ("agent_group", self.agent_group.is_some(), &[Some("queue"), Some("nats"), Some("address")]),
            (
                "agent_refresh_interval",
                self.agent_refresh_interval.is_some(),
                &[Some("queue"), Some("nats"), Some("address")],
            ),
            ("commits", self.commits.is_some(), &[Some("address"), None]),
        ];
        for (option, is_given, without_effect) in options {
            if is_given && without_effect.contains(&target) {
                let allowed = match target {
                    Some(target) => format!("none together with {target}, where it has no effect"),
                    None => "none without a queue: agents wait for commits themselves".to_owned(),
                };
                return Err(refused(option, self.shown(option), allowed));
            }
        }
        Ok(())
    }

    /// The value of an option in an error.
    fn shown(&self, option: &str) -> String {
        let text = match option {
            "nats" => self.nats.as_ref().map(ToString::to_string),
            "address" => self.address.as_deref().map(masked_url),
            "token" => self.token.as_ref().map(ToString::to_string),
            "ca_file" => self.ca_file.as_ref().map(|path| path.display().to_string()),
            "agent_group" => self.agent_group.clone(),
            "agent_refresh_interval" => self.agent_refresh_interval.map(|time| format!("{time:?}")),
            _ => None,
        };
        text.unwrap_or_else(|| "given".to_owned())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("nats", &self.nats).field("token", &self.token).finish_non_exhaustive()
    }
}

fn refused(option: &'static str, value: String, allowed: String) -> ConfigError {
    ConfigError { option, value, allowed }
}

/// A URL of another kind would be taken for a host name.
fn checked_nats(url: &SecretUrl) -> Result<SecretUrl, ConfigError> {
    let is_nats = |part: &str| ["nats://", "tls://"].iter().any(|scheme| part.trim().starts_with(scheme));
    if url.expose().split(',').all(is_nats) {
        return Ok(url.clone());
    }
    let allowed = "nats://host:4222 or tls://host:4222, or several separated by commas";
    Err(refused("nats", url.to_string(), allowed.to_owned()))
}

async fn connect_nats(url: SecretUrl, ca_file: Option<PathBuf>) -> Result<Arc<dyn Queue>> {
    let connected = NatsQueue::connect(NatsConfig { url, ca_file, ..NatsConfig::default() }).await;
    connected.map(|queue| Arc::new(queue) as Arc<dyn Queue>).map_err(|error| match error.kind() {
        ErrorKind::Unavailable => ProducerError::NoAgentsAvailable { reason: error.to_string() },
        _ => error.into(),
    })
}

async fn check(queue: &dyn Queue, limit: Duration) -> Result<()> {
    let answered = tokio::time::timeout(limit, queue.check())
        .await
        .unwrap_or_else(|_| Err(QueueError::unavailable(format!("it did not answer within {} ms", limit.as_millis()))));
    answered.map_err(|error| {
        let reason = format!("the queue does not answer: {error}");
        ProducerError::NoAgentsAvailable { reason }
    })
}
