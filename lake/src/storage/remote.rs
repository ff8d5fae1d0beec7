//! Opening a store on another machine.
//!
//! Owns: the clients of S3, Azure and Google, built from their own variables; certificates; an error that names the
//! variables where no credentials are set.
//! Does not own: keys in the files of the AWS tools (`aws_profile`), refusing variables (`common::config`).

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::config::{StorageType, is_true};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, CredentialProvider, ObjectStore, RetryConfig};
use url::Url;

use super::contained::contained;
use super::{Storage, aws_profile, unusable};
use crate::error::Result;

// A whole request including its body: 64 MiB in ten minutes is 110 KB/s, slower than any store worth waiting for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The advice where S3 has no credentials.
pub(super) const NO_AWS_CREDENTIALS: &str = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for keys in ~/.aws/credentials; \
     AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and, on EC2, the machine's role are used as \
     well; AWS_SKIP_SIGNATURE=true needs none";
/// Variables that name credentials, or a place to ask for them.
const AWS_CREDENTIALS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_METADATA_ENDPOINT",
];
/// The folder in which the kernel describes the machine, and the files that name its maker.
const MACHINE: (&str, [&str; 4]) = ("/sys/class/dmi/id", ["sys_vendor", "bios_vendor", "bios_version", "board_vendor"]);

/// Opens the store of this kind at `url`. Contacts nothing.
pub(super) fn open(kind: StorageType, url: &Url) -> Result<Storage> {
    let refuse = |error: &dyn Display| unusable(url.as_str(), error);
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse(&"the bucket is missing"))?;
    let prefix = Path::from_url_path(url.path()).map_err(|error| refuse(&error))?;
    // abfss://container@account names the container in the place of a user.
    let bucket = if url.username().is_empty() { host } else { url.username() };
    let built = contained(|| match kind {
        StorageType::S3 => s3(bucket),
        StorageType::Azure => azure(bucket, (bucket != host).then_some(host)),
        StorageType::Gcs => gcs(bucket),
        StorageType::Local | StorageType::Memory => Err("this store is on no other machine".to_owned()),
    });
    let store = built.flatten().map_err(|error| refuse(&error))?;
    let mut root = url.clone();
    root.set_path("");
    Ok(Storage { store, bucket: bucket.to_owned(), prefix, url: root, local_root: None, kind })
}

type Built = std::result::Result<Arc<dyn ObjectStore>, String>;

fn s3(bucket: &str) -> Built {
    let options = with_certificates(client(), "AWS_CA_BUNDLE")?;
    let mut builder = AmazonS3Builder::new().with_client_options(options).with_retry(retry());
    for (key, value) in variables("AWS_") {
        builder = if let Ok(key) = key.parse() { builder.with_config(key, value) } else { builder };
    }
    let profile = aws_profile::read(&variable)?;
    if variable("AWS_REGION").or(variable("AWS_DEFAULT_REGION")).is_none()
        && let Some(region) = &profile.region
    {
        builder = builder.with_region(region);
    }
    if let Some(keys) = &profile.keys {
        builder = builder.with_access_key_id(&keys.id).with_secret_access_key(keys.secret.expose());
        if let Some(token) = &keys.session_token {
            builder = builder.with_token(token.expose());
        }
    } else if !has_aws_credentials() && is_made_by_others("amazon") {
        builder = builder.with_credentials(Arc::new(NoCredentials));
    }
    opened(builder.with_bucket_name(bucket).build())
}

fn azure(container: &str, account: Option<&str>) -> Built {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(client()).with_retry(retry());
    for (key, value) in variables("AZURE_") {
        builder = if let Ok(key) = key.parse() { builder.with_config(key, value) } else { builder };
    }
    if let Some(endpoint) = variable("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    if let Some(account) = account.and_then(|host| host.split('.').next()) {
        builder = builder.with_account(account);
    }
    opened(builder.with_container_name(container).build())
}

fn gcs(bucket: &str) -> Built {
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(client()).with_retry(retry());
    if let Some(path) = variable("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in variables("GOOGLE_") {
        builder = if let Ok(key) = key.parse() { builder.with_config(key, value) } else { builder };
    }
    opened(builder.with_bucket_name(bucket).build())
}

fn opened<S: ObjectStore>(built: object_store::Result<S>) -> Built {
    built.map(|store| Arc::new(store) as Arc<dyn ObjectStore>).map_err(|error| error.to_string())
}

fn client() -> ClientOptions {
    ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT)
}

/// The pipeline retries by its own policy; the client only smooths over single hiccups.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() }
}

/// Trusts the authorities in the file that the variable names, besides the system's.
fn with_certificates(options: ClientOptions, name: &str) -> std::result::Result<ClientOptions, String> {
    let Some(path) = variable(name) else { return Ok(options) };
    let pem = std::fs::read(&path).map_err(|error| format!("{name}={path}: {error}"))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| format!("{name}={path}: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("{name}={path}: it holds no certificate in PEM form"));
    }
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

/// The variable, unless it is absent or empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables with this prefix that are not empty, with names in lower case, as the clients parse them.
fn variables(prefix: &str) -> Vec<(String, String)> {
    let texts =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let used = texts.filter(|(name, value)| name.starts_with(prefix) && !value.is_empty());
    used.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

fn has_aws_credentials() -> bool {
    AWS_CREDENTIALS.iter().any(|name| variable(name).is_some())
        || variable("AWS_SKIP_SIGNATURE").is_some_and(|value| is_true(&value))
}

/// True if the kernel says that somebody other than `maker` made this machine. A machine that says nothing may be
/// anybody's.
fn is_made_by_others(maker: &str) -> bool {
    let (folder, files) = MACHINE;
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(format!("{folder}/{file}")).ok());
    let text = texts.collect::<String>().to_lowercase();
    !text.trim().is_empty() && !text.contains(maker)
}

/// The credentials of nobody. On a machine outside of the cloud, the client would ask an address that does not exist
/// there.
#[derive(Debug)]
struct NoCredentials;

#[async_trait]
impl CredentialProvider for NoCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Err(object_store::Error::Generic { store: "S3", source: NO_AWS_CREDENTIALS.into() })
    }
}
