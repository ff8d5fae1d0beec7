//! SQL over HTTP: one request with a statement, one answer with its rows.
//!
//! Owns: the endpoint. Its caller is known already, and has the right to read some topic. Does not own: the guard in front
//! of it (the HTTP service), reading the request (`request`), the forms of answers (`form`), writing rows (`body`).

mod answer;
mod body;
mod form;
mod request;

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use catalog::Caller;

use self::answer::Refusal;
use self::form::Form;
use crate::executor::{Client, Door, Executor};
use crate::options;
use crate::parameters::from_json;

/// The id of a query, by which the log can be searched.
const QUERY_ID: HeaderName = HeaderName::from_static("siltstone-query-id");

/// Answers the statement of one request.
pub async fn answer(executor: Arc<Executor>, request: Request, caller: Caller) -> Response {
    match answered(&executor, request, caller).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn answered(executor: &Arc<Executor>, request: Request, caller: Caller) -> Result<Response, Refusal> {
    // Before the body is read: a client that cannot read any answer need not send it.
    let form = Form::accepted(request.headers())?;
    form.check_end(request.version())?;
    let settings = options::of_headers(executor.settings(), request.headers())?;
    let asked = request::read(request).await?;
    let client = Client { door: Door::Http, caller, additions: None, settings };
    let planned = executor.plan(&client, &asked.sql).await?;
    let values = from_json(&planned, &asked.parameters)?;
    let id = planned.id().to_string();
    let rows = planned.with_values(values)?.run().await?;
    let mut response = body::of_rows(form, rows)?.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    headers.insert(QUERY_ID, HeaderValue::from_str(&id).expect("a uuid is printable"));
    Ok(response)
}

#[cfg(test)]
mod tests;
