//! `query`: SQL over everything that is committed, and over published messages where the queue can be read.
//!
//! Owns: the arguments, and the choice between one statement, several and the shell. Does not own: showing rows (`answer`), the
//! shell (`shell`), planning and reading (lake::query).

mod answer;
mod parameter;
mod running;
mod shell;
mod stop;

use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{bail, ensure};
use catalog::MetadataStore;
use common::config::Settings;
use lake::query::{
    HotTailError, HotTailMode, HotTailSettings, Parameters, QueryOptions, QuerySession, QueryStore, has_placeholder,
    is_panic_contained, statements, unreadable_segment,
};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use self::answer::{Format, Output};
use self::parameter::{Name, Parameter};
use self::stop::Stop;
use crate::hot_tail;
use crate::input::read_text;
use crate::opened::{self, reading_catalog};
use crate::output::{self, UsageError};

/// Query records with SQL.
///
/// Each topic is a table of its name. Names are found without regard to case unless they are "quoted"; quote those that
/// are not plain words. Records that could not be decoded are in quarantine."TOPIC"; the catalog itself is in
/// siltstone.topics, siltstone.partitions, siltstone.segments, siltstone.commits, siltstone.gaps, siltstone.agents,
/// siltstone.uploads, siltstone.consumer_groups and siltstone.consumer_offsets. What does not fit in MEMORY_BUDGET_BYTES is sorted and grouped in temporary files. Without a statement,
/// a terminal gets a shell: \? shows its commands.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone query 'SELECT count(*) FROM orders'")]
pub(crate) struct Args {
    /// One SELECT, SHOW or EXPLAIN statement; `-` reads it from standard input. Without it, a shell on a terminal, else the
    /// statements of standard input, each ended by `;`
    sql: Option<String>,
    /// Run the statements of a file, each ended by `;`, up to the first that fails
    #[arg(short, long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// Form of the rows; --json is the same as json
    #[arg(long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
    /// Write the rows to this file, which takes its name when it is whole
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// The value of a placeholder, `$name` or `$1`, in the statements; may be given many times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<Parameter>,
    /// The placeholder of this name is NULL; may be given many times
    #[arg(long = "param-null", value_name = "NAME")]
    null_params: Vec<Name>,
    /// See published messages before they are committed: where the queue can be read (auto), or else fail (on); or committed
    /// rows alone (off). The default is that of HOT_TAIL
    #[arg(long, value_name = "auto|on|off")]
    hot_tail: Option<HotTailMode>,
    /// Read each object whole and compare it with its checksum before any of it is used
    #[arg(long)]
    verify: bool,
}

/// The work of a call.
enum Work {
    /// One statement, which is shown as it was typed.
    One(String),
    /// Statements up to the first that fails.
    File(Vec<String>),
    /// Statements and commands of standard input.
    Input(String),
    /// The shell.
    Shell,
}

/// Prints the rows; their number and the time taken go to standard error.
pub(crate) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let format = match (json, args.output) {
        (true, None | Some(Format::Json)) => Format::Json,
        (true, Some(_)) => bail!(UsageError::new("--json and --output name two forms; give one of them")),
        (false, given) => given.unwrap_or(Format::Table),
    };
    let work = work(args.sql, args.file)?;
    let parameters = parameter::all(args.params, args.null_params)?;
    let output = Output { format, file: args.output_file };
    check(&work, &output, &parameters)?;
    silence_contained_panics();
    let options = QueryOptions {
        memory_bytes_max: settings.memory_budget_bytes,
        verify: args.verify,
        hot_tail: HotTailSettings { mode: args.hot_tail.unwrap_or(settings.hot_tail), ..HotTailSettings::default() },
        ..QueryOptions::default()
    };
    let is_shell = matches!(work, Work::Shell);
    let done = Box::pin(reading_catalog(settings, async |catalog| {
        let session = session(Arc::clone(catalog), settings, options).await?;
        match work {
            Work::One(sql) => Box::pin(answer::answer(&session, &sql, &parameters, &output)).await,
            Work::File(statements) => Box::pin(file(&session, &statements, &parameters, &output)).await,
            Work::Input(text) => Box::pin(shell::run_input(session, &text, output)).await,
            Work::Shell => Box::pin(shell::run(session, output)).await,
        }
    }));
    // From before the session on, which has a directory for temporary files.
    let done = if is_shell { done.await } else { stoppable(done).await };
    done.map_err(explained)
}

/// The way to do without the hot tail in a session.
const SET_OFF: &str = "SET siltstone.hot_tail = off";

async fn session(
    catalog: Arc<dyn MetadataStore>,
    settings: &Settings,
    options: QueryOptions,
) -> anyhow::Result<QuerySession> {
    let storage = opened::storage_of(settings, catalog.as_ref()).await?;
    let store = QueryStore { url: storage.url, store: storage.store };
    Ok(QuerySession::open_with(catalog, store, options)?.with_hot_tail(hot_tail::of(settings, output::note)))
}

