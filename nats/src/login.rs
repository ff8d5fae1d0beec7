//! The login of this process to the server, and the certificates that it trusts.
//!
//! Owns: turning the plain data into the client's options; reading key files. Files are read at every connection, so
//! that credentials and certificates can be replaced while the process runs.
//! Does not own: the ways that settings may combine (`common::config`).

use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;
use url::Url;

use crate::config::NatsConfig;
use common::queue::QueueError;

/// A way to log in.
#[derive(Clone)]
enum Login {
    Nobody,
    User(String, String),
    Token(String),
    Nkey(String),
    NkeyFile(PathBuf),
    Credentials(PathBuf),
}

/// The client's options for `config`. Nothing is connected: what is refused here is wrong in the settings or their files.
pub(super) async fn options(config: &NatsConfig) -> Result<ConnectOptions, QueueError> {
    let login = login(config)?;
    let mut options = match login {
        Login::Nobody => ConnectOptions::new(),
        Login::User(user, password) => ConnectOptions::with_user_and_password(user, password),
        Login::Token(token) => ConnectOptions::with_token(token),
        Login::Nkey(seed) => {
            key_pair(&seed).map_err(|error| QueueError::refused(format!("NATS_NKEY: {error}")))?;
            ConnectOptions::with_nkey(seed)
        }
        Login::NkeyFile(file) => from_file("NATS_NKEY_FILE", file, sign_with_nkey).await?,
        Login::Credentials(file) => from_file("NATS_CREDENTIALS", file, sign_with_credentials).await?,
    };
    if let Some(file) = &config.ca_file {
        check_pem("NATS_CA", file, &["CERTIFICATE"]).await?;
        options = options.add_root_certificates(file.clone()).require_tls(true);
    }
    match (&config.client_certificate_file, &config.client_key_file) {
        (Some(certificate), Some(key)) => {
            check_pem("NATS_CLIENT_CERT", certificate, &["CERTIFICATE"]).await?;
            check_pem("NATS_CLIENT_KEY", key, &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]).await?;
            options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
        }
        (None, None) => {}
        _ => return Err(QueueError::refused("a NATS client certificate and its key are needed together")),
    }
    Ok(options)
}

fn login(config: &NatsConfig) -> Result<Login, QueueError> {
    let user = match (&config.user, &config.password) {
        (Some(user), Some(password)) => Some(Login::User(user.clone(), password.expose().to_owned())),
        (None, None) => None,
        _ => return Err(QueueError::refused("NATS user and password are needed together")),
    };
    let ways = [
        login_in_url(config.url.expose()),
        user,
        config.token.as_ref().map(|token| Login::Token(token.expose().to_owned())),
        config.nkey.as_ref().map(|nkey| Login::Nkey(nkey.expose().to_owned())),
        config.nkey_file.clone().map(Login::NkeyFile),
        config.credentials_file.clone().map(Login::Credentials),
    ];
    let mut given = ways.into_iter().flatten();
    let login = given.next().unwrap_or(Login::Nobody);
    match given.next() {
        None => Ok(login),
        Some(_) => Err(QueueError::refused(
            "more than one NATS login is given (in the URL, user and password, token, nkey, credentials file); keep one",
        )),
    }
}

/// The text before the `@` of the first URL that has one: user and password, or a token. The client itself ignores
/// it.
fn login_in_url(urls: &str) -> Option<Login> {
    urls.split(',').find_map(|url| {
        let url = url.trim();
        // Without a scheme, a user before a colon would be parsed as one.
        let full = if url.contains("://") { url.to_owned() } else { format!("nats://{url}") };
        let parsed = Url::parse(&full).ok()?;
        let decoded = |text: &str| {
            let pairs = format!("x={}", text.replace('+', "%2B"));
            url::form_urlencoded::parse(pairs.as_bytes()).next().map(|(_, value)| value.into_owned())
        };
        match (parsed.username(), parsed.password()) {
            ("", _) => None,
            (token, None) => Some(Login::Token(decoded(token)?)),
            (user, Some(password)) => Some(Login::User(decoded(user)?, decoded(password)?)),
        }
    })
}

type Sign = fn(&str, &[u8]) -> Result<Auth, String>;

/// Reads `file` anew and signs at each connection; also once now, to refuse an unusable file.
async fn from_file(setting: &'static str, file: PathBuf, sign: Sign) -> Result<ConnectOptions, QueueError> {
    sign_file(setting, &file, sign, b"").await.map_err(QueueError::refused)?;
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let file = file.clone();
        async move { sign_file(setting, &file, sign, &nonce).await.map_err(AuthError::new) }
    }))
}

