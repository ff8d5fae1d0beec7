//! TLS for an address: a certificate and its key from files, read again when they change.
//!
//! Owns: reading the two files, their errors, and the choice between the pair in use and a new one. Does not own: the
//! connections (`intake`), who may use them.
//!
//! The files are compared by their content, every few seconds: a renewal may replace them, write into them or turn a
//! symbolic link. A new pair that cannot be used changes nothing, because the old one may still be good.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::config::Settings;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;
use tokio::time::sleep;

/// Time between two looks at the files. `docs/http.md` names it.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

const CERTIFICATE_SETTING: &str = "INGEST_TLS_CERT";
const KEY_SETTING: &str = "INGEST_TLS_KEY";

/// The reason why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {setting}={path}: {error}")]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// Its path.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting}={path} {problem}")]
    Content {
        /// The setting that names it.
        setting: &'static str,
        /// Its path.
        path: PathBuf,
        /// The problem, as a clause.
        problem: String,
    },
    /// The two do not belong together.
    #[error("{KEY_SETTING}={key} is not the key of the first certificate in {CERTIFICATE_SETTING}={certificate}")]
    OtherKey {
        /// The path of the key.
        key: PathBuf,
        /// The path of the certificate.
        certificate: PathBuf,
    },
}

/// The protocol that a connection with TLS speaks, as clients name it in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, below gRPC.
    Http2,
    /// The PostgreSQL protocol.
    Postgres,
}

impl Protocol {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
            Self::Postgres => b"postgresql",
        }
    }
}

/// The paths of a certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) protocol: Protocol,
}

/// A certificate in use, which follows its files.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    /// The content that was read last, good or not.
    read: Pair,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// The content of both files. Not shown: one of them is secret.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    /// The files that the settings name, if they do.
    pub(crate) fn of(settings: &Settings, protocol: Protocol) -> Option<Self> {
        let (certificate, key) = (settings.ingest_tls_cert.clone()?, settings.ingest_tls_key.clone()?);
        Some(Self { certificate, key, protocol })
    }

    async fn read(&self) -> Result<Pair, TlsError> {
        let read = async |setting, path: &Path| {
            let unreadable = |error| TlsError::Unreadable { setting, path: path.to_owned(), error };
            tokio::fs::read(path).await.map_err(unreadable)
        };
        let certificate = read(CERTIFICATE_SETTING, &self.certificate).await?;
        Ok(Pair { certificate, key: read(KEY_SETTING, &self.key).await? })
    }

    fn config(&self, pair: &Pair) -> Result<Arc<ServerConfig>, TlsError> {
        let content =
            |setting, path: &Path, problem: String| TlsError::Content { setting, path: path.to_owned(), problem };
        let of_certificate = |problem| content(CERTIFICATE_SETTING, &self.certificate, problem);
        let of_key = |problem| content(KEY_SETTING, &self.key, problem);
        let chain = CertificateDer::pem_slice_iter(&pair.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| of_certificate(format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(of_certificate("holds no certificate in PEM form".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                of_key("holds no private key in PEM form; one with a password is not taken".to_owned())
            }
            // The text of such an error may quote the file.
            _ => of_key("is not whole PEM".to_owned()),
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("ring has the versions of TLS");
        let config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::OtherKey { key: self.key.clone(), certificate: self.certificate.clone() }
            }
            rustls::Error::InvalidCertificate(error) => {
                of_certificate(format!("holds a certificate that cannot be read: {error}"))
            }
            error => of_key(format!("holds a key that cannot be used: {error}")),
        });
        let mut config = config?;
        config.alpn_protocols = vec![self.protocol.name().to_vec()];
        Ok(Arc::new(config))
    }
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and its fault.
    pub(crate) async fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let read = files.read().await?;
        let (current, _) = watch::channel(files.config(&read)?);
        Ok(Self { files, read, current })
    }

    /// The certificate in use, now and later.
    pub(crate) fn current(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Follows the files. Never returns.
    pub(crate) async fn follow(mut self) {
        loop {
            sleep(LOOK_INTERVAL).await;
            self.look().await;
        }
    }

    /// Uses a new pair if there is one that can be used.
    async fn look(&mut self) {
        let read = match self.files.read().await {
            Ok(read) if read == self.read => return,
            Ok(read) => read,
            // A file that is being replaced may be absent for a moment: the next look finds it, or logs this again.
            Err(error) => {
                tracing::warn!(%error, "the certificate cannot be read again; the one in use stays");
                return;
            }
        };
        match self.files.config(&read) {
            Ok(config) => {
                self.current.send_replace(config);
                tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
            }
            Err(error) => tracing::warn!(%error, "the new certificate cannot be used; the one in use stays"),
        }
        self.read = read;
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
