//! Reading a tail through the chain that all readers of its partition share.
//!
//! Owns: what is read from the queue for a request, and when the chain is compared with it. Does not own: the chain's own rules
//! (`chain`), the compare of histories (`compare`).
//!
//! A chain grows by a page that begins with its last message: one request reads what is new and shows that the queue still
//! has the chain. A queue that has not is read anew.

use std::iter::once;
use std::sync::Arc;

use catalog::{Partition, Topic};
use common::queue::{Bounds, Omits, Page, PageLimits};
use common::{Anchor, Queue, QueueError, TopicPartition};
use futures::future::join;
use lake::tail::{TailEnd, TailError, TailLimits, TailRows};

use super::cache::{SharedChain, TailCache};
use super::chain::{Chain, Place, Version};
use super::compare::{check_same, compared, held};
use super::is_dense;
use super::page::{TailPage, part_of};
use crate::pipeline::decode::{Source, TopicTable};

/// Messages by which a chain grows at once, with its last one: a batch that a stream gives in one piece. Between two pieces the
/// stream could lose its end and store other messages.
const GROWTH_MESSAGES_MAX: usize = 999;

/// A request, with the offsets that are left of it.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) of: TopicPartition,
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) end: TailEnd,
    pub(super) after: Option<Anchor>,
    pub(super) limits: TailLimits,
    pub(super) from: u64,
    /// Exclusive.
    pub(super) to: u64,
}

/// Reads for all readers of a tail.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) queue: Arc<dyn Queue>,
    /// Rows that one reader has read, for the others.
    pub(super) cache: Arc<TailCache>,
    /// Decodes in place instead of on a blocking thread.
    pub(super) is_inline: bool,
}

/// The outcome of looking into a chain.
enum Found {
    /// The answer to the request.
    Rows(TailRows),
    /// What the request wants below this offset is not for the chain.
    Apart(u64),
}

/// The outcome of reading on behind a chain.
enum Growth {
    /// The chain was compared, and may have grown.
    Known,
    /// The queue no longer has the chain's last message.
    Stale,
    /// The answer is found.
    Found(Found),
}

impl Reader {
    /// Rows of the request. One read of a partition at a time: those that wait for it find its rows.
    pub(super) async fn read(self, chain: SharedChain, read: Read) -> Result<TailRows, TailError> {
        let found = {
            let mut chain = chain.lock().await;
            match read.prepare(&mut chain) {
                true => self.shared(&mut chain, &read).await?,
                false => Found::Apart(read.to),
            }
        };
        match found {
            Found::Rows(rows) => Ok(rows),
            Found::Apart(to) => self.through(&read, to).await,
        }
    }

    /// Rows of the request, from the chain as far as it has them.
    async fn shared(&self, chain: &mut Chain, read: &Read) -> Result<Found, TailError> {
        let Read { partition, end, after, limits, .. } = read;
        if partition.anchor.is_some_and(|anchor| chain.has(anchor) == Some(false)) {
            chain.clear();
        }
        let mut is_known = chain.is_known_to(*after);
        loop {
            match chain.place(read.from, end.first_offset) {
                Place::Outside(to) => return Ok(Found::Apart(to.min(read.to))),
                Place::Within if is_known => {
                    return Ok(Found::Rows(chain.part((read.from, read.to), *limits)));
                }
                Place::Within if chain.end(end.first_offset) >= read.to => is_known = self.confirm(chain, read).await?,
                Place::Within | Place::Behind => match self.grow(chain, read).await? {
                    Growth::Known => is_known = true,
                    Growth::Stale => {
                        chain.clear();
                        is_known = false;
                    }
                    Growth::Found(found) => return Ok(found),
                },
            }
        }
    }

    /// Rows of the request below `to`, from the queue alone.
    async fn through(&self, read: &Read, to: u64) -> Result<TailRows, TailError> {
        let Read { topic, partition, end, after, .. } = read;
        let page = self.queue.read_page(&read.of, read.from, to, page_limits(read)).await?;
        // After the messages: a history that changes later is not theirs.
        let anchors: Vec<Anchor> = [partition.anchor, *after].into_iter().flatten().collect();
        let bounds = compared(self.queue.as_ref(), &read.of, partition, &anchors).await?;
        check_same(&read.of, end, &bounds)?;
        let gone_before = is_dense(topic).then(|| gone_before(&bounds, read.from, page.next_offset)).flatten();
        let page = self.decode(read, read.from, page).await?;
        let limits = TailLimits { messages_max: usize::MAX, bytes_max: usize::MAX };
        Ok(TailRows { gone_before, ..part_of(once(&page), (read.from, to), limits) })
    }

    /// Compares a chain with the queue, which reads nothing else; false if the chain is no longer the queue's, and empty.
    async fn confirm(&self, chain: &mut Chain, read: &Read) -> Result<bool, TailError> {
        let last = chain.last();
        let seen = self.compare(chain, read, |queue, of| async move {
            match last {
                Some(last) => held(queue, of, last).await,
                None => Ok(None),
            }
        });
        let (_, seen) = seen.await?;
        let is_held = is_still_held(last, seen);
        if !is_held {
            chain.clear();
        }
        Ok(is_held)
    }

