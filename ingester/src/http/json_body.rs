//! A small body of JSON.
//!
//! Owns: its type, its largest size, and the texts that refuse it. Does not own: its members (the handlers), reading bytes
//! (`body`).

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use super::Api;
use super::body::{RequestBody, media_type};
use super::error::{ApiError, Code};
use super::parameters::Query;

/// Largest body: the description of a topic of 2,000 columns with names of some length.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads a small body of JSON. Its type must be said: a page of another origin cannot say it without asking first.
pub(super) async fn read_json<T: DeserializeOwned>(api: &Api, request: Request) -> Result<T, ApiError> {
    Query::read(request.uri().query(), &[])?;
    let (head, body) = request.into_parts();
    check_type(&head.headers)?;
    read_body(api, &head.headers, body).await
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let (given, kind) = media_type(headers);
    if kind == "application/json" {
        return Ok(());
    }
    let text = format!("Content-Type {given:?} is not taken; allowed is application/json");
    Err(ApiError::new(Code::UnsupportedMediaType, text))
}

async fn read_body<T: DeserializeOwned>(api: &Api, headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    let bytes_max = BODY_BYTES_MAX.min(api.options.body_bytes_max);
    let bytes = RequestBody::new(headers, body, bytes_max, &api.budget)?.whole().await?;
    serde_json::from_slice(&bytes).map_err(|error| ApiError::new(Code::InvalidBody, format!("the body: {error}")))
}
