//! The trace of a run.
//!
//! Owns: how ids that differ from run to run are written. Does not own: what is traced.

use std::sync::Arc;

use simulation::clock::VirtualClock;
use simulation::trace::Trace;
use uuid::Uuid;

#[tokio::test]
async fn ids_are_numbered_by_first_appearance() {
    let trace = Trace::new(Arc::new(VirtualClock::start()));
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    trace.note("w1", format!("puts a/{two}.parquet"));
    trace.note("w2", format!("puts a/{one}.parquet, then a/{two}.parquet"));
    let lines = trace.lines();
    assert!(lines[0].ends_with("puts a/#1.parquet"), "{lines:?}");
    assert!(lines[1].ends_with("puts a/#2.parquet, then a/#1.parquet"), "{lines:?}");
}
