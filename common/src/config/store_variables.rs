//! The variables that the clients of object stores read themselves: `AWS_…`, `AZURE_…`, `GOOGLE_…`.
//!
//! Owns: refusing values at which a client would panic or which it would misread, before it sees them; which of them are
//! secrets.
//! Does not own: their use (`lake::Storage`), settings of our own (`documentation`).

use std::ffi::{OsStr, OsString};

use url::Url;

use super::{InvalidSetting, StorageType};
use crate::secret::{HIDDEN, masked_url};
use crate::text::escaped;

/// Names of variables with the address of a server.
const ADDRESSES: [&str; 18] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_PROXY_URL",
    "AZURE_AUTHORITY_HOST",
    "AZURE_ENDPOINT",
    "AZURE_FABRIC_TOKEN_SERVICE_URL",
    "AZURE_IDENTITY_ENDPOINT",
    "AZURE_MSI_ENDPOINT",
    "AZURE_PROXY_URL",
    "AZURE_STORAGE_AUTHORITY_HOST",
    "AZURE_STORAGE_ENDPOINT",
    "GOOGLE_BASE_URL",
    "GOOGLE_PROXY_URL",
    "IDENTITY_ENDPOINT",
];
/// Names of variables that become a part of a host's name or of a request's header.
const NAMES: [&str; 6] = [
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_CONTAINER_NAME",
    "AWS_SSE_KMS_KEY_ID",
];
/// Ends of the names of variables that are true or false.
const SWITCHES: [&str; 14] = [
    "_ALLOW_HTTP",
    "_ALLOW_INVALID_CERTIFICATES",
    "_DISABLE_TAGGING",
    "_HTTP1_ONLY",
    "_HTTP2_ONLY",
    "_IMDSV1_FALLBACK",
    "_REQUEST_PAYER",
    "_S3_EXPRESS",
    "_SKIP_SIGNATURE",
    "_UNSIGNED_PAYLOAD",
    "_USE_AZURE_CLI",
    "_USE_EMULATOR",
    "_USE_FABRIC_ENDPOINT",
    "_VIRTUAL_HOSTED_STYLE_REQUEST",
];
/// Words in the names of variables with paths, which are no part of a request.
const PATHS: [&str; 7] = ["FILE", "PATH", "BUNDLE", "PROFILE", "APPLICATION_CREDENTIALS", "CONFIG", "CERTIFICATE"];
/// Words in the names of variables with secrets.
const SECRETS: [&str; 8] =
    ["SECRET", "TOKEN", "PASSWORD", "_KEY", "SAS", "CUSTOMER", "CONNECTION_STRING", "GOOGLE_CREDENTIALS"];
/// Ends of the names of further variables whose values may be shown. Any other may hold a secret.
const PLAIN: [&str; 7] = ["_KEY_ID", "_ROLE_ARN", "_TIMEOUT", "_INTERVAL", "_CLIENT_ID", "_TENANT_ID", "_ALGORITHM"];

/// A variable of the store's client that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreVariable {
    /// Its name.
    pub name: String,
    /// Its value, with secrets hidden.
    pub value: String,
    /// The value is never shown.
    pub secret: bool,
}

impl StoreVariable {
    /// The variables of the process's environment that the client of such a store reads.
    pub fn in_force(kind: StorageType) -> Vec<Self> {
        let of = |(name, value): (OsString, OsString)| {
            let name = name.to_str().filter(|name| is_read(kind, name) && !value.is_empty())?.to_owned();
            let (secret, value) = (!is_plain(&name), shown(&name, &value));
            Some(Self { name, value, secret })
        };
        let mut found: Vec<Self> = std::env::vars_os().filter_map(of).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// True for the words by which a switch is on.
pub fn is_true(value: &str) -> bool {
    ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str())
}

/// True if the value of this variable is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let is_of_store = ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix));
    let is_path = PATHS.iter().any(|word| name.contains(word)) || name.ends_with("_KEY_ID");
    is_of_store && !is_path && SECRETS.iter().any(|word| name.contains(word)) && !name.contains("KEY_ENABLED")
}

/// True if the value of this variable may be shown, apart from a login in its URL.
fn is_plain(name: &str) -> bool {
    let is_known = ADDRESSES.contains(&name) || NAMES.contains(&name);
    let ends = SWITCHES.iter().chain(&PLAIN).any(|end| name.ends_with(end));
    !is_secret(name) && (is_known || ends || PATHS.iter().any(|word| name.contains(word)))
}

/// Checks the variables that the client of such a store reads. Empty ones count as unset.
pub(super) fn check(kind: StorageType, vars: &[(OsString, OsString)]) -> Result<(), InvalidSetting> {
    for (name, value) in vars {
        let Some(name) = name.to_str().filter(|name| is_read(kind, name) && !value.is_empty()) else { continue };
        let refuse = |why: &str| InvalidSetting::new(format!("{name}={}: {why}", shown(name, value)));
        let Some(text) = value.to_str() else { return Err(refuse("it is not UTF-8")) };
        check_value(name, text).map_err(|why| refuse(&why))?;
    }
    Ok(())
}

fn is_read(kind: StorageType, name: &str) -> bool {
    match kind {
        StorageType::S3 => name.starts_with("AWS_"),
        StorageType::Azure => name.starts_with("AZURE_") || name == "IDENTITY_ENDPOINT",
        StorageType::Gcs => name.starts_with("GOOGLE_"),
        StorageType::Local | StorageType::Memory => false,
    }
}

