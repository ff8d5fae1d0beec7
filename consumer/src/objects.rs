//! Objects of segments: opened, compared with their listing, decoded part by part, and kept.
//!
//! Owns: what is kept in memory and on disk, and decoding ahead. Does not own: the bounds' bookkeeping (`cache`, `disk`), the
//! choice of rows (`rows`).

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use catalog::{ObjectInfo, SegmentInfo};
use lake::object::{Found, Keep, ListedObject};
use lake::projection::Projection;
use lake::read::{Columns, SegmentFile};
use lake::units::Unit;
use lake::{LakeError, Storage};
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking};

use crate::cache::Cache;
use crate::disk::{DiskCache, object_name};
use crate::error::FetchError;
use crate::order::Order;

/// Decoded bytes of a part of an object, about.
const UNIT_BYTES: usize = 32 * 1024 * 1024;
/// Parts that are decoded ahead at once: the one behind the part that is being read, for two readers.
const AHEAD_MAX: usize = 2;

/// The bounds of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// Bytes of objects and decoded rows in memory. What is in use at the moment comes on top.
    pub memory_bytes: usize,
    /// Bytes of objects on disk.
    pub disk_bytes: u64,
    /// The directory for them; without one, nothing is kept on disk. Not used for a store that is a local directory.
    pub directory: Option<PathBuf>,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, disk_bytes: 10 << 30, directory: None }
    }
}

/// The objects of one store. Clones share the cache.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    inner: Arc<Inner>,
    /// Parts that are being decoded ahead. Dropping the last clone ends them.
    ahead: Arc<Mutex<JoinSet<()>>>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    memory: Cache<Key, Kept>,
    disk: Option<DiskCache>,
}

/// The object: its number and the checksum of its bytes.
type ObjectKey = (u64, u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    File(ObjectKey),
    /// The segment's id and range: it may grow by a replacement that keeps its id.
    Order(ObjectKey, String, u64, u64),
    /// A part, by its first row, in the columns of a version of the topic.
    Unit(ObjectKey, u64, u32),
}

#[derive(Clone, Debug)]
enum Kept {
    File(OpenFile),
    Order(Arc<Order>),
    Unit(RecordBatch),
}

/// An object in memory, and its parts.
#[derive(Clone, Debug)]
pub(crate) struct OpenFile {
    file: SegmentFile,
    pub(crate) units: Arc<[Unit]>,
}

/// A segment, with the columns that its rows are wanted in.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) segment: Arc<SegmentInfo>,
    pub(crate) table: SchemaRef,
    pub(crate) schema_version: u32,
}

impl Objects {
    /// # Errors
    /// When the directory of the cache cannot be used.
    pub(crate) fn open(storage: Storage, options: &CacheOptions) -> Result<Self, FetchError> {
        let is_far = storage.local_root.is_none();
        let disk = options.directory.as_ref().filter(|_| is_far).map(|root| {
            let refused = |error| FetchError::Failed(format!("the read cache in {}: {error}", root.display()));
            DiskCache::open(root, options.disk_bytes).map_err(refused)
        });
        let inner = Inner { storage, memory: Cache::new(options.memory_bytes), disk: disk.transpose()? };
        Ok(Self { inner: Arc::new(inner), ahead: Arc::default() })
    }

    /// The object that holds the segment, compared with its listing.
    pub(crate) async fn file(&self, segment: &SegmentInfo) -> Result<OpenFile, FetchError> {
        let object = &segment.object;
        let load = async {
            let file = self.read(object).await?;
            let bytes = usize::try_from(object.size_bytes).unwrap_or(usize::MAX);
            let units = file.units(UNIT_BYTES).into();
            Ok::<_, FetchError>((Kept::File(OpenFile { file, units }), bytes))
        };
        match self.inner.memory.get(&Key::File(key(object)), load).await? {
            Kept::File(file) => Ok(file),
            _ => unreachable!("the key is that of a file"),
        }
    }

    /// The order of the segment's rows in its object.
    pub(crate) async fn order(&self, wanted: &Wanted) -> Result<Arc<Order>, FetchError> {
        let segment = &wanted.segment;
        let (base, end) = (segment.range.base(), segment.range.end());
        let load = async {
            let (file, of) = (self.file(segment).await?, Arc::clone(segment));
            let order = blocking(move || Order::read(&file.file, &file.units, &of)).await?;
            let order = Arc::new(order.map_err(|error| altered(&segment.object, &error))?);
            let bytes = order.memory_bytes();
            Ok::<_, FetchError>((Kept::Order(order), bytes))
        };
        match self.inner.memory.get(&Key::Order(key(&segment.object), segment.id.clone(), base, end), load).await? {
            Kept::Order(order) => Ok(order),
            _ => unreachable!("the key is that of an order"),
        }
    }

