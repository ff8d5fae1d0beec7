//! Composition: from settings to a queue, a catalog and a store.
//!
//! Owns: the choice of an implementation by the settings, the list of shared queues, and the refusal of the others; which
//! places are made, and which must exist.
//! Does not own: the implementations.

use std::sync::Arc;
use std::time::Duration;

use catalog::{CatalogError, MetadataStore, SqliteMetadataStore};
use common::config::{CatalogPlace, InvalidSetting, QueueAck, QueueType, Settings};
use common::diagnosis::{Area, Finding, filesystem};
use common::queue::memory::InMemoryQueue;
use common::{ErrorKind, Queue, QueueError};
use lake::Storage;
use nats::{AckMode, NatsConfig, NatsQueue};

use crate::error::{Result, ServiceError};

/// Longest time for closing the catalog, which waits for its connections: a silent database must not delay the exit.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Closes the catalog's connections; false if they were not closed in time.
pub async fn close_catalog(catalog: &dyn MetadataStore) -> bool {
    tokio::time::timeout(CLOSE_TIMEOUT, catalog.close()).await.is_ok()
}

/// Connects the configured queue.
///
/// # Errors
/// [`ServiceError::Queue`] if it cannot be reached or refuses the login; the text names the address.
pub async fn queue(settings: &Settings) -> Result<Arc<dyn Queue>> {
    match settings.queue_type {
        QueueType::Memory => Ok(Arc::new(InMemoryQueue::new(settings.queue_memory_bytes))),
        QueueType::Nats => Ok(Arc::new(nats_queue(settings).await?)),
    }
}

/// Connects to the configured NATS server, whatever the type of the queue.
///
/// # Errors
/// As [`queue`].
pub async fn nats_queue(settings: &Settings) -> Result<NatsQueue> {
    let config = nats_config(settings);
    if let Err(QueueError::Refused { reason }) = NatsQueue::check_login(&config).await {
        return Err(InvalidSetting::new(reason).into());
    }
    NatsQueue::connect(config).await.map_err(|error| {
        let advice = match error.kind() {
            _ if error.to_string().contains("InvalidContentType") => {
                "the server does not speak TLS: give it a certificate, or take NATS_CA, NATS_CLIENT_CERT and tls:// away"
            }
            _ if error.to_string().contains("UnknownIssuer") => {
                "the server's certificate comes from an authority that is not known here; NATS_CA names a PEM file with it"
            }
            ErrorKind::Unavailable => "is NATS_URL right, and does the server run?",
            _ => "are NATS_URL and the login (NATS_USER, NATS_TOKEN, NATS_NKEY or NATS_CREDENTIALS) right?",
        };
        ServiceError::Queue { error, advice }
    })
}

/// Connects the configured queue for work on messages that another process published or will read.
///
/// # Errors
/// As [`ensure_shared`] and [`queue`].
pub async fn shared_queue(settings: &Settings, consequence: &str) -> Result<Arc<dyn Queue>> {
    ensure_shared(settings, consequence)?;
    queue(settings).await
}

/// Refuses a queue that only its own process can reach. `consequence` states the impossible work, as a clause:
/// "nothing published here would arrive".
///
/// # Errors
/// [`ServiceError::QueueNotShared`].
pub fn ensure_shared(settings: &Settings, consequence: &str) -> Result<()> {
    if is_shared(settings) {
        return Ok(());
    }
    Err(ServiceError::QueueNotShared { consequence: consequence.to_owned() })
}

/// True if other processes can reach the configured queue, so that it outlives this one.
pub fn is_shared(settings: &Settings) -> bool {
    match settings.queue_type {
        QueueType::Memory => false,
        QueueType::Nats => true,
    }
}

/// The configured queue in display form: its address without a password, or `memory`.
pub fn queue_place(settings: &Settings) -> String {
    match settings.queue_type {
        QueueType::Memory => "memory".to_owned(),
        QueueType::Nats => settings.nats_url.to_string(),
    }
}

/// Opens the configured catalog, making a file that is absent, and creating or migrating its schema.
///
/// # Errors
/// [`ServiceError::Catalog`] if it cannot be opened; the text names it, without its password.
pub async fn catalog(settings: &Settings) -> Result<Arc<dyn MetadataStore>> {
    let place = settings.catalog_place();
    let opened = match &place {
        // A path is no URL: none of its characters has another meaning.
        CatalogPlace::File(path) => {
            SqliteMetadataStore::new(path).await.map(|store| Arc::new(store) as Arc<dyn MetadataStore>)
        }
        CatalogPlace::Url(url) => catalog::connect(url.expose()).await,
    };
    opened.map_err(|error| ServiceError::Catalog { place, error })
}

