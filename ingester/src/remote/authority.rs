//! Certificate authorities of one's own, for agents at `https://` addresses.
//!
//! Owns: reading their file, and its errors. Does not own: the client that trusts them (`request`).

use std::path::Path;

use reqwest::{Certificate, ClientBuilder};

use crate::producer::ConfigError;

/// The client with the authorities in the file, besides those that it trusts already.
///
/// # Errors
/// The file cannot be read, or is not a PEM file with certificates.
pub(super) fn trusted(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder, ConfigError> {
    let pem = std::fs::read(path).map_err(|error| refused(path, &error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| refused(path, "it is not whole PEM"))?;
    if certificates.is_empty() {
        return Err(refused(path, "it holds no certificate in PEM form"));
    }
    Ok(certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate))
}

/// The error about the file.
pub(super) fn refused(path: &Path, problem: &str) -> ConfigError {
    ConfigError {
        option: "ca_file",
        value: path.display().to_string(),
        allowed: format!("a PEM file with the certificates of authorities; {problem}"),
    }
}
