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

/// The last query.
#[derive(Debug, Default)]
struct Answer {
    /// The requests that were made before it began.
    requests: u64,
    rows: BTreeMap<u32, Partition>,
}

impl Rows {
    /// The row of the partition at some moment after the call, if it exists.
    pub(super) async fn row(&self, catalog: &dyn MetadataStore, of: &TopicPartition) -> Result<Option<Partition>> {
        let number = {
            let mut requests = self.lock();
            requests.count += 1;
            requests.waiting.insert(of.partition_id);
            requests.count
        };
        let mut answer = self.answer.lock().await;
        if answer.requests < number {
            let (requests, mut wanted) = {
                let mut requests = self.lock();
                (requests.count, std::mem::take(&mut requests.waiting))
            };
            // A query that failed took the request up already.
            wanted.insert(of.partition_id);
            *answer = Answer { requests, rows: read(catalog, &of.topic, &wanted).await? };
        }
        Ok(answer.rows.get(&of.partition_id).cloned())
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().expect("no holder of this lock panics")
    }
}

async fn read(
    catalog: &dyn MetadataStore,
    topic: &TopicName,
    wanted: &BTreeSet<u32>,
) -> Result<BTreeMap<u32, Partition>> {
    let found: Vec<Partition> = match wanted.first() {
        Some(only) if wanted.len() == 1 => {
            let of = TopicPartition::new(topic.clone(), *only);
            catalog.get_partition(&of).await?.into_iter().collect()
        }
        _ => catalog.list_partitions(topic).await?,
    };
    Ok(found.into_iter().map(|row| (row.partition_id, row)).collect())
}
