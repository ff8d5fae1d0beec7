//! Every state with every event; then any sequence of events, compared with a model that counts pipelines and releases.

use std::collections::BTreeSet;

use catalog::PartitionState;
use common::{Epoch, Incarnation, OwnerId, TopicName, TopicPartition};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn ownership(epoch: u64) -> Ownership {
    Ownership {
        partition: TopicPartition::new(TopicName::new("orders").expect("valid"), 3),
        owner: OwnerId(Uuid::from_u128(1)),
        epoch: Epoch(epoch),
        incarnation: Incarnation(1),
        high_watermark: 100,
        anchor: None,
        takeovers: 0,
        suspect: None,
    }
}

fn row(owner: u128, epoch: u64, high_watermark: u64) -> PartitionOwner {
    PartitionOwner {
        partition: ownership(epoch).partition,
        owner: Some(OwnerId(Uuid::from_u128(owner))),
        epoch: Epoch(epoch),
        high_watermark,
        state: PartitionState::Active,
    }
}

fn running(epoch: u64) -> Tenure {
    Tenure::Running { ownership: ownership(epoch), stop: CancellationToken::new() }
}

fn states(start: Instant) -> [Tenure; 7] {
    [
        Tenure::Free,
        running(1),
        Tenure::Draining(ownership(1)),
        Tenure::Aborting(ownership(1)),
        Tenure::Drained(ownership(1)),
        Tenure::Resting { until: start + REST_AFTER_DEFECT },
        Tenure::Halted,
    ]
}

/// The events in the order of the table's columns.
fn events(start: Instant) -> [Event; 14] {
    let why = || "why".to_owned();
    let ended = |end| Event::Ended { end, now: start };
    [
        Event::Acquired { ownership: ownership(2), stop: CancellationToken::new() },
        Event::FoundHalted { reason: why() },
        Event::SeenActive,
        Event::Lost(Loss::Taken { epoch: 2 }),
        Event::Surplus,
        ended(Ok(())),
        ended(Err(Stop::Fenced(why()))),
        ended(Err(Stop::Halted(why()))),
        ended(Err(Stop::Internal(why()))),
        ended(Err(Stop::Exit(why()))),
        ended(Err(Stop::Neighbour)),
        Event::Released,
        Event::Time(start + REST_AFTER_DEFECT - Duration::from_nanos(1)),
        Event::Time(start + REST_AFTER_DEFECT),
    ]
}

fn state_name(tenure: &Tenure) -> &'static str {
    match tenure {
        Tenure::Free => "free",
        Tenure::Running { .. } => "running",
        Tenure::Draining(_) => "draining",
        Tenure::Aborting(_) => "aborting",
        Tenure::Drained(_) => "drained",
        Tenure::Resting { .. } => "resting",
        Tenure::Halted => "halted",
    }
}

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Nothing => "",
        Step::Start { .. } => " start",
        Step::Drain { .. } => " drain",
        Step::Abort(_) => " abort",
        Step::GiveBack => " give-back",
        Step::ReportFenced { .. } => " fenced",
        Step::RecordHalt { .. } => " record-halt",
        Step::ReportHalt { .. } => " report-halt",
        Step::ReportResumed => " resumed",
        Step::ReportDefect { .. } => " defect",
        Step::Exit { .. } => " exit",
    }
}

const NEVER: &str = "refused";
/// The six columns of an end, for a state with a pipeline and for a state without one.
const ENDS: [&str; 6] =
    ["drained give-back", "free fenced", "halted record-halt", "resting defect", "free exit", "free"];
const NO_END: [&str; 6] = [NEVER; 6];

#[tokio::test]
async fn every_state_answers_every_event_as_the_table_says() {
    // Acquired, found halted, seen active, lost, surplus; the ends; released, time too early, time reached.
    let table = [
        (["running start", "halted report-halt", "free", NEVER, "free"], NO_END, [NEVER, "free", "free"]),
        ([NEVER, NEVER, "running", "aborting abort", "draining drain"], ENDS, [NEVER, "running", "running"]),
        ([NEVER, NEVER, "draining", "aborting abort", "draining"], ENDS, [NEVER, "draining", "draining"]),
        ([NEVER, NEVER, "aborting", NEVER, "aborting"], ENDS, [NEVER, "aborting", "aborting"]),
        ([NEVER, NEVER, "drained", NEVER, "drained"], NO_END, ["free", "drained", "drained"]),
        ([NEVER, NEVER, "resting", NEVER, "resting"], NO_END, [NEVER, "resting", "free"]),
        ([NEVER, NEVER, "free resumed", NEVER, "halted"], NO_END, [NEVER, "halted", "halted"]),
    ];
    let start = Instant::now();
    for (state, (before, ends, after)) in states(start).into_iter().zip(table) {
        let expected = before.into_iter().chain(ends).chain(after);
        for (event, expected) in events(start).into_iter().zip(expected) {
            let shown = format!("{} with {event:?}", state_name(&state));
            let found = match state.clone().after(event) {
                Ok((state, step)) => format!("{}{}", state_name(&state), step_name(&step)),
                Err(_) => NEVER.to_owned(),
            };
            assert_eq!(found, expected, "{shown}");
        }
    }
}

#[tokio::test]
async fn steps_carry_the_ownership_and_the_token_of_the_pipeline() {
    let (start, stop) = (Instant::now(), CancellationToken::new());
    let acquired = Event::Acquired { ownership: ownership(7), stop: stop.clone() };
    let (tenure, step) = Tenure::Free.after(acquired).expect("accepted");
    assert!(matches!(step, Step::Start { ownership, .. } if ownership.epoch == Epoch(7)));
    let (tenure, step) = tenure.after(Event::Surplus).expect("accepted");
    let Step::Drain { stop: drained } = step else { panic!("{step:?}") };
    drained.cancel();
    assert!(stop.is_cancelled(), "it is the token of the pipeline");
    let halted = Event::Ended { end: Err(Stop::Halted("a gap".to_owned())), now: start };
    let (_, step) = tenure.after(halted).expect("accepted");
    assert!(matches!(step, Step::RecordHalt { ownership, reason } if ownership.epoch == Epoch(7) && reason == "a gap"));
}

