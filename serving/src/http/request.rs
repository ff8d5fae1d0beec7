//! The statement of a request: plain text, or JSON with parameters.
//!
//! Owns: reading and checking the body. Does not own: the statement.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::answer::Refusal;
use crate::executor::STATEMENT_BYTES_MAX;

/// Longest time for the body to arrive.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// Room for the JSON around a statement, its escapes and its parameters.
const BODY_BYTES_MAX: usize = 4 * STATEMENT_BYTES_MAX;

/// A statement with the values of its parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) sql: String,
    #[serde(default)]
    pub(super) parameters: Vec<Box<RawValue>>,
}

pub(super) async fn read(request: Request) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    let is_json = is_json(&head.headers)?;
    let body = whole(body).await?;
    let asked = match is_json {
        true => {
            serde_json::from_slice(&body).map_err(|error| Refusal::body(format!("the body is not allowed: {error}")))?
        }
        false => {
            let sql = String::from_utf8(body).map_err(|error| {
                let place = error.utf8_error().valid_up_to();
                Refusal::body(format!("the statement is not UTF-8 at byte {place}"))
            })?;
            Asked { sql, parameters: Vec::new() }
        }
    };
    if asked.sql.trim().is_empty() {
        return Err(Refusal::body("the statement is empty; try SHOW TABLES"));
    }
    Ok(asked)
}

fn is_json(headers: &HeaderMap) -> Result<bool, Refusal> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::media_type("no Content-Encoding is taken for a statement"));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(false) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(true),
        // What `curl -d` sends unless it is told otherwise.
        "application/sql" | "text/plain" | "application/x-www-form-urlencoded" => Ok(false),
        _ => Err(Refusal::media_type(format!(
            "Content-Type {essence:?} is not taken; allowed are application/sql, text/plain and application/json"
        ))),
    }
}

async fn whole(body: Body) -> Result<Vec<u8>, Refusal> {
    match timeout(BODY_WAIT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body.into()),
        Ok(Err(error)) if is_too_large(&error) => Err(Refusal::Wrong(
            "too_large",
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body of a query may have {BODY_BYTES_MAX} bytes"),
        )),
        Ok(Err(_)) => Err(Refusal::body("the body ended too early")),
        Err(_) => Err(Refusal::Wrong(
            "body_timeout",
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {} s", BODY_WAIT.as_secs()),
        )),
    }
}

/// The limit's error has no type of its own that could be named here.
fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().contains("length limit exceeded")
}
