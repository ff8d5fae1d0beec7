//! Composition: from settings to a queue, a catalog and a store.
//!
//! Owns: which implementation a setting selects. Does not own: what they do.

use std::sync::Arc;

use anyhow::anyhow;
use catalog::MetadataStore;
use common::config::{QueueAck, QueueType, Settings, redacted_url};
use common::queue::memory::InMemoryQueue;
use common::{ErrorKind, Queue};
use nats::{AckMode, NatsConfig, NatsQueue};

use lake::Storage;

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
                nkey: settings.nats_nkey.clone(),
                nkey_file: settings.nats_nkey_file.clone(),
                ca_file: settings.nats_ca.clone(),
                monitor_url: settings.nats_monitor_url.clone(),
                client_certificate_file: settings.nats_client_cert.clone(),
                client_key_file: settings.nats_client_key.clone(),
                ack,
                ..NatsConfig::default()
            };
            let queue = NatsQueue::connect(config).await.map_err(|error| match error.kind() {
                ErrorKind::Unavailable => anyhow!("{error}; is NATS_URL right, and does the server run?"),
                _ => anyhow!(
                    "{error}; are NATS_URL and the login (NATS_USER, NATS_TOKEN, NATS_NKEY or NATS_CREDENTIALS) right?"
                ),
            })?;
            Ok(Arc::new(queue))
        }
    }
}

/// Opens the configured catalog, creating or migrating its schema.
///
/// # Errors
/// When it cannot be opened; the text names it, without its password.
pub async fn catalog(settings: &Settings) -> anyhow::Result<Arc<dyn MetadataStore>> {
    let url = settings.catalog_url();
    let failed = |reason: &str| {
        let url = redacted_url(&url);
        anyhow!("cannot open the catalog {url}: {reason}; is CATALOG_URL right, and does the database run?")
    };
    catalog::connect(&url).await.map_err(|error| failed(&error.to_string()))
}

/// Opens the configured store without contacting it.
///
/// # Errors
/// When its URL is not usable.
pub fn storage(settings: &Settings) -> anyhow::Result<Storage> {
    Ok(Storage::open(settings)?)
}
