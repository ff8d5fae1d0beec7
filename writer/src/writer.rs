//! The writer as a library: its builder and its start.
//!
//! Owns: the builder, and the order of starting the parts. Does not own: operations (`upkeep`), settings from the
//! environment (`connect`), signals and pages (`service`).

mod upkeep;

use std::sync::{Arc, Mutex};

use catalog::{Agent, AutoCreate, Contact, MetadataStore, Scope, SqliteMetadataStore};
use common::clock::{SharedClock, system_clock};
use common::{OwnerId, Queue, TopicName, agent_name};
use object_store::ObjectStore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::config::WriterConfig;
use crate::error::Result;
use crate::ownership::supervise::Supervisor;
use crate::pipeline::context::{Context, Limits};
use crate::pipeline::gather::{Gather, Parts};
use crate::pipeline::group::Groups;
use crate::service::announce::{self, Unannounced};
use crate::service::auto_create::SubjectWatch;
use crate::service::handle::WriterHandle;
use crate::service::running::RunningWriter;
use crate::service::status::StatusBoard;
use crate::service::{metrics, relief, watchers};
use lake::Storage;

/// A writer before its start.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use common::queue::memory::InMemoryQueue;
/// use writer::{Storage, Writer};
///
/// let storage = Storage::local("./data".into())?;
/// let writer = Writer::new(Box::new(InMemoryQueue::default()), storage.store);
/// let mut running = writer.start().await?;
/// running.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Writer {
    queue: Arc<dyn Queue>,
    storage: Storage,
    /// Absent for a catalog in memory, which the start creates.
    catalog: Option<Arc<dyn MetadataStore>>,
    config: WriterConfig,
    topics: Vec<TopicName>,
    clock: SharedClock,
    /// Set by a simulation; else new at each start.
    owner: Option<OwnerId>,
    contact: Contact,
    auto_create: AutoCreate,
    encode_inline: bool,
}

/// Sets up a [`Writer`].
#[derive(Debug)]
pub struct WriterBuilder {
    writer: Writer,
}

impl Writer {
    /// A writer for embedding and trials, with a catalog in memory that ends with it. For a durable catalog use
    /// [`Writer::builder`].
    pub fn new(queue: Box<dyn Queue>, object_store: Arc<dyn ObjectStore>) -> Self {
        Self {
            queue: Arc::from(queue),
            storage: Storage::from_store(object_store),
            catalog: None,
            config: WriterConfig::default(),
            topics: Vec::new(),
            clock: system_clock(),
            owner: None,
            contact: Contact::default(),
            auto_create: AutoCreate::default(),
            encode_inline: false,
        }
    }

    /// A writer with these parts and default settings.
    pub fn builder(queue: Arc<dyn Queue>, storage: Storage, catalog: Arc<dyn MetadataStore>) -> WriterBuilder {
        let (config, clock, topics) = (WriterConfig::default(), system_clock(), Vec::new());
        let catalog = Some(catalog);
        let (contact, auto_create) = (Contact::default(), AutoCreate::default());
        let (owner, encode_inline) = (None, false);
        let writer =
            Self { queue, storage, catalog, config, topics, clock, owner, contact, auto_create, encode_inline };
        WriterBuilder { writer }
    }

