//! The start-up probe, which puts, finds and deletes a canary object; the test of create-only puts.
//!
//! Owns: turning a store's refusal into an error with its remedy. Does not own: retrying; a writer that
//! cannot pass the probe does not start.

use common::config::StorageType;
use common::secret::scrubbed;
use futures::FutureExt;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutPayload};
use uuid::Uuid;

use super::contained::contained_request;
use super::remote::NO_AWS_CREDENTIALS;
use super::{PutError, Storage};
use crate::error::{LakeError, Result};

pub(super) const CANARY: &[u8] = b"siltstone probe; safe to delete";

pub(super) async fn probe(storage: &Storage) -> Result<()> {
    let key = canary_key(storage);
    let failed = |step: &str, error: &Error| failure(storage, step, error);
    // The first request of a store's client: a setting that it cannot work with may show here.
    let put = storage.put_new(&key, PutPayload::from_static(CANARY)).map(Ok);
    let put = contained_request(put).await.unwrap_or_else(|error| Err(PutError::Ambiguous(error)));
    put.map_err(|error| match error {
        PutError::Ambiguous(error) => failed("put an object", &error),
        PutError::NotDurable(error) => failed("sync an object to disk", &error),
    })?;
    let found = storage.store.head(&key).await.map_err(|error| failed("find the object just put", &error));
    let deleted = delete(storage, &key).await.map_err(|e| failed("delete an object", &e));
    let found = found?;
    deleted?;
    if found.size == CANARY.len() as u64 {
        return Ok(());
    }
    let reason = format!("an object of {} bytes came back with {}", CANARY.len(), found.size);
    Err(LakeError::Storage { url: storage.display_url(), reason })
}

/// True when the store refuses a create-only put of an existing key, tried with a canary.
pub(super) async fn honours_create(storage: &Storage) -> Result<bool> {
    let key = canary_key(storage);
    let failed = |step: &str, error: &Error| failure(storage, step, error);
    let put =
        || contained_request(storage.store.put_opts(&key, PutPayload::from_static(CANARY), PutMode::Create.into()));
    put().await.map_err(|error| failed("put an object", &error))?;
    let second = put().await;
    delete(storage, &key).await.map_err(|error| failed("delete an object", &error))?;
    match second {
        Ok(_) => Ok(false),
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(true),
        Err(error) => Err(failed("put an object a second time", &error)),
    }
}

fn failure(storage: &Storage, step: &str, error: &Error) -> LakeError {
    let cause = cause(error);
    let reason = match missing_credentials(storage.kind, &cause) {
        Some(missing) => format!("cannot {step}: {missing}"),
        None => format!("cannot {step}: {cause}; {}", advice(storage.kind, error)),
    };
    LakeError::Storage { url: storage.display_url(), reason: scrubbed(&reason).into_owned() }
}

/// The clause for a client that found no credentials and asked the cloud's address for some, which no other machine has.
fn missing_credentials(kind: StorageType, cause: &str) -> Option<&'static str> {
    let asked_the_cloud = ["169.254.169.254", "169.254.170.2", "metadata.google", "computeMetadata"];
    match kind {
        StorageType::S3 if cause.contains(NO_AWS_CREDENTIALS) => Some(NO_AWS_CREDENTIALS),
        _ if !asked_the_cloud.iter().any(|address| cause.contains(address)) => None,
        StorageType::S3 => Some(NO_AWS_CREDENTIALS),
        StorageType::Azure => Some(
            "no credentials; set AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, \
             AZURE_CLIENT_SECRET and AZURE_TENANT_ID; on Azure, the machine's identity is used as well",
        ),
        _ => Some(
            "no credentials; set GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS to the path of a key file; on \
             Google Cloud, the machine's account is used as well",
        ),
    }
}

/// An unused key whose name shows that it is a canary.
pub(super) fn canary_key(storage: &Storage) -> Path {
    storage.prefix.clone().join(format!("siltstone-probe-{}", Uuid::now_v7()))
}

async fn delete(storage: &Storage, key: &Path) -> object_store::Result<()> {
    storage.store.delete(key).await
}

/// The error with its innermost cause; an XML answer of the store is cut to its code and message.
fn cause(error: &Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let (text, inner) = (error.to_string(), cause.to_string());
    let text = if text.contains(&inner) { text } else { format!("{text}: {inner}") };
    let Some((before, xml)) = text.split_once("<?xml") else { return text };
    let element = |name: &str| Some(xml.split_once(&format!("<{name}>"))?.1.split_once("</")?.0);
    match (element("Code"), element("Message")) {
        (Some(code), message) => format!("{before}{code}: {}", message.unwrap_or_default().trim_end_matches('.')),
        (None, _) => text,
    }
}

fn advice(kind: StorageType, error: &Error) -> &'static str {
    let s3 = kind == StorageType::S3;
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => {
            "the store lacks an operation that Siltstone needs"
        }
        _ if kind == StorageType::Local => {
            "may this user write to the directory that STORAGE_PATH or STORAGE_URL names?"
        }
        Error::NotFound { .. } => "does the bucket exist, and is its name right in STORAGE_URL?",
        Error::Unauthenticated { .. } | Error::PermissionDenied { .. } if s3 => {
            "are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY right, and may this key put, read and delete objects here?"
        }
        Error::Unauthenticated { .. } | Error::PermissionDenied { .. } => {
            "are the credentials right, and may they put, read and delete objects here?"
        }
        _ if cause(error).contains("UnknownIssuer") && s3 => {
            "the store's certificate comes from an authority that is not known here; AWS_CA_BUNDLE or SSL_CERT_FILE names \
             a PEM file with it"
        }
        _ if cause(error).contains("UnknownIssuer") => {
            "the store's certificate comes from an authority that is not known here; SSL_CERT_FILE names a PEM file with it"
        }
        _ if s3 && cause(error).contains("URL scheme is not allowed") => {
            "an AWS_ENDPOINT_URL with plain http needs AWS_ALLOW_HTTP=true"
        }
        _ if s3 => {
            "is the store up, and are AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY right?"
        }
        _ => "is the store up, and are its address and credentials right?",
    }
}
