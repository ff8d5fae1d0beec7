//! The HTTP service: any program publishes records, creates topics and looks at them.
//!
//! `records` takes records (`body`, `encoding` and `lines` cut them out, `record` makes messages, `send` sends them,
//! `answer` reports each); `consume` gives them out again, to `members` of `groups` too; `topics` and `listings` serve what the
//! catalog lists, `iceberg` the tables that are published for its readers; `query` passes on statements of SQL; `guard` stands
//! at the door, `access` before each route of the table `routes`, with the callers that `tokens` knows.
//!
//! Owns: the parts that handlers share. `docs/http.md` describes the service for its users.
//! Does not own: the address and connections (`service::Intake`), storing (the queue), the commit (the writer).

mod access;
mod answer;
mod auto_create;
mod body;
mod consume;
mod encoding;
mod error;
mod groups;
mod guard;
mod halts;
mod iceberg;
mod json_body;
mod lines;
mod listings;
mod members;
mod metrics;
mod openapi;
mod parameters;
mod path;
mod query;
mod record;
mod records;
mod routes;
mod send;
#[cfg(test)]
mod tests;
mod timestamp;
mod tokens;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use catalog::{AutoCreate, Callers, MetadataStore, NotServed};
use common::Queue;
use common::clock::system_clock;
use common::memory::{MemoryBudget, MemoryPermit};
use consumer::{CacheOptions, FetchParts, Fetcher};
use lake::Storage;
use lake::tail::TailSource;
use tokio::sync::watch;

use self::error::{ApiError, Code};
use self::halts::Halts;
pub use self::query::{QueryEndpoint, query_router};
use crate::commits::Commits;
use crate::producer::Producer;

/// Bytes of the producer's buffer at least: its own limit.
const BUFFER_BYTES_MIN: usize = 4096;

/// The limits of the HTTP service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiOptions {
    /// Largest body, in bytes, as sent and unpacked.
    pub body_bytes_max: usize,
    /// Bytes of all requests together; beyond them, new requests are refused until others end. The producer may hold as many
    /// of messages, so that a request that was let in need not wait for room there.
    pub in_flight_bytes: usize,
    /// Time for the queue to confirm a part of a request, and then for the commit of all of it.
    pub timeout: Duration,
    /// No other machine reaches the address: while the catalog has no token, requests need none.
    pub is_local: bool,
}

/// The reason why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The catalog has no token, and others than this machine reach the address.
    #[error("the catalog has no token, so that everybody who reaches the address could publish and delete")]
    NoToken,
    /// The tokens cannot be read.
    #[error("the tokens cannot be read: {0}")]
    Tokens(String),
    /// The directory of the read cache cannot be used.
    #[error("{0}")]
    Cache(String),
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { body_bytes_max: 64 << 20, in_flight_bytes: 256 << 20, timeout: Duration::from_secs(30), is_local: true }
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
    /// Has the records that are not committed yet; without it, records are given out once they are committed.
    pub tail: Option<Arc<dyn TailSource>>,
    /// The queue outlives this process: a group may be set behind records that are not committed yet, and a halted partition
    /// takes records, which are read when it is resumed.
    pub is_queue_kept: bool,
    /// The bounds of what is kept of segments that were read.
    pub cache: CacheOptions,
    /// Topics that the first request with records for them creates.
    pub auto_create: AutoCreate,
    /// Answers statements of SQL, if this process does.
    pub queries: Option<QueryEndpoint>,
}

/// The HTTP service over one queue and one catalog.
#[derive(Debug)]
pub struct Api {
    catalog: Arc<dyn MetadataStore>,
    queue: Arc<dyn Queue>,
    storage: Storage,
    producer: Producer,
    commits: Commits,
    /// Absent if the queue outlives this process.
    halts: Option<Halts>,
    callers: Arc<Callers>,
    auto_create: AutoCreate,
    queries: Option<QueryEndpoint>,
    budget: MemoryBudget,
    /// Memory of answers with records; apart from that of requests, which they must not crowd out.
    reading: MemoryBudget,
    fetcher: Fetcher,
    /// Finds the places that groups are set to.
    resetting: Fetcher,
    options: ApiOptions,
}

impl Api {
    /// The service within these limits.
    ///
    /// # Errors
    /// If other machines reach the address, and there is no token, or the catalog does not say so. A queue or a catalog that
    /// is away for a moment is no error where nothing depends on it yet: requests wait for both.
    pub async fn open(parts: ApiParts, options: ApiOptions) -> Result<Self, OpenError> {
        let ApiParts { queue, catalog, storage, hints, tail, is_queue_kept, cache, auto_create, queries } = parts;
        let callers = Arc::new(Callers::new(Arc::clone(&catalog), system_clock(), options.is_local));
        if !options.is_local {
            let (listed, _) = callers.counts().await.map_err(unreadable)?;
            if listed == 0 {
                return Err(OpenError::NoToken);
            }
        }
        let fetcher = Fetcher::open(FetchParts {
            catalog: Arc::clone(&catalog),
            storage: storage.clone(),
            tail,
            commits: hints.clone(),
            announcements: queue.announcements(),
            cache,
        })
        .map_err(|error| OpenError::Cache(error.to_string()))?;
        let resetting = if is_queue_kept { fetcher.clone() } else { fetcher.without_tail() };
        let buffer_bytes = options.in_flight_bytes.max(BUFFER_BYTES_MIN);
        let producer = Producer::buffered(Arc::clone(&queue), Arc::clone(&catalog), buffer_bytes);
        let commits = Commits::new(Arc::clone(&catalog)).with_queue(Arc::clone(&queue)).with_storage(storage.clone());
        Ok(Self {
            producer,
            halts: (!is_queue_kept).then(Halts::default),
            callers,
            commits: match hints {
                Some(hints) => commits.with_hints(hints),
                None => commits,
            },
            budget: MemoryBudget::new(options.in_flight_bytes),
            reading: MemoryBudget::new(options.in_flight_bytes),
            fetcher,
            resetting,
            auto_create,
            queries,
            catalog,
            queue,
            storage,
            options,
        })
    }

    /// The number of tokens that the catalog lists, and of those that are valid.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn token_counts(&self) -> Result<(usize, usize), OpenError> {
        self.callers.counts().await.map_err(unreadable)
    }

    /// Memory for an answer of this size, if there is some left.
    fn reading_memory(&self, wanted: &consume::Wanted) -> Option<MemoryPermit> {
        self.reading.try_acquire(wanted.limits.bytes_max)
    }

    /// The routes, each behind its demand, all behind the guard.
    pub fn router(self) -> Router {
        let api = Arc::new(self);
        routes::router(&api)
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            .with_state(api)
            .layer(from_fn(guard::guard))
    }
}

fn unreadable(error: NotServed) -> OpenError {
    OpenError::Tokens(ApiError::from(error).message)
}

/// Gives the metrics of requests their help texts.
pub(crate) fn describe_metrics() {
    metrics::describe();
}

async fn unknown_path(uri: Uri) -> Response {
    if let Some(error) = iceberg::unknown(&uri) {
        return error.into_response();
    }
    let text = format!("there is no {:?}; /v1/openapi.json describes the paths", uri.path());
    ApiError::new(Code::NotFound, text).into_response()
}

async fn unknown_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        Code::MethodNotAllowed,
        format!("{method} is not allowed for {:?}; the header Allow lists methods", uri.path()),
    )
}