    /// Registers as an agent, takes partitions over and starts working on them.
    ///
    /// # Errors
    /// If the catalog does not answer, or a requested topic does not exist.
    pub async fn start(&self) -> Result<RunningWriter> {
        let catalog: Arc<dyn MetadataStore> = match &self.catalog {
            Some(catalog) => Arc::clone(catalog),
            None => Arc::new(SqliteMetadataStore::new_in_memory().await?),
        };
        metrics::describe();
        let announcements = self.queue.announcements();
        let unannounced = Arc::new(Unannounced::new(announcements.is_some()));
        let (groups, grouping) = Groups::new(Arc::clone(&catalog), Arc::clone(&unannounced));
        let limits = Limits::new(&self.config, self.encode_inline);
        let (gather, gathering) = Gather::new(Parts {
            catalog: Arc::clone(&catalog),
            storage: self.storage.clone(),
            config: self.config.clone(),
            limits: limits.clone(),
            unannounced: Arc::clone(&unannounced),
        });
        let context = Arc::new(Context {
            queue: Arc::clone(&self.queue),
            catalog,
            storage: self.storage.clone(),
            config: self.config.clone(),
            groups,
            gather,
            limits,
        });
        let (board, commands) = (StatusBoard::default(), Arc::new(Mutex::default()));
        let owner = self.owner.unwrap_or_else(|| OwnerId(Uuid::now_v7()));
        let scope = if self.topics.is_empty() { Scope::All } else { Scope::Only(self.topics.clone()) };
        let agent = Agent { owner, name: agent_name(), scope, contact: self.contact.clone() };
        let mut supervisor =
            Supervisor::new(Arc::clone(&context), agent, self.topics.clone(), board.clone(), Arc::clone(&commands));
        let mut watchers = JoinSet::new();
        watchers.spawn(grouping);
        watchers.spawn(gathering);
        watchers.spawn(relief::relieve_memory(context.limits.memory.clone(), board.clone(), Arc::clone(&commands)));
        if self.queue.memory().is_some() {
            watchers.spawn(relief::relieve_queue(Arc::clone(&self.queue), board.clone(), Arc::clone(&commands)));
        }
        if let Some(announcements) = announcements {
            watchers.spawn(announce::announce(announcements, unannounced));
        }
        self.start_upkeep(&context, owner, &mut watchers);
        watchers.spawn(watchers::watch_lag(Arc::clone(&self.queue), board.clone(), Arc::clone(&self.clock)));
        if !self.auto_create.by_subject().is_empty() {
            let refresh = Arc::clone(&supervisor.refresh);
            watchers.spawn(SubjectWatch::new(&context, self.auto_create.clone(), refresh).run());
        }
        supervisor.begin().await?;
        let compaction = self.start_compaction(&context, owner, supervisor.stop.clone(), &board);
        let (totals, refresh) = (Arc::clone(supervisor.totals()), Arc::clone(&supervisor.refresh));
        let handle = WriterHandle { context, board, clock: Arc::clone(&self.clock), totals, commands, refresh };
        Ok(RunningWriter {
            handle,
            stop: supervisor.stop.clone(),
            supervisor: Some(tokio::spawn(supervisor.run())),
            compaction,
            watchers,
            reasons: JoinSet::new(),
        })
    }
}

impl WriterBuilder {
    /// Sets the settings.
    #[must_use]
    pub fn config(mut self, config: WriterConfig) -> Self {
        self.writer.config = config;
        self
    }

    /// Limits the writer to these topics; all if empty.
    #[must_use]
    pub fn topics(mut self, topics: Vec<TopicName>) -> Self {
        self.writer.topics = topics;
        self
    }

    /// Sets the group and the address under which the writer is listed; the group `default` and none, unless given.
    #[must_use]
    pub fn contact(mut self, contact: Contact) -> Self {
        self.writer.contact = contact;
        self
    }

    /// Sets the rules by which subjects of streams become topics; none, unless given.
    #[must_use]
    pub fn auto_create(mut self, rules: AutoCreate) -> Self {
        self.writer.auto_create = rules;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.writer.clock = clock;
        self
    }

    /// Sets the owner, for simulations, whose runs must be repeatable. It must differ at every start, since two starts
    /// of one owner are not fenced from each other.
    #[doc(hidden)]
    #[must_use]
    pub fn owner(mut self, owner: OwnerId) -> Self {
        self.writer.owner = Some(owner);
        self
    }

    /// Decodes and encodes on the thread of the runtime, for simulations: other threads would make runs random.
    #[doc(hidden)]
    #[must_use]
    pub fn encode_inline(mut self) -> Self {
        self.writer.encode_inline = true;
        self
    }

    /// Builds the writer.
    pub fn build(self) -> Writer {
        self.writer
    }
}
