//! The address and login of a NATS server, as plain data.
//!
//! Owns: the fields. Does not own: connecting, hiding secrets (`common::secret`).

use std::path::PathBuf;

use common::secret::{Secret, SecretUrl};

/// The address of a NATS server and the login for it.
#[derive(Clone, Debug, Default)]
pub struct NatsConfig {
    /// One or more URLs, separated by commas: `nats://host:4222` or `tls://…`.
    pub url: SecretUrl,
    /// A `.creds` file (JWT and seed).
    pub credentials_file: Option<PathBuf>,
    /// User of user and password.
    pub user: Option<String>,
    /// Password of user and password.
    pub password: Option<Secret>,
    /// A token.
    pub token: Option<Secret>,
    /// The seed of an nkey.
    pub nkey: Option<Secret>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// PEM file of certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file of its key.
    pub client_key_file: Option<PathBuf>,
    /// The JetStream domain; the connected server's own if absent.
    pub domain: Option<String>,
    /// The acks sent to the server after commits.
    pub ack: AckMode,
    /// The connection's name in the server's monitoring; `siltstone` if absent.
    pub connection_name: Option<String>,
    /// Address of the server's monitoring page; port 8222 of its host if absent. Only diagnosis reads it.
    pub monitor_url: Option<SecretUrl>,
    /// Messages that may wait in the client for one reader before it drops them, and the reader starts anew; 65,536
    /// if absent, more than two outstanding pulls bring.
    pub reader_capacity: Option<usize>,
}

/// The acks sent to the server after commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AckMode {
    /// Cumulatively, once per commit, so that the usual NATS tools show the committed lag.
    #[default]
    All,
    /// None: less work for the server; the commit alone is the ack.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let config = NatsConfig {
            url: "nats://me:s3cret@one:4222,nats://s3cret@two".into(),
            password: Some("s3cret".into()),
            token: Some("s3cret".into()),
            nkey: Some("s3cret".into()),
            ..NatsConfig::default()
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("nats://me:********@one:4222,nats://********@two"), "{shown}");
    }
}
