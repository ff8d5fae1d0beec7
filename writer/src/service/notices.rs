//! Notices: log lines about what happens again and again, at most one a minute for each topic.
//!
//! Owns: when a line is due, and how much it stands for. Does not own: the lines.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use common::TopicName;
use tokio::time::Instant;

/// Shortest time between two lines of one kind and topic.
const INTERVAL: Duration = Duration::from_secs(60);

/// The subject of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Notice {
    /// Records that went to quarantine.
    Quarantine,
    /// Offsets that the queue was meant to forget.
    Compaction,
}

/// The lines that were written, and what came since.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    // A std mutex: held for one look, never across an await.
    topics: Mutex<BTreeMap<(TopicName, Notice), Said>>,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl Notices {
    /// Adds `count`; gives the sum since the last line if one is due now.
    pub(crate) fn due(&self, topic: &TopicName, notice: Notice, count: u64) -> Option<u64> {
        let now = Instant::now();
        let mut topics = self.topics.lock().expect("no holder of this lock panics");
        let key = (topic.clone(), notice);
        let Some(said) = topics.get_mut(&key) else {
            topics.insert(key, Said { at: now, unsaid: 0 });
            return Some(count);
        };
        said.unsaid += count;
        if now.duration_since(said.at) < INTERVAL {
            return None;
        }
        *said = Said { at: now, unsaid: said.unsaid };
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_at_once_and_later_ones_as_a_sum_after_a_minute() {
        let notices = Notices::default();
        let topic = |name: &str| TopicName::new(name).expect("valid");
        let due = |name: &str, notice, count| notices.due(&topic(name), notice, count);
        assert_eq!(due("a", Notice::Quarantine, 2), Some(2));
        assert_eq!(due("a", Notice::Quarantine, 3), None);
        assert_eq!(due("b", Notice::Quarantine, 1), Some(1), "another topic");
        assert_eq!(due("a", Notice::Compaction, 7), Some(7), "another subject");
        tokio::time::advance(INTERVAL).await;
        assert_eq!(due("a", Notice::Quarantine, 4), Some(7));
        assert_eq!(due("a", Notice::Quarantine, 1), None);
    }
}
