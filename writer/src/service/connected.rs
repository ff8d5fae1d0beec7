//! The queue, the catalog and the store that settings name, and the start of a writer on them.
//!
//! Owns: proving the store usable before anything else is opened, and the errors with the settings to change.
//! Does not own: connecting each of them (`service::connect`), the process around a writer (`service`).

use std::sync::Arc;

use catalog::{AutoCreate, Contact, MetadataStore, Scope};
use common::config::Settings;
use common::{OwnerId, Queue, TopicName};
use lake::Storage;
use service::{ServiceError, connect};
use uuid::Uuid;

use crate::config::WriterConfig;
use crate::error::WriterError;
use crate::service::alone::older_writer;
use crate::service::error::ServeError;
use crate::service::running::RunningWriter;
use crate::writer::Writer;

/// The parts that a writer works with.
#[derive(Debug)]
pub struct Connected {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// The catalog, made or migrated if need be.
    pub catalog: Arc<dyn MetadataStore>,
    /// The store, which was proven usable.
    pub storage: Storage,
    /// The topics that the settings limit the writer to; all if empty.
    pub topics: Vec<TopicName>,
}

impl Connected {
    /// Connects everything, after it has proven that the store can be written.
    ///
    /// # Errors
    /// The first part that fails, with its address and the setting to change.
    pub async fn open(settings: &Settings) -> Result<Self, ServeError> {
        let names = settings.topics.iter().map(TopicName::new);
        let topics = names.collect::<Result<Vec<_>, _>>().map_err(ServeError::TopicName)?;
        let storage = usable_storage(settings).await?;
        let catalog = connect::catalog(settings).await?;
        let queue = connect::queue(settings).await?;
        Ok(Self { queue, catalog, storage, topics })
    }

    /// Starts a writer with the settings' limits, listed with its `address` if it has one.
    ///
    /// # Errors
    /// The catalog's, that a topic of the settings does not exist, or a rule of `AUTO_CREATE` is not valid.
    pub async fn start(&self, settings: &Settings, address: Option<String>) -> Result<RunningWriter, ServeError> {
        let auto_create = AutoCreate::of(settings).map_err(ServiceError::from)?;
        let owner = OwnerId(Uuid::now_v7());
        let started = Writer::builder(Arc::clone(&self.queue), self.storage.clone(), Arc::clone(&self.catalog))
            .config(WriterConfig::from(settings))
            .topics(self.topics.clone())
            .auto_create(auto_create)
            .owner(owner)
            .contact(Contact { group: settings.agent_group.clone(), address })
            .build()
            .start()
            .await;
        let mut started = started.map_err(|error| match error {
            WriterError::TopicNotFound(_) => ServeError::TopicNotFound { topics: settings.topics.join(","), error },
            other => other.into(),
        })?;
        if !connect::is_shared(settings) {
            let scope = if self.topics.is_empty() { Scope::All } else { Scope::Only(self.topics.clone()) };
            let lease = WriterConfig::from(settings).lease;
            started.reasons.spawn(older_writer(Arc::clone(&self.catalog), (owner, scope), lease));
        }
        Ok(started)
    }
}

/// The configured store, proven usable by a canary object.
async fn usable_storage(settings: &Settings) -> Result<Storage, ServeError> {
    let storage = connect::storage(settings)?;
    storage.probe().await.map_err(WriterError::from)?;
    if !storage.honours_create().await.map_err(WriterError::from)? {
        tracing::warn!(
            storage = storage.display_url(),
            "the store overwrites objects that must be created; keys are unique, so that segments are safe"
        );
    }
    Ok(storage)
}
