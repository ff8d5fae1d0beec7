//! The explanation of a plan to resume: the reason of the halt, the messages kept, and the consequences.
//!
//! Owns: the text. Does not own: the plan (`writer::resume`), asking and answering (`resume`).

use std::fmt::Write;

use writer::resume::ResumePlan;

use crate::units::{count_text, time_text};

/// A paragraph for people.
pub(super) fn explanation(plan: &ResumePlan) -> String {
    let mut text = format!("{} is halted\n", plan.partition);
    for (name, value) in facts(plan).into_iter().chain(warnings(plan)) {
        writeln!(text, "  {name:<10} {value}").expect("writing to a string does not fail");
    }
    if !plan.queue_read {
        let topic = &plan.partition.topic;
        writeln!(text, "  {:<10} `siltstone topic delete {topic}` gives the topic up", "instead")
            .expect("writing to a string does not fail");
        return text;
    }
    writeln!(
        text,
        "  {:<10} --from first writes everything the stream holds, --from end nothing of it; \
         `siltstone topic delete {}` gives the topic up",
        "instead", plan.partition.topic
    )
    .expect("writing to a string does not fail");
    text
}

type Lines = Vec<(&'static str, String)>;

fn facts(plan: &ResumePlan) -> Lines {
    let (mark, incarnation) = (plan.high_watermark, plan.incarnation);
    let holds = match plan.next_offset.checked_sub(plan.first_offset) {
        _ if !plan.queue_read => "is in the memory of its process, and cannot be read from here".to_owned(),
        Some(held) if held > 0 => format!("holds offsets {} to {} now", plan.first_offset, plan.next_offset - 1),
        _ => format!("is empty now; its next message gets offset {}", plan.next_offset),
    };
    let mut lines = vec![
        ("why", plan.halt_reason.clone()),
        ("committed", format!("every message below offset {mark}, as incarnation {incarnation}")),
        ("the stream", holds),
        ("compared", compared(plan)),
    ];
    if !plan.queue_read {
        let text = "all that its process still holds is written; what it does not hold any more shows as a gap";
        lines.push(("", text.to_owned()));
    }
    lines.extend(plan.notes.iter().map(|note| ("", note.clone())));
    lines.push(("it keeps", "all rows that are committed; nothing is deleted".to_owned()));
    lines.push(("goes on", format!("at offset {}, as incarnation {}", plan.start_offset, incarnation.0 + 1)));
    lines
}

fn compared(plan: &ResumePlan) -> String {
    match (plan.shared_commit, plan.proven_end) {
        _ if !plan.queue_read => "nothing; a process gives up what it committed itself".to_owned(),
        (_, None) => "none of the messages it holds is known to be a committed one".to_owned(),
        (None, Some(end)) => format!("the messages it holds below offset {end} are the committed ones"),
        (Some(commit), Some(end)) => format!(
            "the messages it holds below offset {end} are the committed ones; the last commit it has whole is number {} of \
             {}",
            commit.commit_no,
            time_text(commit.committed_at)
        ),
    }
}

fn warnings(plan: &ResumePlan) -> Lines {
    let (start, count) = (plan.start_offset, count_text);
    let mut lines = Lines::new();
    if plan.rewritten_max > 0 {
        let end = start + plan.rewritten_max - 1;
        let text = format!(
            "offsets {start} to {end} were committed once already: what the stream holds there now (at most {} messages) \
             is written as new rows beside the old ones. Where they are the same messages, as in a restored copy, these \
             rows are there twice",
            count(plan.rewritten_max)
        );
        lines.push(("beware", text));
    }
    let lost = plan.high_watermark.saturating_sub(start.max(plan.next_offset));
    if plan.queue_read && lost > 0 && plan.next_offset < plan.high_watermark {
        let text = format!(
            "the stream lost at least {} messages that are committed; their rows stay. Its next messages get their offsets \
             again, in the new incarnation",
            count(lost)
        );
        lines.push(("", text));
    }
    if plan.skipped_max > 0 {
        let text = format!(
            "up to {} messages below offset {start} are not known to be committed and will NOT be written",
            count(plan.skipped_max)
        );
        lines.push(("beware", text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use common::{Incarnation, TopicName, TopicPartition};

    use super::*;

    fn plan() -> ResumePlan {
        ResumePlan {
            partition: TopicPartition::new(TopicName::new("orders").expect("valid"), 3),
            incarnation: Incarnation(0),
            halt_reason: "stream_regressed: it is shorter".to_owned(),
            high_watermark: 101,
            first_offset: 1,
            next_offset: 41,
            shared_commit: None,
            proven_end: None,
            start_offset: 1,
            anchor: None,
            rewritten_max: 40,
            skipped_max: 0,
            notes: vec![],
            queue_read: true,
        }
    }

    #[test]
    fn a_stranger_is_told_what_happened_and_what_follows() {
        let text = explanation(&plan());
        for part in [
            "orders/3 is halted",
            "stream_regressed",
            "below offset 101",
            "holds offsets 1 to 40 now",
            "none of the messages",
            "at offset 1, as incarnation 1",
            "at most 40 messages",
            "lost at least 60 messages",
            "--from end",
            "topic delete orders",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let proven = explanation(&ResumePlan { proven_end: Some(41), start_offset: 41, rewritten_max: 0, ..plan() });
        assert!(proven.contains("below offset 41 are the committed ones") && !proven.contains("beware"), "{proven}");
        let skipping = explanation(&ResumePlan { start_offset: 41, rewritten_max: 0, skipped_max: 40, ..plan() });
        assert!(skipping.contains("will NOT be written"), "{skipping}");
        let unread = ResumePlan {
            queue_read: false,
            first_offset: 0,
            next_offset: 0,
            start_offset: 0,
            rewritten_max: 0,
            ..plan()
        };
        let unread = explanation(&unread);
        for part in ["in the memory of its process", "at offset 0, as incarnation 1", "still holds is written"] {
            assert!(unread.contains(part) && !unread.contains("lost") && !unread.contains("--from"), "{unread}");
        }
        let empty = explanation(&ResumePlan { first_offset: 1, next_offset: 1, rewritten_max: 0, ..plan() });
        assert!(empty.contains("is empty now"), "{empty}");
    }
}
