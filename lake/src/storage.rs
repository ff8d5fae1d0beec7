//! The object store: opening it, probing it, and putting an object so that it survives a power cut.
//!
//! Owns: opening each kind of store, durability of a local put, the canary that proves the store usable.
//! Does not own: object keys (`keys`), retries and the meaning of an ambiguous answer (`put`).

mod diagnose;
mod local;
mod probe;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::config::{Settings, StorageType, redacted_url};
use common::diagnosis::Finding;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig};
use url::Url;

use crate::error::{LakeError, Result};

// A whole request including its body: 64 MiB in ten minutes is 110 KB/s, slower than any store worth waiting for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An object store with the place in it where segments go.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Bucket or container; empty for local and memory.
    pub bucket: String,
    /// Prefix of every key; empty for none.
    pub prefix: Path,
    /// Names the store's root for query engines: `s3://bucket`, `file:///absolute/path`, …
    pub url: Url,
    /// The directory, when the store is one.
    pub local_root: Option<PathBuf>,
    /// The kind of store; memory for one given to [`Storage::from_store`].
    pub kind: StorageType,
}

impl Storage {
    /// Opens the store that the settings name, without contacting it; [`Storage::probe`] does.
    ///
    /// # Errors
    /// [`LakeError::Storage`] when the URL or the credentials' form are not usable.
    pub fn open(settings: &Settings) -> Result<Self> {
        let Some(text) = &settings.storage_url else {
            return match settings.storage_type {
                StorageType::Memory => Ok(Self::memory()),
                _ => Self::local(settings.storage_path.clone()),
            };
        };
        let url = Url::parse(text).map_err(|error| unusable(text, &error))?;
        match StorageType::of(url.as_str()) {
            Some(StorageType::Local) => {
                Self::local(url.to_file_path().map_err(|()| unusable(text, &"not a path of this machine"))?)
            }
            Some(StorageType::Memory) => Ok(Self::memory()),
            Some(kind) => Self::remote(kind, &url),
            None => Err(unusable(text, &format!("scheme {} names no kind of store", url.scheme()))),
        }
    }

    /// A directory, created when absent.
    ///
    /// # Errors
    /// [`LakeError::Storage`] when it cannot be created.
    pub fn local(root: PathBuf) -> Result<Self> {
        let shown = root.display().to_string();
        local::create_dir_durably(&root).map_err(|error| {
            let advice = "may this user create the directory that STORAGE_PATH or STORAGE_URL names?";
            unusable(&shown, &format!("cannot create the directory: {error}; {advice}"))
        })?;
        let root = root.canonicalize().map_err(|error| unusable(&shown, &error))?;
        let url = Url::from_directory_path(&root).map_err(|()| unusable(&shown, &"not an absolute path"))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| unusable(&shown, &error))?;
        let store = Arc::new(store);
        Ok(Self {
            store,
            bucket: String::new(),
            prefix: Path::default(),
            url,
            local_root: Some(root),
            kind: StorageType::Local,
        })
    }

    /// A store inside this process.
    pub fn memory() -> Self {
        Self::from_store(Arc::new(InMemory::new()))
    }

    /// Any store, for embedding and tests. A [`LocalFileSystem`] given here is not synced to disk: use
    /// [`Storage::local`].
    pub fn from_store(store: Arc<dyn ObjectStore>) -> Self {
        let url = Url::parse("memory:///").expect("a constant URL");
        Self { store, bucket: String::new(), prefix: Path::default(), url, local_root: None, kind: StorageType::Memory }
    }

    fn remote(kind: StorageType, url: &Url) -> Result<Self> {
        let refuse = |error: &dyn std::fmt::Display| unusable(url.as_str(), error);
        let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse(&"the bucket is missing"))?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| refuse(&error))?;
        let client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
        // The pipeline retries by its own policy; the client only smooths over single hiccups.
        let retry = RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let store: Arc<dyn ObjectStore> = match kind {
            StorageType::S3 => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                Arc::new(
                    builder
                        .with_client_options(s3_options(client))
                        .with_retry(retry)
                        .build()
                        .map_err(|e| refuse(&e))?,
                )
            }
            StorageType::Gcs => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
                Arc::new(builder.with_client_options(client).with_retry(retry).build().map_err(|e| refuse(&e))?)
            }
            StorageType::Azure => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
                Arc::new(builder.with_client_options(client).with_retry(retry).build().map_err(|e| refuse(&e))?)
            }
            StorageType::Local | StorageType::Memory => return Err(refuse(&"this store is on no other machine")),
        };
        let mut root = url.clone();
        root.set_path("");
        Ok(Self { store, bucket: bucket.to_owned(), prefix, url: root, local_root: None, kind })
    }

    /// Puts a new object and returns when it is durable: on a local disk, file and directories are synced.
    ///
    /// # Errors
    /// [`PutError`] tells an object that may be there from one that is there and cannot be trusted.
    pub async fn put_new(&self, key: &Path, payload: PutPayload) -> Result<(), PutError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.store.put_opts(key, payload, options).await.map_err(PutError::Ambiguous)?;
        self.sync(key).await.map_err(PutError::NotDurable)
    }

    /// Makes a stored object durable. Does nothing except on a local disk.
    ///
    /// # Errors
    /// When the disk refuses; the content after a crash is then unknown, even if a repetition succeeds.
    pub async fn sync(&self, key: &Path) -> object_store::Result<()> {
        match &self.local_root {
            Some(root) => local::sync(root.clone(), key).await,
            None => Ok(()),
        }
    }

    /// Proves that this process can put, read and delete objects here, by doing so with a canary.
    ///
    /// # Errors
    /// [`LakeError::Storage`] names the failed step and the settings or rights to check.
    pub async fn probe(&self) -> Result<()> {
        probe::probe(self).await
    }

    /// True when the store refuses a create-only put of an existing key. Some stores ignore the condition.
    ///
    /// Segments are safe either way: a key holds a random number, is put by one writer only and never used again, and
    /// an answer that proves nothing is settled by reading the object. A store that refuses is a second lock.
    ///
    /// # Errors
    /// [`LakeError::Storage`] when the store cannot be asked.
    pub async fn honours_create(&self) -> Result<bool> {
        probe::honours_create(self).await
    }

    /// Findings about the store for an operator. Puts and deletes canaries.
    pub async fn diagnose(&self) -> Vec<Finding> {
        diagnose::diagnose(self).await
    }

    /// The store's URL for people, without secrets.
    pub fn display_url(&self) -> String {
        let root = redacted_url(self.url.as_str());
        match self.prefix.as_ref() {
            "" => root,
            prefix => format!("{}/{prefix}", root.trim_end_matches('/')),
        }
    }
}

/// A failed put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The object may be stored or not.
    #[error(transparent)]
    Ambiguous(object_store::Error),
    /// The object is stored, but may not survive a power cut; its key must not be used.
    #[error("not synced to disk: {0}")]
    NotDurable(object_store::Error),
}

/// Allows plain HTTP exactly when `AWS_ALLOW_HTTP` does; options set as a whole would otherwise drop it.
fn s3_options(client: ClientOptions) -> ClientOptions {
    let allow = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    client.with_allow_http(allow)
}

fn unusable(url: &str, reason: &dyn std::fmt::Display) -> LakeError {
    LakeError::Storage { url: redacted_url(url), reason: reason.to_string() }
}