async fn sign_file(setting: &str, file: &Path, sign: Sign, nonce: &[u8]) -> Result<Auth, String> {
    let shown = file.display();
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| format!("{setting}={shown}: the file cannot be read: {error}"))?;
    sign(&text, nonce).map_err(|error| format!("{setting}={shown}: {error}"))
}

fn sign_with_nkey(text: &str, nonce: &[u8]) -> Result<Auth, String> {
    let seed = text.lines().map(str::trim).find(|line| line.starts_with('S')).unwrap_or_default();
    let key_pair = key_pair(seed)?;
    let signature = key_pair.sign(nonce).map_err(|error| error.to_string())?;
    let mut auth = Auth::new();
    (auth.nkey, auth.signature) = (Some(key_pair.public_key()), Some(signature));
    Ok(auth)
}

fn sign_with_credentials(text: &str, nonce: &[u8]) -> Result<Auth, String> {
    let section = |name: &str| {
        let mut lines = text.lines().skip_while(|line| !(line.starts_with("---") && line.contains(name)));
        lines.nth(1).map(str::trim).filter(|line| !line.is_empty())
    };
    let jwt = section("BEGIN NATS USER JWT").ok_or("it holds no section BEGIN NATS USER JWT")?;
    let seed = section("BEGIN USER NKEY SEED").ok_or("it holds no section BEGIN USER NKEY SEED")?;
    let signature = key_pair(seed)?.sign(nonce).map_err(|error| error.to_string())?;
    let mut auth = Auth::new();
    (auth.jwt, auth.signature) = (Some(jwt.to_owned()), Some(signature));
    Ok(auth)
}

/// The key pair of a seed; the error does not show the seed.
fn key_pair(seed: &str) -> Result<KeyPair, String> {
    KeyPair::from_seed(seed).map_err(|_| "this is no seed of an nkey, which begins with SU for a user".to_owned())
}

/// Checks that a file has a section of one of these names in PEM form.
async fn check_pem(setting: &str, file: &Path, names: &[&str]) -> Result<(), QueueError> {
    let refused = |reason: String| Err(QueueError::refused(format!("{setting}={}: {reason}", file.display())));
    let content = match tokio::fs::read(file).await {
        Ok(content) => content,
        Err(error) => return refused(format!("the file cannot be read: {error}")),
    };
    let text = String::from_utf8_lossy(&content);
    match names.iter().any(|name| text.contains(&format!("-----BEGIN {name}-----"))) {
        true => Ok(()),
        false => refused(format!("the file holds no {} in PEM form", names[0].to_lowercase())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_url(url: &str) -> Option<(String, String)> {
        match login_in_url(url)? {
            Login::User(user, password) => Some((user, password)),
            Login::Token(token) => Some((token, String::new())),
            _ => None,
        }
    }

    #[test]
    fn a_login_in_the_url_is_used_as_nats_clients_do() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(in_url("nats://me:s%40cret@host:4222"), pair("me", "s@cret"));
        assert_eq!(in_url("nats://plain:4222, nats://a:b+c@other"), pair("a", "b+c"));
        assert_eq!(in_url("me:secret@host:4222"), pair("me", "secret"));
        assert_eq!(in_url("nats://t0ken@host"), pair("t0ken", ""));
        assert_eq!(in_url("nats://host:4222"), None);
        assert_eq!(in_url("host"), None);
    }

    #[test]
    fn two_logins_are_refused_and_one_is_taken() {
        let config = NatsConfig { url: "nats://a:b@host".into(), ..NatsConfig::default() };
        assert!(matches!(login(&config), Ok(Login::User(..))));
        let both = NatsConfig { token: Some("t".into()), ..config };
        assert!(login(&both).err().expect("two").to_string().contains("keep one"));
        let half = NatsConfig { user: Some("u".to_owned()), ..NatsConfig::default() };
        assert!(login(&half).err().expect("no password").to_string().contains("together"));
    }

    #[test]
    fn files_of_keys_are_read_and_a_broken_one_shows_nothing_of_itself() {
        let pair = KeyPair::new_user();
        let seed = pair.seed().expect("a seed");
        let auth = sign_with_nkey(&format!("# mine\n{seed}\n"), b"nonce").expect("signs");
        pair.verify(b"nonce", &auth.signature.expect("signed")).expect("its own signature");
        let file = format!(
            "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        assert_eq!(sign_with_credentials(&file, b"").expect("signs").jwt.as_deref(), Some("a.b.c"));
        for broken in ["", "SUsecret", &file.replace(&seed, "SUsecret"), &file.replace("JWT", "XYZ")] {
            for error in [sign_with_nkey(broken, b"").err(), sign_with_credentials(broken, b"").err()] {
                assert!(!error.unwrap_or_default().contains("SUsecret"));
            }
        }
        assert!(sign_with_credentials(&file.replace("JWT", "XYZ"), b"").is_err());
    }
}
