//! Feeding a topic from a stream of bytes, as `publish` and `up --stdin` do it.
//!
//! Owns: the producer's options for a stream, resume ids, hints at arguments in errors, the report.
//! Does not own: cutting, checking and sending (`ingester::feed`), the arguments (each command).

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use catalog::{MetadataStore, Topic};
use common::topic::Format as TopicFormat;
use common::{Queue, TopicName};
use ingester::feed::{FeedError, FeedFormat, InputError, LineProblem, Tally};
use ingester::{Commits, Producer, ProducerBuilder, ProducerError};
use lake::Storage;
use tokio::io::{BufReader, Stdin};

use crate::output::{self, Align, Table};
use crate::units::count_text;

/// The name of standard input in errors.
pub(crate) const STANDARD_INPUT: &str = "(standard input)";

/// Bytes that are read at once.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// Lines of a slow source do not wait longer for others.
pub(crate) const LINGER: Duration = Duration::from_millis(20);

/// Longest wait for a commit, and for room in a queue of the same process: as long as options allow, since a writer that
/// is behind, or cannot reach its store, loses nothing. The user can stop the command.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Time without a commit after which the user learns of it.
const SILENCE: Duration = Duration::from_secs(5);

const RESUME_ID_BYTES_MAX: usize = 100;

/// A producer for a stream. Queues in other processes answer in time or say that they cannot, and then messages are
/// repeated; a queue in this process only makes its callers wait.
pub(crate) fn producer(queue: &Arc<dyn Queue>, catalog: &Arc<dyn MetadataStore>) -> ProducerBuilder {
    Producer::builder()
        .queue(Arc::clone(queue))
        .catalog(Arc::clone(catalog))
        .batch_timeout(LINGER)
        .request_timeout(PATIENCE)
        .commit_timeout(PATIENCE)
}

/// The door to wait for commits, which reads from `storage` why records are in quarantine.
pub(crate) fn commits(queue: &Arc<dyn Queue>, catalog: &Arc<dyn MetadataStore>, storage: Storage) -> Commits {
    Commits::new(Arc::clone(catalog)).with_queue(Arc::clone(queue)).with_storage(storage)
}

/// Runs a feed whose messages wait for commits. Says so on standard error when `confirmed` stands still although messages
/// are waiting: perhaps no writer runs.
pub(crate) async fn saying_if_nothing_is_committed<T>(
    feed: impl Future<Output = T>,
    producer: &Producer,
    confirmed: &AtomicU64,
) -> T {
    tokio::pin!(feed);
    let mut before = 0;
    loop {
        tokio::select! {
            biased;
            fed = &mut feed => return fed,
            () = tokio::time::sleep(SILENCE) => {}
        }
        let (waiting, now) = (producer.unconfirmed_messages(), confirmed.load(Ordering::Relaxed));
        if waiting > 0 && now == before {
            let (waiting, seconds) = (count_text(waiting), SILENCE.as_secs());
            output::note(&format!(
                "{waiting} messages wait for their commit, and none came for {seconds} s: does a writer run on this catalog?"
            ));
        }
        before = now;
    }
}

/// Standard input with a buffer that is worth a system call.
pub(crate) fn standard_input() -> BufReader<Stdin> {
    BufReader::with_capacity(READ_BYTES, tokio::io::stdin())
}

/// The name of an input in the ids of its messages.
#[derive(Clone, Debug)]
pub(crate) struct ResumeId(String);

impl FromStr for ResumeId {
    type Err = anyhow::Error;
    fn from_str(name: &str) -> anyhow::Result<Self> {
        let is_printable = name.bytes().all(|byte| byte.is_ascii_graphic());
        if name.is_empty() || name.len() > RESUME_ID_BYTES_MAX || !is_printable {
            return Err(anyhow!(
                "allowed are 1 to {RESUME_ID_BYTES_MAX} letters, digits and other printable ASCII characters without \
                 spaces"
            ));
        }
        Ok(Self(name.to_owned()))
    }
}

impl From<ResumeId> for String {
    fn from(id: ResumeId) -> Self {
        id.0
    }
}

