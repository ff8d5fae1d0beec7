//! Retention: takes what is older than its topic's retention off the list.
//!
//! Owns: the times of its looks. Does not own: the choice of objects, which the catalog makes by the database's clock:
//! nothing here has a time in it that a wrong clock of this process could spoil. Nor does it own deleting the objects
//! (the janitor).
//!
//! Every writer runs it; two at the same time take each object once.

use std::sync::Arc;
use std::time::Duration;

use catalog::{Expired, MetadataStore};
use common::TopicName;

use crate::service::metrics;

/// Longest pause between two looks; a short hold or a short retention makes it shorter.
const PAUSE_MAX: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Looks within the shortest retention, so that rows outlive it by a tenth at most.
const LOOKS_PER_RETENTION: u32 = 10;

/// Retention in one process.
pub(crate) struct Retention {
    pub(crate) catalog: Arc<dyn MetadataStore>,
    /// The janitor's hold.
    pub(crate) hold: Duration,
}

impl Retention {
    /// Looks without end.
    pub(crate) async fn run(self) {
        let mut shortest = None;
        loop {
            // Random, so that writers that started together do not look at the same time.
            tokio::time::sleep(pause(self.hold, shortest).mul_f64(0.5 + fastrand::f64())).await;
            match self.catalog.list_topics().await {
                Ok(topics) => {
                    let limited = topics.iter().filter_map(|topic| Some((&topic.name, topic.retention_ms?)));
                    let limited: Vec<(&TopicName, u64)> = limited.collect();
                    shortest = limited.iter().map(|(_, retention_ms)| Duration::from_millis(*retention_ms)).min();
                    for (topic, _) in limited {
                        while self.expire(topic).await {}
                    }
                }
                Err(error) => tracing::warn!(%error, "topics with a retention not looked for, tried again later"),
            }
        }
    }

    /// Takes the oldest due objects of the topic off the list; true if there are more.
    async fn expire(&self, topic: &TopicName) -> bool {
        match self.catalog.expire_by_age(topic).await {
            Ok(expired) => {
                if expired.objects > 0 {
                    count(topic, &expired);
                }
                expired.has_more
            }
            Err(error) => {
                tracing::warn!(%topic, %error, "old segments not taken off the list, tried again later");
                false
            }
        }
    }
}

fn pause(hold: Duration, shortest_retention: Option<Duration>) -> Duration {
    let within = shortest_retention.map_or(PAUSE_MAX, |retention| retention / LOOKS_PER_RETENTION);
    PAUSE_MAX.min(hold).min(within).max(PAUSE_MIN)
}

fn count(topic: &TopicName, expired: &Expired) {
    let Expired { objects, segments, records, quarantined, bytes, held_back, .. } = *expired;
    ::metrics::counter!(metrics::OBJECTS_EXPIRED).increment(objects);
    ::metrics::counter!(metrics::SEGMENTS_EXPIRED).increment(segments);
    ::metrics::counter!(metrics::RECORDS_EXPIRED).increment(records + quarantined);
    ::metrics::counter!(metrics::BYTES_EXPIRED).increment(bytes);
    tracing::info!(%topic, objects, segments, records, quarantined, bytes, held_back, "older than the retention, off the list");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_hold_or_retention_makes_the_pause_shorter() {
        let day = Duration::from_secs(86_400);
        assert_eq!(pause(day, None), Duration::from_secs(60));
        assert_eq!(pause(day, Some(7 * day)), Duration::from_secs(60));
        assert_eq!(pause(day, Some(Duration::from_secs(300))), Duration::from_secs(30));
        assert_eq!(pause(Duration::from_secs(6), Some(day)), Duration::from_secs(6));
        assert_eq!(pause(day, Some(Duration::ZERO)), Duration::from_secs(1));
    }
}
