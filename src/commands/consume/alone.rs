//! Reading without a group: every wanted partition, from the place that was named.
//!
//! Owns: the turns of the partitions, and their ends. Does not own: printing (`sink`).

use std::time::Duration;

use catalog::{MetadataStore, Position};
use consumer::{FetchRequest, Fetcher, Seen, Start};
use futures::FutureExt;

use super::sink::{Sink, note_skipped};
use super::{Args, Outage};
use crate::{opened, output};

/// Time for which an empty partition is waited for, so that the turn comes to the others.
const TURN: Duration = Duration::from_millis(50);

/// A partition that is read.
struct Turn {
    request: FetchRequest,
    /// Without --follow, it is read up to here.
    end: Position,
    is_done: bool,
    /// The reason that was noted for giving committed records alone.
    only_committed: Option<String>,
}

impl Turn {
    fn note_only_committed(&mut self, reason: Option<String>) {
        if let Some(reason) = reason.as_ref().filter(|_| reason != self.only_committed) {
            output::note(&format!("{}: records come when they are committed: {reason}", self.request.partition));
        }
        self.only_committed = reason;
    }
}

/// Prints records until there are no more, or until `stop`; returns their number.
pub(super) async fn consume(
    args: &Args,
    catalog: &dyn MetadataStore,
    fetcher: Fetcher,
    sink: &mut Sink,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<u64> {
    let mut turns = turns(args, catalog, &fetcher).await?;
    let mut stop = Box::pin(stop);
    let (mut printed, mut outage) = (0, Outage::default());
    while turns.iter().any(|turn| !turn.is_done) {
        let count = turns.len();
        for turn in turns.iter_mut().filter(|turn| !turn.is_done) {
            if stop.as_mut().now_or_never().is_some() {
                return Ok(printed);
            }
            turn.request.limits = args.limits(printed);
            turn.request.wait = if args.follow && count == 1 { Duration::from_secs(1) } else { TURN };
            if !args.follow {
                turn.request.wait = Duration::ZERO;
            }
            let fetched = tokio::select! {
                fetched = fetcher.fetch(&turn.request) => fetched,
                () = &mut stop => return Ok(printed),
            };
            let fetched = match fetched {
                Ok(fetched) => fetched,
                Err(error) => {
                    tokio::select! {
                        waited = outage.wait(args, error.kind(), error.into()) => waited?,
                        () = &mut stop => return Ok(printed),
                    }
                    continue;
                }
            };
            outage.is_over();
            note_skipped(&turn.request.partition, &fetched.skipped);
            sink.print(&turn.request.partition, &fetched.batches)?;
            printed += fetched.records as u64;
            if args.is_enough(printed) || sink.is_closed() {
                return Ok(printed);
            }
            turn.request.start = Start::Position(fetched.next);
            turn.request.seen = fetched.seen;
            turn.note_only_committed(fetched.only_committed);
            turn.is_done = !args.follow && (fetched.next >= turn.end || fetched.records == 0);
        }
    }
    Ok(printed)
}

async fn turns(args: &Args, catalog: &dyn MetadataStore, fetcher: &Fetcher) -> anyhow::Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for name in &args.topics {
        let topic = opened::topic(catalog, name).await?;
        for partition in opened::partitions(&topic, args.partition)? {
            let end = fetcher.position(&partition, Start::End).await?;
            let start = Start::from(args.start());
            let request = FetchRequest {
                partition,
                start,
                limits: args.limits(0),
                wait: Duration::ZERO,
                out_of_range: args.out_of_range,
                seen: Seen { topic_created_at: Some(topic.created_at), last: None },
            };
            turns.push(Turn { request, end, is_done: false, only_committed: None });
        }
    }
    Ok(turns)
}
