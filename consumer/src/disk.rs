//! A cache of objects on a local disk, for stores that are far away.
//!
//! Owns: the directory, its bound, and the order in which objects leave it. Does not own: comparing an object with its
//! listing: whoever reads one compares it, so a file that somebody altered is as good as absent.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, io};

use bytes::Bytes;
use uuid::Uuid;

/// The folder below the configured directory: nothing else in there is touched.
const FOLDER: &str = "siltstone-read-cache";
/// Ending of files that are being written.
const UNFINISHED: &str = ".part";

/// The name of the file for an object: its number, the checksum of its bytes, and their number.
pub(crate) fn object_name(file_id: u64, checksum: u32, size_bytes: u64) -> String {
    format!("{file_id}-{checksum:08x}-{size_bytes}")
}

/// True for a name that [`object_name`] makes: no other file is the cache's.
fn is_object(name: &str) -> bool {
    let mut parts = name.splitn(3, '-');
    let mut part = || parts.next().unwrap_or_default();
    let (file_id, checksum, size_bytes) = (part().parse(), u32::from_str_radix(part(), 16), part().parse());
    let (Ok(file_id), Ok(checksum), Ok(size_bytes)) = (file_id, checksum, size_bytes) else { return false };
    object_name(file_id, checksum, size_bytes) == name
}

fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED).is_some_and(|id| Uuid::try_parse(id).is_ok())
}

/// Objects in a directory, by name.
#[derive(Debug)]
pub(crate) struct DiskCache {
    root: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last use, which is a counter, and the size of each file.
    files: HashMap<String, (u64, u64)>,
    by_use: BTreeMap<u64, String>,
    next_use: u64,
    bytes: u64,
}

impl DiskCache {
    /// The cache in a folder of its own below the directory; both are made. Objects of an earlier process are used again, in the
    /// order of their files' times.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub(crate) fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        let root = directory.join(FOLDER);
        fs::create_dir_all(&root)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            let (name, metadata) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
            match metadata.is_file() {
                true if is_unfinished(&name) => fs::remove_file(entry.path())?,
                true if is_object(&name) => found.push((metadata.modified()?, name, metadata.len())),
                _ => {}
            }
        }
        found.sort();
        let mut state = State::default();
        found.into_iter().for_each(|(_, name, bytes)| state.used(name, bytes));
        let cache = Self { root, bytes_max, state: Mutex::new(state) };
        cache.shrink();
        Ok(cache)
    }

    /// The object of this name, if it is there. Blocks.
    pub(crate) fn read(&self, name: &str) -> Option<Bytes> {
        if !self.lock().files.contains_key(name) {
            return None;
        }
        let bytes = fs::read(self.root.join(name)).ok()?;
        self.lock().used(name.to_owned(), bytes.len() as u64);
        Some(bytes.into())
    }

    /// Keeps the object. A disk that refuses costs only the next read. Blocks.
    pub(crate) fn keep(&self, name: &str, bytes: &Bytes) {
        if bytes.len() as u64 > self.bytes_max {
            return;
        }
        let part = self.root.join(format!("{}{UNFINISHED}", Uuid::now_v7()));
        let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, self.root.join(name)));
        if let Err(error) = written {
            tracing::warn!(directory = %self.root.display(), %error, "an object could not be kept in the read cache");
            fs::remove_file(&part).ok();
            return;
        }
        self.lock().used(name.to_owned(), bytes.len() as u64);
        self.shrink();
    }

    /// Forgets an object that is not the listed one.
    pub(crate) fn drop(&self, name: &str) {
        self.lock().forget(name);
        fs::remove_file(self.root.join(name)).ok();
    }

    fn shrink(&self) {
        loop {
            let mut state = self.lock();
            if state.bytes <= self.bytes_max {
                return;
            }
            let Some(oldest) = state.by_use.values().next().cloned() else { return };
            state.forget(&oldest);
            drop(state);
            fs::remove_file(self.root.join(oldest)).ok();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl State {
    fn used(&mut self, name: String, bytes: u64) {
        self.forget(&name);
        self.files.insert(name.clone(), (self.next_use, bytes));
        self.by_use.insert(self.next_use, name);
        self.next_use += 1;
        self.bytes += bytes;
    }

    fn forget(&mut self, name: &str) {
        if let Some((used, bytes)) = self.files.remove(name) {
            self.by_use.remove(&used);
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_outlive_a_process_and_the_oldest_leave_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("cache");
        let object = |byte: u8| Bytes::from(vec![byte; 40]);
        let [a, b, c, d] = &[1, 2, 3, 4].map(|file_id| object_name(file_id, 0x2f, 40));
        {
            let cache = DiskCache::open(&root, 100).expect("opens");
            assert_eq!(cache.read(a), None);
            cache.keep(a, &object(1));
            cache.keep(b, &object(2));
            assert_eq!(cache.read(a), Some(object(1)));
            cache.keep(c, &object(3));
            assert_eq!(cache.read(b), None, "the one that was not used for longest");
            cache.keep(d, &Bytes::from(vec![0; 101]));
            assert_eq!(cache.read(d), None, "larger than the cache");
        }
        let folder = root.join(FOLDER);
        fs::write(folder.join(format!("{}{UNFINISHED}", Uuid::now_v7())), "half").expect("written");
        let foreign =
            [root.join("film.part"), root.join("1-2-3"), folder.join("film.part"), folder.join("notes-2f-40")];
        foreign.iter().for_each(|path| fs::write(path, vec![0; 1_000]).expect("a file of somebody else"));
        let cache = DiskCache::open(&root, 50).expect("opens again");
        let kept: Vec<_> = [a, c].into_iter().filter_map(|name| cache.read(name)).collect();
        assert_eq!(kept.len(), 1, "a smaller bound keeps less");
        let files = || fs::read_dir(&folder).expect("listed").count() - 2;
        assert_eq!(files(), 1, "half a file is gone");
        cache.drop(a);
        cache.drop(c);
        assert_eq!(files(), 0);
        assert!(foreign.iter().all(|path| path.exists()), "what is not of the cache is left alone");
    }
}
