//! Sending over HTTP: to the agents of a group, or to one address.
//!
//! `directory` knows the agents and which of them answer, `request` is one request to one of them, `reply` its answer,
//! `authority` the certificates that are trusted, `deliver` the attempts, and `progress` what they have reached. `docs/http.md` describes the service behind it.
//!
//! Owns: the parts that these share, and looking at a topic. Does not own: batches and their order (`producer`), the
//! service (`http`).

mod authority;
mod deliver;
mod directory;
mod progress;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::Topic;
use common::backoff::Backoff;
use common::secret::Secret;
use common::{AgentUrl, ErrorKind, TopicName};
use tokio::task::JoinSet;

use self::directory::Directory;
pub(crate) use self::directory::Group;
use self::request::{Client, RequestError};
use crate::acks::Acks;
use crate::error::Result;
use crate::producer::ConfigError;

/// The agents that records are sent to.
#[derive(Clone, Debug)]
pub(crate) enum Agents {
    /// One address.
    Address(AgentUrl),
    /// Those that the catalog lists.
    Group(Group),
}

/// The options of sending over HTTP; each is documented at the builder's method of its name.
#[derive(Clone, Debug)]
pub(crate) struct RemoteOptions {
    pub(crate) token: Option<Secret>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) acks: Acks,
    pub(crate) request_timeout: Duration,
    pub(crate) commit_timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) retry_backoff: Duration,
    pub(crate) agent_refresh_interval: Duration,
}

/// Sends to agents. Dropping it ends the looks at the list of agents.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    directory: Arc<Directory>,
    options: RemoteOptions,
    _refresh: JoinSet<()>,
}

impl Remote {
    /// Finds agents, and makes sure that one of them answers.
    ///
    /// # Errors
    /// None answers, or the catalog does not.
    pub(crate) async fn connect(agents: Agents, options: RemoteOptions) -> Result<Self> {
        let client = Client::new(options.token.as_ref(), options.ca_file.as_deref())?;
        let directory = Arc::new(Directory::open(agents, client.clone(), options.request_timeout).await?);
        let mut tasks = JoinSet::new();
        if directory.is_group() {
            tasks.spawn(Arc::clone(&directory).keep_fresh(options.agent_refresh_interval));
        }
        Ok(Self { client, directory, options, _refresh: tasks })
    }

    /// The topic as an agent shows it; `None` if there is none.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub(crate) async fn topic(&self, name: &TopicName) -> Result<Option<Topic>> {
        if matches!(name.as_str(), "." | "..") {
            // In the path of a URL they are directories, in whatever way they are written.
            let allowed = "any other name: no URL reaches this topic, publish to NATS or with the catalog".to_owned();
            return Err(ConfigError { option: "topic", value: name.to_string(), allowed }.into());
        }
        let mut backoff = Backoff::starting_at(self.options.retry_backoff);
        loop {
            let mut last = self.directory.nobody();
            for agent in self.directory.in_turn(name.as_str()) {
                match self.client.topic(&agent, name, self.options.request_timeout).await {
                    Ok(topic) => {
                        self.directory.answered(&agent);
                        return Ok(topic);
                    }
                    Err(RequestError { error, .. }) if error.kind() == ErrorKind::Unavailable => {
                        self.directory.failed(&agent);
                        last = error;
                    }
                    Err(RequestError { error, .. }) => return Err(error),
                }
            }
            let wait = backoff.next_wait();
            if backoff.attempts() >= self.options.max_attempts {
                return Err(self.directory.none_available(last));
            }
            tokio::time::sleep(wait).await;
            self.directory.refresh().await;
        }
    }
}
