//! Masking the secrets of a URL, also of one that is written wrongly.
//!
//! Owns: which parts of a URL are secret. In doubt a part is hidden: an unencoded password may look like a host, a path
//! or a parameter.
//! Does not own: the types (`secret`), refusing a URL (`config`).

use url::form_urlencoded;

/// Shown in place of a secret.
pub const HIDDEN: &str = "********";

/// Schemes of NATS servers, of which a list may name several.
const LIST_SCHEMES: [&str; 4] = ["nats", "tls", "ws", "wss"];
/// Schemes whose URLs may name a user, and no secret, before an `@`.
const USER_SCHEMES: [&str; 4] = ["postgres", "postgresql", "abfs", "abfss"];
/// Schemes whose URLs are paths or keys, in which an `@` may stand.
const PATH_SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];
/// Words in the names of parameters with secret values.
const SECRET_WORDS: [&str; 10] = ["pass", "pwd", "secret", "token", "sig", "key", "credential", "auth", "jwt", "seed"];
/// URLs of this program's own texts, which show the form of one. Their words stand for values.
const EXAMPLES: [&str; 5] = [
    "nats://host:port",
    "tls://host:port",
    "http://host:port",
    "https://host:port",
    "postgres://user:password@host/database",
];
/// Parameters with values that are no secret; behind a secret parameter, any other text may belong to the secret.
const PLAIN_NAMES: [&str; 20] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
    "options",
    "statement-cache-capacity",
    "mode",
    "cache",
    "immutable",
    "vfs",
    "connect_timeout",
];

/// The URL, or the list of URLs, with every secret replaced: in each login all behind its first `:` up to the last `@`,
/// a lone token, and the values of parameters such as `password`.
pub fn masked_url(text: &str) -> String {
    urls(text).iter().map(|url| masked(url)).collect::<Vec<_>>().join(",")
}

/// The text with every URL in it masked, except [`EXAMPLES`].
pub(super) fn masked_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let begin = rest[..found].rfind(|c| !is_scheme(c)).map_or(0, |at| at + char_len(rest, at));
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let end = rest[found..].find(is_end).map_or(rest.len(), |at| found + at);
        // Marks behind a URL belong to the sentence.
        let url = rest[begin..end].trim_end_matches([':', ';', ',', '.', ')', ']', '}', '\\']);
        out.push_str(&rest[..begin]);
        let shown = if EXAMPLES.contains(&url) { url.to_owned() } else { masked_url(url) };
        out.push_str(&shown);
        rest = &rest[begin + url.len()..];
    }
    out.push_str(rest);
    out
}

fn char_len(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

/// The URLs of a list. A comma separates two of them if a scheme follows it, or if no login can extend over it.
fn urls(text: &str) -> Vec<String> {
    let scheme = scheme_of(text).map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.is_some_and(|scheme| !LIST_SCHEMES.contains(&scheme.as_str())) {
        return vec![text.to_owned()];
    }
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for part in text.split(',') {
        match groups.last_mut() {
            Some(group) if scheme_of(part.trim()).is_none() => group.push(part),
            _ => groups.push(vec![part]),
        }
    }
    let of_group = |group: Vec<&str>| {
        // Behind a parameter, all belongs to it.
        let has_parameters = group.iter().any(|part| part.contains(['?', '#']));
        let with_login = group.iter().rposition(|part| part.contains('@')).unwrap_or(0);
        let login_end = if has_parameters { group.len() - 1 } else { with_login };
        let hosts = group[login_end + 1..].iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        [vec![group[..=login_end].join(",")], hosts].concat()
    };
    groups.into_iter().flat_map(of_group).collect()
}

/// The scheme and the text behind `scheme://`.
fn scheme_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

fn masked(url: &str) -> String {
    if url.starts_with("sqlite:") || url.starts_with("memory:") || url.starts_with("file:///") {
        return without_secret_parameters(url);
    }
    let (scheme, rest) = match scheme_of(url) {
        Some((scheme, rest)) => (scheme, rest),
        // Not a URL. Words such as `host=a password=b` may be secrets in any order.
        None if url.contains('=') => return HIDDEN.to_owned(),
        None => ("", url),
    };
    let prefix = &url[..url.len() - rest.len()];
    let Some((login, place)) = login_of(scheme, rest) else {
        return without_secret_parameters(&format!("{prefix}{}", without_odd_port(scheme, rest)));
    };
    // The value of a secret parameter may hold an `@`.
    if has_secret_parameter(login) {
        return format!("{prefix}{HIDDEN}");
    }
    let keeps_user = USER_SCHEMES.contains(&scheme.to_ascii_lowercase().as_str());
    let login = match login.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}"),
        None if keeps_user => login.to_owned(),
        None => HIDDEN.to_owned(),
    };
    without_secret_parameters(&format!("{prefix}{login}@{place}"))
}

/// The login and the text behind its `@`, which is the last one: everything before it may be the password.
fn login_of<'a>(scheme: &str, rest: &'a str) -> Option<(&'a str, &'a str)> {
    let (login, place) = rest.rsplit_once('@')?;
    let is_path = PATH_SCHEMES.contains(&scheme.to_ascii_lowercase().as_str());
    let is_in_path = is_path && login.contains('/') && !login.contains(':');
    match login.split_once('/') {
        Some((authority, _)) if is_in_path => {
            authority.rsplit_once('@').map(|(login, _)| (login, &rest[login.len() + 1..]))
        }
        _ => Some((login, place)),
    }
}

/// Without an `@`, text behind a `:` that is no port may be the beginning of a password.
fn without_odd_port(scheme: &str, rest: &str) -> String {
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_odd = |port: &str| !port.chars().all(|c| c.is_ascii_digit());
    match authority.split_once(':') {
        Some((host, port)) if !authority.starts_with('[') && is_odd(port) => format!("{host}:{HIDDEN}"),
        // A port followed by a path is none at these servers: a number and a slash may begin a password.
        Some((host, _)) if LIST_SCHEMES.contains(&scheme) && path.len() > 1 => format!("{host}:{HIDDEN}"),
        _ => rest.to_owned(),
    }
}

/// Replaces the values of secret parameters, and what follows one and may belong to it.
fn without_secret_parameters(url: &str) -> String {
    let Some(begin) = url.find(['?', '#']) else { return url.to_owned() };
    let (before, mut rest) = url.split_at(begin);
    let mut out = before.to_owned();
    let mut is_in_secret = false;
    while let Some(separator) = rest.chars().next() {
        let text = &rest[separator.len_utf8()..];
        let end = text.find(['?', '&', ';', '#']).unwrap_or(text.len());
        let (piece, after) = text.split_at(end);
        out.push(separator);
        match piece.split_once('=') {
            Some((name, _)) if !is_in_secret && is_secret_name(name) => {
                out.push_str(&format!("{name}={HIDDEN}"));
                is_in_secret = true;
            }
            Some((name, _)) if !is_in_secret || PLAIN_NAMES.contains(&name) => out.push_str(piece),
            None if !is_in_secret => out.push_str(piece),
            _ => out.push_str(HIDDEN),
        }
        rest = after;
    }
    out
}

fn has_secret_parameter(text: &str) -> bool {
    let pieces = text.split(['?', '&', ';', '#']).skip(1).filter_map(|piece| piece.split_once('='));
    pieces.map(|(name, _)| name).any(is_secret_name)
}

fn is_secret_name(name: &str) -> bool {
    let decoded = form_urlencoded::parse(name.as_bytes()).map(|(name, _)| name.to_lowercase()).collect::<String>();
    SECRET_WORDS.iter().any(|word| decoded.contains(word))
}