fn shown(name: &str, value: &OsStr) -> String {
    let text = value.to_string_lossy();
    match &*text {
        _ if !is_plain(name) => HIDDEN.to_owned(),
        url if url.contains("://") || url.contains('@') => escaped(&masked_url(url)).into_owned(),
        plain => escaped(plain).into_owned(),
    }
}

/// The error is a clause that says what is allowed.
fn check_value(name: &str, value: &str) -> Result<(), String> {
    let is_path = PATHS.iter().any(|word| name.contains(word)) || name == "GOOGLE_SERVICE_ACCOUNT_KEY";
    if !is_path && !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err(
            "it holds a character that no request can carry, such as a line break or a letter outside ASCII".to_owned()
        );
    }
    if ADDRESSES.contains(&name) {
        return check_address(name, value);
    }
    if NAMES.contains(&name) && !value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/".contains(c)) {
        return Err("it has letters, digits and - only".to_owned());
    }
    if is_region(name) && value.contains(['.', ':', '/', '_']) {
        return Err("a region has letters, digits and - only, such as eu-central-1".to_owned());
    }
    let is_false = ["0", "false", "off", "no", "n"].contains(&value.to_ascii_lowercase().as_str());
    if SWITCHES.iter().any(|end| name.ends_with(end)) && !is_false && !is_true(value) {
        return Err("it is true or false".to_owned());
    }
    Ok(())
}

fn is_region(name: &str) -> bool {
    name.ends_with("_REGION")
}

fn check_address(name: &str, value: &str) -> Result<(), String> {
    let is_proxy = name.ends_with("_PROXY_URL");
    let schemes: &[&str] =
        if is_proxy { &["http://", "https://", "socks5://", "socks5h://"] } else { &["http://", "https://"] };
    if !schemes.iter().any(|scheme| value.starts_with(scheme)) {
        return Err(format!("begins with {}", schemes.join(" or ")));
    }
    let url = Url::parse(value).map_err(|error| format!("no URL: {error}"))?;
    let authority = value.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if authority.is_empty() || url.host_str().is_none_or(str::is_empty) || value.contains(' ') {
        return Err("the host is missing".to_owned());
    }
    if !is_proxy && (value.contains(['?', '#']) || authority.contains('@')) {
        return Err("the address has no login, parameters or fragment".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: StorageType, name: &str, value: &str) -> Result<(), String> {
        check(kind, &[(name.into(), value.into())]).map_err(|error| error.to_string())
    }

    #[test]
    fn every_address_needs_scheme_and_host() {
        for name in ADDRESSES {
            let kinds = [StorageType::S3, StorageType::Azure, StorageType::Gcs];
            let kind = kinds.into_iter().find(|kind| is_read(*kind, name)).expect(name);
            for bad in [
                "minio:9000",
                "127.0.0.1:9000",
                "//minio:9000",
                "http:/minio:9000",
                "http:minio",
                "http://",
                "https:///x",
                "ftp://h",
                "http://a b",
                "http://h:99999",
                "http://[::1",
                "HTTP//h",
                "http://h\n",
                "http://ü",
            ] {
                let error = checked(kind, name, bad).expect_err(bad);
                assert!(error.contains(&format!("{name}=")), "{error}");
                assert_eq!(checked(StorageType::Local, name, bad), Ok(()), "a store of no server reads nothing");
            }
            for good in ["http://minio:9000", "https://minio.example", "http://127.0.0.1:1/", "http://[::1]:9000"] {
                assert_eq!(checked(kind, name, good), Ok(()), "{name}={good}");
            }
        }
        let error = checked(StorageType::S3, "AWS_ENDPOINT_URL", "minio:9000").expect_err("no scheme");
        assert_eq!(error, "invalid setting: AWS_ENDPOINT_URL=minio:9000: begins with http:// or https://");
    }

    #[test]
    fn values_that_no_request_can_carry_are_refused_and_secrets_are_hidden() {
        for (kind, name, value) in [
            (StorageType::S3, "AWS_SECRET_ACCESS_KEY", "hush\nhush"),
            (StorageType::S3, "AWS_SESSION_TOKEN", "hush\u{7f}"),
            (StorageType::S3, "AWS_ACCESS_KEY_ID", "schlüssel"),
            (StorageType::S3, "AWS_REGION", "eu central"),
            (StorageType::S3, "AWS_REGION", "http://x"),
            (StorageType::S3, "AWS_ALLOW_HTTP", "maybe"),
            (StorageType::S3, "AWS_PROXY_URL", "proxy:3128"),
            (StorageType::Azure, "AZURE_STORAGE_ACCOUNT_NAME", "a b"),
            (StorageType::Azure, "AZURE_STORAGE_SAS_TOKEN", "hush\t"),
            (StorageType::Gcs, "GOOGLE_SKIP_SIGNATURE", "maybe"),
        ] {
            let error = checked(kind, name, value).expect_err(name);
            assert!(error.contains(name) && !error.contains("hush"), "{error}");
        }
        for (name, value) in [
            ("AWS_CONTEXT", "any thing"),
            ("AWS_CA_BUNDLE", "/etc/schlüssel.pem"),
            ("AWS_REGION", "x-1"),
            ("AWS_ENDPOINT_URL", ""),
        ] {
            assert_eq!(checked(StorageType::S3, name, value), Ok(()), "{name}");
        }
        for name in
            ["AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_SAS_KEY"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION"] {
            assert!(!is_secret(name) && is_plain(name), "{name}");
        }
        for name in ["AZURE_STORAGE_CONNECTION_STRING", "GOOGLE_CREDENTIALS", "AWS_OF_ANOTHER_TOOL"] {
            assert!(!is_plain(name), "{name}");
        }
        assert!(!is_secret("NATS_KEY"), "a setting of another kind");
    }
}
