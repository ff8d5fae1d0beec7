//! `tail`: the records of a topic as they are published.
//!
//! Owns: the loop of looks, the place that each partition was shown up to, and the end. Does not own: the rows, which are
//! those of a query (`lake::query`), their form (`show`), the end of each partition (`ends`).

mod ends;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use catalog::{MetadataStore, Partition, SegmentInfo, Topic};
use common::config::Settings;
use common::{Incarnation, TopicName, TopicPartition};
use lake::query::{HotTailMode, QueryOptions, QuerySession, QueryStore};
use tokio::time::{Instant, sleep};

use self::ends::{Ends, Looked};
use self::show::{Shown, Unread};
use crate::opened::{self, reading_catalog};
use crate::output::{self, UsageError};

/// Waits between two looks: the shortest after records came, the longest when none do.
const WAIT_MIN: Duration = Duration::from_millis(25);
const WAIT_MAX: Duration = Duration::from_millis(500);
/// More offsets than these are shown segment by segment, so that the first rows do not wait for the last.
const OFFSETS_AT_ONCE: u64 = 20_000;

/// Follow the records of a topic as they are published.
///
/// One line per record: partition/offset, time, key and value, or with --json the row as JSON. Records that could not be
/// decoded are shown apart, as quarantined. With QUEUE_TYPE=nats records are shown before they are committed; a queue in
/// memory belongs to its process, so that only committed records are shown, seconds later. Ends on Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone tail orders --from begin")]
pub(crate) struct Args {
    /// The topic
    topic: TopicName,
    /// Begin with the oldest record (begin), with what is published from now on (end), or at an offset of one partition
    #[arg(long, value_name = "begin|end|OFFSET", default_value = "end")]
    from: From,
    /// Follow this partition alone
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
}

/// Where following begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Begin,
    End,
    Offset(u64),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("begin", _) => Ok(Self::Begin),
            ("end", _) => Ok(Self::End),
            (_, Ok(offset)) => Ok(Self::Offset(offset)),
            _ => Err(format!("{text:?} is neither begin, end nor an offset")),
        }
    }
}

/// The place up to which a partition was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    incarnation: Incarnation,
    /// The first offset that was not shown.
    next_offset: u64,
}

