//! Waiting until everything that was appended is committed.
//!
//! Owns: the wait's end for partitions that this process does not work on, and for a close. Does not own: the wait itself
//! (`writer`).

use std::collections::BTreeMap;
use std::time::Duration;

use common::TopicPartition;
use service::connect;
use tokio::time::timeout;

use super::Siltstone;
use super::error::{Error, Result};

/// Leases after which a partition that is free would have been taken over.
const LEASES: u32 = 3;

impl Siltstone {
    /// Returns when everything published before is committed.
    ///
    /// # Errors
    /// [`Error::NotCommitted`].
    pub(super) async fn settle(&self) -> Result<()> {
        let ends = self.inlet.ends();
        let patience = Duration::from_secs(self.settings.lease_secs) * LEASES;
        loop {
            if let Ok(committed) = timeout(patience, self.writer.commit_up_to(&ends)).await {
                return Ok(committed?);
            }
            // Another process cannot read a queue in memory: its work on a partition here would be waited for without end.
            if !connect::is_shared(&self.settings) {
                let reasons = self.worked_on_elsewhere(&ends).await;
                if !reasons.is_empty() {
                    return Err(Error::NotCommitted { reasons });
                }
            }
        }
    }

    /// The same within the time of a shutdown.
    pub(super) async fn settle_in_time(&self) -> Result<()> {
        let seconds = self.settings.shutdown_timeout_secs;
        match timeout(Duration::from_secs(seconds), self.settle()).await {
            Ok(settled) => settled,
            Err(_) => {
                let reason = format!("not committed within SHUTDOWN_TIMEOUT_SECS={seconds}");
                let late = self.uncommitted().into_iter();
                Err(Error::NotCommitted { reasons: late.map(|it| (it.to_string(), reason.clone())).collect() })
            }
        }
    }

    /// The partitions with records that are not known to be committed.
    pub(super) fn uncommitted(&self) -> Vec<TopicPartition> {
        let committed: BTreeMap<_, _> =
            self.writer.status().into_iter().map(|status| (status.partition, status.high_watermark)).collect();
        let ends = self.inlet.ends().into_iter();
        let late = ends.filter(|(partition, end)| committed.get(partition).is_none_or(|committed| committed < end));
        late.map(|(partition, _)| partition).collect()
    }

    async fn worked_on_elsewhere(&self, ends: &[(TopicPartition, u64)]) -> BTreeMap<String, String> {
        let owned: Vec<TopicPartition> = self.writer.status().into_iter().map(|status| status.partition).collect();
        let reason =
            "this process does not work on it: another one has the same catalog, and cannot read a queue in memory";
        let mut reasons = BTreeMap::new();
        for (partition, end) in ends.iter().filter(|(partition, _)| !owned.contains(partition)) {
            let stored = self.catalog.get_partition(partition).await;
            if stored.is_ok_and(|stored| stored.is_none_or(|stored| stored.high_watermark < *end)) {
                reasons.insert(partition.to_string(), reason.to_owned());
            }
        }
        reasons
    }
}
