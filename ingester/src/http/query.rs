//! SQL over HTTP: the place where a process that answers statements gives its endpoint to this service.
//!
//! Owns: the path with its demand, and the answer where nobody answers statements. Does not own: statements and their
//! answers, which are given as a function, so that this crate needs no query engine.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use catalog::{Caller, Callers, Right};
use futures::future::BoxFuture;

use super::access::{Demand, Gate, ask, caller};
use super::error::{ApiError, Code};
use super::{Api, guard, unknown_method};

pub(super) const PATH: &str = "/v1/query";

/// The endpoint lets its caller see only topics that the caller may read.
pub(super) const DEMAND: Demand = Demand::Somewhere(Right::Read);

/// Answers statements of SQL.
#[derive(Clone)]
pub struct QueryEndpoint(Arc<Answer>);

type Answer = dyn Fn(Request, Caller) -> BoxFuture<'static, Response> + Send + Sync;

impl QueryEndpoint {
    /// The endpoint that `answer` is. Its caller has the right to read some topic.
    pub fn new(answer: impl Fn(Request, Caller) -> BoxFuture<'static, Response> + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    async fn answer(&self, request: Request) -> Response {
        let caller = caller(&request);
        (self.0)(request, caller).await
    }
}

impl fmt::Debug for QueryEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryEndpoint")
    }
}

/// A service of statements alone, for a process that takes no records: behind the same guard, with the same demand.
pub fn query_router(callers: Arc<Callers>, endpoint: QueryEndpoint) -> Router {
    let gate = Gate { callers, path: PATH, demand: DEMAND };
    let answer = async |State(endpoint): State<QueryEndpoint>, request: Request| endpoint.answer(request).await;
    Router::new()
        .route(PATH, post(answer).route_layer(from_fn_with_state(gate, ask)))
        .fallback(other_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(endpoint)
        .layer(from_fn(guard::guard))
}

pub(super) async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    match &api.queries {
        Some(endpoint) => endpoint.answer(request).await,
        None => {
            let text = "this process answers no SQL; `siltstone serve` and `siltstone up` do";
            ApiError::new(Code::NotImplemented, text).into_response()
        }
    }
}

async fn other_path(uri: Uri) -> ApiError {
    let text = format!("there is no {:?}; this process answers POST {PATH} alone (docs/sql.md)", uri.path());
    ApiError::new(Code::NotFound, text)
}
