//! A model of an object store.
//!
//! Owns: the stored objects, and the faults: errors before and after the work, wrong bytes, puts that land late.
//! Does not own: keys, retries (the writer's), the network (`network`).
//!
//! A put is atomic, as the contract of `object_store` demands: an object is there whole or not at all. Wrong bytes are
//! stored only together with an answer other than success: a writer cannot notice a store that confirms lost bytes
//! without reading everything back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use common::clock::SharedClock;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::chance::Chance;
use crate::network::{Link, Lost, Process};

const STORE: &str = "model";

/// Faults of the store, each of 1000 requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFaults {
    /// An error, and nothing was done.
    pub fails_before: u32,
    /// An error, and it was done.
    pub fails_after: u32,
    /// An error, and other bytes than those given are stored.
    pub wrong_bytes: u32,
    /// Milliseconds after its put from which an object shows in lists.
    pub list_lag_ms: u64,
}

#[derive(Clone, Copy)]
enum Fate {
    Good,
    FailsBefore,
    FailsAfter,
    WrongBytes,
}

/// An object and the time of its put.
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// Its bytes.
    pub bytes: Bytes,
    /// Microseconds since the Unix epoch.
    pub put_us: i64,
}

/// The store's side. Cloning gives another handle.
#[derive(Clone)]
pub struct StoreServer {
    clock: SharedClock,
    // Held for one operation, never across an await.
    objects: Arc<Mutex<BTreeMap<Path, StoredObject>>>,
    deletions: Arc<OnceLock<DeletionObserver>>,
}

/// Observes each key before its object is deleted.
pub type DeletionObserver = Box<dyn Fn(&str) + Send + Sync>;

impl StoreServer {
    /// An empty store.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, objects: Arc::default(), deletions: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Path, StoredObject>> {
        self.objects.lock().expect("no holder of this lock panics")
    }

    /// Sets the observer of deletions, once.
    pub fn observe(&self, observer: DeletionObserver) {
        assert!(self.deletions.set(observer).is_ok(), "somebody observes it already");
    }

    /// The object under `key`, for the oracle.
    pub fn object(&self, key: &str) -> Option<StoredObject> {
        self.lock().get(&Path::parse(key).ok()?).cloned()
    }

    /// Every key, for the oracle.
    pub fn keys(&self) -> Vec<String> {
        self.lock().keys().map(ToString::to_string).collect()
    }

    fn put(&self, key: Path, bytes: Bytes, mode: &PutMode) -> Result<()> {
        let put_us = self.clock.now_us();
        let mut objects = self.lock();
        if matches!(mode, PutMode::Create) && objects.contains_key(&key) {
            return Err(Error::AlreadyExists { path: key.to_string(), source: "it is there".into() });
        }
        objects.insert(key, StoredObject { bytes, put_us });
        Ok(())
    }

    fn get(&self, key: &Path) -> Result<StoredObject> {
        let not_found = || Error::NotFound { path: key.to_string(), source: "it is not there".into() };
        self.lock().get(key).cloned().ok_or_else(not_found)
    }

    fn delete(&self, key: &Path) {
        if let Some(observer) = self.deletions.get() {
            observer(key.as_ref());
        }
        self.lock().remove(key);
    }
}

/// The store as one process uses it. Cloning gives another handle.
#[derive(Clone)]
pub struct ModelStore {
    server: StoreServer,
    link: Link,
    chance: Chance,
    faults: Arc<Mutex<StoreFaults>>,
}

impl ModelStore {
    /// The store over `link`.
    pub fn new(server: StoreServer, link: Link, chance: Chance) -> Self {
        Self { server, link, chance, faults: Arc::default() }
    }

    /// A store with one client and no faults.
    pub fn alone(clock: SharedClock) -> Self {
        let chance = Chance::seeded(0);
        Self::new(StoreServer::new(clock), Link::new(Process::default(), chance.fork()), chance)
    }

    /// Its link.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Sets its faults.
    pub fn set_faults(&self, faults: StoreFaults) {
        *self.faults.lock().expect("no holder panics") = faults;
    }

