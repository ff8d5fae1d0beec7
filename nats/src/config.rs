//! The address and login of a NATS server, as plain data.
//!
//! Owns: the fields, and never printing a secret. Does not own: connecting.

use std::fmt;
use std::path::PathBuf;

/// The address of a NATS server and the login for it.
#[derive(Clone, Default)]
pub struct NatsConfig {
    /// One or more URLs, separated by commas: `nats://host:4222` or `tls://…`.
    pub url: String,
    /// A `.creds` file (JWT and seed).
    pub credentials_file: Option<PathBuf>,
    /// User of user and password.
    pub user: Option<String>,
    /// Password of user and password.
    pub password: Option<String>,
    /// A token.
    pub token: Option<String>,
    /// The seed of an nkey.
    pub nkey: Option<String>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// PEM file of certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file of its key.
    pub client_key_file: Option<PathBuf>,
    /// The acks sent to the server after commits.
    pub ack: AckMode,
    /// The connection's name in the server's monitoring; `siltstone` if absent.
    pub connection_name: Option<String>,
    /// Address of the server's monitoring page; port 8222 of its host if absent. Only diagnosis reads it.
    pub monitor_url: Option<String>,
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

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "(hidden)");
        f.debug_struct("NatsConfig")
            .field("url", &without_passwords(&self.url))
            .field("credentials_file", &self.credentials_file)
            .field("user", &self.user)
            .field("password", &hidden(&self.password))
            .field("token", &hidden(&self.token))
            .field("nkey", &hidden(&self.nkey))
            .field("nkey_file", &self.nkey_file)
            .field("ca_file", &self.ca_file)
            .field("client_certificate_file", &self.client_certificate_file)
            .field("client_key_file", &self.client_key_file)
            .field("ack", &self.ack)
            .field("connection_name", &self.connection_name)
            .field("monitor_url", &self.monitor_url)
            .field("reader_capacity", &self.reader_capacity)
            .finish()
    }
}

/// The list of URLs without the login before each `@`.
pub(super) fn without_passwords(urls: &str) -> String {
    let shown = urls.split(',').map(|url| {
        let (scheme, rest) = url.trim().split_once("://").map_or(("", url.trim()), |(scheme, rest)| (scheme, rest));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let config = NatsConfig {
            url: "nats://me:s3cret@one:4222, s3cret@two".to_owned(),
            password: Some("s3cret".to_owned()),
            token: Some("s3cret".to_owned()),
            nkey: Some("s3cret".to_owned()),
            ..NatsConfig::default()
        };
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("nats://one:4222,two"), "{shown}");
    }
}
