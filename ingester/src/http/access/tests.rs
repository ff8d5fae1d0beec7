//! Every route with every kind of caller, from the table of routes.

use std::time::Duration;

use catalog::{Membership, NewToken, TokenSecret};
use common::{MemberId, TopicName};
use support::http::{self, Response};
use tokio::time::Instant;

use super::*;
use crate::http::error::ApiError;
use crate::http::routes::{ROUTES, Route};
use crate::http::tests::{Setup, answered, refused};
use crate::http::{Api, ApiOptions};

/// The first token and a revocation count within this time, on a busy machine.
const REVOKED_WITHIN: Duration = Duration::from_secs(10);

/// A group of the topic `orders`, and its member.
const GROUP: &str = "billing";
const MEMBER: &str = "0197a000-0000-7000-8000-000000000001";

/// A token for these grants, with the header that presents it.
fn token(name: &str, grants: &[&str]) -> (NewToken, String) {
    let secret = TokenSecret::generate();
    let new = NewToken {
        id: secret.id().to_owned(),
        name: name.to_owned(),
        hash: secret.hash(),
        grants: grants.iter().map(|grant| grant.parse().expect("a grant")).collect(),
        expires_at: None,
    };
    (new, format!("Bearer {}", secret.expose()))
}

/// The tokens of a test, and the header of each.
struct Holders {
    tokens: Vec<NewToken>,
    expired: String,
    revoked: String,
    elsewhere: String,
    others: String,
    right: String,
    forged: String,
}

impl Holders {
    /// Holders around the right on `topic`: one has it, one has it elsewhere, one has all the others on every topic.
    fn around(right: Right, topic: &str) -> Self {
        let exact = format!("{right}:{topic}");
        let rest = Right::ALL.into_iter().filter(|other| *other != right).map(|other| format!("{other}:*"));
        let rest: Vec<String> = rest.collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (right, right_header) = token("right", &[&exact]);
        let (revoked, revoked_header) = token("revoked", &[&exact]);
        let (elsewhere, elsewhere_header) = token("elsewhere", &["produce,read,admin:elsewhere"]);
        let (others, others_header) = token("others", &rest);
        let (expired, expired_header) = token("expired", &[&exact]);
        let forged = format!("Bearer slt_{}_{}", right.id, "0".repeat(64));
        let expired = NewToken { expires_at: Some(1), ..expired };
        Self {
            tokens: vec![right, revoked, elsewhere, others, expired],
            expired: expired_header,
            revoked: revoked_header,
            elsewhere: elsewhere_header,
            others: others_header,
            right: right_header,
            forged,
        }
    }
}

async fn send(setup: &Setup, route: &Route, authorization: Option<&str>) -> Response {
    let query = if route.path.ends_with("{partition}/records") { "?offset=begin" } else { "" };
    let path = route.path.replace("{topic}", "orders").replace("{partition}", "0");
    let url = format!("{}{}{query}", setup.url, path.replace("{group}", GROUP).replace("{member}", MEMBER));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    let body: &[u8] = match (route.method, route.path) {
        ("POST", "/v1/topics") => br#"{"name":"fresh"}"#,
        ("PATCH", _) => br#"{"drop_columns":["x"]}"#,
        ("POST", "/v1/groups/{group}/offsets") => br#"{"topic":"orders","offset":"begin"}"#,
        ("POST", "/v1/groups/{group}/members") => br#"{"topics":["orders"]}"#,
        ("POST", "/v1/groups/{group}/members/{member}/offsets") => {
            br#"{"offsets":[{"topic":"orders","partition_id":0,"generation":1,"incarnation":0,"offset":0}]}"#
        }
        _ => b"{}",
    };
    http::request(route.method, &url, &headers, body).await.expect("an answer")
}

/// A member joins the group.
async fn join(setup: &Setup) {
    let membership = Membership {
        group_id: GROUP.to_owned(),
        member: MEMBER.parse().map(MemberId).expect("a UUID"),
        name: "host".to_owned(),
        topics: vec![TopicName::new("orders").expect("valid")],
        lease: Duration::from_secs(60),
    };
    setup.catalog.join_group(&membership).await.expect("joined");
}

/// The right that a route demands, and the topic of the requests above.
fn demanded(route: &Route) -> Option<(Right, &'static str)> {
    match route.demand {
        Demand::Nothing => None,
        Demand::Token => Some((Right::Read, "orders")),
        Demand::Somewhere(right) if route.path.starts_with("/v1/groups/") => Some((right, "orders")),
        Demand::Somewhere(right) => Some((right, "fresh")),
        Demand::OnTopic(right) => Some((right, "orders")),
    }
}