/// True if the configured catalog outlives this process.
pub fn is_catalog_kept(settings: &Settings) -> bool {
    match settings.catalog_place() {
        CatalogPlace::File(_) => true,
        CatalogPlace::Url(url) => !url.expose().starts_with("sqlite:") || catalog::file_of(url.expose()).is_some(),
    }
}

/// Opens the configured catalog for reading alone: makes and changes nothing, and needs no right but to read.
///
/// # Errors
/// [`ServiceError::NoCatalog`] if there is none, and as [`catalog()`]; also if its schema is an older one.
pub async fn catalog_to_read(settings: &Settings) -> Result<Arc<dyn MetadataStore>> {
    let place = settings.catalog_place();
    let opened = match &place {
        CatalogPlace::File(path) => {
            SqliteMetadataStore::new_to_read(path).await.map(|store| Arc::new(store) as Arc<dyn MetadataStore>)
        }
        CatalogPlace::Url(url) => catalog::connect_to_read(url.expose()).await,
    };
    opened.map_err(|error| match error {
        CatalogError::Absent(_) => ServiceError::NoCatalog { place },
        error => ServiceError::Catalog { place, error },
    })
}

/// The findings about the place of a catalog that does not exist yet.
///
/// # Errors
/// As [`catalog_to_read`].
pub async fn diagnose_without_catalog(settings: &Settings) -> Result<Vec<Finding>> {
    let place = settings.catalog_place();
    let found = match &place {
        CatalogPlace::File(path) => return Ok(vec![filesystem::finding(Area::Catalog, "the catalog", path)]),
        CatalogPlace::Url(url) => catalog::diagnose_without_catalog(url.expose()).await,
    };
    found.map_err(|error| ServiceError::Catalog { place, error })
}

/// Opens the configured catalog for writing, which must exist: a path that is mistyped makes no file.
///
/// # Errors
/// [`ServiceError::NoCatalog`] if it is a file that does not exist, and as [`catalog()`].
pub async fn existing_catalog(settings: &Settings) -> Result<Arc<dyn MetadataStore>> {
    let place = settings.catalog_place();
    let file = match &place {
        CatalogPlace::File(path) => Some(path.clone()),
        CatalogPlace::Url(url) => catalog::file_of(url.expose()),
    };
    if file.is_some_and(|file| !file.exists()) {
        return Err(ServiceError::NoCatalog { place });
    }
    catalog(settings).await
}

/// Opens the configured store without contacting it, making a directory that is absent.
///
/// # Errors
/// [`ServiceError::Storage`] if its URL is invalid.
pub fn storage(settings: &Settings) -> Result<Storage> {
    Ok(Storage::open(settings)?)
}

/// The same for a store that must exist: a path that is mistyped makes no directory.
///
/// # Errors
/// [`ServiceError::Storage`] also if it is a directory that does not exist.
pub fn existing_storage(settings: &Settings) -> Result<Storage> {
    Ok(Storage::open_existing(settings)?)
}

fn nats_config(settings: &Settings) -> NatsConfig {
    NatsConfig {
        url: settings.nats_url.clone(),
        credentials_file: settings.nats_credentials.clone(),
        user: settings.nats_user.clone(),
        password: settings.nats_password.clone(),
        token: settings.nats_token.clone(),
        nkey: settings.nats_nkey.clone(),
        nkey_file: settings.nats_nkey_file.clone(),
        ca_file: settings.nats_ca.clone(),
        domain: settings.nats_js_domain.clone(),
        monitor_url: settings.nats_monitor_url.clone(),
        client_certificate_file: settings.nats_client_cert.clone(),
        client_key_file: settings.nats_client_key.clone(),
        ack: match settings.queue_ack {
            QueueAck::All => AckMode::All,
            QueueAck::None => AckMode::None,
        },
        ..NatsConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_queue_that_others_can_reach_is_shared() {
        let memory = Settings { queue_type: QueueType::Memory, ..Settings::default() };
        let refused = shared_queue(&memory, "it cannot be compared").await.expect_err("inside this process");
        assert_eq!(
            refused.to_string(),
            "QUEUE_TYPE=memory: that queue lives inside the process that writes and cannot be reached from here, so \
             it cannot be compared; set QUEUE_TYPE=nats where the topic's messages are on NATS"
        );
        assert_eq!((is_shared(&memory), queue_place(&memory)), (false, "memory".to_owned()));
        let nats_url = "nats://user:word@127.0.0.1:1".into();
        let nats = Settings { queue_type: QueueType::Nats, nats_url, ..Settings::default() };
        assert_eq!((is_shared(&nats), queue_place(&nats)), (true, "nats://user:********@127.0.0.1:1".to_owned()));
        let error = shared_queue(&nats, "it cannot be compared").await.expect_err("no server").to_string();
        assert!(error.contains("127.0.0.1:1") && error.ends_with("does the server run?"), "{error}");
    }
}
