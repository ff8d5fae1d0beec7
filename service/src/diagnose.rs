//! Findings about the deployment that the settings name.
//!
//! Owns: querying queue, catalog and store separately, so that an unreachable one does not hide findings of the
//! others.
//! Does not own: the findings of each about itself, the verdict over all (`common::diagnosis`).

use common::config::Settings;
use common::diagnosis::{Area, Finding};
use common::topic::TopicDefinition;

use crate::connect;
use crate::error::ServiceError;

/// The findings about every part that the settings name.
pub async fn diagnose(settings: &Settings) -> Vec<Finding> {
    let (mut findings, topics) = catalog(settings).await;
    findings.extend(store(settings).await);
    findings.extend(queue(settings, &topics).await);
    findings.sort_by_key(|finding| finding.area);
    findings
}

/// The catalog's findings about itself, and the topics in it.
async fn catalog(settings: &Settings) -> (Vec<Finding>, Vec<TopicDefinition>) {
    let fail = |error: &dyn std::fmt::Display| Finding::fail(Area::Catalog, "connection", error.to_string(), "");
    let catalog = match connect::catalog_to_read(settings).await {
        Ok(catalog) => catalog,
        Err(ServiceError::NoCatalog { place }) => {
            let advice = "`siltstone topic create`, `siltstone up` and `writer` make one; is CATALOG_URL right?";
            let mut findings =
                vec![Finding::warn(Area::Catalog, "connection", format!("no catalog at {place}"), advice)];
            match connect::diagnose_without_catalog(settings).await {
                Ok(more) => findings.extend(more),
                Err(error) => findings.push(fail(&error)),
            }
            return (findings, Vec::new());
        }
        Err(error) => return (vec![fail(&format!("{error:#}"))], Vec::new()),
    };
    let mut findings = vec![Finding::ok(Area::Catalog, "connection", settings.catalog_place().to_string())];
    findings.extend(catalog.diagnose().await);
    if let Ok(storage) = connect::existing_storage(settings) {
        findings.push(storage.diagnose_place(catalog.as_ref()).await);
    }
    let topics = match catalog.list_topics().await {
        Ok(topics) => topics.iter().map(catalog::Topic::definition).collect(),
        Err(error) => {
            findings.push(fail(&error));
            Vec::new()
        }
    };
    catalog.close().await;
    (findings, topics)
}

async fn store(settings: &Settings) -> Vec<Finding> {
    match connect::existing_storage(settings) {
        Ok(storage) => storage.diagnose().await,
        Err(error) => vec![Finding::fail(Area::Store, "connection", format!("{error:#}"), "")],
    }
}

async fn queue(settings: &Settings, topics: &[TopicDefinition]) -> Vec<Finding> {
    let queue = match connect::queue(settings).await {
        Ok(queue) => queue,
        Err(error) => return vec![Finding::fail(Area::Queue, "connection", format!("{error:#}"), "")],
    };
    let advice = "JetStream must be enabled for this account: nats-server -js; behind a leaf node, NATS_JS_DOMAIN names its domain";
    let answers = match queue.check().await {
        Ok(()) => Finding::ok(Area::Queue, "connection", "answers"),
        Err(error) => Finding::fail(Area::Queue, "connection", error.to_string(), advice),
    };
    let mut findings = vec![answers];
    findings.extend(queue.diagnose(topics).await);
    findings
}
