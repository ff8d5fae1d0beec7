//! The durations that the writer records of each batch, kept one by one.
//!
//! Owns: a recorder for the process that keeps these histograms' values. Does not own: the metrics' names (`writer`).

use std::sync::{Arc, Mutex};

use anyhow::anyhow;
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};

/// Names of the durations from a batch's reason to close to its commit, in their order.
const NAMES: [&str; 3] = ["siltstone_roll_seconds", "siltstone_upload_seconds", "siltstone_commit_seconds"];

/// The values so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder {
    durations: [Arc<Values>; NAMES.len()],
}

#[derive(Debug, Default)]
struct Values {
    // A std mutex: held for a push or a copy.
    seconds: Mutex<Vec<f64>>,
}

/// Values at one moment, of each duration.
#[derive(Debug)]
pub(super) struct Taken([Vec<f64>; NAMES.len()]);

impl Recorder {
    /// A recorder for the whole process, which has no other.
    pub(super) fn install() -> anyhow::Result<Self> {
        let recorder = Self::default();
        metrics::set_global_recorder(recorder.clone())
            .map_err(|error| anyhow!("metrics are recorded already: {error}"))?;
        Ok(recorder)
    }

    /// The values up to now.
    pub(super) fn taken(&self) -> Taken {
        Taken(self.durations.each_ref().map(|values| values.seconds.lock().expect("no holder panics").clone()))
    }
}

impl Taken {
    /// Only the values after those of `before`.
    pub(super) fn since(mut self, before: &Self) -> Self {
        for (values, before) in self.0.iter_mut().zip(&before.0) {
            values.drain(..before.len());
        }
        self
    }

    /// Roll, upload and commit of the first batch.
    pub(super) fn first(&self) -> Option<(f64, f64, f64)> {
        let [roll, upload, commit] = &self.0;
        Some((*roll.first()?, *upload.first()?, *commit.first()?))
    }
}

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.seconds.lock().expect("no holder panics").push(value);
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match NAMES.iter().position(|name| *name == key.name()) {
            Some(place) => Histogram::from_arc(Arc::clone(&self.durations[place])),
            None => Histogram::noop(),
        }
    }
}
