//! Readiness: named checks that run at each request, and facts that are shown with them.
//!
//! Owns: the verdict over all of them, and the JSON body with the reasons.
//! Does not own: the checks and facts themselves (each service), the page (`pages`).

use std::fmt;
use std::time::Duration;

use common::secret::scrubbed;
use futures::future::{BoxFuture, join_all};
use serde_json::{Map, Value};

/// A check that takes longer counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// The answer of a passed check.
const OK: &str = "ok";

type Ask = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;
type Look = dyn Fn() -> Fact + Send + Sync;

/// A member of the readiness body that a service has in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The displayed value.
    pub value: Value,
    /// `false` if the service is not ready because of it.
    pub is_ready: bool,
}

/// All checks and facts that decide on readiness.
#[derive(Default)]
pub(crate) struct Readiness {
    checks: Vec<(&'static str, Box<Ask>)>,
    facts: Vec<(&'static str, Box<Look>)>,
}

impl Readiness {
    pub(crate) fn add_check(&mut self, name: &'static str, ask: Box<Ask>) {
        self.checks.push((name, ask));
    }

    pub(crate) fn add_fact(&mut self, name: &'static str, look: Box<Look>) {
        self.facts.push((name, look));
    }

    /// Runs all checks concurrently, then reads the facts. Returns the verdict and the body: `ready`, `"ok"` or the
    /// reason under the name of each check, and each fact under its name.
    pub(crate) async fn verdict(&self) -> (bool, Value) {
        let answers = join_all(self.checks.iter().map(|(name, ask)| async move { (*name, answer(ask()).await) })).await;
        let facts: Vec<(&str, Fact)> = self.facts.iter().map(|(name, look)| (*name, look())).collect();
        let is_ready = answers.iter().all(|(_, answer)| answer == OK) && facts.iter().all(|(_, fact)| fact.is_ready);
        let mut body = Map::new();
        body.insert("ready".to_owned(), Value::from(is_ready));
        body.extend(answers.into_iter().map(|(name, answer)| (name.to_owned(), Value::from(answer))));
        body.extend(facts.into_iter().map(|(name, fact)| (name.to_owned(), fact.value)));
        (is_ready, Value::from(body))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let checks: Vec<&str> = self.checks.iter().map(|(name, _)| *name).collect();
        let facts: Vec<&str> = self.facts.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Readiness").field("checks", &checks).field("facts", &facts).finish()
    }
}

async fn answer(ask: impl Future<Output = Result<(), String>>) -> String {
    match tokio::time::timeout(CHECK_TIMEOUT, ask).await {
        Ok(Ok(())) => OK.to_owned(),
        Ok(Err(reason)) => scrubbed(&reason).into_owned(),
        Err(_) => format!("no answer within {} s", CHECK_TIMEOUT.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    fn readiness(queue: Result<(), String>, fact: Fact) -> Readiness {
        let mut readiness = Readiness::default();
        readiness.add_check("queue", Box::new(move || std::future::ready(queue.clone()).boxed()));
        readiness.add_fact("troubles", Box::new(move || fact.clone()));
        readiness
    }

    #[tokio::test]
    async fn a_service_is_ready_when_every_check_and_every_fact_is() {
        let good = Fact { value: json!({}), is_ready: true };
        let bad = Fact { value: json!({ "t": "halted" }), is_ready: false };
        let verdict = readiness(Ok(()), good.clone()).verdict().await;
        assert_eq!(verdict, (true, json!({ "ready": true, "queue": "ok", "troubles": {} })));
        let verdict = readiness(Err("away".to_owned()), good).verdict().await;
        assert_eq!(verdict, (false, json!({ "ready": false, "queue": "away", "troubles": {} })));
        let verdict = readiness(Ok(()), bad).verdict().await;
        assert_eq!(verdict, (false, json!({ "ready": false, "queue": "ok", "troubles": { "t": "halted" } })));
    }

    #[tokio::test(start_paused = true)]
    async fn checks_are_asked_at_once_and_one_without_an_answer_counts_as_failed() {
        let mut readiness = Readiness::default();
        for name in ["catalog", "queue"] {
            readiness.add_check(name, Box::new(|| std::future::pending().boxed()));
        }
        let began = tokio::time::Instant::now();
        let (is_ready, body) = readiness.verdict().await;
        assert_eq!(began.elapsed(), CHECK_TIMEOUT);
        let silent = "no answer within 3 s";
        assert_eq!((is_ready, body), (false, json!({ "ready": false, "catalog": silent, "queue": silent })));
    }
}
