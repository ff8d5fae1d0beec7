//! A whole history over a bad network, twice.
//!
//! Owns: that a seed repeats it. Does not own: the outcomes of single calls (`session`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::{AcquireOutcome, Agent, CommitOutcome, CommitStore, OwnershipStore, Scope, SegmentStore};
use simulation::catalog::{Faults, Guards, Rates, Session};
use tokio::time::sleep;

use crate::fixture::*;

/// Two writers that take the partition from each other and commit, over a bad network; gives every event and the final
/// tables.
async fn a_rough_history(seed: u64) -> Vec<String> {
    let (model, trace) = (model(Guards::default()), Arc::new(Mutex::new(Vec::new())));
    let told = trace.clone();
    model.observe(Box::new(move |_, event| told.lock().expect("no holder panics").push(format!("{event:?}"))));
    create_orders(&model).await;
    let rates = Rates {
        request_lost: 50,
        commit_lost: 50,
        reply_lost: 100,
        arrives_late: 100,
        ends_late: 50,
        network_ms: (1, 9),
        commit_ms: (0, 20),
        late_ms: (10, 500),
    };
    let faults = Faults::new(seed, rates);
    let writers: Vec<_> =
        (1..=2).map(|writer| tokio::spawn(rival(Session::new(&model, &faults, writer), writer))).collect();
    for writer in writers {
        writer.await.expect("joined");
    }
    sleep(Duration::from_secs(1)).await;
    let mut chain = 0;
    for record in model.list_commits(&orders()).await.expect("read") {
        assert_eq!(record.range.base(), chain, "ranges chain");
        chain = record.range.next();
    }
    assert_eq!(get_orders(&model).await.high_watermark, chain);
    let mut trace = std::mem::take(&mut *trace.lock().expect("no holder panics"));
    trace.push(format!("{:?}", model.state()));
    trace
}

async fn rival(session: Session, writer: u32) {
    for round in 0..100 {
        let number = u128::from(writer);
        let agent = Agent { owner: owner(number), name: String::new(), scope: Scope::All, contact: Default::default() };
        if session.heartbeat(&agent).await.is_err() {
            continue;
        }
        let Ok(mut outcomes) = session.acquire(owner(number), Duration::from_millis(20), &[orders()]).await else {
            continue;
        };
        let AcquireOutcome::Acquired(held) = outcomes.remove(0) else { continue };
        let request = request(&held, held.high_watermark, held.high_watermark + 4, &format!("{writer}-{round}"));
        if session.record_intents(&intents(&request)).await[0].is_ok()
            && let CommitOutcome::Unknown(_) = commit(&session, &request).await
        {
            let settled = session.resolve(&request).await;
            assert!(!matches!(settled, Ok(CommitOutcome::Unknown(_))));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_seed_is_one_history_and_another_seed_another() {
    let first = a_rough_history(7).await;
    assert!(first.iter().filter(|event| event.contains("Committed(")).count() > 10, "something was committed");
    assert_eq!(first, a_rough_history(7).await);
    assert_ne!(first, a_rough_history(8).await);
}
