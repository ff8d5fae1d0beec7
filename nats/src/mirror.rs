//! Mirrors: streams that have another one's numbers, and copy its messages after it.
//!
//! Owns: the end of the origin, as a mirror knows it, and refusing what was not copied yet. Does not own: reading (`read`).

use async_nats::jetstream::stream::Info;
use common::QueueError;

use crate::connection::Connection;
use crate::topic_streams::{self, PartitionStream};

/// Most looks at a mirror that copies all the time.
const LOOKS_MAX: usize = 10;

/// The offset behind the origin's last message: asked of the origin, or computed if it is out of reach.
///
/// The server reads the end of the copy first, and then what the copy lacks: what it copies between the two is in neither, and
/// the sum is too small. A sum between two equal ends is right; while the copy grows, the greatest of some counts.
pub(super) async fn end_of_origin(connection: &Connection, stream: &str, info: &Info) -> Result<u64, QueueError> {
    let origin = info.config.mirror.as_ref().filter(|origin| origin.external.is_none() && origin.domain.is_none());
    if let Some(origin) = origin
        && let Ok(Some(found)) = topic_streams::info(connection, &origin.name).await
    {
        return Ok((found.state.last_sequence + 1).max(sum(info)));
    }
    let (mut end, mut copied) = (sum(info), info.state.last_sequence);
    for _ in 0..LOOKS_MAX {
        let Some(next) = topic_streams::info(connection, stream).await? else { break };
        let is_still = next.state.last_sequence == copied;
        (end, copied) = (end.max(sum(&next)), next.state.last_sequence);
        if is_still {
            break;
        }
    }
    Ok(end)
}

/// Refuses an `offset` that a mirror has not copied yet, and which must not be taken for deleted.
pub(super) async fn check_copied(
    connection: &Connection,
    stream: &PartitionStream,
    offset: u64,
) -> Result<(), QueueError> {
    let info = topic_streams::info(connection, &stream.stream).await?;
    let behind = info.filter(|info| {
        let lag = info.mirror.as_ref().map_or(0, |state| state.lag);
        (info.state.last_sequence + 1..info.state.last_sequence + 1 + lag).contains(&offset)
    });
    match behind {
        Some(info) => Err(QueueError::unavailable(format!(
            "mirror {} has copied its origin up to offset {} only, and {offset} is wanted",
            stream.stream, info.state.last_sequence
        ))),
        None => Ok(()),
    }
}

fn sum(info: &Info) -> u64 {
    info.state.last_sequence + 1 + info.mirror.as_ref().map_or(0, |state| state.lag)
}
