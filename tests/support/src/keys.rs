//! Keys for tests of logins: certificates of a test's own authority, and JWTs of its own operator.
//!
//! Owns: making them, with the `openssl` program and the nkeys crate. Does not own: their use by servers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use tempfile::TempDir;

/// An authority, and the certificates that it signed, as PEM files in a temporary folder.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
}

impl Authority {
    /// Makes an authority.
    pub fn new() -> Result<Self> {
        let authority = Self { directory: tempfile::Builder::new().prefix("siltstone-ca-").tempdir()? };
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=Siltstone test authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
        ])?;
        Ok(authority)
    }

    /// The certificate to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Signs a certificate for 127.0.0.1 that expires in `days` days, or expired as many days ago if negative;
    /// returns the files of the certificate and its key. A repeated name replaces the files.
    pub fn sign(&self, name: &str, days: i32) -> Result<(PathBuf, PathBuf)> {
        let file = |ending: &str| format!("{name}.{ending}");
        std::fs::write(
            self.directory.path().join(file("ext")),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n",
        )?;
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &file("key"),
            "-out",
            &file("csr"),
        ])?;
        let days = days.to_string();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &file("csr"),
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            &days,
            "-extfile",
            &file("ext"),
            "-out",
            &file("pem"),
        ])?;
        Ok((self.directory.path().join(file("pem")), self.directory.path().join(file("key"))))
    }

    fn openssl(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("openssl");
        command.current_dir(self.directory.path()).args(arguments);
        let output = command.output().context("start openssl, which these tests need")?;
        if !output.status.success() {
            bail!("openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// An operator with one account, whose users log in with `.creds` files.
#[derive(Debug)]
pub struct Operator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
    directory: TempDir,
}

/// A user of the account.
#[derive(Debug)]
pub struct OperatorUser {
    /// Its `.creds` file.
    pub credentials_file: PathBuf,
    /// Its public key.
    pub public_key: String,
}

impl Operator {
    /// Makes an operator.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("siltstone-creds-").tempdir()?;
        let (operator, system, account) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        Ok(Self { operator, system, account, directory })
    }

    /// The lines of a server's configuration that trust this operator, with these users' keys revoked.
    pub fn configuration(&self, revoked: &[&str]) -> Result<Vec<String>> {
        let system = self.system.public_key();
        let operator = jwt(
            &self.operator,
            &self.operator.public_key(),
            "operator",
            &format!(r#"{{"type":"operator","version":2,"system_account":"{system}"}}"#),
        )?;
        let no_limits =
            r#""subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1"#;
        let jetstream = r#","mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1,"max_ack_pending":-1"#;
        let later = i64::from(i32::MAX) * 2;
        let revoked: Vec<String> = revoked.iter().map(|key| format!(r#""{key}":{later}"#)).collect();
        let claims = |limits: &str, revoked: &str| {
            format!(r#"{{"type":"account","version":2,"limits":{{{limits}}},"revocations":{{{revoked}}}}}"#)
        };
        let account = jwt(
            &self.operator,
            &self.account.public_key(),
            "account",
            &claims(&format!("{no_limits}{jetstream}"), &revoked.join(",")),
        )?;
        let system_jwt = jwt(&self.operator, &system, "system", &claims(no_limits, ""))?;
        Ok(vec![
            format!("operator: {operator}"),
            format!("system_account: {system}"),
            "resolver: MEMORY".to_owned(),
            "resolver_preload {".to_owned(),
            format!("  {system}: {system_jwt}"),
            format!("  {}: {account}", self.account.public_key()),
            "}".to_owned(),
        ])
    }

    /// Makes a user whose credentials file has this name. A repeated name replaces the file, with another key.
    pub fn user(&self, name: &str) -> Result<OperatorUser> {
        self.user_with(name, None)
    }

    /// The same, with credentials that expire after `seconds`.
    pub fn user_for(&self, name: &str, seconds: u64) -> Result<OperatorUser> {
        self.user_with(name, Some(seconds))
    }

    fn user_with(&self, name: &str, seconds: Option<u64>) -> Result<OperatorUser> {
        let user = KeyPair::new_user();
        let claims = r#"{"type":"user","version":2,"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1}"#;
        let jwt = jwt_for(&self.account, &user.public_key(), name, claims, seconds)?;
        let seed = user.seed()?;
        let credentials_file = self.directory.path().join(format!("{name}.creds"));
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        // In one step, because a reader may open it at any time.
        let unfinished = credentials_file.with_extension("new");
        std::fs::write(&unfinished, text)?;
        std::fs::rename(&unfinished, &credentials_file)?;
        Ok(OperatorUser { credentials_file, public_key: user.public_key() })
    }
}

/// A JWT in NATS' own format about `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &str, name: &str, nats: &str) -> Result<String> {
    jwt_for(issuer, subject, name, nats, None)
}

/// The same, which expires after `seconds`.
fn jwt_for(issuer: &KeyPair, subject: &str, name: &str, nats: &str, seconds: Option<u64>) -> Result<String> {
    let header = URL_SAFE_NO_PAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let issued_at = seconds_now();
    let expires = seconds.map_or(String::new(), |seconds| format!(r#""exp":{},"#, issued_at + seconds));
    let claims = format!(
        r#"{{"jti":"{}",{expires}"iat":{issued_at},"iss":"{}","name":"{name}","sub":"{subject}","nats":{nats}}}"#,
        crate::unique_name(),
        issuer.public_key()
    );
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.as_bytes()));
    let signature = issuer.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&signature)))
}

/// The time, from a new file's time stamp: only the product's clock may read the system's clock directly.
fn seconds_now() -> u64 {
    let modified = tempfile::tempfile().and_then(|file| file.metadata()).and_then(|metadata| metadata.modified());
    let since = modified.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