#[test]
fn a_working_pipeline_is_lost_to_another_owner_a_later_epoch_or_a_catalog_that_went_back() {
    let working = [running(5), Tenure::Draining(ownership(5))];
    for tenure in working {
        assert_eq!(tenure.loss(&row(1, 5, 200), 200), None);
        assert_eq!(tenure.loss(&row(1, 5, 300), 200), None, "the view is younger");
        assert_eq!(tenure.loss(&row(2, 5, 200), 200), Some(Loss::Taken { epoch: 5 }));
        assert_eq!(tenure.loss(&row(1, 6, 200), 200), Some(Loss::Taken { epoch: 6 }));
        assert_eq!(tenure.loss(&row(1, 5, 199), 200), Some(Loss::WentBack { known: 199, committed: 200 }));
    }
    for tenure in [Tenure::Free, Tenure::Aborting(ownership(5)), Tenure::Drained(ownership(5)), Tenure::Halted] {
        assert_eq!(tenure.loss(&row(2, 6, 0), 200), None, "no pipeline is there to be lost");
    }
}

/// Counts the effects of the steps, independent of the state.
struct Model {
    now: Instant,
    epoch: u64,
    has_pipeline: bool,
    is_drain_requested: bool,
    is_aborted: bool,
    /// Epochs of drained partitions that are not given back yet.
    owed: BTreeSet<u64>,
    released: BTreeSet<u64>,
    rest_until: Option<Instant>,
}

impl Model {
    /// Checks one accepted transition.
    fn check(&mut self, event: &Event, tenure: &Tenure, step: &Step) {
        match event {
            Event::Ended { .. } => {
                assert!(self.has_pipeline, "an end without a pipeline was accepted");
                (self.has_pipeline, self.is_drain_requested, self.is_aborted) = (false, false, false);
            }
            Event::Released => {
                let owed = self.owed.pop_first().expect("a release was accepted that is not owed");
                assert!(self.released.insert(owed), "epoch {owed} was released twice");
            }
            _ => {}
        }
        match step {
            Step::Start { .. } => {
                assert!(!self.has_pipeline, "two pipelines");
                assert!(self.owed.is_empty(), "it starts before it was given back");
                assert!(self.rest_until.is_none_or(|until| until <= self.now), "it starts before its rest is over");
                self.has_pipeline = true;
            }
            Step::Drain { .. } => assert!(self.has_pipeline && !std::mem::replace(&mut self.is_drain_requested, true)),
            Step::Abort(_) => assert!(self.has_pipeline && !std::mem::replace(&mut self.is_aborted, true)),
            Step::GiveBack => assert!(self.owed.insert(self.epoch)),
            Step::ReportDefect { .. } => self.rest_until = Some(self.now + REST_AFTER_DEFECT),
            _ => {}
        }
        let works = matches!(tenure, Tenure::Running { .. } | Tenure::Draining(_) | Tenure::Aborting(_));
        assert_eq!(works, self.has_pipeline, "{tenure:?}");
        assert_eq!(matches!(tenure, Tenure::Drained(_)), !self.owed.is_empty(), "{tenure:?}");
    }
}

/// The shortest way back to a free partition.
fn way_out(tenure: &Tenure, now: Instant) -> Option<Event> {
    match tenure {
        Tenure::Free => None,
        Tenure::Running { .. } | Tenure::Draining(_) | Tenure::Aborting(_) => Some(Event::Ended { end: Ok(()), now }),
        Tenure::Drained(_) => Some(Event::Released),
        Tenure::Resting { .. } => Some(Event::Time(now + REST_AFTER_DEFECT)),
        Tenure::Halted => Some(Event::SeenActive),
    }
}

proptest! {
    #[test]
    fn any_sequence_of_events_keeps_one_pipeline_one_release_and_every_rest(
        choices in prop::collection::vec((0_usize..14, 0_u64..20), 1..200)
    ) {
        let start = Instant::now();
        let mut model = Model {
            now: start, epoch: 0, has_pipeline: false, is_drain_requested: false, is_aborted: false,
            owed: BTreeSet::new(), released: BTreeSet::new(), rest_until: None,
        };
        let mut tenure = Tenure::Free;
        for (choice, seconds) in choices {
            model.now += Duration::from_secs(seconds);
            let event = match &events(model.now)[choice] {
                Event::Acquired { stop, .. } => {
                    Event::Acquired { ownership: ownership(model.epoch + 1), stop: stop.clone() }
                }
                Event::Time(_) => Event::Time(model.now),
                other => other.clone(),
            };
            // A refused event changes nothing, since the supervisor panics.
            let Ok((next, step)) = tenure.clone().after(event.clone()) else { continue };
            if matches!(step, Step::Start { .. }) {
                model.epoch += 1;
            }
            model.check(&event, &next, &step);
            tenure = next;
        }
        // No state is stuck: the events that must come at last lead back to a free partition.
        for _ in 0..2 {
            if let Some(event) = way_out(&tenure, model.now) {
                let (next, step) = tenure.after(event.clone()).expect("accepted");
                model.check(&event, &next, &step);
                tenure = next;
            }
        }
        prop_assert!(matches!(tenure, Tenure::Free), "{:?}", tenure);
        prop_assert!(model.owed.is_empty());
    }
}
