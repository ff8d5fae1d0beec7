//! The HTTP service: any program publishes records, creates topics and looks at them.
//!
//! `records` takes records (`body`, `encoding` and `lines` cut them out, `record` makes messages, `send` sends them,
//! `answer` reports each); `topics` and `listings` serve what the catalog lists; `guard` stands at the door.
//!
//! Owns: the paths, and the parts that handlers share. `docs/http.md` describes the service for its users.
//! Does not own: the address and connections (`service::Intake`), storing (the queue), the commit (the writer).

mod answer;
mod auto_create;
mod body;
mod encoding;
mod error;
mod guard;
mod lines;
mod listings;
mod openapi;
mod parameters;
mod path;
mod record;
mod records;
mod send;
#[cfg(test)]
mod tests;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use catalog::MetadataStore;
use common::Queue;
use common::memory::MemoryBudget;
use lake::Storage;
use tokio::sync::watch;

use self::error::{ApiError, Code};
use crate::commits::Commits;
use crate::producer::Producer;

pub use self::auto_create::AutoCreate;

/// The limits of the HTTP service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiOptions {
    /// Largest body, in bytes, as sent and unpacked.
    pub body_bytes_max: usize,
    /// Bytes of all requests together; beyond them, new requests are refused until others end.
    pub in_flight_bytes: usize,
    /// Time for the queue to confirm a part of a request, and then for the commit of all of it.
    pub timeout: Duration,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { body_bytes_max: 64 << 20, in_flight_bytes: 256 << 20, timeout: Duration::from_secs(30) }
    }
}

/// The parts that the HTTP service works on.
#[derive(Clone, Debug)]
pub struct ApiParts {
    /// Records go here.
    pub queue: Arc<dyn Queue>,
    /// Has the topics, and says what is committed.
    pub catalog: Arc<dyn MetadataStore>,
    /// Has the reasons of records in quarantine.
    pub storage: Storage,
    /// Changes with each commit of a writer in this process, such as `RunningWriter::commits`, so that requests that wait for
    /// one are answered sooner.
    pub hints: Option<watch::Receiver<u64>>,
    /// Topics that the first request with records for them creates.
    pub auto_create: AutoCreate,
}

/// The HTTP service over one queue and one catalog.
#[derive(Debug)]
pub struct Api {
    catalog: Arc<dyn MetadataStore>,
    queue: Arc<dyn Queue>,
    storage: Storage,
    producer: Producer,
    commits: Commits,
    auto_create: AutoCreate,
    budget: MemoryBudget,
    options: ApiOptions,
}

impl Api {
    /// The service within these limits.
    pub fn new(parts: ApiParts, options: ApiOptions) -> Self {
        let ApiParts { queue, catalog, storage, hints, auto_create } = parts;
        let commits = Commits::new(Arc::clone(&catalog)).with_queue(Arc::clone(&queue)).with_storage(storage.clone());
        Self {
            producer: Producer::new(Arc::clone(&queue), Arc::clone(&catalog)),
            commits: match hints {
                Some(hints) => commits.with_hints(hints),
                None => commits,
            },
            budget: MemoryBudget::new(options.in_flight_bytes),
            auto_create,
            catalog,
            queue,
            storage,
            options,
        }
    }

    /// The routes, behind the guard that serves this machine alone.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/openapi.json", get(openapi::document))
            .route("/v1/topics", get(topics::list).post(topics::create))
            .route("/v1/topics/{topic}", get(topics::describe).patch(topics::update).delete(topics::delete))
            .route("/v1/topics/{topic}/records", post(records::post))
            .route("/v1/topics/{topic}/segments", get(listings::segments))
            .route("/v1/topics/{topic}/gaps", get(listings::gaps))
            .route("/v1/topics/{topic}/quarantine", get(listings::quarantine))
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            .with_state(Arc::new(self))
            .layer(from_fn(guard::guard))
    }
}

async fn unknown_path(uri: Uri) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no {:?}; /v1/openapi.json describes the paths", uri.path()))
}

async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        format!("{method} is not allowed for {:?}; the header Allow lists methods", uri.path()),
    )
}
