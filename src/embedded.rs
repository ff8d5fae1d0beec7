//! Queue, writer, catalog and store in one process, behind one handle.
//!
//! Owns: opening and closing them in order, the task that watches the writer, and the end that every method reports.
//! Does not own: each part, the way of an appended record (`ingester`, then the writer's pipeline).

mod append;
mod error;
mod inlet;
mod life;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use bytes::Bytes;
use catalog::{MetadataStore, Topic, TopicConfig};
use common::config::Settings;
use common::{OutgoingMessage, Queue, QueueError, TopicName};
use ingester::{Producer, ProducerError};
use lake::query::{BatchStream, HotTail, HotTailSettings, QueryError, QueryOptions, QuerySession, QueryStore};
use service::connect;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use writer::service::Connected;
use writer::{QueueTail, RunningWriter, Summary, WriterError, WriterHandle};

use self::inlet::Inlet;
use self::life::Life;

pub use self::append::AppendResult;
pub use self::error::{Error, Result};

/// Siltstone inside this process. Share it in an `Arc`: all methods take `&self`.
///
/// Call [`Siltstone::close`] at the end. A drop stops the writer at once, and what a queue in memory holds is lost.
#[derive(Debug)]
pub struct Siltstone {
    settings: Settings,
    topics: Vec<TopicName>,
    writer: WriterHandle,
    catalog: Arc<dyn MetadataStore>,
    inlet: Arc<Inlet>,
    producer: Producer,
    session: QuerySession,
    life: Life,
    stop: CancellationToken,
    /// The task that owns the writer. A second close waits for the first.
    keeper: Mutex<Option<Keeper>>,
}

type Keeper = AbortOnDropHandle<Result<Summary, WriterError>>;

impl Siltstone {
    /// Opens catalog, store and queue, makes what is absent, and starts a writer. With the default settings all of it is in
    /// the folder `./data` and in this process. A queue in memory goes on numbering at the catalog's watermarks, and only
    /// one process may use its catalog at a time.
    ///
    /// # Errors
    /// [`Error::Settings`], or [`Error::Open`] with the part that failed, its place and the setting to change.
    pub async fn open(settings: Settings) -> Result<Self> {
        let settings = settings.checked()?;
        let connected = Connected::open(&settings).await.map_err(Box::new)?;
        let running = connected.start(&settings, None).await.map_err(Box::new)?;
        let Connected { queue, catalog, storage, topics } = connected;
        let store = QueryStore { url: storage.url, store: storage.store };
        let session = open_session(&settings, Arc::clone(&catalog), store)?
            .with_hot_tail(HotTail::of(Arc::new(QueueTail::of(Arc::clone(&queue), &settings))));
        let (life, stop) = (Life::default(), CancellationToken::new());
        let inlet = Arc::new(Inlet::new(queue, life.clone()));
        let producer = Producer::new(Arc::clone(&inlet) as Arc<dyn Queue>, Arc::clone(&catalog));
        let writer = running.handle();
        let keeper = AbortOnDropHandle::new(tokio::spawn(keep(running, life.clone(), stop.clone())));
        let keeper = Mutex::new(Some(keeper));
        Ok(Self { settings, topics, writer, catalog, inlet, producer, session, life, stop, keeper })
    }

    /// Creates a topic, and lets the writer take its partitions over.
    ///
    /// # Errors
    /// [`Error::TopicExists`]; [`Error::TopicLeftOut`]; errors of queue and catalog.
    pub async fn create_topic(&self, topic: TopicConfig) -> Result<Topic> {
        self.life.check()?;
        self.check_topic(&topic.name)?;
        let name = topic.name.clone();
        let created = self.life.unless_ended(self.writer.create_topic(topic)).await?;
        created.map_err(|error| Error::not_created(name, error))
    }

    /// Appends one record: to the partition of its key, or without a key in turn. Returns its place once the queue has it,
    /// which is before it is durable: [`Siltstone::flush_all`] says when it is committed. While the queue is full
    /// (`QUEUE_MEMORY_BYTES`) it waits.
    ///
    /// `timestamp` is the record's own time, in milliseconds since 1970. It is kept in the header
    /// [`TIMESTAMP_HEADER`](crate::TIMESTAMP_HEADER); a time to be queried is better a column of the record.
    ///
    /// # Errors
    /// [`Error::Produce`]: the topic is absent, the record is too large, the queue does not confirm. [`Error::Timestamp`],
    /// [`Error::TopicLeftOut`].
    pub async fn append(
        &self,
        topic: &TopicName,
        key: Option<Bytes>,
        value: Bytes,
        timestamp: Option<u64>,
    ) -> Result<AppendResult> {
        self.life.check()?;
        self.check_topic(topic)?;
        let (message, timestamp) = append::message(key, value, timestamp)?;
        let placed = match connect::is_shared(&self.settings) {
            true => self.send(topic, message).await,
            false => self.publish_here(topic, message).await,
        };
        // After the end, a refusal of the queue is its consequence.
        let (partition, offset) = placed.map_err(|error| self.life.check().err().unwrap_or(Error::Produce(error)))?;
        Ok(AppendResult { topic: topic.clone(), partition, offset, timestamp })
    }

    /// A producer into the same queue, for batches, message ids and partitions of the caller's choice.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Closes every open batch and returns when everything that was appended before, here or by
    /// [`Siltstone::producer`], is committed.
    ///
    /// # Errors
    /// [`Error::NotCommitted`] with the reason of each partition that does not get on; the others are committed, and the
    /// writer goes on trying.
    pub async fn flush_all(&self) -> Result<()> {
        self.life.check()?;
        let sent_and_settled = async {
            let sent = self.producer.flush().await;
            self.settle().await?;
            sent.map_err(|error| Error::Enqueued(Box::new(error)))
        };
        self.life.unless_ended(sent_and_settled).await?
    }

