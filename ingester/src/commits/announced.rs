//! Announcements of writers elsewhere, as reasons to look.
//!
//! Owns: listening, once somebody waits. Does not own: the look, which alone decides (`look`).

use std::sync::{Arc, OnceLock};

use common::queue::Announcements;
use futures::StreamExt;
use tokio::task::JoinSet;

use super::places::Places;

/// Listens for announcements. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Listener {
    announcements: Arc<dyn Announcements>,
    task: OnceLock<JoinSet<()>>,
}

impl Listener {
    pub(super) fn new(announcements: Arc<dyn Announcements>) -> Self {
        Self { announcements, task: OnceLock::new() }
    }

    /// Begins to listen, if it has not begun; to be called in a runtime.
    pub(super) fn begin(&self, places: &Arc<Places>) {
        self.task.get_or_init(|| {
            let mut task = JoinSet::new();
            task.spawn(follow(Arc::clone(&self.announcements), Arc::clone(places)));
            task
        });
    }
}

async fn follow(announcements: Arc<dyn Announcements>, places: Arc<Places>) {
    let Some(mut together) = announcements.listen().await else { return };
    while let Some(announcements) = together.next().await {
        for announcement in &announcements {
            places.announced(announcement);
        }
    }
}
