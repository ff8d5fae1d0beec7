//! The HTTP service as a process of its own, and as a part of a writer's process.
//!
//! Owns: settings as limits, the order of starting and stopping, the log lines at both ends.
//! Does not own: the requests (`http`), the process around it and connections (the crate `service`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{AutoCreate, Contact, Ingester, MetadataStore};
use common::config::Settings;
use common::{OwnerId, Queue, agent_name};
use consumer::CacheOptions;
use service::guarded::no_token;
use service::{Intake, IntakeLimits, Listener, Pages, Result, ServiceError, Shell, connect};
use uuid::Uuid;

use crate::http::{self, Api, ApiOptions, ApiParts, OpenError};
use crate::presence::Presence;

/// The shell's deadline is later than that of the requests by this margin, and ends parts that hang even then.
const DRAIN_MARGIN: Duration = Duration::from_secs(10);

/// The HTTP service in a running process. Dropping it cuts off the requests that are not answered.
#[derive(Debug)]
pub struct HttpService {
    intake: Intake,
    presence: Presence,
    drain_max: Duration,
}

impl HttpService {
    /// Serves requests on `listener`, with the limits of `settings`.
    ///
    /// # Errors
    /// If the catalog has no token while other machines reach the address, or queue or catalog do not answer.
    pub async fn start(settings: &Settings, listener: Listener, parts: ApiParts) -> Result<Self> {
        let options = ApiOptions {
            body_bytes_max: settings.ingest_body_bytes,
            timeout: Duration::from_secs(settings.ingest_timeout_secs),
            in_flight_bytes: settings.ingest_memory_bytes,
            is_local: listener.addr().ip().is_loopback(),
        };
        http::describe_metrics();
        let refused = |error| refusal(settings, error);
        let contact = Contact { group: settings.agent_group.clone(), address: listener.advertised(settings) };
        let lease = Duration::from_secs(settings.lease_secs);
        let ingester = Ingester { id: OwnerId(Uuid::now_v7()), name: agent_name(), contact, lease };
        let catalog = Arc::clone(&parts.catalog);
        let api = Api::open(parts, options).await.map_err(refused)?;
        let counts = api.token_counts().await;
        let tls = listener.has_tls();
        let limits = IntakeLimits::for_answers(Duration::from_secs(settings.query_timeout_secs));
        let intake = Intake::serve(listener, api.router(), limits);
        let ingest = intake.addr();
        match counts {
            Err(error) => {
                tracing::warn!(%ingest, tls, %error, "records are taken over HTTP once the tokens can be read")
            }
            Ok((0, _)) => tracing::info!(%ingest, tls, "records are taken over HTTP; no tokens: loopback only"),
            Ok((_, 0)) => {
                tracing::warn!(%ingest, tls, tokens = 0, "records are taken over HTTP; no token is valid: nobody is served")
            }
            Ok((_, tokens)) => {
                tracing::info!(%ingest, tls, tokens, "records are taken over HTTP from holders of a token")
            }
        }
        if !options.is_local && !tls {
            tracing::warn!(%ingest, "tokens and records are sent in the clear: set INGEST_TLS_CERT and INGEST_TLS_KEY, or put a proxy with TLS in front");
        }
        // After the address takes requests: a producer may come at once.
        let presence = Presence::begin(catalog, ingester);
        Ok(Self { intake, presence, drain_max: Duration::from_secs(settings.shutdown_timeout_secs) })
    }

    /// Leaves the list of agents, takes no new request, and returns after those that began are answered, at most after the
    /// time for a shutdown.
    pub async fn drain(self) {
        self.presence.end().await;
        if !self.intake.drain(self.drain_max).await {
            tracing::warn!("requests over HTTP were cut off; their records may or may not be stored");
        }
    }
}

/// Runs the service until SIGTERM or SIGINT, then answers the requests that began. A second signal ends it at once.
///
/// # Errors
/// If it cannot start, or did not end in good order. A queue that only another process's writer could read is refused.
pub async fn run(settings: Settings) -> Result<()> {
    let mut shell = Shell::open(&settings)?;
    let started = shell.start(Box::pin(start(&settings))).await?;
    let Started { http, catalog, pages, listener } = started;
    let pages_addr = listener.addr();
    shell.serve(listener, pages);
    tracing::info!(
        queue = %connect::queue_place(&settings),
        catalog = %settings.catalog_place(),
        http = %pages_addr,
        version = env!("CARGO_PKG_VERSION"),
        "ingester started"
    );
    let signal = shell.signal().await;
    tracing::info!(signal, "stopping: answering the requests that began");
    let drain_max = Duration::from_secs(settings.shutdown_timeout_secs) + DRAIN_MARGIN;
    let drained = async {
        http.drain().await;
        Ok::<_, ServiceError>(())
    };
    shell.drain(drain_max, drained).await?;
    let catalog_closed = connect::close_catalog(catalog.as_ref()).await;
    tracing::info!(catalog_closed, "ingester stopped");
    Ok(())
}

/// The error with the setting to change.
fn refusal(settings: &Settings, error: OpenError) -> ServiceError {
    match error {
        OpenError::NoToken => no_token("INGEST_ADDR", settings.ingest_addr, "produce").into(),
        error => ServiceError::Intake(error.to_string()),
    }
}

/// The bounds of the read cache that the settings give.
pub fn cache(settings: &Settings) -> CacheOptions {
    CacheOptions {
        memory_bytes: settings.read_cache_bytes,
        disk_bytes: settings.read_cache_disk_bytes,
        directory: settings.read_cache_dir.clone(),
    }
}

struct Started {
    http: HttpService,
    catalog: Arc<dyn MetadataStore>,
    pages: Pages,
    listener: Listener,
}

async fn start(settings: &Settings) -> Result<Started> {
    connect::ensure_shared(
        settings,
        "nothing taken here would be written; `siltstone up` takes records and writes them",
    )?;
    let auto_create = AutoCreate::of(settings)?;
    let storage = connect::storage(settings)?;
    let catalog = connect::catalog(settings).await?;
    let queue = connect::queue(settings).await?;
    let listener = Listener::bind(settings).await?;
    let ingest = Listener::bind_ingest(settings).await?;
    let pages = pages(Arc::clone(&queue), Arc::clone(&catalog));
    let parts = ApiParts {
        queue,
        catalog: Arc::clone(&catalog),
        storage,
        hints: None,
        tail: None,
        is_queue_kept: true,
        cache: cache(settings),
        auto_create,
        queries: None,
    };
    let http = HttpService::start(settings, ingest, parts).await?;
    Ok(Started { http, catalog, pages, listener })
}

/// Ready if queue and catalog answer.
fn pages(queue: Arc<dyn Queue>, catalog: Arc<dyn MetadataStore>) -> Pages {
    Pages::default()
        .check("queue", move || {
            let queue = Arc::clone(&queue);
            async move { queue.check().await.map_err(|error| error.to_string()) }
        })
        .check("catalog", move || {
            let catalog = Arc::clone(&catalog);
            async move { catalog.check().await.map_err(|error| error.to_string()) }
        })
}
