//! Reading as a member of a group: what was printed is committed.
//!
//! Owns: committing after printing, and leaving the group. Does not own: printing (`sink`), the group (crate `consumer`).

use std::time::Duration;

use consumer::{Fetcher, GroupConsumer, Start};

use super::Args;
use super::sink::{Sink, note_skipped};
use crate::output;

/// Time without records after which all is printed that is there. A partition that another member gives up comes sooner.
const QUIET: Duration = Duration::from_secs(3);

/// Prints records until there are no more, or until `stop`; returns their number.
pub(super) async fn consume(
    args: &Args,
    group: &str,
    fetcher: Fetcher,
    sink: &mut Sink,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<u64> {
    let builder = GroupConsumer::builder(fetcher, group).subscribe(args.topics.iter().cloned()).lease(args.lease());
    let builder = builder.start(Start::from(args.start())).out_of_range(args.out_of_range);
    let mut member = builder.limits(args.limits(0)).join().await?;
    let mut stop = Box::pin(stop);
    let mut printed = 0;
    let read = loop {
        let records = tokio::select! {
            records = member.poll(QUIET) => records,
            () = &mut stop => break Ok(()),
        };
        let records = match records {
            Ok(Some(records)) => records,
            Ok(None) if args.follow => continue,
            Ok(None) => break Ok(()),
            Err(error) => break Err(anyhow::Error::from(error)),
        };
        note_skipped(&records.partition, &records.skipped);
        if let Err(error) = sink.print(&records.partition, &records.batches) {
            break Err(error);
        }
        // Records that nobody took are not committed.
        if sink.is_closed() {
            break Ok(());
        }
        printed += records.records as u64;
        for lost in member.commit().await? {
            output::note(&format!("{lost} went to another member: it prints some records again"));
        }
        if args.is_enough(printed) {
            break Ok(());
        }
    };
    member.close().await?;
    read.map(|()| printed)
}
