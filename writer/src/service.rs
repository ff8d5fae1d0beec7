//! The standalone service: settings in, a running writer with its HTTP pages, until a signal.
//!
//! `connected` opens the parts that settings name. `running` is a running writer, `handle` what many tasks may do with it, `flush` its wait for commits, and `status` has
//! the state of its partitions.
//! `alone` notices a second writer beside a queue in memory, `discard` and `watchers` warn of discards, `relief` makes room in memory, `announce` tells other processes of commits, and `auto_create` makes topics
//! of subjects. `metrics`, `summary` and `pages` show the state.
//!
//! Owns: the order of starting and stopping the parts of a writer's process, and its log lines at both ends.
//! Does not own: the writer (`writer`), the process around it (the crate `service`).

mod alone;
pub(crate) mod announce;
pub(crate) mod auto_create;
mod connected;
pub(crate) mod discard;
mod error;
pub(crate) mod flush;
pub(crate) mod handle;
pub(crate) mod metrics;
pub(crate) mod notices;
mod pages;
pub(crate) mod relief;
pub(crate) mod running;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod watchers;

use std::sync::Arc;
use std::time::Duration;

use catalog::MetadataStore;
use common::Queue;
use common::config::Settings;
use lake::Storage;
use service::{Listener, Shell, connect, producing};

use crate::error::WriterError;
use crate::service::running::RunningWriter;

pub use connected::Connected;
pub use error::ServeError;

/// The writer keeps its own deadline, at which it aborts its tasks. The shell's deadline is later by this margin, and
/// ends parts that hang even then.
const DRAIN_MARGIN: Duration = Duration::from_secs(10);

/// Topics whose place for messages is logged at the start.
const TOPICS_LOGGED_MAX: usize = 20;

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// Its queue.
    pub queue: Arc<dyn Queue>,
    /// Its catalog.
    pub catalog: Arc<dyn MetadataStore>,
    /// Its store.
    pub storage: Storage,
    /// Its writer.
    pub writer: RunningWriter,
    /// The process around it.
    pub shell: Shell,
    drain_max: Duration,
}

/// The parts of a service before it serves its pages.
struct Parts {
    queue: Arc<dyn Queue>,
    catalog: Arc<dyn MetadataStore>,
    storage: Storage,
    writer: RunningWriter,
    listener: Listener,
}

/// Runs the service until SIGTERM or SIGINT, then drains. A second signal ends it at once; this is safe, since only
/// committed messages were acked.
///
/// # Errors
/// If it cannot start, or did not drain in time.
pub async fn run(settings: Settings) -> Result<(), ServeError> {
    Service::start(settings).await?.wait().await
}

impl Service {
    /// Connects everything, proves the store usable, and starts.
    ///
    /// # Errors
    /// The first part that fails, with its address and the setting to change; or the signal that arrived during the
    /// start.
    pub async fn start(settings: Settings) -> Result<Self, ServeError> {
        let mut shell = Shell::open(&settings)?;
        let parts = shell.start(Box::pin(start_parts(&settings))).await?;
        let Parts { queue, catalog, storage, writer, listener } = parts;
        let http_addr = listener.addr();
        shell.serve(listener, pages::pages(writer.observer()));
        tracing::info!(
            queue = %connect::queue_place(&settings),
            storage = storage.display_url(),
            catalog = %settings.catalog_place(),
            http = %http_addr,
            memory_budget_bytes = settings.memory_budget_bytes,
            version = env!("CARGO_PKG_VERSION"),
            "writer started"
        );
        log_places(&settings, catalog.as_ref()).await;
        // Twice: requests that fill the queue end before the writer does.
        let drain_max = Duration::from_secs(settings.shutdown_timeout_secs) * 2 + DRAIN_MARGIN;
        Ok(Self { queue, catalog, storage, writer, shell, drain_max })
    }

    /// Waits for a signal, then drains and ends.
    ///
    /// # Errors
    /// If the writer ended by itself, the drain took too long, or a second signal cut it short.
    pub async fn wait(self) -> Result<(), ServeError> {
        self.wait_then(std::future::ready(())).await
    }

    /// The same with work of the caller between the signal and the drain, while the writer still runs: what fills the queue
    /// ends there. It counts in the time of the drain, and is dropped with it.
    ///
    /// # Errors
    /// As [`Service::wait`].
    pub async fn wait_then(mut self, before_drain: impl Future<Output = ()>) -> Result<(), ServeError> {
        tokio::select! {
            name = self.shell.signal() => tracing::info!(signal = name, "stopping: draining what was fetched"),
            ended = self.writer.ended() => match ended {
                Err(error @ WriterError::NotAlone { .. }) => {
                    // Messages of partitions that this writer owns can still be committed.
                    self.stop_after(before_drain).await?;
                    return Err(error.into());
                }
                ended => ended.map_err(ServeError::Ended)?,
            },
        }
        self.stop_after(before_drain).await
    }

    /// Drains and ends without waiting for a signal.
    ///
    /// # Errors
    /// As [`Service::wait`].
    pub async fn stop(self) -> Result<(), ServeError> {
        self.stop_after(std::future::ready(())).await
    }

    async fn stop_after(self, before_drain: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { mut writer, catalog, shell, drain_max, .. } = self;
        let drained = async {
            before_drain.await;
            writer.shutdown().await.map_err(ServeError::from)
        };
        let summary = shell.drain(drain_max, drained).await?;
        let catalog_closed = connect::close_catalog(catalog.as_ref()).await;
        tracing::info!(
            messages = summary.messages,
            records = summary.records,
            quarantined = summary.quarantined,
            segments = summary.segments,
            bytes = summary.bytes,
            catalog_closed,
            "writer stopped"
        );
        Ok(())
    }
}

async fn start_parts(settings: &Settings) -> Result<Parts, ServeError> {
    let connected = Connected::open(settings).await?;
    if !connect::is_shared(settings) {
        tracing::warn!(
            "the memory queue loses what is not committed when this process dies; QUEUE_TYPE=nats keeps it, and \
             acks=committed tells a producer what is committed"
        );
    }
    let listener = Listener::bind(settings).await?;
    let writer = connected.start(settings, listener.advertised(settings)).await?;
    let Connected { queue, catalog, storage, .. } = connected;
    Ok(Parts { queue, catalog, storage, writer, listener })
}

/// Logs where the topics of this writer take messages from.
async fn log_places(settings: &Settings, catalog: &dyn MetadataStore) {
    let mut topics = match catalog.list_topics().await {
        Ok(topics) => topics,
        Err(error) => return tracing::warn!(%error, "topics not listed"),
    };
    topics.retain(|topic| settings.topics.is_empty() || settings.topics.iter().any(|name| topic.name.as_str() == name));
    if topics.is_empty() {
        tracing::info!("no topics yet; create one with `siltstone topic create NAME`");
    }
    for topic in topics.iter().take(TOPICS_LOGGED_MAX) {
        let publish_to = producing::place(settings, &topic.definition());
        tracing::info!(topic = %topic.name, partitions = topic.partition_count, publish_to, "topic takes messages");
    }
    if topics.len() > TOPICS_LOGGED_MAX {
        tracing::info!(topics = topics.len(), "more topics take messages; `siltstone topic describe NAME` shows where");
    }
}
