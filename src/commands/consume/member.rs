//! Reading as a member of a group: what was printed is committed.
//!
//! Owns: committing after printing, and leaving the group. Does not own: printing (`sink`), the group (crate `consumer`).

use std::time::Duration;

use consumer::{Fetcher, GroupConsumer, GroupError, Records, Start};

use super::sink::{Sink, note_skipped};
use super::{Args, Outage};
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
    let (mut printed, mut outage, mut is_taken) = (0, Outage::default(), true);
    let read = loop {
        let records = tokio::select! {
            records = next(&mut member) => records,
            () = &mut stop => break Ok(()),
        };
        let records = match records {
            Ok(Some(records)) => records,
            Ok(None) if args.follow => continue,
            Ok(None) => break Ok(()),
            Err(error) => {
                let waited = tokio::select! {
                    waited = outage.wait(args, error.kind(), error.into()) => waited,
                    () = &mut stop => break Ok(()),
                };
                match waited {
                    Ok(()) => continue,
                    Err(error) => break Err(error),
                }
            }
        };
        outage.is_over();
        note_skipped(&records.partition, &records.skipped);
        let written = sink.print(&records.partition, &records.batches);
        // Records that nobody took are not committed.
        is_taken = written.is_ok() && !sink.is_closed();
        if !is_taken {
            break written;
        }
        printed += records.records as u64;
        if args.is_enough(printed) {
            break Ok(());
        }
    };
    let committed = if is_taken { commit(&mut member).await } else { Ok(()) };
    let closed = member.close().await;
    // The first error is the one that is shown.
    read?;
    committed?;
    closed?;
    Ok(printed)
}

/// The next records; those that were printed before are committed first.
async fn next(member: &mut GroupConsumer) -> Result<Option<Records>, GroupError> {
    commit(member).await?;
    member.poll(QUIET).await
}

async fn commit(member: &mut GroupConsumer) -> Result<(), GroupError> {
    for lost in member.commit().await? {
        output::note(&format!("{lost} went to another member: it prints some records again"));
    }
    Ok(())
}
