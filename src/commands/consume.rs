//! `consume`: records of topics on standard output, alone or as a member of a group.
//!
//! Owns: the arguments, and when the command ends. Does not own: the two ways to read (`alone`, `member`), the text of a
//! record (`consumer::format`).

mod alone;
mod member;
mod sink;

use std::time::Duration;

use common::config::Settings;
use common::{ErrorKind, TopicName};
use consumer::format::Bytes;
use consumer::{Limits, OutOfRange, ResetTo};
use service::Signals;

use self::sink::{Form, Sink};
use super::topic::{Beginning, parse_beginning};
use crate::consuming;
use crate::opened::{reading_catalog, with_catalog};
use crate::output::{self, UsageError};
use crate::units::count_text;

/// Time after which reading is tried again while catalog, store or queue do not answer.
const AWAY: Duration = Duration::from_secs(1);
/// Records that are asked for at once.
const RECORDS: usize = 10_000;

/// Print the records of topics, in the order of each partition.
///
/// With QUEUE_TYPE=nats, records come as soon as they are published (unless HOT_TAIL=off), otherwise when they are committed.
/// With --group, the members of a group share the partitions, and the group goes on where it left off: what was printed is
/// committed. Without --follow the command ends when it has printed all that is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone consume --topic orders --group billing --follow")]
pub(crate) struct Args {
    /// Topics to read
    #[arg(value_name = "TOPIC", required_unless_present = "topics")]
    names: Vec<TopicName>,
    /// The same by a name; repeat it for more
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<TopicName>,
    /// Read as a member of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only this partition of the topic
    #[arg(long, value_name = "N", conflicts_with = "group")]
    partition: Option<u32>,
    /// Where to begin: `begin`, `end`, an OFFSET, or at the first record since a TIME such as 2026-01-31T00:00:00Z. With
    /// --group, in partitions of which the group committed nothing
    #[arg(long, value_name = "begin|end|OFFSET|TIME", default_value = "begin", value_parser = parse_beginning)]
    from: Beginning,
    /// Go on with new records until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// json: an object on each line, which names the topic where several are read; csv, of one topic; raw: the payload as it was
    /// published, followed by a line feed
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = ["json", "csv", "raw"])]
    format: String,
    /// Bytes in json and csv: in base64, or as text, where each byte that is no UTF-8 becomes U+FFFD
    #[arg(long, value_name = "base64|text", default_value = "base64", value_parser = bytes)]
    binary: Bytes,
    /// End after so many records, or a few more: a message that holds several is printed whole
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_records: Option<u64>,
    /// Where to go on if the offset is gone or was never reached
    #[arg(long, value_name = "begin|end|error", default_value = "error", value_parser = out_of_range)]
    out_of_range: OutOfRange,
    /// With --group: others take the partitions over when this member was silent for so long
    #[arg(long, value_name = "SECONDS", default_value = "30", requires = "group",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    lease: u64,
}

fn bytes(word: &str) -> Result<Bytes, String> {
    word.parse()
}

fn out_of_range(word: &str) -> Result<OutOfRange, String> {
    word.parse()
}

impl Args {
    fn limits(&self, printed: u64) -> Limits {
        let left = self.max_records.map_or(u64::MAX, |most| most.saturating_sub(printed));
        let records_max = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, RECORDS);
        Limits { records_max, ..Limits::default() }
    }

    fn is_enough(&self, printed: u64) -> bool {
        self.max_records.is_some_and(|most| printed >= most)
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(self.lease)
    }

    fn start(&self) -> ResetTo {
        self.from.into()
    }
}

/// Catalog, store or queue may be away for a while, with --follow.
#[derive(Debug, Default)]
struct Outage {
    is_on: bool,
}

impl Outage {
    /// Returns after a pause if the error passes by itself; the first of them is noted. Any other error is returned.
    async fn wait(&mut self, args: &Args, kind: ErrorKind, error: anyhow::Error) -> anyhow::Result<()> {
        if !args.follow || kind != ErrorKind::Unavailable {
            return Err(error);
        }
        if !std::mem::replace(&mut self.is_on, true) {
            output::note(&format!("reading goes on when this is over: {error:#}"));
        }
        tokio::time::sleep(AWAY).await;
        Ok(())
    }

    fn is_over(&mut self) {
        self.is_on = false;
    }
}

/// Prints records until there are no more, or until a signal.
pub(crate) async fn run(mut args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    args.topics.extend(std::mem::take(&mut args.names));
    let form = match args.format.as_str() {
        _ if json => Form::Json,
        "csv" => Form::Csv,
        "raw" => Form::Raw,
        _ => Form::Json,
    };
    if args.partition.is_some() && args.topics.len() > 1 {
        return Err(UsageError::new("--partition needs one --topic: partitions of several are not the same").into());
    }
    if form == Form::Csv && args.topics.len() > 1 {
        return Err(UsageError::new(
            "--format csv prints one --topic: a CSV has one header, and several topics have several; --format json names the \
             topic of each record in its member _siltstone_topic",
        )
        .into());
    }
    let mut sink = Sink::new(form, args.binary, args.topics.len() > 1);
    let read = async |catalog: &std::sync::Arc<dyn catalog::MetadataStore>| {
        let fetcher = consuming::fetcher(settings, catalog).await?;
        if !fetcher.has_tail() {
            output::note("records come when they are committed: the queue cannot be read from here, or HOT_TAIL=off");
        }
        let mut signals = Signals::new()?;
        let stop = async move {
            signals.next().await;
        };
        match &args.group {
            Some(group) => member::consume(&args, group, fetcher, &mut sink, stop).await,
            None => alone::consume(&args, catalog.as_ref(), fetcher, &mut sink, stop).await,
        }
    };
    let printed = match args.group.is_some() {
        true => with_catalog(settings, read).await?,
        false => reading_catalog(settings, read).await?,
    };
    output::note(&format!("{} records", count_text(printed)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[tokio::test]
    async fn only_an_outage_is_waited_for_and_only_with_follow() {
        let args = |more: &[&str]| Command::parse_from([&["consume", "--topic", "t"], more].concat()).args;
        let (once, following) = (args(&[]), args(&["--follow"]));
        let mut outage = Outage::default();
        let away = || (ErrorKind::Unavailable, anyhow!("away"));
        let cases = [(&once, away(), false), (&following, (ErrorKind::Fatal, anyhow!("broken")), false)];
        for (args, (kind, error), is_waited) in cases.into_iter().chain([(&following, away(), true)]) {
            assert_eq!(outage.wait(args, kind, error).await.is_ok(), is_waited);
        }
        assert!(outage.is_on, "it was noted");
        outage.is_over();
        assert!(!outage.is_on);
    }
}
