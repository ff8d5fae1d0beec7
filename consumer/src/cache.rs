//! A cache in memory, bounded in bytes: the entry that was not used for longest goes first.
//!
//! Owns: the bound, the order of use, and loading an entry once for all who wait for it. Does not own: the entries
//! (`objects`).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::OnceCell;

/// Values by key. A value is shared by those who use it, so one that left the cache lives on while somebody does.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    bytes_max: usize,
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Keys by the time of their last use, which is a counter.
    by_use: BTreeMap<u64, K>,
    next_use: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    cell: Arc<OnceCell<V>>,
    used: u64,
    /// 0 until it is loaded.
    bytes: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let state = State { entries: HashMap::new(), by_use: BTreeMap::new(), next_use: 0, bytes: 0 };
        Self { bytes_max, state: Mutex::new(state) }
    }

    /// The value of the key, which `load` gives with its size in bytes if it is not there. While it is being loaded, others
    /// who want it wait for the same load; after a failure the next one tries again.
    pub(crate) async fn get<E>(&self, key: &K, load: impl Future<Output = Result<(V, usize), E>>) -> Result<V, E> {
        let cell = self.lock().cell(key);
        let mut loaded = None;
        let value = cell
            .get_or_try_init(|| async {
                let (value, bytes) = load.await?;
                loaded = Some(bytes);
                Ok(value)
            })
            .await;
        match (value, loaded) {
            (Ok(_), Some(bytes)) => self.lock().weigh(key, &cell, bytes, self.bytes_max),
            (Ok(_), None) => {}
            (Err(error), _) => {
                self.lock().forget_empty(key);
                return Err(error);
            }
        }
        Ok(cell.get().expect("it is loaded").clone())
    }

    /// True if the value is there or being loaded.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.lock().entries.contains_key(key)
    }

    /// Bytes of all values.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl<K: Clone + Eq + Hash, V> State<K, V> {
    fn cell(&mut self, key: &K) -> Arc<OnceCell<V>> {
        let used = self.next_use;
        self.next_use += 1;
        self.by_use.insert(used, key.clone());
        let entry = self.entries.entry(key.clone());
        let entry = entry.and_modify(|entry| {
            self.by_use.remove(&entry.used);
            entry.used = used;
        });
        Arc::clone(&entry.or_insert_with(|| Entry { cell: Arc::default(), used, bytes: 0 }).cell)
    }

    fn weigh(&mut self, key: &K, cell: &Arc<OnceCell<V>>, bytes: usize, bytes_max: usize) {
        // Another one may have taken its place, or it left during the load.
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| Arc::ptr_eq(&entry.cell, cell)) {
            entry.bytes = bytes;
            self.bytes += bytes;
        }
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            let entry = self.entries.remove(&oldest).expect("each use is one of an entry");
            self.bytes -= entry.bytes;
        }
    }

    /// Drops an entry whose load failed, unless another load of it is under way.
    fn forget_empty(&mut self, key: &K) {
        if let Some(entry) = self.entries.get(key)
            && !entry.cell.initialized()
            && Arc::strong_count(&entry.cell) <= 2
        {
            self.by_use.remove(&entry.used);
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn get(cache: &Cache<u32, Arc<String>>, key: u32, bytes: usize) -> String {
        let load = async { Ok::<_, Infallible>((Arc::new(format!("loaded {key} of {bytes}")), bytes)) };
        let Ok(value) = cache.get(&key, load).await;
        value.to_string()
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_goes_first() {
        let cache = Cache::new(100);
        for key in [1, 2, 3] {
            get(&cache, key, 30).await;
        }
        assert_eq!(get(&cache, 1, 31).await, "loaded 1 of 30", "it was there");
        get(&cache, 4, 30).await;
        assert_eq!((cache.bytes(), cache.has(&2)), (90, false));
        assert_eq!(get(&cache, 1, 32).await, "loaded 1 of 30");
        assert_eq!(get(&cache, 2, 33).await, "loaded 2 of 33");
        assert_eq!(get(&cache, 5, 1_000).await, "loaded 5 of 1000", "one that does not fit is given all the same");
        assert_eq!((cache.bytes(), cache.has(&5)), (0, false));
    }

    #[tokio::test]
    async fn a_value_is_loaded_once_and_again_after_a_failure() {
        let cache: Cache<u32, u32> = Cache::new(100);
        let failed = cache.get(&1, async { Err::<(u32, usize), &str>("away") }).await;
        assert_eq!((failed, cache.has(&1)), (Err("away"), false));
        let slow = cache.get(&1, async {
            tokio::task::yield_now().await;
            Ok::<_, &str>((7, 10))
        });
        let other = cache.get(&1, async { panic!("it is being loaded") });
        assert_eq!(tokio::join!(slow, other), (Ok(7), Ok::<u32, &str>(7)));
        assert_eq!(cache.bytes(), 10);
    }
}
