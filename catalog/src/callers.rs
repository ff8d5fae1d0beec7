//! Who calls a service: the tokens that the catalog lists, kept for a moment.
//!
//! Owns: the time for which the list is used, who is served without a token, and the words of a refusal. Does not own:
//! how a token reaches a service (its protocol), the secret and its comparison (`model::token_secret`).
//!
//! The whole list is kept, not single tokens: a client that guesses then costs the catalog nothing. Callers that come
//! while it is read wait for that one look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::TopicName;
use common::clock::SharedClock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::error::CatalogError;
use crate::model::{PresentedToken, Right, Token, TokenState};
use crate::store::MetadataStore;

/// Longest use of the list: a revocation, and the first token of all, count after this time. `docs/http.md` names it.
const LIST_AGE_MAX: Duration = Duration::from_secs(2);

/// The same for a caller with a token that the list lacks: a new token counts after this time, and guesses cost the
/// catalog no more than four looks a second.
const LIST_AGE_FOR_UNKNOWN: Duration = Duration::from_millis(250);

/// Longest use of the list while the catalog does not answer.
const LIST_AGE_IN_TROUBLE: Duration = Duration::from_secs(30);

/// Longest wait for the catalog.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Tokens by their ids.
type ById = Arc<HashMap<String, Arc<Token>>>;

/// The callers that one address serves.
#[derive(Debug)]
pub struct Callers {
    catalog: Arc<dyn MetadataStore>,
    clock: SharedClock,
    /// No other machine reaches the address, so that no token is asked for until there is one.
    is_local: bool,
    // Held across the look at the catalog, which it makes one for all who wait.
    list: Mutex<Option<List>>,
}

#[derive(Debug)]
struct List {
    tokens: ById,
    read_at: Instant,
    /// Time of the last look, which may have failed.
    looked_at: Instant,
}

/// Who calls: the holder of a token, or anyone where none is asked for.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<Token>>);

/// A token as a request has it.
#[derive(Clone, Debug)]
pub enum Presented {
    /// None was sent.
    Nothing,
    /// This one was sent.
    Token(PresentedToken),
    /// Something was sent that is no token; the text says how it differs, and never quotes it.
    Other(&'static str),
}

/// The reason why a caller is not served.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotServed {
    /// A token is needed.
    #[error("a token is needed; `siltstone token create` makes one")]
    NoToken,
    /// What was sent is no valid token.
    #[error("{0}")]
    InvalidToken(String),
    /// The token does not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// The tokens cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The catalog is silent.
    #[error("the catalog did not answer in time")]
    Silent,
}

impl Presented {
    /// The text as it was sent, where a token is expected.
    pub fn text(text: &str) -> Self {
        match PresentedToken::parse(text.trim()) {
            Some(token) => Self::Token(token),
            None => Self::Other("what was sent is no token of this service"),
        }
    }
}

impl Callers {
    /// Those of an address, which other machines reach unless `is_local`.
    pub fn new(catalog: Arc<dyn MetadataStore>, clock: SharedClock, is_local: bool) -> Self {
        Self { catalog, clock, is_local, list: Mutex::default() }
    }

    /// The number of tokens that the catalog lists, and of those that are valid.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn counts(&self) -> Result<(usize, usize), NotServed> {
        let tokens = self.list(LIST_AGE_MAX).await?;
        let now_ms = self.clock.now_ms();
        Ok((tokens.len(), tokens.values().filter(|token| token.state(now_ms) == TokenState::Valid).count()))
    }

    /// The caller with this token.
    ///
    /// # Errors
    /// [`NotServed::NoToken`] and [`NotServed::InvalidToken`] where a valid token is needed, else that the catalog cannot be
    /// read.
    pub async fn caller(&self, presented: Presented) -> Result<Caller, NotServed> {
        let mut tokens = self.list(LIST_AGE_MAX).await?;
        if matches!(&presented, Presented::Token(presented) if !tokens.contains_key(presented.id())) {
            tokens = self.list(LIST_AGE_FOR_UNKNOWN).await?;
        }
        if tokens.is_empty() && self.is_local {
            return Ok(Caller(None));
        }
        let invalid = |text: String| Err(NotServed::InvalidToken(text));
        let presented = match presented {
            Presented::Nothing => return Err(NotServed::NoToken),
            Presented::Other(why) => return invalid(why.to_owned()),
            Presented::Token(presented) => presented,
        };
        let Some(token) = tokens.get(presented.id()).filter(|token| presented.matches(&token.hash)) else {
            return invalid("the token is not known here".to_owned());
        };
        match token.state(self.clock.now_ms()) {
            TokenState::Valid => Ok(Caller(Some(Arc::clone(token)))),
            TokenState::Expired => invalid(format!("token {:?} has expired", token.name)),
            TokenState::Revoked => invalid(format!("token {:?} was revoked", token.name)),
        }
    }

    /// The list, no older than this.
    async fn list(&self, age_max: Duration) -> Result<ById, NotServed> {
        let mut list = self.list.lock().await;
        if let Some(fresh) = list.as_ref().filter(|list| list.looked_at.elapsed() < age_max) {
            return Ok(Arc::clone(&fresh.tokens));
        }
        let looked = match timeout(LOOK_MAX, self.catalog.list_tokens()).await {
            Ok(Ok(tokens)) => Ok(tokens),
            Ok(Err(error)) => Err(NotServed::from(error)),
            Err(_) => Err(NotServed::Silent),
        };
        let now = Instant::now();
        match (looked, list.as_mut()) {
            (Ok(tokens), _) => {
                let tokens = tokens.into_iter().map(|token| (token.id.clone(), Arc::new(token)));
                let tokens = Arc::new(tokens.collect::<HashMap<_, _>>());
                *list = Some(List { tokens: Arc::clone(&tokens), read_at: now, looked_at: now });
                Ok(tokens)
            }
            (Err(error), Some(old)) if old.read_at.elapsed() < LIST_AGE_IN_TROUBLE => {
                tracing::warn!(%error, "the tokens could not be read; using those that are known");
                old.looked_at = now;
                Ok(Arc::clone(&old.tokens))
            }
            (Err(error), _) => Err(error),
        }
    }
}

impl Caller {
    /// The name of the token, for the log.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|token| token.name.as_str())
    }

    /// The part of the token that is no secret, for the log.
    pub fn token_id(&self) -> Option<&str> {
        self.0.as_ref().map(|token| token.id.as_str())
    }

    /// True if the caller has this right on the topic.
    pub fn may(&self, right: Right, topic: &TopicName) -> bool {
        self.0.as_ref().is_none_or(|token| token.may(right, topic))
    }

    /// Refuses a caller without this right on the topic.
    ///
    /// # Errors
    /// [`NotServed::Forbidden`] names both.
    pub fn ensure(&self, right: Right, topic: &TopicName) -> Result<(), NotServed> {
        match &self.0 {
            Some(token) if !token.may(right, topic) => {
                let name = &token.name;
                Err(NotServed::Forbidden(format!("token {name:?} has no right `{right}` on topic {topic}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a caller without this right on any topic.
    ///
    /// # Errors
    /// [`NotServed::Forbidden`] names it.
    pub fn ensure_somewhere(&self, right: Right) -> Result<(), NotServed> {
        match &self.0 {
            Some(token) if !token.may_somewhere(right) => {
                let name = &token.name;
                Err(NotServed::Forbidden(format!("token {name:?} has no right `{right}` on any topic")))
            }
            _ => Ok(()),
        }
    }
}
