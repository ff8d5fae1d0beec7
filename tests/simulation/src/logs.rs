//! Log lines of the writers, as lines of the trace.
//!
//! Owns: the choice of log lines that count: unknown outcomes of commits, defects. Does not own: the trace.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::trace::Trace;

/// Counts of one run.
#[derive(Debug, Default)]
pub struct LogCounts {
    unknown_outcomes: AtomicU64,
    // Held to set or to copy it.
    defect: Mutex<Option<String>>,
}

impl LogCounts {
    /// Commits whose outcome was unknown.
    pub fn unknown_outcomes(&self) -> u64 {
        self.unknown_outcomes.load(Ordering::Relaxed)
    }

    /// The first defect that a writer noticed in itself.
    pub fn defect(&self) -> Option<String> {
        self.defect.lock().expect("no holder panics").clone()
    }
}

/// Takes the log lines of the thread it is the default of.
pub struct LogWatch {
    counts: Arc<LogCounts>,
    /// Receives every line; `None` where only counts are wanted.
    trace: Option<Trace>,
}

impl LogWatch {
    /// Counts, and writes lines to `trace`.
    pub fn new(counts: Arc<LogCounts>, trace: Option<Trace>) -> Self {
        Self { counts, trace }
    }
}

impl Subscriber for LogWatch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = if self.trace.is_some() { Level::DEBUG } else { Level::WARN };
        metadata.is_event() && *metadata.level() <= level && metadata.target().starts_with("writer")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.message == "commit outcome unknown, reading it back" {
            self.counts.unknown_outcomes.fetch_add(1, Ordering::Relaxed);
        }
        if line.message.starts_with("partition failed by a defect") {
            let text = format!("{}{}", line.message, line.fields);
            self.counts.defect.lock().expect("no holder panics").get_or_insert(text);
        }
        if let Some(trace) = &self.trace {
            trace.note("log", format!("{}{}", line.message, line.fields));
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The repeated steps of a commit have their text in a field.
        if matches!(field.name(), "message" | "what") {
            self.message = format!("{value:?}").trim_matches('"').to_owned();
        } else {
            self.fields.push_str(&format!(" {}={value:?}", field.name()));
        }
    }
}