    /// Reads the next page behind a chain.
    async fn grow(&self, chain: &mut Chain, read: &Read) -> Result<Growth, TailError> {
        let Read { topic, end, .. } = read;
        let (start, last) = (chain.end(end.first_offset), chain.last());
        let (page, overlap) = self.behind(read, start, last).await?;
        // After the messages: a history that changes later is not theirs.
        let compared = self.compare(chain, read, |queue, of| async move {
            match (overlap, last) {
                (Some(seen), _) => Ok(seen),
                (None, Some(last)) => held(queue, of, last).await,
                (None, None) => Ok(None),
            }
        });
        let (bounds, seen) = compared.await?;
        if !is_still_held(last, seen) {
            return Ok(Growth::Stale);
        }
        let gone_before = is_dense(topic).then(|| gone_before(&bounds, start, page.next_offset)).flatten();
        if gone_before.is_some() && start != read.from {
            return Ok(Growth::Found(Found::Apart(read.to)));
        }
        let page = self.decode(read, start, page).await?;
        let is_answer = (start..page.next_offset()).contains(&read.from);
        let rows = is_answer.then(|| part_of(once(&page), (read.from, read.to), read.limits));
        let is_kept = page.last().is_some() && gone_before.is_none();
        if is_kept {
            let memory = self.cache.room(page.memory_bytes());
            chain.push(start, page, memory);
        }
        match rows {
            Some(rows) => Ok(Growth::Found(Found::Rows(TailRows { gone_before, ..rows }))),
            None if is_kept || read.from < start => Ok(Growth::Known),
            // Nothing lies between the chain and the request.
            None => Ok(Growth::Found(Found::Apart(read.to))),
        }
    }

    /// The messages from `start` on. With the message that is now in the place of `last`, if one request gives both.
    async fn behind(
        &self,
        read: &Read,
        start: u64,
        last: Option<Anchor>,
    ) -> Result<(Page, Option<Option<Anchor>>), QueueError> {
        let limits = page_limits(read);
        let limits = PageLimits { messages_max: limits.messages_max.min(GROWTH_MESSAGES_MAX), ..limits };
        let Some(last) = last.filter(|last| last.offset + 1 == start) else {
            return Ok((self.queue.read_page(&read.of, start, read.to, limits).await?, None));
        };
        let with_last = PageLimits { messages_max: limits.messages_max + 1, ..limits };
        let mut page = self.queue.read_page(&read.of, last.offset, read.to, with_last).await?;
        let seen = page.messages.first().map(Anchor::of).filter(|seen| seen.offset == last.offset);
        page.messages.retain(|message| message.offset >= start);
        if page.next_offset <= start {
            page = self.queue.read_page(&read.of, start, read.to, limits).await?;
        }
        Ok((page, Some(seen)))
    }

    /// Compares the queue's history with the catalog's and with the reader's, as far as the chain does not stand for it, and
    /// takes the other look at the queue meanwhile.
    async fn compare<'s, L: Future<Output = Result<Option<Anchor>, QueueError>>>(
        &'s self,
        chain: &Chain,
        read: &'s Read,
        look: impl FnOnce(&'s dyn Queue, &'s TopicPartition) -> L,
    ) -> Result<(Bounds, Option<Anchor>), TailError> {
        let Read { partition, end, after, .. } = read;
        let anchors = [partition.anchor, *after].into_iter().flatten();
        let anchors: Vec<Anchor> = anchors.filter(|anchor| chain.has(*anchor) != Some(true)).collect();
        let queue = self.queue.as_ref();
        let (bounds, seen) = join(compared(queue, &read.of, partition, &anchors), look(queue, &read.of)).await;
        let bounds = bounds?;
        check_same(&read.of, end, &bounds)?;
        Ok((bounds, seen?))
    }

    /// The rows of the messages of `page`, which are all that there are from `from` on.
    async fn decode(&self, read: &Read, from: u64, page: Page) -> Result<TailPage, TailError> {
        let Read { of, topic, partition, .. } = read;
        let source = Source { partition_id: partition.partition_id, incarnation: partition.incarnation };
        let table = TopicTable::new(topic);
        let work = move || TailPage::decoded(&table, source, &page.messages, page.next_offset);
        if self.is_inline {
            return Ok(work());
        }
        // Dropped readers must not leave work behind that nobody waits for: it is one page at most.
        let decoded = tokio::task::spawn_blocking(work).await;
        decoded.map_err(|error| TailError::Decoding {
            partition: of.clone(),
            from_offset: from,
            reason: error.to_string(),
        })
    }
}

impl Read {
    /// Leaves in a chain what this request may want; false if it is of a later version than the request.
    fn prepare(&self, chain: &mut Chain) -> bool {
        let version = Version::of(&self.topic, &self.partition);
        chain.prepare(version, &self.end.history, self.partition.high_watermark)
    }

    /// Rows that the chain has, and that need no look at the queue.
    pub(super) fn at_once(&self, chain: &mut Chain) -> Option<TailRows> {
        let is_there = self.prepare(chain)
            && chain.is_known_to(self.after)
            && chain.place(self.from, self.end.first_offset) == Place::Within;
        is_there.then(|| chain.part((self.from, self.to), self.limits))
    }
}

/// True if the message in the place of a chain's last one is that one.
fn is_still_held(last: Option<Anchor>, seen: Option<Anchor>) -> bool {
    last.is_none() || seen == last
}

/// The first offset that the queue holds, if some from `from` on are gone below it.
fn gone_before(bounds: &Bounds, from: u64, next_offset: u64) -> Option<u64> {
    if bounds.omits == Some(Omits::OtherSubjects) {
        return None;
    }
    // Offset 0 alone is never missing: JetStream counts from 1.
    Some(bounds.first_offset.min(next_offset)).filter(|first| *first > from.max(1))
}

fn page_limits(read: &Read) -> PageLimits {
    PageLimits { messages_max: read.limits.messages_max, bytes_max: read.limits.bytes_max }
}
