//! The same small client over TLS: it trusts one authority, and nothing else.
//!
//! Owns: the handshake. Does not own: the request and its answer (`http`).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http::{Response, exchange};

/// Any request to `https://host:port/path`, of a server whose certificate comes from the authority in `ca_file`.
pub async fn request(ca_file: &Path, request: (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file).context("read the authority")?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    exchange("https://", request, headers, body, async |authority| {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_owned();
        let stream = TcpStream::connect(authority).await?;
        Ok(connector.connect(ServerName::try_from(host)?, stream).await?)
    })
    .await
}
