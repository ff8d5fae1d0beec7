//! The standalone service: settings in, a running writer with its HTTP pages, until a signal.
//!
//! `running` is the handle of a writer, `status` what it knows of its partitions, `discard` and `watchers` warn and relieve,
//! `metrics`, `summary` and `http` show.
//!
//! Owns: the order of start and stop, and signals. Does not own: the writer (`writer`), composition (`connect`).

pub(crate) mod discard;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod running;
pub(crate) mod status;
pub(crate) mod summary;
pub(crate) mod watchers;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use catalog::MetadataStore;
use common::config::{QueueType, Settings, redacted_url};
use common::{Queue, TopicName};
use common::{failpoint, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::config::WriterConfig;
use crate::connect;
use crate::error::WriterError;
use crate::service::running::RunningWriter;
use crate::writer::Writer;
use lake::Storage;

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
    signals: Signals,
    http: JoinSet<()>,
}

#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Runs the service until SIGTERM or SIGINT, then drains. A second signal ends it at once; that is safe, since
/// nothing was acked that is not committed.
///
/// # Errors
/// When it cannot start, or could not drain in time.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    Service::start(settings).await?.wait().await
}

impl Service {
    /// Connects everything, proves the store usable, and starts.
    ///
    /// # Errors
    /// The first thing that does not work, with its address and what to change; or the signal that came meanwhile.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        telemetry::init_logs(&settings)?;
        failpoint::check().map_err(|reason| anyhow!(reason))?;
        let mut signals = Signals::new()?;
        tokio::select! {
            started = Box::pin(Self::start_parts(settings)) => started,
            name = signals.next() => bail!("{name} during the start: ended at once"),
        }
    }

    async fn start_parts(settings: Settings) -> anyhow::Result<Self> {
        let metrics = telemetry::init_metrics();
        let signals = Signals::new()?;
        let topics = settings.topics.iter().map(TopicName::new).collect::<Result<Vec<_>, _>>().context("TOPICS")?;
        let storage = connect::storage(&settings)?;
        storage.probe().await?;
        if !storage.honours_create().await? {
            tracing::warn!(
                storage = storage.display_url(),
                "the store overwrites objects that must be created; keys are unique, so that segments are safe"
            );
        }
        let catalog = connect::catalog(&settings).await?;
        let queue = connect::queue(&settings).await?;
        if settings.queue_type == QueueType::Memory {
            tracing::warn!(
                "the memory queue loses what is not committed when this process dies; QUEUE_TYPE=nats keeps it"
            );
        }
        let listener = tokio::net::TcpListener::bind(settings.http_addr)
            .await
            .with_context(|| format!("cannot listen on HTTP_ADDR={}", settings.http_addr))?;
        // Port 0 lets the system choose; the log names its choice.
        let http_addr = listener.local_addr()?;
        let writer = Writer::builder(Arc::clone(&queue), storage.clone(), Arc::clone(&catalog))
            .config(WriterConfig::from(&settings))
            .topics(topics)
            .build()
            .start()
            .await
            .map_err(|error| match error {
                WriterError::TopicNotFound(_) => anyhow!("TOPICS={}: {error}", settings.topics.join(",")),
                other => other.into(),
            })?;
        let mut http = JoinSet::new();
        http.spawn(telemetry::upkeep(metrics.clone()));
        http.spawn(http::serve(listener, writer.observer(), metrics));
        tracing::info!(
            queue = %match settings.queue_type { QueueType::Memory => "memory".to_owned(), QueueType::Nats => redacted_url(&settings.nats_url) },
            storage = storage.display_url(),
            catalog = redacted_url(&settings.catalog_url()),
            http = %http_addr,
            memory_budget_bytes = settings.memory_budget_bytes,
            version = env!("CARGO_PKG_VERSION"),
            "writer started"
        );
        Ok(Self { queue, catalog, storage, writer, signals, http })
    }

    /// Waits for a signal, then drains and ends.
    ///
    /// # Errors
    /// When the writer ended by itself, the drain took too long, or a second signal cut it short.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        tokio::select! {
            name = self.signals.next() => tracing::info!(signal = name, "stopping: draining what was fetched"),
            ended = self.writer.ended() => ended.context("the writer ended by itself")?,
        }
        self.stop().await
    }

    /// Drains and ends without waiting for a signal.
    ///
    /// # Errors
    /// As [`Service::wait`].
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let summary = tokio::select! {
            summary = self.writer.shutdown() => summary?,
            name = self.signals.next() => bail!("{name} again: ended at once; uncommitted messages stay in the queue"),
        };
        self.http.shutdown().await;
        // Closing waits for connections; a database that does not answer must not keep the process.
        let closed = tokio::time::timeout(Duration::from_secs(5), self.catalog.close()).await;
        tracing::info!(
            messages = summary.messages,
            records = summary.records,
            quarantined = summary.quarantined,
            segments = summary.segments,
            bytes = summary.bytes,
            catalog_closed = closed.is_ok(),
            "writer stopped"
        );
        Ok(())
    }
}

impl Signals {
    /// From now on signals no longer end the process by themselves.
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
