//! How DuckDB reaches the store: addresses of objects, and a secret without a credential.
//!
//! Owns: URLs as `read_parquet` takes them, and the statement that makes the secret.
//! Does not own: the views (`view`), and credentials: none is ever printed.

use std::fmt::Write;

use super::{DuckDbLocation, S3Access, literal};

/// The address of the object under `key`, as `read_parquet` takes it.
pub(super) fn url(key: &str, location: &DuckDbLocation) -> String {
    let url = match location {
        DuckDbLocation::Local { root } => root.join(key).display().to_string(),
        DuckDbLocation::S3 { bucket, .. } => format!("s3://{bucket}/{key}"),
        DuckDbLocation::Azure { container, .. } => format!("az://{container}/{key}"),
        DuckDbLocation::Gcs { bucket } => format!("gs://{bucket}/{key}"),
    };
    without_patterns(&url)
}

/// DuckDB takes a file name for a pattern: a character that would be one is put in brackets.
fn without_patterns(url: &str) -> String {
    let mut plain = String::with_capacity(url.len());
    for character in url.chars() {
        match character {
            '*' | '?' | '[' => plain.extend(['[', character, ']']),
            other => plain.push(other),
        }
    }
    plain
}

/// Statements that give access to the store, where DuckDB needs any.
pub(super) fn sql(location: &DuckDbLocation) -> String {
    match location {
        DuckDbLocation::Local { .. } => String::new(),
        DuckDbLocation::S3 { bucket, access } => s3_secret(bucket, access),
        DuckDbLocation::Gcs { bucket } => format!(
            "-- Credentials: DuckDB reads Google Cloud Storage with HMAC keys. It takes them from AWS_ACCESS_KEY_ID and\n\
             -- AWS_SECRET_ACCESS_KEY in its environment.\n\
             CREATE OR REPLACE SECRET siltstone (TYPE gcs{ENVIRONMENT_KEYS}, SCOPE {});\n",
            literal(&format!("gs://{bucket}"))
        ),
        DuckDbLocation::Azure { container, account } => format!(
            "-- Credentials: found by the Azure chain (environment, managed identity, az login).\n\
             CREATE OR REPLACE SECRET siltstone (TYPE azure, PROVIDER credential_chain{}, SCOPE {});\n",
            account.as_ref().map_or(String::new(), |account| format!(", ACCOUNT_NAME {}", literal(account))),
            literal(&format!("az://{container}"))
        ),
    }
}

/// DuckDB's httpfs extension reads these variables when it is loaded, and shows them as settings.
const ENVIRONMENT_KEYS: &str = ", KEY_ID coalesce(current_setting('s3_access_key_id'), ''), \
     SECRET coalesce(current_setting('s3_secret_access_key'), '')";

fn s3_secret(bucket: &str, access: &S3Access) -> String {
    let mut options = format!(
        "TYPE s3{ENVIRONMENT_KEYS}, SESSION_TOKEN coalesce(current_setting('s3_session_token'), ''), \
         REGION {}",
        match &access.region {
            Some(region) => literal(region),
            None => "coalesce(current_setting('s3_region'), 'us-east-1')".to_owned(),
        }
    );
    if let Some(endpoint) = &access.endpoint {
        let (host, encrypted) = match endpoint.split_once("://") {
            Some((scheme, host)) => (host, scheme != "http"),
            None => (endpoint.as_str(), true),
        };
        let host = host.trim_end_matches('/');
        let style = if access.virtual_hosted { "vhost" } else { "path" };
        let written = write!(options, ", ENDPOINT {}, URL_STYLE '{style}', USE_SSL {encrypted}", literal(host));
        written.expect("writing to a string does not fail");
    }
    format!(
        "-- Credentials: taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment\n\
         -- that DuckDB was started in. For profiles and roles use PROVIDER credential_chain (extension aws) instead.\n\
         CREATE OR REPLACE SECRET siltstone ({options}, SCOPE {});\n",
        literal(&format!("s3://{bucket}"))
    )
}
