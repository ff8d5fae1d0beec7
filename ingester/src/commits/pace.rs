//! Pace: the moments at which a partition is looked at while somebody waits.
//!
//! Owns: the intervals, and the events that shorten them. Does not own: the look (`look`).

use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Time from a first look to the second. Each later interval is half as long again.
const INTERVAL_MIN: Duration = Duration::from_millis(5);
/// Longest time between two looks.
const INTERVAL_MAX: Duration = Duration::from_millis(100);
/// Shortest time between two looks, however many hints come.
const SPACING: Duration = Duration::from_millis(2);

/// The pace of one partition.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    last: Option<Instant>,
    /// A hint came since the last look.
    is_hinted: bool,
    /// Change when something was committed, perhaps in this partition.
    hints: Option<watch::Receiver<u64>>,
}

impl Pace {
    pub(super) fn new(hints: Option<watch::Receiver<u64>>) -> Self {
        Self { interval: INTERVAL_MIN, last: None, is_hinted: false, hints }
    }

    /// Returns when it is time for a look: at first, and later after an interval or a hint. `arrived`: somebody new
    /// waits, so that the intervals begin anew; `announced`: a hint for this partition alone. Cancel-safe.
    pub(super) async fn next(&mut self, arrived: &Notify, announced: &Notify) {
        while let Some(last) = self.last {
            let interval = if self.is_hinted { SPACING } else { self.interval };
            tokio::select! {
                biased;
                () = hinted(&mut self.hints), if !self.is_hinted => self.is_hinted = true,
                () = announced.notified(), if !self.is_hinted => self.is_hinted = true,
                () = arrived.notified() => self.interval = INTERVAL_MIN,
                () = tokio::time::sleep_until(last + interval) => break,
            }
        }
        self.is_hinted = false;
        if let Some(hints) = &mut self.hints {
            hints.mark_unchanged();
        }
        // What was announced until now is seen by this look.
        announced.notified().now_or_never();
        self.last = Some(Instant::now());
        self.interval = (self.interval * 3 / 2).min(INTERVAL_MAX);
    }
}

/// Returns after a hint that came since the last look. A sender that is gone gives no more hints.
async fn hinted(hints: &mut Option<watch::Receiver<u64>>) {
    let changed = match hints {
        Some(hints) => hints.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_are_close_at_first_and_grow_apart() {
        let (mut pace, arrived, announced) = (Pace::new(None), Notify::new(), Notify::new());
        let began = Instant::now();
        pace.next(&arrived, &announced).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "the first look is at once");
        let mut looks = 1;
        while began.elapsed() < Duration::from_secs(10) {
            pace.next(&arrived, &announced).await;
            looks += 1;
        }
        assert!((100..=120).contains(&looks), "{looks} in ten seconds");
        let last = Instant::now();
        arrived.notify_one();
        pace.next(&arrived, &announced).await;
        assert!(last.elapsed() <= Duration::from_millis(6), "{:?}", last.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_followed_at_once_and_many_are_not_followed_each() {
        let (hint, hints) = watch::channel(0);
        let (mut pace, arrived, announced) = (Pace::new(Some(hints)), Notify::new(), Notify::new());
        // Grown to the longest interval.
        for _ in 0..20 {
            pace.next(&arrived, &announced).await;
        }
        let began = Instant::now();
        hint.send_modify(|count| *count += 1);
        pace.next(&arrived, &announced).await;
        assert!(began.elapsed() <= Duration::from_millis(3), "{:?}", began.elapsed());
        // A hint before the look is not followed again.
        pace.next(&arrived, &announced).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
        let (began, mut looks) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_secs(1) {
            hint.send_modify(|count| *count += 1);
            pace.next(&arrived, &announced).await;
            looks += 1;
        }
        assert!((300..=600).contains(&looks), "{looks} in a second of hints");
        // Without a sender, the intervals alone count.
        drop(hint);
        pace.next(&arrived, &announced).await;
        let began = Instant::now();
        pace.next(&arrived, &announced).await;
        assert!(began.elapsed() >= Duration::from_millis(5), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_announcement_is_followed_at_once_and_many_before_a_look_are_followed_by_one() {
        let (mut pace, arrived, announced) = (Pace::new(None), Notify::new(), Notify::new());
        for _ in 0..20 {
            pace.next(&arrived, &announced).await;
        }
        let began = Instant::now();
        announced.notify_one();
        pace.next(&arrived, &announced).await;
        assert!(began.elapsed() <= Duration::from_millis(3), "{:?}", began.elapsed());
        // The second one comes while the first is followed.
        let followed = async {
            announced.notify_one();
            tokio::time::sleep(Duration::from_millis(1)).await;
            announced.notify_one();
        };
        tokio::join!(pace.next(&arrived, &announced), followed);
        pace.next(&arrived, &announced).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    }
}
