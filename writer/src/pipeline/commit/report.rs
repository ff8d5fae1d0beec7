//! The report of a commit: metrics, totals and log lines.
//!
//! Owns: them. Does not own: the commit.

use catalog::{Gap, GapKind, NewSegment, SegmentKind};

use super::Committer;
use crate::pipeline::batch::{Refusal, SealedBatch};
use crate::service::metrics;
use crate::service::notices::Notice;

impl Committer {
    pub(super) fn report(&self, batch: &SealedBatch, segments: &[NewSegment]) {
        let of_kind = |kind| segments.iter().find(move |segment| segment.kind == kind);
        let records = of_kind(SegmentKind::Data).map_or(0, |segment| segment.record_count);
        let quarantined = of_kind(SegmentKind::Quarantine).map_or(0, |segment| segment.record_count);
        let size_bytes: u64 = segments.iter().map(size_of).sum();
        let reason = batch.reason.as_str();
        ::metrics::counter!(metrics::SEGMENTS, "reason" => reason).increment(1);
        ::metrics::counter!(metrics::RECORDS).increment(records);
        ::metrics::counter!(metrics::QUARANTINED).increment(quarantined);
        ::metrics::counter!(metrics::SEGMENT_BYTES).increment(size_bytes);
        self.totals.committed(batch.message_count, records, quarantined, size_bytes, batch.reason);
        let partition = &self.uploader.held.partition;
        if batch.is_gathered() {
            // The flush that they share has one line for all of them.
            tracing::debug!(%partition, range = %batch.range, records, quarantined, reason, "segment committed");
        } else {
            self.report_own_objects(batch, segments, (records, quarantined, size_bytes));
        }
        self.report_gaps(&batch.gaps);
        if let Some(refusal) = &batch.first_refusal {
            self.report_quarantine(quarantined, refusal);
        }
    }

    fn report_own_objects(&self, batch: &SealedBatch, segments: &[NewSegment], figures: (u64, u64, u64)) {
        let (partition, (records, quarantined, size_bytes)) = (&self.uploader.held.partition, figures);
        tracing::info!(
            topic = %partition.topic,
            partition = partition.partition_id,
            base_offset = batch.range.base(),
            end_offset = batch.range.end(),
            messages = batch.message_count,
            records,
            quarantined,
            size_bytes,
            reason = batch.reason.as_str(),
            epoch = self.uploader.held.epoch.0,
            key = segments.first().map_or("", |segment| segment.object.key.as_str()),
            "segment committed"
        );
    }

    fn report_gaps(&self, gaps: &[Gap]) {
        let partition = &self.uploader.held.partition;
        let of_kind = |kind| gaps.iter().filter(move |gap| gap.kind == kind);
        for gap in of_kind(GapKind::Lost) {
            ::metrics::counter!(metrics::GAP_OFFSETS).increment(gap.range.count());
            tracing::warn!(%partition, base_offset = gap.range.base(), end_offset = gap.range.end(), reason = gap.reason, "gap recorded");
        }
        for gap in of_kind(GapKind::Skipped) {
            ::metrics::counter!(metrics::SKIPPED_OFFSETS).increment(gap.range.count());
            tracing::info!(%partition, base_offset = gap.range.base(), end_offset = gap.range.end(), reason = gap.reason, "offsets skipped");
        }
        let compacted: u64 = of_kind(GapKind::Compacted).map(|gap| gap.range.count()).sum();
        let Some(gap) = of_kind(GapKind::Compacted).next_back() else { return };
        ::metrics::counter!(metrics::COMPACTED_OFFSETS).increment(compacted);
        if let Some(offsets) = self.totals.notices.due(&partition.topic, Notice::Compaction, compacted) {
            tracing::info!(topic = %partition.topic, offsets, reason = gap.reason, "offsets that the queue is meant to forget");
        }
    }

    fn report_quarantine(&self, quarantined: u64, first: &Refusal) {
        let partition = &self.uploader.held.partition;
        let topic = partition.topic.to_string();
        ::metrics::counter!(metrics::TOPIC_QUARANTINED, "topic" => topic).increment(quarantined);
        if let Some(records) = self.totals.notices.due(&partition.topic, Notice::Quarantine, quarantined) {
            let Refusal { offset, reason } = first;
            tracing::warn!(%partition, records, offset, reason, "records went to quarantine");
        }
    }
}

/// Bytes of the segment; of a shared object, its share by rows.
fn size_of(segment: &NewSegment) -> u64 {
    let (bytes, rows) = (segment.object.size_bytes, segment.object.record_count.max(1));
    (u128::from(bytes) * u128::from(segment.record_count) / u128::from(rows)) as u64
}
