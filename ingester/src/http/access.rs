//! What each route demands of its caller.
//!
//! Owns: the kinds of demands, and asking before the handler sees the request. Does not own: who the caller is (`tokens`),
//! which route has which demand (`routes`).

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use catalog::{Caller, Callers, Right};

use super::error::ApiError;
use super::guard::check_host;
use super::path::TopicPath;
use super::tokens::presented;

/// The demand of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// None: anyone may ask.
    Nothing,
    /// A valid token, whatever it allows: the answer has only the topics that its holder may read.
    Token,
    /// This right on some topic, and on the one that the body names, for which the handler asks.
    Somewhere(Right),
    /// This right on the topic in the path.
    OnTopic(Right),
}

/// The place of a route's demand.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) callers: Arc<Callers>,
    pub(super) path: &'static str,
    pub(super) demand: Demand,
}

/// What is known of a request, for metrics and the log: the guard puts it into the request, and looks at it at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    route: Arc<OnceLock<&'static str>>,
    caller: Arc<OnceLock<String>>,
}

impl Seen {
    /// The path of the route, with its parameters by name.
    pub(super) fn route(&self) -> Option<&'static str> {
        self.route.get().copied()
    }

    /// The name of the token.
    pub(super) fn caller(&self) -> Option<&str> {
        self.caller.get().map(String::as_str)
    }
}

/// Lets a request through to its handler if its caller may send it.
pub(super) async fn ask(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let seen = request.extensions_mut().get_or_insert_default::<Seen>().clone();
    // Set once: a request has one route.
    seen.route.set(gate.path).ok();
    match gate.admit(request, &seen).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

impl Gate {
    async fn admit(&self, request: Request, seen: &Seen) -> Result<Request, ApiError> {
        if self.demand == Demand::Nothing {
            return Ok(request);
        }
        let (mut head, body) = request.into_parts();
        let caller = self.callers.caller(presented(&head.headers)).await?;
        match caller.name() {
            Some(name) => drop(seen.caller.set(name.to_owned())),
            None => check_host(&head.headers, &head.uri)?,
        }
        match self.demand {
            Demand::Nothing | Demand::Token => {}
            Demand::Somewhere(right) => caller.ensure_somewhere(right)?,
            Demand::OnTopic(right) => {
                let TopicPath(topic) = TopicPath::from_request_parts(&mut head, &()).await?;
                caller.ensure(right, &topic)?;
            }
        }
        head.extensions.insert::<Caller>(caller);
        Ok(Request::from_parts(head, body))
    }
}

/// The caller of a request that [`ask`] let through.
pub(super) fn caller(request: &Request) -> Caller {
    request.extensions().get::<Caller>().expect("a route whose handler asks for its caller demands one").clone()
}

#[cfg(test)]
mod tests;
