//! The last guard: secrets of this process that a library quotes in its own words.
//!
//! Owns: the list of this process's secrets, and replacing them in a text. It is the only state of this kind: errors and
//! log lines come from everywhere, and none may hold a secret.
//! Does not own: masking a URL (`mask`), reading settings (`config`).

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use url::{Url, form_urlencoded};

use super::mask::{HIDDEN, masked_text};

/// A shorter secret is only masked in the URLs and settings that hold it: in other texts it would hide letters.
const LENGTH_MIN: usize = 3;
/// A shorter secret is replaced as a whole word only.
const LENGTH_ANYWHERE: usize = 8;
/// Words of every other message; as a password, they protect nothing.
const COMMON_WORDS: [&str; 12] =
    ["postgres", "postgresql", "nats", "sqlite", "http", "https", "true", "false", "localhost", "error", "the", "none"];

static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Adds a secret that no text may show from now on.
pub fn remember(secret: &str) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms(secret) {
        if form.chars().count() >= LENGTH_MIN && !COMMON_WORDS.contains(&form.as_str()) && !known.contains(&form) {
            known.push(form);
        }
    }
    // The longest first: another may be a part of it.
    known.sort_by_key(|form| std::cmp::Reverse(form.len()));
}

/// Adds the passwords of a URL, or of several separated by commas, unless the URL shows the same word elsewhere.
pub fn remember_url(urls: &str) {
    for text in std::iter::once(urls).chain(urls.split(',')) {
        let Some(login) = text.rsplit_once('@').map(|(login, _)| login) else { continue };
        let login = login.split_once("://").map_or(login, |(_, login)| login);
        let (user, secret) = login.split_once(':').unwrap_or(("", login));
        if secret != user && !text.starts_with("postgres") | login.contains(':') {
            remember(secret);
        }
        if let Ok(url) = Url::parse(text.trim()) {
            for (name, value) in url.query_pairs() {
                if name.to_lowercase().contains("password") {
                    remember(&value);
                }
            }
        }
    }
}

/// The text without any secret: URLs in it are masked, and every secret of this process is replaced.
pub fn scrubbed(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let is_clean = !text.contains("://") && !known.iter().any(|secret| text.contains(secret.as_str()));
    if is_clean {
        return Cow::Borrowed(text);
    }
    let masked = if text.contains("://") { masked_text(text) } else { text.to_owned() };
    Cow::Owned(known.iter().fold(masked, |text, secret| without(&text, secret)))
}

fn without(text: &str, secret: &str) -> String {
    if secret.len() >= LENGTH_ANYWHERE {
        return text.replace(secret, HIDDEN);
    }
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, behind) = (&rest[..at], &rest[at + secret.len()..]);
        let last = before.chars().next_back().or_else(|| out.chars().next_back());
        let is_inside = is_word(last) || is_word(behind.chars().next());
        out.push_str(before);
        out.push_str(if is_inside { secret } else { HIDDEN });
        rest = behind;
    }
    out + rest
}

/// The forms in which a library may write it: as it is, decoded, encoded, quoted, and as JSON.
fn forms(secret: &str) -> Vec<String> {
    let decoded = form_urlencoded::parse(secret.replace('+', "%2B").replace('&', "%26").replace('=', "%3D").as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect::<String>();
    let mut forms = vec![secret.to_owned(), decoded];
    for plain in forms.clone() {
        if let Ok(mut url) = Url::parse("x://user@host")
            && url.set_password(Some(&plain)).is_ok()
        {
            forms.extend(url.password().map(str::to_owned));
        }
        let quoted = format!("{plain:?}");
        forms.push(quoted[1..quoted.len() - 1].to_owned());
        let json = serde_json::to_string(&plain).unwrap_or_default();
        forms.extend(json.get(1..json.len().saturating_sub(1)).map(str::to_owned));
        forms.push(form_urlencoded::byte_serialize(plain.as_bytes()).collect());
    }
    forms.sort();
    forms.dedup();
    forms
}
