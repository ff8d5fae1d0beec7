//! The parts that records are read with: catalog, store, and the queue where it can be reached from here.
//!
//! Owns: opening them, and the tail that the settings ask for. Does not own: reading (crate `consumer`).

use std::sync::Arc;

use anyhow::anyhow;
use catalog::MetadataStore;
use common::config::{HotTailMode, Settings};
use consumer::{FetchParts, Fetcher, ResetTo};
use lake::tail::TailSource;
use service::connect;
use writer::QueueTail;

use crate::commands::topic::Beginning;
use crate::opened;

/// A reader of records over the configured catalog, store and queue.
pub(crate) async fn fetcher(settings: &Settings, catalog: &Arc<dyn MetadataStore>) -> anyhow::Result<Fetcher> {
    let (mut tail, mut announcements) = (None, None);
    if connect::is_shared(settings) {
        match connect::queue(settings).await {
            Ok(queue) => {
                announcements = queue.announcements();
                tail = tail_of(settings, Arc::new(QueueTail::of(queue, settings)));
            }
            // Committed records alone need no queue; it would only announce them sooner.
            Err(_) if settings.hot_tail == HotTailMode::Off => {}
            Err(error) => return Err(anyhow!("{error}; HOT_TAIL=off reads committed records without the queue")),
        }
    }
    let parts = FetchParts {
        catalog: Arc::clone(catalog),
        storage: opened::storage_of(settings, catalog.as_ref()).await?,
        tail,
        commits: None,
        announcements,
        cache: ingester::service::cache(settings),
    };
    Ok(Fetcher::open(parts)?)
}

/// The records of the queue that are not committed yet, unless `HOT_TAIL` says not to read them.
pub(crate) fn tail_of(settings: &Settings, tail: Arc<QueueTail>) -> Option<Arc<dyn TailSource>> {
    (settings.hot_tail != HotTailMode::Off).then_some(tail as _)
}

impl From<Beginning> for ResetTo {
    fn from(beginning: Beginning) -> Self {
        match beginning {
            Beginning::First => Self::Begin,
            Beginning::End => Self::End,
            Beginning::At(offset) => Self::Offset(offset),
            Beginning::Time(us) => Self::Time(us),
        }
    }
}
