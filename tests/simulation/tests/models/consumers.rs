//! Members of a consumer group that come, die and lose claims, from seeds.
//!
//! Owns: that their runs keep every promise, and that a commit without its compare is noticed. Does not own: the runs.

use simulation::catalog::Guards;
use simulation::consumers::{Outcome, run};

#[tokio::test(start_paused = true)]
async fn members_that_come_and_die_lose_no_record_and_repeat_no_committed_one() {
    let mut total = Outcome::default();
    for seed in 0..12 {
        let outcome = run(seed, Guards::default()).await;
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}");
        total.published += outcome.published;
        total.repeated += outcome.repeated;
        total.deaths += outcome.deaths;
        total.fenced += outcome.fenced;
    }
    println!("{total:?}");
    assert!(total.published > 1_000 && total.deaths > 10, "{total:?}");
    assert!(total.repeated > 0 && total.fenced > 0, "the runs show what they are about: {total:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_an_offset_without_the_compare_of_the_claim_is_caught() {
    for seed in 0..40 {
        let outcome = run(seed, Guards { claim_compare: false, ..Guards::default() }).await;
        if !outcome.violations.is_empty() {
            return println!("seed {seed}: {}", outcome.violations[0]);
        }
    }
    panic!("no run noticed that members commit what they lost");
}