/// Shows records until a signal.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let following =
        reading_catalog(settings, async |catalog| Follower::open(args, catalog, settings, json).await?.run().await);
    tokio::select! {
        biased;
        ended = following => ended,
        // The wanted end.
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

struct Follower {
    args: Args,
    json: bool,
    catalog: Arc<dyn MetadataStore>,
    session: QuerySession,
    ends: Ends,
    /// Tells the topic from a later one of its name.
    created_at: i64,
    places: BTreeMap<u32, Place>,
}

impl Follower {
    async fn open(
        args: Args,
        catalog: &Arc<dyn MetadataStore>,
        settings: &Settings,
        json: bool,
    ) -> anyhow::Result<Self> {
        let topic = opened::topic(catalog.as_ref(), &args.topic).await?;
        check(&args, &topic)?;
        let storage = opened::storage(settings)?;
        let store = QueryStore { url: storage.url, store: storage.store };
        let options = QueryOptions { memory_bytes_max: settings.memory_budget_bytes, ..QueryOptions::default() };
        let session = QuerySession::open_with(Arc::clone(catalog), store, options)?;
        let ends = Ends::of(settings);
        let session = session.with_hot_tail(ends.hot_tail());
        let (catalog, places) = (Arc::clone(catalog), BTreeMap::new());
        let mut follower = Self { args, json, catalog, session, ends, created_at: topic.created_at, places };
        follower.begin().await?;
        Ok(follower)
    }

    /// Sets the places at which following begins.
    async fn begin(&mut self) -> anyhow::Result<()> {
        let Some((topic, partitions)) = self.partitions().await? else { return Ok(()) };
        let looked = self.ends.look(&topic, &partitions).await;
        for partition in &partitions {
            let next_offset = match self.args.from {
                From::Begin => 0,
                From::Offset(offset) => looked.offset_within(partition, offset)?,
                From::End => looked.end_of(partition),
            };
            if self.args.from == From::Begin {
                self.show_earlier(partition).await?;
            }
            let place = Place { incarnation: partition.incarnation, next_offset };
            self.places.insert(partition.partition_id, place);
        }
        Ok(())
    }

    /// Shows the rows of earlier incarnations, in their order.
    async fn show_earlier(&self, partition: &Partition) -> anyhow::Result<()> {
        let segments = self.segments(partition).await?;
        let mut earlier: BTreeMap<Incarnation, u64> = BTreeMap::new();
        for segment in segments.iter().filter(|segment| segment.incarnation < partition.incarnation) {
            let end = earlier.entry(segment.incarnation).or_default();
            *end = segment.range.next().max(*end);
        }
        for (incarnation, end) in earlier {
            let mut place = Place { incarnation, next_offset: 0 };
            self.show_up_to(partition, &mut place, end, HotTailMode::Off).await?;
        }
        Ok(())
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let mut wait = WAIT_MIN;
        loop {
            let begun = Instant::now();
            let Some((topic, partitions)) = self.partitions().await? else {
                bail!("topic {} was deleted", self.args.topic);
            };
            let looked = self.ends.look(&topic, &partitions).await;
            let mut came = false;
            for partition in &partitions {
                match self.show_new(partition, &looked).await {
                    Ok(some) => came |= some,
                    Err(error) if error.is::<Unread>() => return Ok(()),
                    // What was not shown is asked for again.
                    Err(error) => self.ends.say(&format!("records are not shown, trying again: {error:#}")),
                }
            }
            // A look that takes long is made less often.
            wait = if came { WAIT_MIN } else { (wait * 3 / 2).min(WAIT_MAX) };
            sleep(wait.max(begun.elapsed())).await;
        }
    }

    /// The topic and its followed partitions; `None` once it was deleted.
    async fn partitions(&self) -> anyhow::Result<Option<(Topic, Vec<Partition>)>> {
        let topic = self.catalog.get_topic(&self.args.topic).await?;
        let Some(topic) = topic.filter(|topic| topic.created_at == self.created_at) else { return Ok(None) };
        let mut partitions = self.catalog.list_partitions(&self.args.topic).await?;
        partitions.retain(|row| self.args.partition.is_none_or(|followed| followed == row.partition_id));
        Ok(Some((topic, partitions)))
    }

    /// Shows the rows of a partition from its place on, up to the end that was looked at. True if there was one.
    async fn show_new(&mut self, partition: &Partition, looked: &Looked) -> anyhow::Result<bool> {
        let id = partition.partition_id;
        let fresh = Place { incarnation: partition.incarnation, next_offset: 0 };
        let mut place = self.places.get(&id).copied().unwrap_or(fresh);
        if place.incarnation != partition.incarnation {
            // An operator resumed it: its offsets count anew.
            output::note(&format!("partition {id} goes on in incarnation {}", partition.incarnation));
            place = fresh;
        }
        let count = self.show_up_to(partition, &mut place, looked.end_of(partition), looked.mode_of(partition)).await?;
        self.places.insert(id, place);
        Ok(count > 0)
    }

    /// Shows the rows of a partition from `place` to `end`, and moves the place there; returns their number.
    async fn show_up_to(
        &self,
        partition: &Partition,
        place: &mut Place,
        end: u64,
        mode: HotTailMode,
    ) -> anyhow::Result<usize> {
        let mut count = 0;
        for to in self.pages(partition, *place, end).await? {
            let rows = format!(
                "_partition_id = {} AND _incarnation = {} AND _offset >= {} AND _offset < {to}",
                partition.partition_id, place.incarnation, place.next_offset
            );
            let shown = Shown { session: &self.session, topic: &self.args.topic, json: self.json };
            count += shown.rows(&rows, mode).await?;
            place.next_offset = to;
        }
        Ok(count)
    }

    /// The ends of the parts in which the offsets from `place` to `end` are shown: segment by segment, where they are many.
    async fn pages(&self, partition: &Partition, place: Place, end: u64) -> anyhow::Result<Vec<u64>> {
        let mut ends = BTreeSet::from([end]);
        if end.saturating_sub(place.next_offset) > OFFSETS_AT_ONCE {
            let segments = self.segments(partition).await?;
            let of_place = segments.iter().filter(|segment| segment.incarnation == place.incarnation);
            ends.extend(of_place.map(|segment| segment.range.next()));
        }
        Ok(ends.into_iter().filter(|to| (place.next_offset + 1..=end).contains(to)).collect())
    }

    async fn segments(&self, partition: &Partition) -> anyhow::Result<Vec<SegmentInfo>> {
        let of = TopicPartition::new(self.args.topic.clone(), partition.partition_id);
        Ok(self.catalog.get_segments(&of).await?)
    }
}

/// Refuses a partition that does not exist, and an offset without its partition.
fn check(args: &Args, topic: &Topic) -> Result<(), UsageError> {
    let count = topic.partition_count;
    opened::check_partition(topic, args.partition)?;
    if matches!(args.from, From::Offset(_)) && args.partition.is_none() && count > 1 {
        return Err(UsageError::new(format!(
            "--from OFFSET counts in one partition, and topic {} has {count}; add --partition N",
            topic.name
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_begins_at_an_end_or_an_offset() {
        assert_eq!("begin".parse(), Ok(From::Begin));
        assert_eq!("end".parse(), Ok(From::End));
        assert_eq!("17".parse(), Ok(From::Offset(17)));
        for wrong in ["", "-1", "start", "1.5"] {
            let error = From::from_str(wrong).expect_err(wrong);
            assert!(error.contains("neither begin, end nor an offset"), "{error}");
        }
    }
}
