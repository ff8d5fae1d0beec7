//! Tokens of the HTTP service: who may do what with which topics.
//!
//! Owns: their shape, the text of a grant, and the decision that follows from them. Does not own: the secret of a token
//! (`token_secret`), SQL.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use common::TopicName;
use serde::{Deserialize, Serialize};

use super::token_secret::TokenHash;
use crate::error::{CatalogError, Result};

/// Longest name of a token, in characters.
const NAME_MAX: usize = 100;

/// Most grants of one token.
const GRANTS_MAX: usize = 100;

/// A right to do something with a topic. None includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To publish records.
    Produce,
    /// To see the topic, its segments, gaps and quarantine.
    Read,
    /// To create, change and delete the topic.
    Admin,
}

/// The topics of a grant: one name, or a beginning of names with `*` behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicPattern(String);

/// Rights on the topics of one pattern. As text: `produce,read:logs*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The rights; at least one.
    pub rights: BTreeSet<Right>,
    /// The topics that they are for.
    pub topics: TopicPattern,
}

/// A token that is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The part of the token that is no secret.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The hash of the whole token.
    pub hash: TokenHash,
    /// What its holder may do; at least one grant.
    pub grants: Vec<Grant>,
    /// The time from which it is worth nothing; `None` if it does not expire.
    pub expires_at: Option<i64>,
}

/// A token as the catalog knows it. The hash is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    /// The part of the token that is no secret.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The hash of the whole token.
    #[serde(skip)]
    pub hash: TokenHash,
    /// What its holder may do.
    pub grants: Vec<Grant>,
    /// Time of its creation, by the database's clock.
    pub created_at: i64,
    /// The time from which it is worth nothing; `None` if it does not expire.
    pub expires_at: Option<i64>,
    /// Time of its revocation, by the database's clock.
    pub revoked_at: Option<i64>,
}

/// The state of a token at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Its holder may do what its grants say.
    Valid,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Produce, Self::Read, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TopicPattern {
    /// True if the topic is one of these.
    pub fn covers(&self, topic: &TopicName) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => topic.as_str().starts_with(beginning),
            None => topic.as_str() == self.0,
        }
    }
}

impl TryFrom<String> for TopicPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // A pattern without its star is a name or the beginning of one; `*` alone is every topic.
        match text.strip_suffix('*') {
            Some("") => Ok(Self(text)),
            beginning => match TopicName::new(beginning.unwrap_or(&text)) {
                Ok(_) => Ok(Self(text)),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

impl From<TopicPattern> for String {
    fn from(pattern: TopicPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((words, topics)) = text.split_once(':') else {
            return Err(format!(
                "{text:?} has no colon; allowed is RIGHTS:TOPICS, such as produce:orders or produce,read:logs*"
            ));
        };
        let right = |word: &str| {
            let found = Right::ALL.into_iter().find(|right| right.as_str() == word.trim());
            found.ok_or_else(|| format!("{:?} is no right; allowed are produce, read and admin", word.trim()))
        };
        let rights = words.split(',').map(right).collect::<Result<_, String>>()?;
        Ok(Self { rights, topics: topics.to_owned().try_into()? })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rights: Vec<&str> = self.rights.iter().map(|right| right.as_str()).collect();
        write!(f, "{}:{}", rights.join(","), self.topics)
    }
}

impl NewToken {
    /// Checks that it can be stored and is of use.
    ///
    /// # Errors
    /// `Refused` names what is wrong and what is allowed.
    pub fn check(&self) -> Result<()> {
        let length = self.name.chars().count();
        if !(1..=NAME_MAX).contains(&length) || self.name.chars().any(char::is_control) {
            let name = &self.name;
            return Err(CatalogError::Refused(format!(
                "the token's name {name:?}: allowed are 1 to {NAME_MAX} printable characters"
            )));
        }
        if !(1..=GRANTS_MAX).contains(&self.grants.len()) || self.grants.iter().any(|grant| grant.rights.is_empty()) {
            return Err(CatalogError::Refused(format!(
                "token {}: allowed are 1 to {GRANTS_MAX} grants, each with a right",
                self.name
            )));
        }
        Ok(())
    }
}

impl Token {
    /// True if a grant gives this right on the topic.
    pub fn may(&self, right: Right, topic: &TopicName) -> bool {
        self.grants.iter().any(|grant| grant.rights.contains(&right) && grant.topics.covers(topic))
    }

    /// True if a grant gives this right on any topic.
    pub fn may_somewhere(&self, right: Right) -> bool {
        self.grants.iter().any(|grant| grant.rights.contains(&right))
    }

    /// Its state at `now_ms`.
    pub fn state(&self, now_ms: i64) -> TokenState {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => TokenState::Revoked,
            (None, Some(end)) if end <= now_ms => TokenState::Expired,
            _ => TokenState::Valid,
        }
    }
}

#[cfg(test)]
mod tests;
