//! The table of all routes.
//!
//! Owns: the path, the method and the demand of each. A route that is not here does not exist, so none is without a
//! demand. Does not own: the handlers, asking (`access`).

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use catalog::Right;

use super::access::{Demand, Gate, ask};
use super::{Api, consume, groups, iceberg, listings, members, openapi, query, records, topics};

/// A path with one method.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) demand: Demand,
    handler: fn(MethodFilter) -> MethodRouter<Arc<Api>>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    demand: Demand,
    handler: fn(MethodFilter) -> MethodRouter<Arc<Api>>,
) -> Route {
    Route { method, path, demand, handler }
}

const TOPICS: &str = "/v1/topics";
const TOPIC: &str = "/v1/topics/{topic}";
const GROUPS: &str = "/v1/groups";
const GROUP: &str = "/v1/groups/{group}";
const MEMBER: &str = "/v1/groups/{group}/members/{member}";

/// All routes.
pub(super) const ROUTES: &[Route] = &[
    route("GET", "/v1/openapi.json", Demand::Nothing, |method| on(method, openapi::document)),
    route("GET", TOPICS, Demand::Token, |method| on(method, topics::list)),
    route("POST", TOPICS, Demand::Somewhere(Right::Admin), |method| on(method, topics::create)),
    route("GET", TOPIC, Demand::OnTopic(Right::Read), |method| on(method, topics::describe)),
    route("PATCH", TOPIC, Demand::OnTopic(Right::Admin), |method| on(method, topics::update)),
    route("DELETE", TOPIC, Demand::OnTopic(Right::Admin), |method| on(method, topics::delete)),
    route("POST", "/v1/topics/{topic}/records", Demand::OnTopic(Right::Produce), |method| on(method, records::post)),
    route("GET", "/v1/topics/{topic}/partitions/{partition}/records", Demand::OnTopic(Right::Read), |method| {
        on(method, consume::records)
    }),
    route("GET", GROUPS, Demand::Token, |method| on(method, groups::list)),
    route("GET", GROUP, Demand::Token, |method| on(method, groups::describe)),
    route("DELETE", GROUP, Demand::Somewhere(Right::Admin), |method| on(method, groups::delete)),
    route("POST", "/v1/groups/{group}/offsets", Demand::Somewhere(Right::Admin), |method| on(method, groups::reset)),
    route("POST", "/v1/groups/{group}/members", Demand::Somewhere(Right::Read), |method| on(method, members::join)),
    route("DELETE", MEMBER, Demand::Somewhere(Right::Read), |method| on(method, members::leave)),
    route("POST", "/v1/groups/{group}/members/{member}/offsets", Demand::Somewhere(Right::Read), |method| {
        on(method, members::commit)
    }),
    route("GET", "/v1/topics/{topic}/segments", Demand::OnTopic(Right::Read), |method| on(method, listings::segments)),
    route("GET", "/v1/topics/{topic}/gaps", Demand::OnTopic(Right::Read), |method| on(method, listings::gaps)),
    route("GET", "/v1/topics/{topic}/quarantine", Demand::OnTopic(Right::Read), |method| {
        on(method, listings::quarantine)
    }),
    route("POST", query::PATH, query::DEMAND, |method| on(method, query::answer)),
    route("GET", "/iceberg/v1/config", Demand::Token, |method| on(method, iceberg::config)),
    route("GET", "/iceberg/v1/siltstone/namespaces", Demand::Token, |method| on(method, iceberg::namespaces)),
    route("GET", "/iceberg/v1/siltstone/namespaces/topics", Demand::Token, |method| {
        on(method, iceberg::topics_namespace)
    }),
    route("GET", "/iceberg/v1/siltstone/namespaces/topics/tables", Demand::Token, |method| {
        on(method, iceberg::topics_tables)
    }),
    route("GET", "/iceberg/v1/siltstone/namespaces/topics/tables/{topic}", Demand::OnTopic(Right::Read), |method| {
        on(method, iceberg::topics_table)
    }),
    route("GET", "/iceberg/v1/siltstone/namespaces/quarantine", Demand::Token, |method| {
        on(method, iceberg::quarantine_namespace)
    }),
    route("GET", "/iceberg/v1/siltstone/namespaces/quarantine/tables", Demand::Token, |method| {
        on(method, iceberg::quarantine_tables)
    }),
    route(
        "GET",
        "/iceberg/v1/siltstone/namespaces/quarantine/tables/{topic}",
        Demand::OnTopic(Right::Read),
        |method| on(method, iceberg::quarantine_table),
    ),
];

impl Route {
    fn filter(&self) -> MethodFilter {
        let method = Method::from_bytes(self.method.as_bytes()).expect("the table has methods");
        MethodFilter::try_from(method).expect("the table has methods that HTTP defines")
    }
}

/// A router of the table, each route behind its demand.
pub(super) fn router(api: &Arc<Api>) -> Router<Arc<Api>> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        let gate = Gate { callers: Arc::clone(&api.callers), path: route.path, demand: route.demand };
        router.route(route.path, (route.handler)(route.filter()).route_layer(from_fn_with_state(gate, ask)))
    })
}