async fn topics(setup: &Setup) -> Vec<TopicName> {
    setup.catalog.list_topics().await.expect("listed").into_iter().map(|topic| topic.name).collect()
}

#[test]
fn the_demands_are_those_that_the_document_lists() {
    let open: Vec<&str> =
        ROUTES.iter().filter(|route| route.demand == Demand::Nothing).map(|route| route.path).collect();
    assert_eq!(open, ["/v1/openapi.json"], "every other route demands a token");
    for route in ROUTES.iter().filter(|route| route.path.contains("{topic}")) {
        assert!(matches!(route.demand, Demand::OnTopic(_)), "{} {}", route.method, route.path);
    }
    let page = include_str!("../../../../docs/http.md");
    for route in ROUTES {
        let words = match route.demand {
            Demand::Nothing => "none".to_owned(),
            Demand::Token => "any token; the answer has the topics that it may read".to_owned(),
            Demand::Somewhere(right) if route.path == "/v1/query" => {
                format!("`{right}` on some topic; the statement sees the topics that it may read")
            }
            Demand::Somewhere(right) if route.path.starts_with("/v1/groups/") => {
                let of = match (route.method, route.path) {
                    ("DELETE", "/v1/groups/{group}") => "topics of the group",
                    ("DELETE", _) => "topics of the member",
                    (_, path) if path.contains("/members") => "topics in the body",
                    _ => "topic in the body",
                };
                format!("`{right}` on the {of}")
            }
            Demand::Somewhere(right) => format!("`{right}` on the topic in the body"),
            Demand::OnTopic(right) => format!("`{right}`"),
        };
        let line = format!("| `{} {}` | {words} |", route.method, route.path);
        assert!(page.contains(&line), "docs/http.md lacks: {line}");
    }
}

#[tokio::test]
async fn no_route_answers_a_caller_without_a_valid_token() {
    for route in ROUTES {
        let Some((right, topic)) = demanded(route) else { continue };
        let place = format!("{} {}", route.method, route.path);
        let holders = Holders::around(right, topic);
        let setup = Setup::with_tokens(16 << 20, ApiOptions::default(), holders.tokens).await;
        let none = send(&setup, route, None).await;
        assert_eq!(refused(&none), (401, "unauthenticated".to_owned()), "{place}");
        assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"siltstone\""));
        let unknown = format!("Bearer {}", TokenSecret::generate().expose());
        let wrong = ["Bearer", "Bearer x", "Basic dTpw", &unknown, &holders.forged, &holders.expired];
        for value in wrong {
            let answer = send(&setup, route, Some(value)).await;
            assert_eq!(refused(&answer), (401, "invalid_token".to_owned()), "{place} {value}");
            assert!(answer.header("www-authenticate").expect("a challenge").contains("invalid_token"));
            assert!(!answer.text().contains("slt_") && !answer.text().contains("dTpw"), "{}", answer.text());
        }
        let revoked = send(&setup, route, Some(&holders.revoked)).await;
        assert_eq!(refused(&revoked), (401, "invalid_token".to_owned()), "{place}");
        assert!(revoked.text().contains("was revoked"), "{}", revoked.text());
    }
}

#[tokio::test]
async fn a_right_is_needed_on_the_very_topic_and_nothing_is_done_without_it() {
    for route in ROUTES {
        let Some((right, topic)) = demanded(route) else { continue };
        let place = format!("{} {}", route.method, route.path);
        let holders = Holders::around(right, topic);
        let setup = Setup::with_tokens(16 << 20, ApiOptions::default(), holders.tokens).await;
        setup.publish_tables("{}").await;
        join(&setup).await;
        for (header, holder) in [(&holders.elsewhere, "elsewhere"), (&holders.others, "others")] {
            let answer = send(&setup, route, Some(header)).await;
            if route.path == crate::http::query::PATH && holder == "elsewhere" {
                // It may read some topic, and its statements see that one alone. Nobody answers them in this service.
                assert_eq!(refused(&answer), (501, "not_implemented".to_owned()), "{place}");
                continue;
            }
            if route.path == "/v1/groups/{group}" && route.method == "GET" {
                assert_eq!(
                    refused(&answer),
                    (404, "not_found".to_owned()),
                    "{place} {holder}: it has no topic in sight"
                );
                continue;
            }
            if route.demand == Demand::Token {
                let (status, body) = answered(&answer);
                assert_eq!(status, 200, "{place} {holder}");
                assert!(!body.to_string().contains("orders"), "{place}: {holder} sees no topic in {body}");
                for list in ["topics", "identifiers", "groups"] {
                    assert!(body[list].as_array().is_none_or(Vec::is_empty), "{place}: {holder} sees {body}");
                }
                continue;
            }
            assert_eq!(refused(&answer), (403, "forbidden".to_owned()), "{place} {holder}");
            let text = answer.text();
            assert!(text.contains(&format!("\\\"{holder}\\\" has no right `{right}` on ")), "{place}: {text}");
            assert!(text.contains(topic) || text.contains("on any topic"), "{place}: {text}");
            assert!(answer.header("www-authenticate").expect("a challenge").contains("insufficient_scope"));
        }
        assert_eq!(topics(&setup).await.len(), 1, "{place}: nothing was created or deleted");
        for partition in 0..3 {
            assert!(setup.stored(partition).await.is_empty(), "{place}: nothing was stored");
        }
        let admitted = send(&setup, route, Some(&holders.right)).await;
        assert!(!matches!(admitted.status, 401 | 403 | 404 | 405), "{place}: {admitted:?}");
        let lists = ["/topics", "/tables", "/groups", "{group}"];
        if route.demand == Demand::Token && lists.iter().any(|end| route.path.ends_with(end)) {
            let has_topics = !route.path.ends_with("/namespaces/topics");
            assert!(
                !has_topics || admitted.text().contains("\"orders\""),
                "{place}: it sees the topic that it may read: {}",
                admitted.text()
            );
        }
    }
}

