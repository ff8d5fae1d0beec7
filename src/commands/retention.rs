//! `retention`: takes what is older than its topic's retention off the list, or says what that would be.
//!
//! Owns: the choice of topics, and showing. Does not own: the choice of objects (the catalog), doing so regularly (each
//! writer), deleting objects (the janitor).

use std::collections::BTreeMap;

use catalog::{Expired, ExpiredPart, MetadataStore, Topic};
use common::TopicName;
use common::config::Settings;
use serde::Serialize;
use serde_json::json;

use crate::opened::{self, reading_catalog, with_catalog};
use crate::output::{self, Align, Table};
use crate::units::{bytes_text, count_text, duration_text, time_text};

/// Take segments that are older than their topic's retention off the list.
///
/// Every writer does so regularly; this command does it now, or with --dry-run says what would go and changes nothing. The
/// age of an object is that of its newest row, by the queue's time of publish and the database's clock. Each partition loses
/// its oldest part alone: an old object stays while an earlier one stays (HELD BACK). Objects are deleted after
/// JANITOR_HOLD_SECS; until then DuckDB reads them in earlier snapshots.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone retention orders --dry-run")]
pub(crate) struct Args {
    /// Only this topic
    topic: Option<TopicName>,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

/// One topic with the part of it that goes.
#[derive(Debug, Serialize)]
struct Answer {
    topic: TopicName,
    retention_ms: Option<u64>,
    #[serde(flatten)]
    expired: Expired,
}

/// Prints a table of topics and one of partitions, or with `json` an object.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let answers = match args.dry_run {
        true => reading_catalog(settings, async |catalog| answers(catalog.as_ref(), &args).await).await?,
        false => with_catalog(settings, async |catalog| answers(catalog.as_ref(), &args).await).await?,
    };
    if json {
        return output::print_json(&json!({ "dry_run": args.dry_run, "topics": answers }));
    }
    if let ([Answer { topic, retention_ms: None, .. }], Some(_)) = (&answers[..], &args.topic) {
        return output::print(&format!(
            "topic {topic} keeps everything; `siltstone topic update {topic} --retention 7d` would limit it\n"
        ));
    }
    let answers: Vec<Answer> = answers.into_iter().filter(|answer| answer.retention_ms.is_some()).collect();
    if answers.is_empty() {
        output::note("no topic has a retention; `siltstone topic update TOPIC --retention 7d` gives it one");
        return Ok(());
    }
    output::print(&text(&answers))?;
    let objects: u64 = answers.iter().map(|answer| answer.expired.objects).sum();
    output::note(&match (args.dry_run, objects) {
        (_, 0) => "nothing is older than its retention".to_owned(),
        (true, _) => "nothing was changed; without --dry-run these objects leave the list".to_owned(),
        (false, _) => {
            let hold = duration_text(settings.janitor_hold_secs.saturating_mul(1_000));
            format!("a writer deletes the objects after {hold} (JANITOR_HOLD_SECS)")
        }
    });
    Ok(())
}

async fn answers(catalog: &dyn MetadataStore, args: &Args) -> anyhow::Result<Vec<Answer>> {
    let topics = match &args.topic {
        Some(name) => vec![opened::topic(catalog, name).await?],
        None => catalog.list_topics().await?,
    };
    let mut answers = Vec::new();
    for Topic { name: topic, retention_ms, .. } in topics {
        let expired = match args.dry_run {
            true => catalog.due_by_age(&topic).await?,
            false => expire(catalog, &topic).await?,
        };
        answers.push(Answer { topic, retention_ms, expired });
    }
    Ok(answers)
}

/// Takes everything that is due, in as many transactions as it needs.
async fn expire(catalog: &dyn MetadataStore, topic: &TopicName) -> anyhow::Result<Expired> {
    let mut sum = Expired::default();
    loop {
        let more = catalog.expire_by_age(topic).await?;
        let has_more = more.has_more;
        sum = added(sum, more);
        if !has_more {
            return Ok(sum);
        }
    }
}

fn added(sum: Expired, more: Expired) -> Expired {
    let mut parts: BTreeMap<_, ExpiredPart> = BTreeMap::new();
    for part in sum.parts.into_iter().chain(more.parts) {
        match parts.get_mut(&(part.partition_id, part.incarnation)) {
            Some(known) => {
                known.before_offset = known.before_offset.max(part.before_offset);
                known.segments += part.segments;
                known.records += part.records;
            }
            None => {
                parts.insert((part.partition_id, part.incarnation), part);
            }
        }
    }
    Expired {
        objects: sum.objects + more.objects,
        segments: sum.segments + more.segments,
        records: sum.records + more.records,
        quarantined: sum.quarantined + more.quarantined,
        bytes: sum.bytes + more.bytes,
        parts: parts.into_values().collect(),
        before_us: more.before_us,
        held_back: more.held_back,
        has_more: more.has_more,
    }
}

fn text(answers: &[Answer]) -> String {
    let right = Align::Right;
    let mut topics = Table::new(&[
        ("TOPIC", Align::Left),
        ("RETENTION", Align::Left),
        ("OLDER THAN", Align::Left),
        ("OBJECTS", right),
        ("RECORDS", right),
        ("QUARANTINED", right),
        ("SIZE", right),
        ("HELD BACK", right),
    ]);
    let mut parts = Table::new(&[
        ("TOPIC", Align::Left),
        ("PARTITION", right),
        ("INCARNATION", right),
        ("OFFSETS BELOW", right),
        ("SEGMENTS", right),
        ("RECORDS", right),
    ]);
    for Answer { topic, retention_ms, expired } in answers {
        let before_ms = expired.before_us.unwrap_or_default().div_euclid(1_000);
        topics.row([
            topic.to_string(),
            retention_ms.map_or_else(String::new, duration_text),
            time_text(before_ms),
            count_text(expired.objects),
            count_text(expired.records),
            count_text(expired.quarantined),
            bytes_text(expired.bytes),
            count_text(expired.held_back),
        ]);
        for part in &expired.parts {
            parts.row([
                topic.to_string(),
                part.partition_id.to_string(),
                part.incarnation.to_string(),
                part.before_offset.to_string(),
                count_text(part.segments),
                count_text(part.records),
            ]);
        }
    }
    match answers.iter().all(|answer| answer.expired.parts.is_empty()) {
        true => topics.to_string(),
        false => format!("{topics}\n{parts}"),
    }
}

#[cfg(test)]
mod tests {
    use common::Incarnation;

    use super::*;

    #[test]
    fn the_transactions_of_one_call_are_one_answer() {
        let part = |partition_id, before_offset, records| ExpiredPart {
            partition_id,
            incarnation: Incarnation(0),
            before_offset,
            segments: 1,
            records,
        };
        let one = Expired { objects: 1, records: 9, parts: vec![part(0, 9, 9)], has_more: true, ..Default::default() };
        let parts = vec![part(0, 20, 11), part(1, 5, 5)];
        let other = Expired { objects: 2, records: 16, held_back: 3, parts, ..Default::default() };
        let sum = added(one, other);
        assert_eq!((sum.objects, sum.records, sum.held_back, sum.has_more), (3, 25, 3, false));
        let all = ExpiredPart { segments: 2, records: 20, ..part(0, 20, 0) };
        assert_eq!(sum.parts, [all, part(1, 5, 5)]);
    }
}
