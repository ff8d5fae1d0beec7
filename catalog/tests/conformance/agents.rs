//! Cases: registered agents.

use std::time::Duration;

use catalog::{Agent, AgentRole, CatalogError, Contact, Ingester, MetadataStore, Scope};

use super::backend::Backend;
use super::fixture::*;

/// Role and address of each registered agent, in order.
async fn listed(store: &dyn MetadataStore, lease: Duration) -> Vec<(AgentRole, Option<String>)> {
    let agents = store.list_registered(lease).await.expect("listed");
    agents.into_iter().map(|agent| (agent.role, agent.contact.address)).collect()
}

pub(crate) async fn ingesters_and_writers_are_listed_with_group_and_address(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let writer = Contact { address: Some("http://10.0.0.7:8080".to_owned()), ..contact(1) };
    let agent = Agent { owner: held.owner, name: "host-1\0".to_owned(), scope: Scope::All, contact: writer.clone() };
    store.heartbeat(&agent).await.expect("renewed");
    let first = ingester("http://10.0.0.8:8081");
    store.announce(&first).await.expect("registered");
    let agents = store.list_registered(LONG_LEASE).await.expect("listed");
    let shown: Vec<_> = agents.iter().map(|a| (a.role, a.id, a.name.as_str(), &a.contact, a.partitions)).collect();
    let expected = [
        (AgentRole::Ingester, first.id, "host-9", &first.contact, 0),
        (AgentRole::Writer, held.owner, "host-1\u{fffd}", &writer, 1),
    ];
    assert_eq!(shown, expected);
    assert!(agents.iter().all(|agent| agent.started_at > 0 && agent.silent_for < LONG_LEASE));

    // A heartbeat changes what it says, and no time of the start.
    let moved = Ingester { contact: Contact { address: None, ..contact(1) }, ..first.clone() };
    store.announce(&moved).await.expect("renewed");
    let again = store.list_registered(LONG_LEASE).await.expect("listed");
    assert_eq!((&again[0].contact, again[0].started_at), (&moved.contact, agents[0].started_at));

    store.withdraw(first.id).await.expect("removed");
    store.withdraw(first.id).await.expect("again is harmless");
    assert_eq!(listed(store, Duration::MAX).await, [(AgentRole::Writer, writer.address)]);
}

pub(crate) async fn an_ingester_is_no_writer(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    let other = ingester("http://10.0.0.8:8081");
    store.announce(&other).await.expect("registered");
    let view = store.ownership_view(LONG_LEASE).await.expect("read");
    assert_eq!(view.agents.iter().map(|agent| agent.owner).collect::<Vec<_>>(), [held.owner]);
    assert!(!view.young.contains(&other.id), "it is no young writer either");
    assert_eq!(store.list_agents(LONG_LEASE).await.expect("read").len(), 1);
    let error = store.acquire(other.id, LONG_LEASE, std::slice::from_ref(&held.partition)).await.expect_err("refused");
    assert!(error.to_string().contains("has not sent a heartbeat"), "{error}");
    // Removing it as a writer does not remove it as an ingester, nor the other way round.
    store.remove_agent(other.id).await.expect("nothing to remove");
    store.withdraw(held.owner).await.expect("nothing to remove");
    assert_eq!(listed(store, LONG_LEASE).await.len(), 2);
    assert_eq!(get_partition(store, &held.partition).await.owner, Some(held.owner));
}

pub(crate) async fn an_address_that_cannot_be_stored_is_refused(store: &dyn MetadataStore) {
    let error = store.announce(&ingester("http://a\0")).await.expect_err("a NUL");
    assert!(matches!(&error, CatalogError::Refused(reason) if reason.contains("address")), "{error}");
    let agent =
        Agent { owner: ingester("").id, name: String::new(), scope: Scope::All, contact: ingester("\0").contact };
    assert!(store.heartbeat(&agent).await.is_err());
    assert!(listed(store, LONG_LEASE).await.is_empty());
}

/// Time passes as if the database's clock went on.
async fn silent_ingesters_disappear(backend: &Backend) {
    let store = backend.store();
    let ingester = |address| Ingester { lease: Duration::from_secs(10), ..ingester(address) };
    store.announce(&ingester("http://10.0.0.1:1")).await.expect("registered");
    backend.age(Duration::from_secs(9)).await;
    assert_eq!(listed(store, LONG_LEASE).await.len(), 1, "within the lease");
    store.announce(&ingester("http://10.0.0.2:1")).await.expect("registered");
    backend.age(Duration::from_secs(2)).await;
    let second = (AgentRole::Ingester, Some("http://10.0.0.2:1".to_owned()));
    assert_eq!(listed(store, LONG_LEASE).await, [second]);
    assert_eq!(backend.sizes().await["ingesters"], 2, "the row of the dead one is kept for a day");
    backend.age(Duration::from_secs(24 * 60 * 60 - 5)).await;
    store.announce(&ingester("http://10.0.0.3:1")).await.expect("registered");
    let third = (AgentRole::Ingester, Some("http://10.0.0.3:1".to_owned()));
    assert_eq!(listed(store, LONG_LEASE).await, [third]);
    assert_eq!(backend.sizes().await["ingesters"], 2);
    store.close().await;
}

#[tokio::test]
async fn an_ingester_that_is_silent_for_the_lease_is_not_listed_in_sqlite() {
    silent_ingesters_disappear(&Backend::sqlite_file().await).await;
}

#[tokio::test]
async fn an_ingester_that_is_silent_for_the_lease_is_not_listed_in_postgres() {
    silent_ingesters_disappear(&Backend::postgres().await).await;
}

#[tokio::test]
async fn an_ingester_that_is_silent_for_the_lease_is_not_listed_in_the_model() {
    silent_ingesters_disappear(&Backend::model().await).await;
}