    fn faults(&self) -> StoreFaults {
        *self.faults.lock().expect("no holder panics")
    }

    fn fate(&self) -> Fate {
        let faults = self.faults();
        if self.chance.happens(faults.fails_before) {
            Fate::FailsBefore
        } else if self.chance.happens(faults.fails_after) {
            Fate::FailsAfter
        } else if self.chance.happens(faults.wrong_bytes) {
            Fate::WrongBytes
        } else {
            Fate::Good
        }
    }

    /// One request with its fate.
    async fn call<T: Send + 'static>(
        &self,
        apply: impl FnOnce(&StoreServer, Fate) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (server, fate) = (self.server.clone(), self.fate());
        let answer = self.link.call(move || match fate {
            Fate::FailsBefore => Err(failure("503 before")),
            Fate::FailsAfter => apply(&server, fate).and(Err(failure("500 after"))),
            Fate::Good | Fate::WrongBytes => apply(&server, fate),
        });
        answer.await.unwrap_or_else(|lost: Lost| Err(failure(&format!("no answer ({lost:?})"))))
    }
}

fn failure(reason: &str) -> Error {
    Error::Generic { store: STORE, source: reason.to_owned().into() }
}

fn not_modelled(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}

/// The same object with one byte changed, or without its end.
fn spoiled(bytes: &Bytes) -> Bytes {
    match bytes.len() {
        0 => Bytes::from_static(b"x"),
        length if length % 2 == 0 => bytes.slice(..length / 2),
        length => {
            let mut changed = bytes.to_vec();
            changed[length / 2] ^= 1;
            changed.into()
        }
    }
}

fn meta(key: &Path, object: &StoredObject) -> ObjectMeta {
    ObjectMeta {
        location: key.clone(),
        last_modified: DateTime::from_timestamp_micros(object.put_us).unwrap_or_default(),
        size: object.bytes.len() as u64,
        e_tag: None,
        version: None,
    }
}

#[async_trait]
impl ObjectStore for ModelStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let key = location.clone();
        let bytes: Bytes = payload.iter().flatten().copied().collect::<Vec<u8>>().into();
        let put = self.call(move |server, fate| match fate {
            Fate::WrongBytes => {
                server.put(key, spoiled(&bytes), &options.mode)?;
                Err(failure("500, wrong bytes"))
            }
            _ => server.put(key, bytes, &options.mode),
        });
        put.await.map(|()| PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_modelled("put_multipart"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let key = location.clone();
        let object = self.call(move |server, _| server.get(&key)).await?;
        let size = object.bytes.len() as u64;
        let range = match &options.range {
            Some(range) => range.as_range(size).map_err(|error| failure(&error.to_string()))?,
            None => 0..size,
        };
        let body = object.bytes.slice(range.start as usize..range.end as usize);
        let payload = GetResultPayload::Stream(stream::iter([Ok(body)]).boxed());
        Ok(GetResult { payload, meta: meta(location, &object), range, attributes: Attributes::default() })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.then(move |location| {
            let store = store.clone();
            async move {
                let location = location?;
                let key = location.clone();
                let deleted = store.call(move |server, _| {
                    server.delete(&key);
                    Ok(())
                });
                deleted.await.map(|()| location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let visible_us = self.server.clock.now_us() - self.faults().list_lag_ms as i64 * 1000;
        let objects = self.server.lock();
        let is_in = |key: &Path| prefix.is_none_or(|prefix| key.prefix_matches(prefix) && key != prefix);
        let shown = objects.iter().filter(|(key, object)| is_in(key) && object.put_us <= visible_us);
        let found: Vec<_> = shown.map(|(key, object)| Ok(meta(key, object))).collect();
        stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_modelled("list_with_delimiter"))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        let mode = if options.mode == CopyMode::Create { PutMode::Create } else { PutMode::Overwrite };
        self.call(move |server, _| server.put(to, server.get(&from)?.bytes, &mode)).await
    }
}

impl fmt::Display for ModelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the model of a store")
    }
}

impl fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelStore({} objects)", self.server.lock().len())
    }
}

impl fmt::Debug for StoreServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreServer({} objects)", self.lock().len())
    }
}