#[tokio::test]
async fn the_first_token_ends_the_time_without_tokens() {
    let setup = Setup::new().await;
    let list = async |authorization: Option<&str>| {
        let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
        http::request("GET", &format!("{}/v1/topics", setup.url), &headers, b"").await.expect("an answer").status
    };
    assert_eq!(list(None).await, 200, "no token is asked for");
    let stranger = http::request("GET", &format!("{}/v1/topics", setup.url), &[("Host", "x.example")], b"").await;
    assert_eq!(refused(&stranger.expect("an answer")).0, 403, "a name that was made to point here");
    let (new, header) = token("first", &["read:*"]);
    setup.catalog.create_token(new).await.expect("created");
    assert_eq!(list(Some(&header)).await, 200);
    let began = Instant::now();
    while list(None).await != 401 {
        assert!(began.elapsed() < REVOKED_WITHIN, "callers without a token are served");
    }
    let began = Instant::now();
    setup.catalog.revoke_token("first").await.expect("revoked");
    while list(Some(&header)).await != 401 {
        assert!(began.elapsed() < REVOKED_WITHIN);
    }
    assert_eq!(list(None).await, 401, "a revoked token does not open the service again");
}

#[tokio::test]
async fn an_address_that_others_reach_is_not_served_without_tokens() {
    let options = ApiOptions { is_local: false, ..ApiOptions::default() };
    let setup = Setup::new().await;
    let parts = |setup: &Setup| crate::http::ApiParts {
        queue: Arc::clone(&setup.queue) as Arc<dyn common::Queue>,
        catalog: Arc::clone(&setup.catalog),
        storage: lake::Storage::memory(),
        hints: None,
        tail: None,
        is_queue_kept: true,
        cache: Default::default(),
        auto_create: catalog::AutoCreate::default(),
        queries: None,
    };
    let error = Api::open(parts(&setup), options).await.expect_err("no token");
    assert!(matches!(error, crate::http::OpenError::NoToken), "{error}");
    setup.catalog.create_token(token("first", &["read:*"]).0).await.expect("created");
    let api = Api::open(parts(&setup), options).await.expect("there is a token");
    assert_eq!(api.token_counts().await.expect("read"), (1, 1));
}

#[tokio::test]
async fn known_tokens_are_served_for_a_while_without_the_catalog() {
    let setup = Setup::new().await;
    let (new, header) = token("known", &["read:*"]);
    setup.catalog.create_token(new).await.expect("created");
    let clock = common::clock::system_clock();
    let callers = Callers::new(Arc::clone(&setup.catalog), clock, true);
    let headers =
        axum::http::HeaderMap::from_iter([(axum::http::header::AUTHORIZATION, header.parse().expect("a value"))]);
    assert_eq!(callers.caller(presented(&headers)).await.expect("known").name(), Some("known"));
    setup.catalog.close().await;
    tokio::time::pause();
    for _ in 0..9 {
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(callers.caller(presented(&headers)).await.expect("known still").name(), Some("known"));
    }
    tokio::time::advance(Duration::from_secs(4)).await;
    let error = callers.caller(presented(&headers)).await.expect_err("too old");
    assert_ne!(ApiError::from(error).code.status().as_u16(), 200);
}