    /// The rows of one part of the segment's object, in the wanted columns. Rows of other segments are among them.
    pub(crate) async fn unit(&self, wanted: &Wanted, unit: Unit) -> Result<RecordBatch, FetchError> {
        let object = &wanted.segment.object;
        let load = async {
            let file = self.file(&wanted.segment).await?.file;
            let projection = Projection::of(&wanted.segment, Arc::clone(&wanted.table));
            let rows = blocking(move || {
                let rows = file.decode(&unit, Columns::All).map_err(|error| error.to_string())?;
                projection.apply(&rows).map_err(|error| error.to_string())
            });
            let rows = rows.await?.map_err(|error| altered(object, &error))?;
            let bytes = rows.get_array_memory_size();
            Ok::<_, FetchError>((Kept::Unit(rows), bytes))
        };
        match self.inner.memory.get(&unit_key(wanted, unit), load).await? {
            Kept::Unit(rows) => Ok(rows),
            _ => unreachable!("the key is that of a part"),
        }
    }

    /// Begins to decode a part of the segment's object, unless it is there or enough is being decoded.
    pub(crate) async fn decode_ahead(&self, wanted: &Wanted, unit: Unit) {
        if !self.inner.memory.has(&unit_key(wanted, unit)) {
            self.begin(wanted, Some(unit)).await;
        }
    }

    /// Begins to open the segment's object, to order its rows and to decode its first part, unless it is open or enough is being
    /// decoded.
    pub(crate) async fn open_ahead(&self, wanted: &Wanted) {
        if !self.inner.memory.has(&Key::File(key(&wanted.segment.object))) {
            self.begin(wanted, None).await;
        }
    }

    /// Begins to decode a part; without one, to order the rows and to decode the first part.
    async fn begin(&self, wanted: &Wanted, unit: Option<Unit>) {
        let mut ahead = self.ahead.lock().await;
        while ahead.try_join_next().is_some() {}
        if ahead.len() >= AHEAD_MAX {
            return;
        }
        let (inner, wanted) = (Arc::clone(&self.inner), wanted.clone());
        ahead.spawn(async move {
            let objects = Self { inner, ahead: Arc::default() };
            // Whoever needs the part sees an error again.
            let Ok(file) = objects.file(&wanted.segment).await else { return };
            if unit.is_none() {
                objects.order(&wanted).await.ok();
            }
            if let Some(unit) = unit.or(file.units.first().copied()) {
                objects.unit(&wanted, unit).await.ok();
            }
        });
    }

    /// The object, from disk or from the store.
    async fn read(&self, object: &ObjectInfo) -> Result<SegmentFile, FetchError> {
        let listed = ListedObject::of(object).map_err(|error| defect(object, &error))?;
        let name = object_name(object.file_id.0, object.checksum, object.size_bytes);
        if let Some(file) = self.kept_on_disk(&name, &listed).await? {
            return Ok(file);
        }
        let bytes = match Box::pin(listed.find(self.inner.storage.store.as_ref(), Keep::Bytes)).await {
            Found::Same(Some(bytes)) => bytes,
            Found::Unreadable(error) => {
                return Err(FetchError::Store { key: object.key.clone(), reason: error.to_string() });
            }
            other => return Err(defect(object, &format!("it is not the listed object: {other:?}"))),
        };
        if self.inner.disk.is_some() {
            let (inner, bytes, name) = (Arc::clone(&self.inner), bytes.clone(), name);
            let keep = move || inner.disk.iter().for_each(|disk| disk.keep(&name, &bytes));
            blocking(keep).await?;
        }
        blocking(move || SegmentFile::parse(bytes)).await?.map_err(|error| altered(object, &error))
    }

    async fn kept_on_disk(&self, name: &str, listed: &ListedObject) -> Result<Option<SegmentFile>, FetchError> {
        if self.inner.disk.is_none() {
            return Ok(None);
        }
        let (inner, name, listed) = (Arc::clone(&self.inner), name.to_owned(), listed.clone());
        blocking(move || {
            let disk = inner.disk.as_ref()?;
            match listed.compare(disk.read(&name)?) {
                Found::Same(Some(bytes)) => SegmentFile::parse(bytes).ok(),
                _ => {
                    disk.drop(&name);
                    None
                }
            }
        })
        .await
    }
}

/// The part in which the row lies.
pub(crate) fn unit_of(units: &[Unit], row: u64) -> Option<Unit> {
    let after = units.partition_point(|unit| unit.first_row <= row);
    let unit = *units.get(after.checked_sub(1)?)?;
    (row < unit.first_row + unit.rows as u64).then_some(unit)
}

/// Runs CPU work on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, FetchError> {
    spawn_blocking(work).await.map_err(|error| FetchError::Failed(error.to_string()))
}

fn key(object: &ObjectInfo) -> ObjectKey {
    (object.file_id.0, object.checksum)
}

fn unit_key(wanted: &Wanted, unit: Unit) -> Key {
    Key::Unit(key(&wanted.segment.object), unit.first_row, wanted.schema_version)
}

fn defect(object: &ObjectInfo, reason: &dyn std::fmt::Display) -> FetchError {
    LakeError::Segment { key: object.key.clone(), reason: reason.to_string() }.into()
}

fn altered(object: &ObjectInfo, error: &dyn std::fmt::Display) -> FetchError {
    defect(object, &format!("its rows cannot be read: {error}"))
}
