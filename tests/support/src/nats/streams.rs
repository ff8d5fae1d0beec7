//! Streams that a test replaces.
//!
//! Owns: the wait for the server's own removal of a deleted stream. Does not own: the definition of a stream.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::{Context, ErrorCode};
use tokio::time::{Instant, sleep};

use crate::process::POLL_INTERVAL;

/// Longest duration of the removal of a small stream's files.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(10);

/// Deletes the stream and creates it again, empty and with the same configuration.
///
/// The server confirms a deletion before the stream's files are gone, and until then cannot create their successors.
pub async fn recreate_stream(jetstream: &Context, name: &str) -> Result<()> {
    let config = jetstream.get_stream(name).await?.cached_info().config.clone();
    jetstream.delete_stream(name).await?;
    let deadline = Instant::now() + REMOVAL_DEADLINE;
    while let Err(error) = jetstream.create_stream(&config).await {
        let files_remain = matches!(
            error.kind(),
            CreateStreamErrorKind::JetStream(reason) if reason.error_code() == ErrorCode::STREAM_CREATE
        );
        if !files_remain || Instant::now() > deadline {
            return Err(error).with_context(|| format!("stream {name} is not created again"));
        }
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}
