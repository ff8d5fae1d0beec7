//! The name of a group of agents: producers find the ingesters of one group.
//!
//! Owns: its validity. Does not own: which agents are in it (the catalog).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name, in bytes.
const BYTES_MAX: usize = 64;

/// The allowed names, for people.
pub const AGENT_GROUP_ALLOWED: &str = "1 to 64 ASCII letters, digits, dots, dashes and underscores";

/// The name of a group of agents; `default` unless given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentGroup(Arc<str>);

/// A text that names no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a group of agents: allowed is {AGENT_GROUP_ALLOWED}")]
pub struct InvalidAgentGroup(String);

impl AgentGroup {
    /// Checks `name` and wraps it.
    ///
    /// # Errors
    /// It is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, InvalidAgentGroup> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > BYTES_MAX || !name.bytes().all(is_allowed) {
            return Err(InvalidAgentGroup(name.to_owned()));
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AgentGroup {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl fmt::Display for AgentGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AgentGroup {
    type Err = InvalidAgentGroup;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<String> for AgentGroup {
    type Error = InvalidAgentGroup;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<AgentGroup> for String {
    fn from(group: AgentGroup) -> Self {
        group.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_plain_word() {
        for name in ["default", "eu-west.1", "A_b", &"x".repeat(64)] {
            assert_eq!(AgentGroup::new(name).expect(name).to_string(), name);
        }
        for name in ["", "a b", "ü", "a/b", "a\n", &"x".repeat(65)] {
            let error = name.parse::<AgentGroup>().expect_err(name).to_string();
            assert!(error.contains("is not the name of a group") && error.contains("1 to 64 ASCII letters"), "{error}");
        }
        assert_eq!(AgentGroup::default().as_str(), "default");
    }
}
