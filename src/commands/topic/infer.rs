//! `topic create --infer`: columns from a sample, shown with the reasons, and created when that is asked for.
//!
//! Owns: the order of the steps, and the refusal of samples that say nothing. Does not own: reading samples (`sample`), the
//! answer (`answer`), the types (`writer::infer`), creating (`create`).

mod answer;
mod sample;

use std::path::PathBuf;

use catalog::{Topic, TopicConfig};
use common::config::Settings;
use common::topic::Format;
use service::connect;
use writer::infer::{Inference, infer};

use self::answer::Answer;
use super::beginning::Beginning;
use crate::output::{self, UsageError};

/// Most messages of a sample.
const MESSAGES_MAX: u64 = 1_000_000;

/// Where the sample is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file; standard input if it is `-`.
    File(PathBuf),
    /// The first messages of each bound stream.
    First(u64),
}

/// Reads a number of messages, or else the path of a file.
pub(super) fn parse_source(text: &str) -> Result<Source, String> {
    if text.is_empty() {
        return Err("a file, or a number of messages, is expected".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Source::File(text.into()));
    }
    match text.parse() {
        Ok(count @ 1..=MESSAGES_MAX) => Ok(Source::First(count)),
        _ => Err(format!("{text} is not in 1..={MESSAGES_MAX} messages; a file of that name is ./{text}")),
    }
}

/// What is to be inferred.
pub(super) struct Request {
    pub(super) source: Source,
    /// The topic, without columns.
    pub(super) config: TopicConfig,
    pub(super) beginning: Option<Beginning>,
    /// The words of this command, from its name on.
    pub(super) words: Vec<String>,
}

/// A topic with inferred columns, not created yet.
pub(super) struct Proposal {
    pub(super) config: TopicConfig,
    inference: Inference,
    sample: String,
    words: Vec<String>,
}

/// The words of a call without those that only a sample needs.
pub(super) fn words(call: impl Iterator<Item = String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut call = call.peekable();
    while let Some(word) = call.next() {
        match word.as_str() {
            "--infer" => _ = call.next(),
            "--yes" | "--json" => {}
            word if word.starts_with("--infer=") => {}
            _ => words.push(word),
        }
    }
    words
}

/// Reads the sample and proposes the columns.
pub(super) async fn propose(request: Request, settings: &Settings) -> anyhow::Result<Proposal> {
    let Request { source, mut config, beginning, words } = request;
    if config.config.format != Format::Json {
        let format = config.config.format;
        return Err(UsageError::new(format!("--infer finds columns, which format {format} does not have")).into());
    }
    let sampled = match &source {
        Source::File(path) => sample::of_file(path)?,
        Source::First(count) => {
            if config.config.streams.is_empty() {
                let text = format!(
                    "--infer {count}: --stream names the stream whose first messages are meant; a file of that name is \
                     ./{count}"
                );
                return Err(UsageError::new(text).into());
            }
            crate::opened::ensure_shared_queue(settings, "no stream in it can be sampled")?;
            let queue = connect::queue(settings).await?;
            sample::of_streams(*count, &config, beginning, queue.as_ref()).await?
        }
    };
    let inference = infer(&sampled.messages, &config.config.reading);
    check(&source, &sampled.name, &inference)?;
    config.config.columns = inference.columns.iter().map(|column| column.spec.clone()).collect();
    config.definition().validate().map_err(|error| UsageError::new(error.to_string()))?;
    Ok(Proposal { config, inference, sample: sampled.name, words })
}

/// Shows the proposal, with the topic if it was created.
pub(super) fn show(proposal: &Proposal, created: Option<&Topic>, json: bool) -> anyhow::Result<()> {
    let answer = Answer { proposal, created };
    output::show(json, &answer.json(), || answer.text())
}

/// Refuses a sample without columns. A file is the user's to mend: a record of it that no columns could take is an error.
fn check(source: &Source, name: &str, inference: &Inference) -> Result<(), UsageError> {
    let first = inference.refused.first();
    match (source, first) {
        (Source::File(_), Some(refused)) => {
            let reason = sample::without_position(&refused.reason);
            Err(UsageError::new(format!("{name}: {}: {reason}", refused.place)))
        }
        _ if inference.records == 0 => {
            let first = first.map_or_else(String::new, |refused| {
                format!("; {}: {}", refused.place, sample::without_position(&refused.reason))
            });
            Err(UsageError::new(format!("{name}: no record, from which columns could be inferred{first}")))
        }
        _ if inference.columns.is_empty() => {
            let left_out = inference.left_out.first();
            let why = left_out.map_or_else(String::new, |left| format!("; {:?}: {}", left.member, left.reason));
            Err(UsageError::new(format!("{name}: no record has a member that could be a column{why}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_of_messages_and_anything_else_a_file() {
        assert_eq!(parse_source("100"), Ok(Source::First(100)));
        for file in ["./100", "orders.ndjson", "-", "1e3"] {
            assert_eq!(parse_source(file), Ok(Source::File(file.into())));
        }
        for number in ["0", "1000001", "99999999999999999999"] {
            let error = parse_source(number).expect_err(number);
            assert!(error.contains("1..=1000000") && error.contains(&format!("./{number}")), "{error}");
        }
        assert!(parse_source("").is_err());
    }
    #[test]
    fn the_command_of_a_proposal_leaves_the_sample_out() {
        let call = ["topic", "create", "t", "--infer", "a.json", "--json", "--yes", "--infer=b", "--stream", "S"];
        assert_eq!(words(call.map(str::to_owned).into_iter()), ["topic", "create", "t", "--stream", "S"]);
    }
}
