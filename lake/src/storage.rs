//! The object store: opening it, probing it, and putting an object so that it survives a power cut.
//!
//! Owns: the choice of the kind of store, the directory of a local one, durability of a local put, the canary that proves
//! the store usable.
//! Does not own: stores on other machines (`remote`), the ends of reads (`reads`), object keys (`keys`), retries and the meaning of an ambiguous answer
//! (`put`).

mod aws_profile;
mod contained;
mod diagnose;
mod local;
mod place;
mod probe;
mod reads;
mod remote;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::config::{Settings, StorageType};
use common::diagnosis::Finding;
use common::secret::{masked_url, scrubbed};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use url::Url;

pub use self::place::PlaceError;
use self::reads::{End, EndingReads};
pub use self::reads::{SilentStore, silent_store};
use crate::error::{LakeError, Result};

/// Limit to the probe at the start: a silent store is reported while somebody still waits for the start.
const PROBE_MAX: Duration = Duration::from_secs(30);

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
    /// Opens the store that the settings name, making a directory that is absent, without contacting it; [`Storage::probe`]
    /// does.
    ///
    /// # Errors
    /// [`LakeError::Storage`] when the URL or the credentials' form are not usable.
    pub fn open(settings: &Settings) -> Result<Self> {
        match place(settings)? {
            Place::Directory(root) => Self::local(root),
            Place::Memory => Ok(Self::memory()),
            Place::Remote(kind, url) => remote::open(kind, &url),
        }
    }

    /// The same for a store that must exist, so that a mistyped path makes no directory, and is read by somebody who
    /// waits: a store that sends nothing for 30 seconds is given up ([`silent_store`]).
    ///
    /// # Errors
    /// As [`Storage::open`], and when the directory does not exist.
    pub fn open_existing(settings: &Settings) -> Result<Self> {
        if let Place::Directory(root) = place(settings)?
            && !root.is_dir()
        {
            let reason = "no such directory; is STORAGE_PATH or STORAGE_URL right? `siltstone topic create` or \
                          `siltstone up` makes it";
            return Err(unusable(&root.display().to_string(), &reason));
        }
        let storage = Self::open(settings)?;
        if storage.local_root.is_some() || storage.kind == StorageType::Memory {
            return Ok(storage);
        }
        let end = End::Silence(storage.display_url(), reads::SILENCE_MAX);
        Ok(Self { store: Arc::new(EndingReads { store: Arc::clone(&storage.store), end }), ..storage })
    }

    /// A directory, created when absent.
    ///
    /// # Errors
    /// [`LakeError::Storage`] when it cannot be created.
    pub fn local(root: PathBuf) -> Result<Self> {
        let shown = root.display().to_string();
        local::create_dir_durably(&root).map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    "STORAGE_PATH or STORAGE_URL names a file, or a place below one"
                }
                _ => "may this user create the directory that STORAGE_PATH or STORAGE_URL names?",
            };
            unusable(&shown, &format!("cannot create the directory: {error}; {advice}"))
        })?;
        let root = root.canonicalize().map_err(|error| unusable(&shown, &error))?;
        let url = Url::from_directory_path(&root).map_err(|()| unusable(&shown, &"not an absolute path"))?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| unusable(&shown, &error))?;
        let store = EndingReads { store: Arc::new(store), end: End::FilesOnly(root.clone()) };
        Ok(Self {
            store: Arc::new(store),
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
        let silent = || LakeError::Storage {
            url: self.display_url(),
            reason: format!("no answer within {PROBE_MAX:?}; is the store up and reachable from here?"),
        };
        tokio::time::timeout(PROBE_MAX, probe::probe(self)).await.unwrap_or_else(|_| Err(silent()))
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

    /// The address that keys follow, as DuckDB takes it: `/absolute/directory/`, `s3://bucket/`. `None` for a store inside
    /// this process, and for a directory whose name is not Unicode.
    pub fn reader_root(&self) -> Option<String> {
        let scheme = match self.kind {
            StorageType::Local => {
                let root = self.local_root.as_ref()?.to_str()?;
                return Some(format!("{}/", root.trim_end_matches('/')));
            }
            StorageType::S3 => "s3",
            StorageType::Azure => "az",
            StorageType::Gcs => "gs",
            StorageType::Memory => return None,
        };
        Some(format!("{scheme}://{}/", self.bucket))
    }

    /// The store's URL for people, without secrets.
    pub fn display_url(&self) -> String {
        let root = masked_url(self.url.as_str());
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

/// The place of a store.
enum Place {
    Directory(PathBuf),
    Memory,
    Remote(StorageType, Url),
}

fn place(settings: &Settings) -> Result<Place> {
    let Some(text) = settings.storage_url.as_ref().map(|url| url.expose()) else {
        return Ok(match settings.storage_type {
            StorageType::Memory => Place::Memory,
            _ => Place::Directory(settings.storage_path.clone()),
        });
    };
    let url = Url::parse(text).map_err(|error| unusable(text, &error))?;
    match StorageType::of(url.as_str()) {
        Some(StorageType::Local) => {
            let path = url.to_file_path().map_err(|()| unusable(text, &"not a path of this machine"))?;
            Ok(Place::Directory(path))
        }
        Some(StorageType::Memory) => Ok(Place::Memory),
        Some(kind) => Ok(Place::Remote(kind, url)),
        None => Err(unusable(text, &format!("scheme {} names no kind of store", url.scheme()))),
    }
}

fn unusable(url: &str, reason: &dyn std::fmt::Display) -> LakeError {
    LakeError::Storage { url: masked_url(url), reason: scrubbed(&reason.to_string()).into_owned() }
}
