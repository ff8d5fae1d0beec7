//! Ack: acks committed messages in the queue.
//!
//! Owns: the rule that an ack needs a receipt, and that a lost ack costs nothing. Does not own: making receipts
//! (the catalog).

use common::{CommitReceipt, Subscription, failpoint};
use tokio::sync::watch;

/// Acks the newest receipt. A failure is only logged: the next ack covers it, and the next attach starts at the
/// catalog's watermark in any case.
pub(crate) async fn ack_newest(
    subscription: &mut dyn Subscription,
    receipts: &mut watch::Receiver<Option<CommitReceipt>>,
) {
    let receipt = receipts.borrow_and_update().clone();
    let Some(receipt) = receipt else { return };
    failpoint::hit("ack.before").await;
    if let Err(error) = subscription.ack(&receipt).await {
        tracing::debug!(partition = %receipt.partition(), high_watermark = receipt.high_watermark(), %error, "ack lost");
    }
    failpoint::hit("ack.done").await;
}

/// Acks until `commit` has ended, then closes the subscription.
pub(crate) async fn ack_rest(
    mut subscription: Box<dyn Subscription>,
    receipts: &mut watch::Receiver<Option<CommitReceipt>>,
) {
    while receipts.changed().await.is_ok() {
        ack_newest(subscription.as_mut(), receipts).await;
    }
    if let Err(error) = subscription.close().await {
        tracing::debug!(%error, "subscription not closed in good order");
    }
}
