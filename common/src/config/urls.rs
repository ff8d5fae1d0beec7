//! URLs of the queue, the catalog and the store.
//!
//! Owns: refusing a URL that its client would misread or drop a part of, before anything connects.
//! Does not own: masking (`secret`), combinations of settings (`validation`).

use url::Url;

use super::values::{check_path, refused};
use super::{InvalidSetting, StorageType, doc};
use crate::secret::SecretUrl;

const ENCODE: &str = "percent-encode the user and the password: @ is %40, / is %2F, ? is %3F, # is %23, % is %25, a \
                      comma is %2C";
/// Parameters of PostgreSQL URLs that take effect.
const POSTGRES_PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];
const SQLITE_PARAMETERS: [&str; 4] = ["cache", "immutable", "mode", "vfs"];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Checks `NATS_URL`.
pub(super) fn check_nats(urls: &SecretUrl) -> Result<(), InvalidSetting> {
    let refuse = |why: &str| refused(doc("NATS_URL"), urls.expose(), why);
    let mut logins: Vec<&str> = Vec::new();
    for part in urls.expose().split(',').map(str::trim) {
        if part.is_empty() {
            return Err(refuse("a URL of the list is empty"));
        }
        let (scheme, rest) = part.split_once("://").unwrap_or(("nats", part));
        if !["nats", "tls"].contains(&scheme) {
            return Err(refuse("a server's URL begins with nats:// or tls://"));
        }
        check_login(rest).map_err(|why| refuse(&why))?;
        // Such a part may be the end of a password with a comma.
        if rest.contains('@') && !part.contains("://") && urls.expose().contains("://") {
            return Err(refuse(&format!("in a list, a URL with a login begins with nats:// or tls://; {ENCODE}")));
        }
        logins.extend(rest.rsplit_once('@').map(|(login, _)| login).filter(|login| !logins.contains(login)));
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|error| refuse(&format!("{error}; {ENCODE}")))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("the host is missing"));
        }
        if !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse(&format!("nothing follows the port; {ENCODE}")));
        }
    }
    if logins.len() > 1 {
        return Err(refuse(&format!("the list has different logins, of which one alone is used; {ENCODE}")));
    }
    Ok(())
}

/// Checks `NATS_MONITOR_URL`.
pub(super) fn check_monitor(url: &SecretUrl) -> Result<(), InvalidSetting> {
    let refuse = |why: &str| refused(doc("NATS_MONITOR_URL"), url.expose(), why);
    let parsed = Url::parse(url.expose()).map_err(|error| refuse(&error.to_string()))?;
    if parsed.scheme() != "http" || !url.expose().starts_with("http://") {
        return Err(refuse("it begins with http://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refuse("the page has no login"));
    }
    Ok(())
}

/// Checks `CATALOG_URL`.
pub(super) fn check_catalog(url: &SecretUrl) -> Result<(), InvalidSetting> {
    let refuse = |why: &str| refused(doc("CATALOG_URL"), url.expose(), why);
    let text = url.expose();
    if let Some(rest) = text.strip_prefix("sqlite:") {
        return check_sqlite(rest).map_err(|why| refuse(&why));
    }
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| refuse(""))?;
    check_login(rest).map_err(|why| refuse(&why))?;
    let parsed = Url::parse(text).map_err(|error| refuse(&format!("{error}; {ENCODE}")))?;
    if parsed.fragment().is_some() {
        return Err(refuse("# is written %23"));
    }
    let has_password = parsed.query_pairs().any(|(name, _)| name.contains("pass"));
    for (name, value) in parsed.query_pairs() {
        check_postgres_parameter(&name, &value).map_err(|why| match has_password {
            // The parameter may be a part of the password.
            true => refuse("a parameter is unknown or wrong; an & in a password is written %26"),
            false => refuse(&why),
        })?;
    }
    Ok(())
}

fn check_postgres_parameter(name: &str, value: &str) -> Result<(), String> {
    let known = POSTGRES_PARAMETERS.contains(&name) || name.starts_with("options[") && name.ends_with(']');
    if !known {
        return Err(format!("the parameter {name:?} is unknown, known are {}", POSTGRES_PARAMETERS.join(", ")));
    }
    match name {
        "sslmode" | "ssl-mode" if !SSL_MODES.contains(&value) => {
            Err(format!("{name} is one of {}", SSL_MODES.join(", ")))
        }
        "port" if value.parse::<u16>().is_err() => Err("port is a number up to 65535".to_owned()),
        "statement-cache-capacity" if value.parse::<usize>().is_err() => Err(format!("{name} is a number")),
        _ => Ok(()),
    }
}

/// Checks the text behind `sqlite:`.
fn check_sqlite(rest: &str) -> Result<(), String> {
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err("the path is missing".to_owned());
    }
    check_path(path)?;
    check_percent(path)?;
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        if !SQLITE_PARAMETERS.contains(&name) {
            return Err("behind a ? stand parameters; a ? in the path is written %3F".to_owned());
        }
    }
    Ok(())
}

