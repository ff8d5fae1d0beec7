//! Composition: from settings to a queue, a catalog and a store.
//!
//! Owns: which implementation a setting selects. Does not own: what they do.

use std::sync::Arc;

use anyhow::Context;
use catalog::MetadataStore;
use common::Queue;
use common::config::{QueueAck, QueueType, Settings, redacted_url};
use common::queue::memory::InMemoryQueue;
use common::queue::nats::{AckMode, NatsConfig, NatsQueue};

use crate::storage::Storage;

/// Connects the configured queue.
///
/// # Errors
/// When it cannot be reached or refuses the login; the text names the address.
pub async fn queue(settings: &Settings) -> anyhow::Result<Arc<dyn Queue>> {
    match settings.queue_type {
        QueueType::Memory => Ok(Arc::new(InMemoryQueue::new(settings.queue_memory_bytes))),
        QueueType::Nats => {
            let ack = match settings.queue_ack {
                QueueAck::All => AckMode::All,
                QueueAck::None => AckMode::None,
            };
            let config = NatsConfig {
                url: settings.nats_url.clone(),
                credentials_file: settings.nats_credentials.clone(),
                user: settings.nats_user.clone(),
                password: settings.nats_password.clone(),
                token: settings.nats_token.clone(),
                ca_file: settings.nats_ca.clone(),
                ack,
                ..NatsConfig::default()
            };
            Ok(Arc::new(NatsQueue::connect(config).await?))
        }
    }
}

/// Opens the configured catalog, creating or migrating its schema.
///
/// # Errors
/// When it cannot be opened; the text names it, without its password.
pub async fn catalog(settings: &Settings) -> anyhow::Result<Arc<dyn MetadataStore>> {
    let url = settings.catalog_url();
    catalog::connect(&url).await.with_context(|| format!("cannot open the catalog {}", redacted_url(&url)))
}

/// Opens the configured store without contacting it.
///
/// # Errors
/// When its URL is not usable.
pub fn storage(settings: &Settings) -> anyhow::Result<Storage> {
    Ok(Storage::open(settings)?)
}
