//! Registered agents, as types: ingesters and writers.
//!
//! Owns: their shape. Does not own: what a writer owns (`ownership`), the rules of registration (`store`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use common::{AgentGroup, OwnerId};
use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

/// The group and the address of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Its group.
    pub group: AgentGroup,
    /// Its URL, if it has one that others can use.
    pub address: Option<String>,
}

/// The process of an HTTP service that takes records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingester {
    /// New for every process start.
    pub id: OwnerId,
    /// Host and process id, for people.
    pub name: String,
    /// Producers find it by its group, and send to its address.
    pub contact: Contact,
    /// Time after its last heartbeat in which it counts as alive.
    pub lease: Duration,
}

/// The work of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentRole {
    /// It takes records over HTTP.
    Ingester,
    /// It writes partitions.
    Writer,
}

impl AgentRole {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingester => "ingester",
            Self::Writer => "writer",
        }
    }
}

impl fmt::Display for AgentRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AgentRole {
    type Err = CatalogError;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = [Self::Ingester, Self::Writer].into_iter().find(|role| role.as_str() == word);
        known.ok_or_else(|| CatalogError::Inconsistent(format!("role {word:?} of an agent is unknown")))
    }
}

/// A registered agent, with its times by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredAgent {
    /// Its work.
    pub role: AgentRole,
    /// Its id, new for every process start.
    pub id: OwnerId,
    /// Host and process id, for people.
    pub name: String,
    /// Its group and address.
    pub contact: Contact,
    /// When it registered.
    pub started_at: i64,
    /// Time since its last heartbeat.
    pub silent_for: Duration,
    /// Partitions that it owns; 0 for an ingester.
    pub partitions: u64,
}
