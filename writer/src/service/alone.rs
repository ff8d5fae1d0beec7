//! A queue in memory belongs to one process: no other writer sees its messages.
//!
//! Owns: noticing another writer at work on the same catalog. Does not own: the heartbeats that show it (`ownership`), the
//! end of the process (`service`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{AgentRole, MetadataStore, RegisteredAgent, Scope};
use common::OwnerId;
use tokio::time::Instant;

use crate::error::WriterError;
use crate::ownership::heartbeat::HEARTBEATS_PER_LEASE;

/// Returns as soon as a writer that is older than this one shows that it is alive, and works on some of the same topics.
///
/// The row of a writer that was killed stays for a lease, and this process may be its successor. So a heartbeat between two
/// looks counts, and not the row. Ids rise with the time of the start: of two writers, the younger one ends.
pub(super) async fn older_writer(
    catalog: Arc<dyn MetadataStore>,
    (own, scope): (OwnerId, Scope),
    lease: Duration,
) -> WriterError {
    let mut looks = tokio::time::interval(lease / HEARTBEATS_PER_LEASE);
    let mut seen = Seen::default();
    loop {
        looks.tick().await;
        // What the catalog does not answer now, the next look finds.
        let (Ok(agents), Ok(writers)) = (catalog.list_registered(lease).await, catalog.list_agents(lease).await) else {
            continue;
        };
        let is_rival = |agent: &&RegisteredAgent| {
            let scope_of_it = writers.iter().find(|writer| writer.owner == agent.id).map(|writer| &writer.scope);
            agent.role == AgentRole::Writer && agent.id < own && scope_of_it.is_some_and(|it| share_topics(it, &scope))
        };
        let rivals = agents.into_iter().filter(|agent| is_rival(&agent));
        if let Some(rival) = seen.beats(rivals.collect(), Instant::now()) {
            let address = rival.contact.address.map_or_else(String::new, |address| format!(" at {address}"));
            return WriterError::NotAlone { name: rival.name, address };
        }
    }
}

/// The last looks at each agent.
#[derive(Debug, Default)]
struct Seen {
    agents: HashMap<OwnerId, (Instant, Duration)>,
}

impl Seen {
    /// One of the agents that sent a heartbeat since the look before: its silence grew by less than half of the time between.
    fn beats(&mut self, agents: Vec<RegisteredAgent>, now: Instant) -> Option<RegisteredAgent> {
        let before = std::mem::take(&mut self.agents);
        self.agents = agents.iter().map(|agent| (agent.id, (now, agent.silent_for))).collect();
        agents.into_iter().find(|agent| {
            before.get(&agent.id).is_some_and(|(at, silent)| agent.silent_for < *silent + now.duration_since(*at) / 2)
        })
    }
}

fn share_topics(one: &Scope, other: &Scope) -> bool {
    match (one, other) {
        (Scope::Nothing, _) | (_, Scope::Nothing) => false,
        (Scope::Only(names), scope) | (scope, Scope::Only(names)) => names.iter().any(|name| scope.contains(name)),
        (Scope::All, Scope::All) => true,
    }
}

#[cfg(test)]
mod tests {
    use common::TopicName;
    use uuid::Uuid;

    use super::*;

    fn agent(number: u128, silent_ms: u64) -> RegisteredAgent {
        RegisteredAgent {
            role: AgentRole::Writer,
            id: OwnerId(Uuid::from_u128(number)),
            name: format!("agent {number}"),
            contact: Default::default(),
            started_at: 0,
            silent_for: Duration::from_millis(silent_ms),
            partitions: 0,
        }
    }

    #[test]
    fn a_row_alone_is_no_sign_of_life() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let name = |found: Option<RegisteredAgent>| found.map(|agent| agent.name);
        assert_eq!(name(seen.beats(vec![agent(1, 100), agent(2, 0)], at(0))), None, "the first look");
        assert_eq!(name(seen.beats(vec![agent(1, 3_100), agent(2, 3_000)], at(3))), None, "both were killed");
        assert_eq!(name(seen.beats(vec![agent(2, 50)], at(6))).as_deref(), Some("agent 2"));
        assert_eq!(name(seen.beats(vec![agent(2, 60)], at(9))).as_deref(), Some("agent 2"), "as silent as before");
        assert_eq!(name(seen.beats(vec![agent(3, 60)], at(12))), None, "a new one");
    }

    #[test]
    fn writers_of_other_topics_are_no_rivals() {
        let only = |name: &str| Scope::Only(vec![TopicName::new(name).expect("valid")]);
        assert!(share_topics(&Scope::All, &Scope::All) && share_topics(&Scope::All, &only("a")));
        assert!(share_topics(&only("a"), &only("a")) && !share_topics(&only("a"), &only("b")));
        assert!(!share_topics(&Scope::Nothing, &Scope::All) && !share_topics(&Scope::All, &Scope::Nothing));
    }
}
