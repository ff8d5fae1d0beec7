//! Rows of partitions, read for many who ask at once.
//!
//! Owns: one query in flight for each topic: who asks during it shares the next one.
//! Does not own: the use of the rows (`look`), the moments of asking (`pace`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use catalog::{MetadataStore, Partition, Result};
use common::{TopicName, TopicPartition};

/// The rows of one topic.
#[derive(Debug, Default)]
pub(super) struct Rows {
    // A std mutex: held to note or take a request, never across an await.
    requests: Mutex<Requests>,
    answer: tokio::sync::Mutex<Answer>,
}

#[derive(Debug, Default)]
struct Requests {
    count: u64,
    /// The partitions of the requests that no query has taken up.
    waiting: BTreeSet<u32>,
}

/// The last query that was answered.
#[derive(Debug, Default)]
struct Answer {
    /// The requests that were made before it began.
    requests: u64,
    /// The partition, if it asked for one alone.
    only: Option<u32>,
    rows: BTreeMap<u32, Partition>,
}

impl Rows {
    /// The row of the partition at some moment after the call, if it exists.
    pub(super) async fn row(&self, catalog: &dyn MetadataStore, of: &TopicPartition) -> Result<Option<Partition>> {
        let number = self.request(of);
        self.answer(catalog, of, number).await
    }

    fn request(&self, of: &TopicPartition) -> u64 {
        let mut requests = self.lock();
        requests.count += 1;
        requests.waiting.insert(of.partition_id);
        requests.count
    }

    /// The answer to a request, from the query that took it up or from one of its own.
    async fn answer(&self, catalog: &dyn MetadataStore, of: &TopicPartition, number: u64) -> Result<Option<Partition>> {
        let mut answer = self.answer.lock().await;
        if answer.requests < number || answer.only.is_some_and(|only| only != of.partition_id) {
            let (requests, mut wanted) = {
                let mut requests = self.lock();
                (requests.count, std::mem::take(&mut requests.waiting))
            };
            // A query that failed, or whose caller left, took the request up already.
            wanted.insert(of.partition_id);
            let only = wanted.first().copied().filter(|_| wanted.len() == 1);
            *answer = Answer { requests, only, rows: read(catalog, &of.topic, only).await? };
        }
        Ok(answer.rows.get(&of.partition_id).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().expect("no holder of this lock panics")
    }
}

async fn read(catalog: &dyn MetadataStore, topic: &TopicName, only: Option<u32>) -> Result<BTreeMap<u32, Partition>> {
    let found: Vec<Partition> = match only {
        Some(only) => {
            let of = TopicPartition::new(topic.clone(), only);
            catalog.get_partition(&of).await?.into_iter().collect()
        }
        None => catalog.list_partitions(topic).await?,
    };
    Ok(found.into_iter().map(|row| (row.partition_id, row)).collect())
}

#[cfg(test)]
mod tests {
    use catalog::{SqliteMetadataStore, TopicConfig, TopicStore};

    use super::*;

    #[tokio::test]
    async fn requests_that_a_query_without_an_answer_took_up_are_answered() {
        let catalog = SqliteMetadataStore::new_in_memory().await.expect("a catalog");
        let name = TopicName::new("orders").expect("valid");
        let config =
            TopicConfig { name: name.clone(), partition_count: 3, retention_ms: None, config: Default::default() };
        catalog.create_topic(config).await.expect("created");
        let (rows, of) = (Rows::default(), |id| TopicPartition::new(name.clone(), id));
        let numbers: Vec<u64> = (0..3).map(|id| rows.request(&of(id))).collect();
        // The first one takes all up, and its caller leaves.
        std::mem::take(&mut rows.lock().waiting);
        for id in [1, 2, 0] {
            let found = rows.answer(&catalog, &of(id), numbers[id as usize]).await.expect("read");
            assert_eq!(found.map(|row| row.partition_id), Some(id));
        }
        assert_eq!(rows.row(&catalog, &of(7)).await.expect("read"), None);
    }
}
