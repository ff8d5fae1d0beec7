//! Requests and their answers, without a connection.

use axum::body::{Body, to_bytes};
use axum::http::Version;
use catalog::{Callers, Presented};
use common::clock::system_clock;

use super::*;
use crate::testing;

/// The status and the body of an answer.
async fn asked(version: Version, accept: &str, sql: String) -> (u16, String) {
    let (executor, catalog) = testing::executor(testing::limits()).await;
    let caller =
        Callers::new(catalog, system_clock(), true).caller(Presented::Nothing).await.expect("no token is needed");
    let request = Request::builder().method("POST").version(version).header(header::ACCEPT, accept);
    let response = answer(executor, request.body(Body::from(sql)).expect("a request"), caller).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8(body.into()).expect("text"))
}

#[tokio::test]
async fn an_answer_whose_end_would_not_be_seen_is_refused() {
    for (version, accept, status) in [
        (Version::HTTP_10, "text/csv", 505),
        (Version::HTTP_10, "application/x-ndjson", 505),
        (Version::HTTP_10, "application/json", 200),
        (Version::HTTP_11, "text/csv", 200),
        (Version::HTTP_11, "image/png", 406),
    ] {
        let (found, body) = asked(version, accept, "SELECT 1 AS n".to_owned()).await;
        assert_eq!(found, status, "{version:?} {accept}: {body}");
    }
}

#[tokio::test]
async fn a_statement_that_is_too_large_is_refused_before_it_is_parsed() {
    let (status, body) = asked(Version::HTTP_11, "*/*", testing::too_large()).await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("words, numbers and signs; allowed are 100000"), "{body}");
}
