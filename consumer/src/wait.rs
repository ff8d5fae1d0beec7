//! Waiting for records that are not there yet.
//!
//! Owns: the pace of looking again, and what shortens a wait: commits of this process, and announcements of others. Does not
//! own: the look, which alone decides (`fetch`).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::queue::Announcements;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// The end of a wait that has none: about a year.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// The first pause of a wait; each next one is twice as long. Two looks are at least as far apart, however many reasons there are.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// The longest pause where the queue is read: records come without a commit.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// The longest pause where segments alone are read, and commits are heard of otherwise.
const PAUSE_MAX_COMMITTED: Duration = Duration::from_millis(500);

/// The reasons to look again.
#[derive(Debug)]
pub(crate) struct Wake {
    commits: Option<watch::Receiver<u64>>,
    announcements: Option<Arc<dyn Announcements>>,
    announced: watch::Sender<u64>,
    /// Listens for announcements, once somebody waits.
    listener: OnceLock<JoinSet<()>>,
    pause_max: Duration,
}

/// One wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    commits: Option<watch::Receiver<u64>>,
    announced: watch::Receiver<u64>,
    pause: Duration,
    pause_max: Duration,
    /// The next look is not before this time.
    earliest: Instant,
}

/// The end of a wait that begins now.
pub(crate) fn deadline_of(wait: Duration) -> Instant {
    Instant::now() + wait.min(FAR)
}

impl Wake {
    pub(crate) fn new(
        commits: Option<watch::Receiver<u64>>,
        announcements: Option<Arc<dyn Announcements>>,
        has_tail: bool,
    ) -> Self {
        let pause_max = if has_tail { PAUSE_MAX } else { PAUSE_MAX_COMMITTED };
        Self { commits, announcements, announced: watch::Sender::new(0), listener: OnceLock::new(), pause_max }
    }

    /// Begins a wait, before the look that it follows: a reason that comes during the look ends the first pause.
    pub(crate) fn begin(&self) -> Waiting {
        if let Some(announcements) = &self.announcements {
            self.listener.get_or_init(|| {
                let mut task = JoinSet::new();
                task.spawn(follow(Arc::clone(announcements), self.announced.clone()));
                task
            });
        }
        let (mut commits, mut announced) = (self.commits.clone(), self.announced.subscribe());
        commits.iter_mut().for_each(|commits| commits.mark_unchanged());
        announced.mark_unchanged();
        Waiting { commits, announced, pause: PAUSE_MIN, pause_max: self.pause_max, earliest: Instant::now() }
    }
}

impl Waiting {
    /// Waits for a reason to look again, for at most a pause, and not beyond the deadline.
    pub(crate) async fn pause(&mut self, deadline: Instant) {
        let until = deadline.min(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(self.pause_max);
        let commits = async {
            match &mut self.commits {
                // Its writer ended: there are no more of its commits.
                Some(commits) if commits.has_changed().is_ok() => commits.changed().await.ok(),
                _ => std::future::pending().await,
            };
        };
        tokio::select! {
            () = commits => {}
            // The sender lives as long as this fetcher.
            _ = self.announced.changed() => {}
            () = sleep_until(until) => {}
        }
        sleep_until(self.earliest.min(deadline)).await;
        self.earliest = Instant::now() + PAUSE_MIN;
    }
}

async fn follow(announcements: Arc<dyn Announcements>, announced: watch::Sender<u64>) {
    let Some(mut together) = announcements.listen().await else { return };
    while together.next().await.is_some() {
        announced.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_with_a_commit_and_otherwise_grows() {
        let commits = watch::Sender::new(0);
        let wake = Wake::new(Some(commits.subscribe()), None, true);
        let start = Instant::now();
        let deadline = start + Duration::from_secs(60);
        let mut waiting = wake.begin();
        for _ in 0..6 {
            waiting.pause(deadline).await;
        }
        assert_eq!(start.elapsed().as_millis(), 5 + 10 + 20 + 40 + 80 + 100);
        let (start, mut waiting) = (Instant::now(), wake.begin());
        commits.send_modify(|count| *count += 1);
        waiting.pause(deadline).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "it came before the pause");
        for _ in 0..3 {
            commits.send_modify(|count| *count += 1);
            waiting.pause(deadline).await;
        }
        assert_eq!(start.elapsed().as_millis(), 3 * 5, "not at each of many commits");
        drop(commits);
        waiting.pause(deadline).await;
        waiting.pause(Instant::now() + Duration::from_millis(3)).await;
        assert_eq!(start.elapsed().as_millis(), 15 + 80 + 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_an_end_is_a_long_one() {
        assert!(deadline_of(Duration::MAX) > Instant::now() + FAR / 2);
        assert_eq!(deadline_of(Duration::from_secs(1)), Instant::now() + Duration::from_secs(1));
    }
}
