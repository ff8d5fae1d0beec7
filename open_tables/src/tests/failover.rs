//! A failover to a server that lagged, between a publisher's look at a table and its first intent.
//!
//! Owns: that moment, made by hand. Does not own: the history around it (`tests`).

use simulation::catalog::{Faults, Rates, Session};

use super::*;

/// Time of a request, and of its answer.
const ONE_WAY: Duration = Duration::from_millis(100);

/// What readers find wrong after a publisher that read the last commits of the lost server went on with the next one, which
/// has given their numbers to others.
async fn after_failover(guards: Guards) -> Vec<String> {
    let mut world = World::new(7, guards).await;
    world.list().await;
    world.publisher().publish(&world.topic, DATA, Extent::Changes).await.expect("published");
    let (standby, next_offset) = (world.model.state(), world.next_offset);
    world.list().await;
    let one_way = ONE_WAY.as_millis() as u64;
    let network = Faults::new(1, Rates { network_ms: (one_way, one_way + 1), ..Rates::default() });
    let publisher = Publisher { catalog: Arc::new(Session::new(&world.model, &network, 1)), ..world.publisher() };
    let topic = world.topic.clone();
    let task = tokio::spawn(async move { publisher.publish(&topic, DATA, Extent::Changes).await });
    // The look was served, its answer is on the way.
    tokio::time::sleep(ONE_WAY * 3 / 2).await;
    world.model.restore(standby);
    world.next_offset = next_offset;
    world.list().await;
    let done = task.await.expect("no panic").expect("published");
    assert!(matches!(done, Done::Published(_)), "{done:?}");
    world.differences().await
}

#[tokio::test(start_paused = true)]
async fn a_state_that_a_failover_lost_is_not_published() {
    assert_eq!(after_failover(Guards::default()).await, Vec::<String>::new());
    let unnoticed = after_failover(Guards { publish_history: false, ..Guards::default() }).await;
    assert!(unnoticed.iter().any(|found| found.contains("which the catalog lacks")), "{unnoticed:?}");
}