fn work(sql: Option<String>, file: Option<PathBuf>) -> anyhow::Result<Work> {
    const EMPTY: &str = "the statement is empty; try \"SHOW TABLES\"";
    if let Some(path) = file {
        let name = format!("--file {}", path.display());
        let opened = File::open(&path).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
        let text = read_text(opened, &name)?;
        let statements: Vec<String> = statements(&text).into_iter().map(str::to_owned).collect();
        ensure!(!statements.is_empty(), UsageError::new(format!("{name}: there is no statement in it")));
        return Ok(Work::File(statements));
    }
    let sql = match sql.as_deref() {
        None if std::io::stdin().is_terminal() => return Ok(Work::Shell),
        None => {
            let text = read_text(std::io::stdin().lock(), "the statements on standard input")?;
            ensure!(
                !text.trim().is_empty(),
                UsageError::new(format!("give a statement, or one on standard input: {EMPTY}"))
            );
            return Ok(Work::Input(text));
        }
        Some("-") => read_text(std::io::stdin().lock(), "the statement on standard input")?,
        Some(sql) => sql.to_owned(),
    };
    ensure!(!sql.trim().is_empty(), UsageError::new(EMPTY));
    Ok(Work::One(sql))
}

/// Refuses a combination of arguments that would lose rows or mean nothing.
fn check(work: &Work, output: &Output, parameters: &Parameters) -> Result<(), UsageError> {
    let is_one = match work {
        Work::One(_) => true,
        Work::File(statements) => statements.len() == 1,
        Work::Input(_) | Work::Shell => false,
    };
    if !is_one && output.file.is_some() {
        return Err(UsageError::new("--output-file takes the rows of one statement; give one with it"));
    }
    if !is_one && output.format == Format::Parquet {
        return Err(UsageError::new("a Parquet file holds the rows of one statement; give one with --output parquet"));
    }
    if output.format == Format::Parquet && output.file.is_none() && std::io::stdout().is_terminal() {
        return Err(UsageError::new("--output parquet is not for a terminal; give --output-file FILE, or redirect it"));
    }
    if matches!(work, Work::Input(_) | Work::Shell) && !parameters.is_empty() {
        return Err(UsageError::new(
            "--param and --param-null give values to the placeholders of a statement or of a file; give one of them",
        ));
    }
    Ok(())
}

async fn file(
    session: &QuerySession,
    statements: &[String],
    parameters: &Parameters,
    output: &Output,
) -> anyhow::Result<()> {
    // Each statement gets the values that it has placeholders for; each value is for at least one of them.
    let mut unused: Vec<&str> = parameters.keys().map(String::as_str).collect();
    for statement in statements {
        unused.retain(|name| !has_placeholder(statement, name));
    }
    if let Some(name) = unused.first() {
        bail!(UsageError::new(format!("--param {name}: no statement of the file has a placeholder ${name}")));
    }
    for (place, statement) in statements.iter().enumerate() {
        let own = parameters.iter().filter(|(name, _)| has_placeholder(statement, name));
        let own: Parameters = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        let answered = answer::answer(session, statement, &own, output).await;
        answered.map_err(|error| error.context(format!("statement {} of {}", place + 1, statements.len())))?;
    }
    Ok(())
}

/// Runs `work` until it ends or a signal stops it.
async fn stoppable(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (signalled, signal) = oneshot::channel();
    // Of its own thread: planning a long statement holds this one.
    let _stopping = AbortOnDropHandle::new(tokio::spawn(Stop::listen()?.tell(signalled)));
    // A query that is dropped takes its temporary files with it; one that is killed leaves them.
    tokio::select! {
        biased;
        worked = work => worked,
        Ok(reason) = signal => bail!("{reason}"),
    }
}

/// A panic that becomes the query's error is reported by that error.
fn silence_contained_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if is_panic_contained() {
            tracing::debug!("{panic}");
        } else {
            default(panic);
        }
    }));
}

/// Reports an unreadable segment alone, and a missing hot tail with this command's argument: the plan's wrapping adds nothing.
fn explained(error: anyhow::Error) -> anyhow::Error {
    if let Some(segment) = unreadable_segment(error.as_ref()) {
        return anyhow::anyhow!("{segment}");
    }
    let hot_tail = error.chain().find_map(|cause| cause.downcast_ref::<HotTailError>());
    let text = hot_tail.map_or_else(|| format!("{error:#}"), ToString::to_string);
    match text.contains(SET_OFF) {
        true => anyhow::anyhow!("{}", text.replace(SET_OFF, "--hot-tail off")),
        false => error,
    }
}