/// Adds the arguments that help, and shows on standard error where the confirmed messages are when others are not.
pub(crate) fn explained(error: FeedError, topic: &TopicName, tally: &Tally, is_resumable: bool) -> anyhow::Error {
    let is_partial = matches!(error, FeedError::Unconfirmed { .. } | FeedError::Refused { .. });
    if is_partial && tally.messages > 0 {
        output::note(report(topic, tally).trim_end());
    }
    if let (true, FeedError::Unconfirmed { place, .. }) = (is_resumable, &error) {
        output::note(&format!(
            "everything before line {} is published; repeat the command with --from-line {0} within the topic's duplicate \
             window, and nothing is stored twice",
            place.line
        ));
    }
    let FeedError::Stopped { confirmed, problem: InputError::Line { place, problem } } = error else {
        return error.into();
    };
    const NO_CHECK: &str = "(--no-check publishes it as it is)";
    let problem = match problem {
        LineProblem::NotJson(error) => anyhow::Error::new(error).context(format!("not JSON {NO_CHECK}")),
        LineProblem::OtherKind { kind } => {
            let how = if kind == "UTF-16 text" { "iconv -f UTF-16 -t UTF-8" } else { "gzip -dc or the like" };
            anyhow!("not JSON: it looks like {kind}; make lines of JSON of it first ({how}), and pipe them here")
        }
        LineProblem::Unfinished { kind } => {
            let filter = if kind == "array" { "jq -c '.[]'" } else { "jq -c ." };
            let unfinished = LineProblem::Unfinished { kind };
            anyhow!("{unfinished}; {filter} makes such lines of JSON that goes over several")
        }
        LineProblem::NotObject => anyhow!("not a JSON object {NO_CHECK}; jq -c '.[]' makes lines of an array"),
        LineProblem::NotText(error) => anyhow::Error::new(error).context(format!("not UTF-8 {NO_CHECK}")),
        LineProblem::NoJsonForKey(error) => anyhow::Error::new(error).context("not JSON, which --key-field needs"),
        other => other.into(),
    };
    problem.context(place).context(format!("stopped after {confirmed} messages, which are published"))
}

/// The named topic, which must exist: also where nothing is published to it.
pub(crate) async fn topic(catalog: &dyn MetadataStore, name: &TopicName) -> anyhow::Result<Topic> {
    let topic = catalog.get_topic(name).await?;
    Ok(topic.ok_or_else(|| ProducerError::TopicNotFound(name.clone()))?)
}

/// The form of input for `topic`, unless the user gives one. Keys are members of JSON, which a text topic may hold too.
pub(crate) fn format_for(topic: &Topic, has_keys: bool) -> FeedFormat {
    let is_text = topic.config.format == TopicFormat::Text;
    if is_text && !has_keys { FeedFormat::Text } else { FeedFormat::Ndjson }
}

/// The counts as text.
pub(crate) fn report(topic: &TopicName, tally: &Tally) -> String {
    let mut text = format!("published {} messages to {topic}", count_text(tally.messages));
    if tally.duplicates > 0 {
        text.push_str(&format!("; {} were stored before and are not stored again", count_text(tally.duplicates)));
    }
    if tally.quarantined > 0 {
        text.push_str(&format!("; {} are in quarantine", count_text(tally.quarantined)));
    }
    text.push('\n');
    if tally.partitions.is_empty() {
        return text;
    }
    let right = Align::Right;
    let mut table = Table::new(&[("PARTITION", right), ("MESSAGES", right), ("FIRST", right), ("LAST", right)]);
    for (partition, range) in &tally.partitions {
        let numbers = [u64::from(*partition), range.messages, range.first_offset, range.last_offset];
        table.row(numbers.map(count_text));
    }
    text.push_str(&table.to_string());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resume_id_is_short_and_printable() {
        let long = "x".repeat(RESUME_ID_BYTES_MAX + 1);
        for wrong in ["", "a b", "a\n", "é", &long] {
            let error = wrong.parse::<ResumeId>().expect_err(wrong);
            assert!(error.to_string().contains("1 to 100 letters"), "{error}");
        }
        let id: ResumeId = "import/2026-01.ndjson".parse().expect("printable");
        assert_eq!(String::from(id), "import/2026-01.ndjson");
    }
}
