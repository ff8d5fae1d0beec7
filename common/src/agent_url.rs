//! The URL of an agent, under which producers send records to it.
//!
//! Owns: its validity and its one form. Does not own: connecting to it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::masked_url;

/// The allowed URLs, for people.
pub const AGENT_URL_ALLOWED: &str = "http://host:port or https://host:port, perhaps with a path";

/// The URL of an agent, without a slash at its end. It holds no secret: a login is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentUrl(Arc<str>);

/// A text that is not the URL of an agent, with the reason. A password in it is hidden.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?}: {reason}; allowed is {AGENT_URL_ALLOWED}")]
pub struct InvalidAgentUrl {
    shown: String,
    /// A clause.
    pub reason: String,
}

impl AgentUrl {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// It is no URL of HTTP, or has a part that would have no effect.
    pub fn new(text: &str) -> Result<Self, InvalidAgentUrl> {
        let refuse = |reason: String| InvalidAgentUrl { shown: masked_url(text), reason };
        let is_http = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
        if !is_http {
            return Err(refuse("it does not begin with http:// or https://".to_owned()));
        }
        if text.contains(|char: char| char.is_control() || char.is_whitespace()) {
            return Err(refuse("it holds a blank or a control character".to_owned()));
        }
        let url = Url::parse(text).map_err(|error| refuse(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it has a login, which is never sent; a token is given by itself".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("nothing may follow the path".to_owned()));
        }
        Ok(Self(Arc::from(url.as_str().trim_end_matches('/'))))
    }

    /// True if the agent is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AgentUrl {
    type Err = InvalidAgentUrl;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for AgentUrl {
    type Error = InvalidAgentUrl;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<AgentUrl> for String {
    fn from(url: AgentUrl) -> Self {
        url.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_one_form() {
        for (given, kept) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://Host:8081/", "http://host:8081"),
            ("https://[::1]:1/silt//", "https://[::1]:1/silt"),
            ("http://host:80", "http://host"),
        ] {
            let url = AgentUrl::new(given).expect(given);
            assert_eq!((url.as_str(), url.is_https()), (kept, given.starts_with("https:")));
        }
    }

    #[test]
    fn another_text_is_refused_with_the_reason_and_without_its_password() {
        for (given, reason) in [
            ("127.0.0.1:8081", "does not begin with http:// or https://"),
            ("nats://host:1", "does not begin with"),
            ("HTTP://host:1", "does not begin with"),
            ("http://", "empty host"),
            ("http://host:99999", "invalid port"),
            ("http://user:hush@host", "it has a login"),
            ("http://host?a=b", "nothing may follow the path"),
            ("http://host/#a", "nothing may follow the path"),
            ("http://ho st", "a blank or a control character"),
            ("http://host\n", "a blank or a control character"),
        ] {
            let error = AgentUrl::new(given).expect_err(given).to_string();
            assert!(error.contains(reason) && error.contains("allowed is http://host:port"), "{given:?}: {error}");
            assert!(!error.contains("hush") && !error.contains('\n'), "{error}");
        }
    }
}