/// Checks `STORAGE_URL`, and returns the kind of store that it names.
pub(super) fn check_storage(url: &SecretUrl) -> Result<StorageType, InvalidSetting> {
    let refuse = |why: &str| refused(doc("STORAGE_URL"), url.expose(), why);
    let text = url.expose();
    let kind = StorageType::of(text).ok_or_else(|| refuse(""))?;
    if text.contains(['?', '#']) {
        return Err(refuse(
            "a ? or # in a name is written %3F or %23; credentials and options are settings of their own",
        ));
    }
    check_percent(text).map_err(|why| refuse(&why))?;
    let parsed = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
    match kind {
        StorageType::Local => {
            let path = parsed.to_file_path().map_err(|()| refuse("a path of this machine is file:///path"))?;
            check_path(&path.to_string_lossy()).map_err(|why| refuse(&why))?;
        }
        StorageType::Memory => {}
        StorageType::S3 | StorageType::Azure | StorageType::Gcs => {
            if parsed.host_str().is_none_or(str::is_empty) {
                return Err(refuse("the bucket is missing"));
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '$');
            if !parsed.host_str().unwrap_or_default().chars().all(is_name) {
                return Err(refuse("the name of a bucket has letters, digits, dots and dashes"));
            }
            if parsed.port().is_some() {
                return Err(refuse(
                    "a URL of a bucket has no port; the server's address is AWS_ENDPOINT_URL, \
                                   AZURE_STORAGE_ENDPOINT or GOOGLE_BASE_URL",
                ));
            }
            // abfss://container@account is the form of Azure's own tools.
            let is_login = kind != StorageType::Azure && !parsed.username().is_empty();
            if is_login || parsed.password().is_some() {
                return Err(refuse(
                    "a login does not belong here; set the store's own variables, such as \
                                   AWS_ACCESS_KEY_ID, AZURE_STORAGE_ACCOUNT_NAME or GOOGLE_SERVICE_ACCOUNT",
                ));
            }
        }
    }
    Ok(kind)
}

/// Checks the login before the `@` of the text behind a scheme: no character of it may end the login early.
fn check_login(rest: &str) -> Result<(), String> {
    let Some((login, _)) = rest.rsplit_once('@') else { return Ok(()) };
    if login.contains(['@', '/', '?', '#', '\\', '[', ']']) || login.contains(char::is_whitespace) {
        return Err(format!("the login holds a character that ends it; {ENCODE}"));
    }
    check_percent(login).map_err(|_| format!("a % in the login is followed by two hexadecimal digits; {ENCODE}"))
}

/// Checks that each `%` begins a percent-encoded byte, and that the bytes are UTF-8.
fn check_percent(text: &str) -> Result<(), String> {
    let is_encoded = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_encoded) {
        return Err("a % is written %25".to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for (index, part) in text.split('%').enumerate() {
        let (code, plain) = if index == 0 { ("", part) } else { part.split_at(2) };
        bytes.extend(u8::from_str_radix(code, 16).ok());
        bytes.extend(plain.bytes());
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err("no name holds a NUL".to_owned()),
        Ok(_) => Ok(()),
        Err(_) => Err("the encoded bytes are not UTF-8".to_owned()),
    }
}