    /// The rows of one SELECT, SHOW or EXPLAIN over everything that was appended, committed or not: the same tables and
    /// rules as `siltstone query`. `SET siltstone.hot_tail = off` shows committed rows alone from then on.
    ///
    /// # Errors
    /// [`Error::Query`].
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.life.check()?;
        let answer = async { Ok::<_, QueryError>(self.session.sql(sql).await?.collect().await?) };
        Ok(self.life.unless_ended(answer).await?.map_err(Box::new)?)
    }

    /// The same rows as they come, for answers that do not fit in memory.
    ///
    /// # Errors
    /// As [`Siltstone::query`]; later errors come with the rows.
    pub async fn query_stream(&self, sql: &str) -> Result<BatchStream> {
        self.life.check()?;
        let answer = async { Ok::<_, QueryError>(self.session.sql(sql).await?.execute_stream().await?) };
        Ok(self.life.unless_ended(answer).await?.map_err(Box::new)?)
    }

    /// Totals of the commits since the start.
    pub fn summary(&self) -> Summary {
        self.writer.summary()
    }

    /// Refuses new work, commits everything that was appended, stops the writer and closes the catalog. It ends after
    /// `SHUTDOWN_TIMEOUT_SECS` for each of the three waits at the latest.
    ///
    /// # Errors
    /// [`Error::NotCommitted`]: a queue in memory loses the rest. [`Error::WriterEnded`] if the writer had ended by itself,
    /// [`Error::Closed`] after a close.
    pub async fn close(&self) -> Result<Summary> {
        let Some(keeper) = self.keeper.lock().await.take() else { return Err(Error::Closed) };
        // What the producer buffers is sent before it is refused.
        let limit = Duration::from_secs(self.settings.shutdown_timeout_secs);
        let sent = tokio::time::timeout(limit, self.life.unless_ended(self.producer.flush())).await;
        self.life.close();
        self.inlet.drained().await;
        let settled = tokio::select! {
            biased;
            ended = self.life.writers_end() => Err(ended),
            settled = self.settle_in_time() => settled,
        };
        self.stop.cancel();
        let stopped = keeper.await.unwrap_or_else(|error| Err(WriterError::Internal(error.to_string())));
        if !connect::close_catalog(self.catalog.as_ref()).await {
            tracing::warn!("the catalog's connections were not closed in time");
        }
        settled?;
        if let Ok(Ok(Err(error))) = sent {
            return Err(Error::Enqueued(Box::new(error)));
        }
        Ok(stopped?)
    }

    /// Straight into the queue of this process: no reply of it can be lost, so that a record needs no id.
    async fn publish_here(
        &self,
        topic: &TopicName,
        message: OutgoingMessage,
    ) -> Result<(u32, u64), Arc<ProducerError>> {
        let to = self.producer.partition_of(topic, message.key.as_deref()).await?;
        match self.inlet.publish(&to, vec![message.clone()]).await {
            Ok(acks) => Ok((to.partition_id, acks.first().expect("one ack per message").offset)),
            // The topic was made again meanwhile: the producer looks it up.
            Err(QueueError::TopicUnknown { .. }) => self.send(topic, message).await,
            Err(error) => Err(Arc::new(error.into())),
        }
    }

    async fn send(&self, topic: &TopicName, message: OutgoingMessage) -> Result<(u32, u64), Arc<ProducerError>> {
        let outcomes = self.producer.send_batch(topic, vec![message]).await?;
        let outcome = outcomes.into_iter().next().expect("one outcome per message");
        outcome.map(|sent| (sent.partition, sent.offset)).map_err(|failure| failure.error)
    }

    fn check_topic(&self, topic: &TopicName) -> Result<()> {
        if self.topics.is_empty() || self.topics.contains(topic) {
            return Ok(());
        }
        Err(Error::TopicLeftOut { topic: topic.clone(), topics: self.settings.topics.join(",") })
    }
}

impl Drop for Siltstone {
    fn drop(&mut self) {
        let is_open = self.keeper.get_mut().is_some();
        let uncommitted = if is_open { self.uncommitted().len() } else { 0 };
        if uncommitted > 0 {
            tracing::warn!(
                partitions = uncommitted,
                "dropped without a close: records of these partitions are not committed, and a queue in memory loses them"
            );
        }
    }
}

/// A session with the memory of the settings.
fn open_session(settings: &Settings, catalog: Arc<dyn MetadataStore>, store: QueryStore) -> Result<QuerySession> {
    let hot_tail = HotTailSettings { mode: settings.hot_tail, ..HotTailSettings::default() };
    let memory_bytes_max = settings.memory_budget_bytes;
    let options = QueryOptions { memory_bytes_max, hot_tail, ..QueryOptions::default() };
    Ok(QuerySession::open_with(catalog, store, options).map_err(Box::new)?)
}

/// Runs until the writer has ended by itself or is to stop, then stops it.
async fn keep(mut running: RunningWriter, life: Life, stop: CancellationToken) -> Result<Summary, WriterError> {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        ended = running.ended() => {
            let error = ended.err().unwrap_or_else(|| WriterError::Internal("it returned".to_owned()));
            tracing::error!(%error, "the embedded writer has ended");
            life.writer_ended(error);
        }
    }
    running.shutdown().await
}
