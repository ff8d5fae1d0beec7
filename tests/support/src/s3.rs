//! The run's shared S3 store.
//!
//! Owns: its address, and prefixes that no other test uses. Does not own: the server (`scripts/test` starts it).

use anyhow::{Context, Result};

/// The address and the credentials of the store. Requests must be signed; the bucket exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// Any region that S3 clients accept.
    pub region: String,
    /// The access key's id.
    pub access_key: String,
    /// The access key's secret.
    pub secret_key: String,
    /// An existing bucket.
    pub bucket: String,
}

impl S3 {
    /// The store that `scripts/test` started, from the environment that it set; unset variables are an error.
    pub fn shared() -> Result<Self> {
        Ok(Self {
            endpoint: variable("SILTSTONE_TEST_S3_ENDPOINT")?,
            region: std::env::var("SILTSTONE_TEST_S3_REGION").unwrap_or_else(|_| "us-east-1".to_owned()),
            access_key: variable("SILTSTONE_TEST_S3_ACCESS_KEY")?,
            secret_key: variable("SILTSTONE_TEST_S3_SECRET_KEY")?,
            bucket: variable("SILTSTONE_TEST_S3_BUCKET")?,
        })
    }

    /// A key prefix of this caller alone, without slashes around it.
    pub fn fresh_prefix(&self) -> String {
        crate::unique_name()
    }

    /// The store's host and port.
    pub fn authority(&self) -> &str {
        self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, rest)| rest).trim_end_matches('/')
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set: run the tests with scripts/test, which starts an S3 server"))
}
