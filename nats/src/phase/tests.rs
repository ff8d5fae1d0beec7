//! Every phase with every event; then random sequences of events, compared with a model of the outstanding sums.

use proptest::prelude::*;

use super::*;

const SIZE: PullSize = PullSize { batch: 10, bytes_max: 1_000 };

fn pulling(kind: PullKind, is_flowing: bool) -> Phase {
    Phase::Pulling { account: PullAccount::new(SIZE), kind, is_flowing, pause: SHORT_PAUSE_MIN * 2 }
}

fn phases(now: Instant) -> [Phase; 6] {
    [
        Phase::Idle { pause: SHORT_PAUSE_MIN * 2 },
        pulling(PullKind::Long, false),
        pulling(PullKind::Short, false),
        pulling(PullKind::Short, true),
        Phase::Resting { until: now, pause: SHORT_PAUSE_MIN * 2 },
        Phase::Lost { reason: "first".to_owned() },
    ]
}

/// One event per column of the table, in order.
fn events(now: Instant) -> [Event; 8] {
    [
        Event::Requested { size: SIZE, kind: PullKind::Long },
        Event::Delivered { bytes: 100 },
        Event::Delivered { bytes: 1_000 },
        Event::PullEnded { messages_left: Some(9), bytes_left: Some(900), now },
        Event::PullEnded { messages_left: None, bytes_left: None, now },
        Event::PullRefused { now },
        Event::RestEnded,
        Event::Lost { reason: "later".to_owned() },
    ]
}

/// Phase, pause in milliseconds, and step.
fn shown(after: &Result<(Phase, Step), Box<RefusedTransition>>, now: Instant) -> String {
    let Ok((phase, step)) = after else { return "refused".to_owned() };
    let phase = match phase {
        Phase::Idle { pause } => format!("idle {}", pause.as_millis()),
        Phase::Pulling { kind, is_flowing, pause, .. } => {
            format!("{kind:?} {} {}", if *is_flowing { "flowing" } else { "dry" }, pause.as_millis()).to_lowercase()
        }
        Phase::Resting { until, pause } => {
            format!("resting {} {}", until.duration_since(now).as_millis(), pause.as_millis())
        }
        Phase::Lost { reason } => format!("lost {reason}"),
    };
    match step {
        Step::Nothing => phase,
        Step::ReleaseFree => format!("{phase}, release"),
        Step::Forget => format!("{phase}, forget"),
    }
}

#[tokio::test]
async fn every_phase_answers_every_event_as_the_table_says() {
    const NEVER: &str = "refused";
    const REFUSED: &str = "resting 1000 500, release";
    const LOST: &str = "lost later, forget";
    // Requested; a message, the last bytes; a part of the account ended, all of it; refused; rested; lost.
    let table = [
        ["long dry 500", "idle 250", "idle 250", "idle 500", "idle 500", REFUSED, NEVER, LOST],
        ["long dry 500", "long flowing 250", "idle 250", "long dry 500", "idle 500, release", REFUSED, NEVER, LOST],
        [
            "long dry 500",
            "short flowing 250",
            "idle 250",
            "short dry 500",
            "resting 500 1000, release",
            REFUSED,
            NEVER,
            LOST,
        ],
        ["long dry 500", "short flowing 250", "idle 250", "short flowing 500", "idle 500", REFUSED, NEVER, LOST],
        [NEVER, "resting 0 250", "resting 0 250", "resting 0 500", "resting 0 500", REFUSED, "idle 500", LOST],
        [NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, "lost first"],
    ];
    let now = Instant::now();
    for (phase, row) in phases(now).into_iter().zip(table) {
        for (event, expected) in events(now).into_iter().zip(row) {
            assert_eq!(shown(&phase.clone().after(event.clone()), now), expected, "{phase:?} with {event:?}");
        }
    }
}

#[tokio::test]
async fn pauses_double_while_nothing_comes_and_start_over_with_a_message() {
    let now = Instant::now();
    let mut phase = Phase::default();
    let mut short_pull = |is_empty: bool| {
        phase.apply(Event::Requested { size: SIZE, kind: PullKind::Short });
        if !is_empty {
            phase.apply(Event::Delivered { bytes: 1 });
        }
        phase.apply(Event::PullEnded { messages_left: None, bytes_left: None, now });
        let rest = phase.resting_until().map(|until| until.duration_since(now).as_millis());
        if rest.is_some() {
            phase.apply(Event::RestEnded);
        }
        rest
    };
    let rests = [true, true, true, true, false, true].map(&mut short_pull);
    assert_eq!(rests, [Some(250), Some(500), Some(1_000), Some(1_000), None, Some(250)]);
}

#[test]
fn another_pull_is_wanted_when_the_last_is_half_served() {
    let mut phase = Phase::default();
    assert!(phase.wants_more() && !phase.is_outstanding());
    phase.apply(Event::Requested { size: SIZE, kind: PullKind::Long });
    for _ in 0..4 {
        phase.apply(Event::Delivered { bytes: 1 });
        assert!(!phase.wants_more());
    }
    phase.apply(Event::Delivered { bytes: 1 });
    assert!(phase.wants_more() && phase.is_outstanding());
    phase.apply(Event::Lost { reason: "gone".to_owned() });
    assert!(!phase.wants_more());
    assert_eq!((phase.lost(), phase.credit_bytes()), (Some("gone"), 0));
}

#[test]
#[should_panic(expected = "cannot take")]
fn a_pull_of_a_lost_subscription_is_a_defect() {
    let mut phase = Phase::Lost { reason: "gone".to_owned() };
    phase.apply(Event::Requested { size: SIZE, kind: PullKind::Long });
}

proptest! {
    #[test]
    fn any_sequence_of_events_keeps_account_pauses_and_the_first_reason(
        choices in prop::collection::vec((0_usize..8, 0_u64..3_000), 1..200)
    ) {
        let mut now = Instant::now();
        let (mut phase, mut requested_bytes) = (Phase::default(), 0);
        for (choice, milliseconds) in choices {
            now += Duration::from_millis(milliseconds);
            let event = events(now)[choice].clone();
            let Ok((next, step)) = phase.clone().after(event.clone()) else {
                let is_pull = matches!(event, Event::Requested { .. });
                prop_assert!(!is_pull || phase.resting_until().is_some() || phase.lost().is_some());
                continue;
            };
            if matches!(event, Event::Requested { .. }) {
                prop_assert!(next.is_outstanding() && next.credit_bytes() > phase.credit_bytes());
                requested_bytes = phase.credit_bytes() + SIZE.credit_bytes();
            } else {
                prop_assert!(next.credit_bytes() <= phase.credit_bytes(), "memory comes only by a pull");
            }
            prop_assert_eq!(next.is_outstanding(), next.credit_bytes() > 0);
            prop_assert!(next.credit_bytes() <= requested_bytes);
            if let Phase::Idle { pause } | Phase::Pulling { pause, .. } | Phase::Resting { pause, .. } = &next {
                prop_assert!((SHORT_PAUSE_MIN..=SHORT_PAUSE_MAX).contains(pause));
            }
            if let Some(until) = next.resting_until() {
                let is_new = phase.resting_until() != Some(until);
                prop_assert!(!is_new || until <= now + SHORT_PAUSE_MAX, "every rest is short");
            }
            prop_assert_eq!(step == Step::Forget, phase.lost().is_none() && next.lost().is_some());
            prop_assert!(phase.lost().is_none() || next.lost() == phase.lost());
            phase = next;
        }
    }
}
