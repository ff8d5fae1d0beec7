//! `/iceberg`: published tables over the REST protocol of Iceberg catalogs, to be read alone.
//!
//! Owns: the bodies of these answers, and their errors in the protocol's form. Does not own: the tables and their metadata,
//! which the catalog holds as they were published; the demands of the routes (`routes`).
//!
//! Source: the Iceberg REST catalog specification. `endpoints` lists reads alone, so that clients refuse writes themselves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use catalog::{Caller, CatalogError, ICEBERG_CATALOG, Right, SegmentKind, iceberg_namespace};
use common::{ErrorKind, TopicName};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Api;
use super::access::caller;
use super::path::TopicPath;

/// All paths begin with it.
const BASE: &str = "/iceberg/";

/// The operations of the protocol that the service has.
const ENDPOINTS: [&str; 6] = [
    "GET /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
];

/// An error in the form of the protocol.
#[derive(Debug)]
pub(super) struct IcebergError {
    status: StatusCode,
    /// The name of the exception that clients in Java know.
    kind: &'static str,
    message: String,
}

impl IcebergError {
    fn no_table(name: &str) -> Self {
        let message = format!("no table {name} is published; `siltstone publish-tables` publishes every topic");
        Self { status: StatusCode::NOT_FOUND, kind: "NoSuchTableException", message }
    }
}

impl From<CatalogError> for IcebergError {
    fn from(error: CatalogError) -> Self {
        let (status, kind) = match error.kind() {
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        };
        Self { status, kind, message: common::secret::scrubbed(&error.to_string()).into_owned() }
    }
}

impl IntoResponse for IcebergError {
    fn into_response(self) -> Response {
        let code = self.status.as_u16();
        let error = json!({ "error": { "message": self.message, "type": self.kind, "code": code } });
        (self.status, Json(error)).into_response()
    }
}

/// The answer for a path that is no route; `None` for paths of others.
///
/// A client in Java asks for the table `files` of `topics.orders` before it takes `topics.orders.files` for a part of the
/// metadata of `topics.orders`, and does so only if the table is missing, not the namespace.
pub(super) fn unknown(uri: &Uri) -> Option<IcebergError> {
    let path = uri.path().strip_prefix(BASE)?;
    Some(match path.rsplit_once("/tables/") {
        Some((_, table)) => IcebergError::no_table(table),
        None if path.contains("/namespaces/") => IcebergError {
            status: StatusCode::NOT_FOUND,
            kind: "NoSuchNamespaceException",
            message: "there is no such namespace; there are topics and quarantine".to_owned(),
        },
        None => IcebergError {
            status: StatusCode::NOT_FOUND,
            kind: "NotFoundException",
            message: format!("there is no {path:?}; the address of the catalog ends with /iceberg"),
        },
    })
}

pub(super) async fn config() -> Json<Value> {
    Json(json!({ "defaults": {}, "overrides": { "prefix": ICEBERG_CATALOG }, "endpoints": ENDPOINTS }))
}

pub(super) async fn namespaces(request: Request) -> Json<Value> {
    // Namespaces have no parts.
    let has_parent = request.uri().query().is_some_and(|query| {
        query.split('&').any(|part| part.strip_prefix("parent=").is_some_and(|parent| !parent.is_empty()))
    });
    let all = SegmentKind::ALL.map(|kind| [iceberg_namespace(kind)]);
    Json(json!({ "namespaces": if has_parent { &[][..] } else { &all[..] } }))
}

pub(super) async fn topics_namespace() -> Json<Value> {
    namespace(SegmentKind::Data)
}

pub(super) async fn quarantine_namespace() -> Json<Value> {
    namespace(SegmentKind::Quarantine)
}

fn namespace(kind: SegmentKind) -> Json<Value> {
    Json(json!({ "namespace": [iceberg_namespace(kind)], "properties": {} }))
}

pub(super) async fn topics_tables(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Value>, IcebergError> {
    tables(&api, SegmentKind::Data, caller(&request)).await
}

pub(super) async fn quarantine_tables(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Json<Value>, IcebergError> {
    tables(&api, SegmentKind::Quarantine, caller(&request)).await
}

/// The published tables that the caller may read.
async fn tables(api: &Api, kind: SegmentKind, caller: Caller) -> Result<Json<Value>, IcebergError> {
    let published = api.catalog.list_published().await?;
    let shown = published.iter().filter(|table| {
        table.kind == kind && table.metadata_location.is_some() && caller.may(Right::Read, &table.topic)
    });
    let namespace = [iceberg_namespace(kind)];
    let identifiers: Vec<Value> = shown.map(|table| json!({ "namespace": namespace, "name": table.topic })).collect();
    Ok(Json(json!({ "identifiers": identifiers })))
}

/// A table with its metadata.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LoadedTable {
    metadata_location: String,
    metadata: Box<RawValue>,
    /// Readers bring their own way to the objects.
    config: Value,
}

pub(super) async fn topics_table(
    State(api): State<Arc<Api>>,
    TopicPath(topic): TopicPath,
) -> Result<Json<LoadedTable>, IcebergError> {
    table(&api, SegmentKind::Data, &topic).await
}

pub(super) async fn quarantine_table(
    State(api): State<Arc<Api>>,
    TopicPath(topic): TopicPath,
) -> Result<Json<LoadedTable>, IcebergError> {
    table(&api, SegmentKind::Quarantine, &topic).await
}

async fn table(api: &Api, kind: SegmentKind, topic: &TopicName) -> Result<Json<LoadedTable>, IcebergError> {
    let head = api.catalog.find_published(topic, kind).await?;
    let head = head.ok_or_else(|| IcebergError::no_table(&format!("{}.{topic}", iceberg_namespace(kind))))?;
    let metadata = RawValue::from_string(head.metadata).map_err(|error| IcebergError {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        kind: "InternalServerError",
        message: format!("the catalog's text of the metadata is no JSON: {error}; `siltstone publish-tables` mends it"),
    })?;
    Ok(Json(LoadedTable { metadata_location: head.metadata_location, metadata, config: json!({}) }))
}

#[cfg(test)]
mod tests;
