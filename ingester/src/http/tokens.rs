//! Who sends a request: the tokens that the catalog lists, kept for a moment.
//!
//! Owns: reading `Authorization`, the time for which the list is used, and who is served without a token. Does not own:
//! which right a route demands (`access`), the secret and its comparison (crate `catalog`).
//!
//! The whole list is kept, not single tokens: a client that guesses then costs the catalog nothing. Requests that come
//! while it is read wait for that one look.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use catalog::{MetadataStore, PresentedToken, Right, Token, TokenState};
use common::TopicName;
use common::clock::SharedClock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::error::{ApiError, Code};

/// Longest use of the list: a revocation, and the first token of all, count after this time. `docs/http.md` names it.
const LIST_AGE_MAX: Duration = Duration::from_secs(2);

/// The same for a request with a token that the list lacks: a new token counts after this time, and guesses cost the
/// catalog no more than four looks a second.
const LIST_AGE_FOR_UNKNOWN: Duration = Duration::from_millis(250);

/// Longest use of the list while the catalog does not answer.
const LIST_AGE_IN_TROUBLE: Duration = Duration::from_secs(30);

/// Longest wait for the catalog.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// Tokens by their ids.
type ById = Arc<HashMap<String, Arc<Token>>>;

/// The tokens of a catalog.
#[derive(Debug)]
pub(super) struct Tokens {
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

/// The sender of a request: the holder of a token, or anyone where none is asked for.
#[derive(Clone, Debug)]
pub(super) struct Caller(Option<Arc<Token>>);

impl Tokens {
    pub(super) fn new(catalog: Arc<dyn MetadataStore>, clock: SharedClock, is_local: bool) -> Self {
        Self { catalog, clock, is_local, list: Mutex::default() }
    }

    /// All tokens that the catalog lists, and how many of them are valid.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub(super) async fn counts(&self) -> Result<(usize, usize), ApiError> {
        let tokens = self.list(LIST_AGE_MAX).await?;
        let now_ms = self.clock.now_ms();
        Ok((tokens.len(), tokens.values().filter(|token| token.state(now_ms) == TokenState::Valid).count()))
    }

    /// The sender of a request with these headers.
    ///
    /// # Errors
    /// `Unauthenticated` without a valid token where one is needed; `Unavailable` if the catalog cannot be read.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let is_given = headers.contains_key(header::AUTHORIZATION);
        let mut tokens = self.list(LIST_AGE_MAX).await?;
        let presented = presented(headers);
        let is_unknown = presented.as_ref().is_ok_and(|presented| !tokens.contains_key(presented.id()));
        if is_unknown {
            tokens = self.list(LIST_AGE_FOR_UNKNOWN).await?;
        }
        if tokens.is_empty() && self.is_local {
            return Ok(Caller(None));
        }
        if !is_given {
            let text = "a token is needed: send `Authorization: Bearer TOKEN`; `siltstone token create` makes one";
            return Err(ApiError::new(Code::Unauthenticated, text));
        }
        let presented = presented?;
        let token = tokens.get(presented.id()).filter(|token| presented.matches(&token.hash));
        let token = token.ok_or_else(|| ApiError::new(Code::InvalidToken, "the token is not known here"))?;
        let refused = |why: &str| Err(ApiError::new(Code::InvalidToken, format!("token {:?} {why}", token.name)));
        match token.state(self.clock.now_ms()) {
            TokenState::Valid => Ok(Caller(Some(Arc::clone(token)))),
            TokenState::Expired => refused("has expired"),
            TokenState::Revoked => refused("was revoked"),
        }
    }

    /// The list, no older than this.
    async fn list(&self, age_max: Duration) -> Result<ById, ApiError> {
        let mut list = self.list.lock().await;
        if let Some(fresh) = list.as_ref().filter(|list| list.looked_at.elapsed() < age_max) {
            return Ok(Arc::clone(&fresh.tokens));
        }
        let looked = match timeout(LOOK_MAX, self.catalog.list_tokens()).await {
            Ok(Ok(tokens)) => Ok(tokens),
            Ok(Err(error)) => Err(ApiError::from(error)),
            Err(_) => Err(ApiError::new(Code::Unavailable, "the catalog did not answer in time")),
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
    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|token| token.name.as_str())
    }

    /// True if the caller has this right on the topic.
    pub(super) fn may(&self, right: Right, topic: &TopicName) -> bool {
        self.0.as_ref().is_none_or(|token| token.may(right, topic))
    }

    /// Refuses a caller without this right on the topic.
    ///
    /// # Errors
    /// `Forbidden` names both.
    pub(super) fn ensure(&self, right: Right, topic: &TopicName) -> Result<(), ApiError> {
        match &self.0 {
            Some(token) if !token.may(right, topic) => {
                let name = &token.name;
                Err(ApiError::new(Code::Forbidden, format!("token {name:?} has no right `{right}` on topic {topic}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a caller without this right on any topic.
    ///
    /// # Errors
    /// `Forbidden` names it.
    pub(super) fn ensure_somewhere(&self, right: Right) -> Result<(), ApiError> {
        match &self.0 {
            Some(token) if !token.may_somewhere(right) => {
                let name = &token.name;
                Err(ApiError::new(Code::Forbidden, format!("token {name:?} has no right `{right}` on any topic")))
            }
            _ => Ok(()),
        }
    }
}

/// The token of the header `Authorization`. What was sent is in no text: it may be a secret of another service.
fn presented(headers: &HeaderMap) -> Result<PresentedToken, ApiError> {
    let wrong = |text: &str| ApiError::new(Code::InvalidToken, text);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| wrong("no token was sent"))?;
    if values.next().is_some() {
        return Err(wrong("the header Authorization is given twice"));
    }
    let (scheme, token) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(wrong("the header Authorization is not `Bearer TOKEN`"));
    }
    PresentedToken::parse(token.trim()).ok_or_else(|| wrong("what follows `Bearer` is no token of this service"))
}
