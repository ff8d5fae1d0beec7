//! The login of a test's plain client.
//!
//! Owns: the credentials shown to the server. Does not own: the server's requirements.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

/// The login of a plain client.
#[derive(Clone, Debug, Default)]
pub struct NatsClient {
    /// User and password.
    pub user: Option<(String, String)>,
    /// A `.creds` file.
    pub credentials_file: Option<PathBuf>,
    /// The seed of an nkey.
    pub nkey: Option<String>,
    /// PEM file of the authority to trust; with TLS.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client's certificate and key; with TLS.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl NatsClient {
    /// A client with user and password.
    pub fn user(user: &str, password: &str) -> Self {
        Self { user: Some((user.to_owned(), password.to_owned())), ..Self::default() }
    }

    /// Connects.
    pub async fn connect(&self, url: &str) -> Result<async_nats::Client> {
        let mut options = async_nats::ConnectOptions::new()
            .connection_timeout(Duration::from_secs(2))
            .request_timeout(Some(Duration::from_secs(5)));
        if let Some((user, password)) = &self.user {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(seed) = &self.nkey {
            options = options.nkey(seed.clone());
        }
        if let Some(file) = &self.credentials_file {
            options = options.credentials_file(file).await?;
        }
        if let Some(file) = &self.ca_file {
            options = options.add_root_certificates(file.clone()).require_tls(true);
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(Box::pin(options.connect(url)).await?)
    }
}
