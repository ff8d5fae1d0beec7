//! `serve`: SQL for other tools, from a process of its own beside a catalog and a store.
//!
//! Owns: the order of its start and its end. Does not own: the doors (`serving`), the guard over HTTP (`ingester::http`).

use std::sync::Arc;
use std::time::Duration;

use catalog::{Callers, MetadataStore};
use common::clock::system_clock;
use common::config::Settings;
use ingester::http::query_router;
use service::guarded::no_token;
use service::{Intake, IntakeLimits, Listener, Pages, ServiceError, Shell, connect};
use serving::{Bound, Doors};

use crate::answering;
use crate::hot_tail;
use crate::opened;

/// The shell's deadline is later than that of the answers by this margin, and ends parts that hang even then.
const DRAIN_MARGIN: Duration = Duration::from_secs(10);

/// Answer SQL from other tools, until SIGTERM or SIGINT
///
/// Any tool queries records, published ones as HOT_TAIL says: by POST http://INGEST_ADDR/v1/query, at POSTGRES_ADDR and at FLIGHT_ADDR; docs/sql.md
/// has the rest. It only reads: the catalog and the store need no right to write. A signal lets it end the answers that
/// began; a second one ends it at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone serve")]
pub(crate) struct Args {}

/// The open doors.
struct Started {
    intake: Intake,
    doors: Doors,
    catalog: Arc<dyn MetadataStore>,
    listener: Listener,
}

/// Runs until a signal.
pub(crate) async fn run(_: Args, settings: Settings) -> anyhow::Result<()> {
    let mut shell = Shell::open(&settings)?;
    let started = Box::pin(async { Ok::<_, ServiceError>(start(&settings).await) });
    let Started { intake, doors, catalog, listener } = shell.start(started).await??;
    let pages_addr = listener.addr();
    shell.serve(listener, pages(Arc::clone(&catalog)));
    tracing::info!(
        catalog = %settings.catalog_place(),
        http = %pages_addr,
        version = env!("CARGO_PKG_VERSION"),
        "serving started"
    );
    let signal = shell.signal().await;
    tracing::info!(signal, "stopping: ending the answers that began");
    let drain_max = Duration::from_secs(settings.shutdown_timeout_secs);
    let drained = async {
        let (is_whole, ()) = tokio::join!(intake.drain(drain_max), doors.drain());
        if !is_whole {
            tracing::warn!("answers over HTTP were cut off");
        }
        Ok::<_, ServiceError>(())
    };
    shell.drain(drain_max + DRAIN_MARGIN, drained).await?;
    let catalog_closed = connect::close_catalog(catalog.as_ref()).await;
    tracing::info!(catalog_closed, "serving stopped");
    Ok(())
}

async fn start(settings: &Settings) -> anyhow::Result<Started> {
    let catalog = connect::catalog_to_read(settings).await?;
    let storage = opened::storage_of(settings, catalog.as_ref()).await?;
    let listener = Listener::bind(settings).await?;
    let http = Listener::bind_ingest(settings).await?;
    let bound = Bound::of(settings).await?;
    let executor = answering::executor(settings, &catalog, &storage, hot_tail::of_service(settings))?;
    let callers = http_callers(settings, &http, &catalog).await?;
    let limits = IntakeLimits::for_answers(Duration::from_secs(settings.query_timeout_secs));
    let intake = Intake::serve(http, query_router(callers, answering::endpoint(&executor)), limits);
    let doors = bound.open(settings, &executor, &catalog).await?;
    Ok(Started { intake, doors, catalog, listener })
}

/// The callers over HTTP, and a line in the log.
async fn http_callers(
    settings: &Settings,
    listener: &Listener,
    catalog: &Arc<dyn MetadataStore>,
) -> anyhow::Result<Arc<Callers>> {
    let is_local = listener.addr().ip().is_loopback();
    let callers = Callers::new(Arc::clone(catalog), system_clock(), is_local);
    let (listed, valid) = callers.counts().await?;
    if listed == 0 && !is_local {
        return Err(ServiceError::from(no_token("INGEST_ADDR", settings.ingest_addr, "read")).into());
    }
    let (addr, tls) = (listener.addr(), listener.has_tls());
    match listed {
        0 => tracing::info!(setting = "INGEST_ADDR", %addr, tls, "queries are answered; no tokens: loopback only"),
        _ => {
            tracing::info!(setting = "INGEST_ADDR", %addr, tls, tokens = valid, "queries are answered for holders of a token")
        }
    }
    Ok(Arc::new(callers))
}

/// Ready if the catalog answers.
fn pages(catalog: Arc<dyn MetadataStore>) -> Pages {
    Pages::default().check("catalog", move || {
        let catalog = Arc::clone(&catalog);
        async move { catalog.check().await.map_err(|error| error.to_string()) }
    })
}
