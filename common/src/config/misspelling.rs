//! Misspelt names of settings.
//!
//! Owns: which unknown variable was meant to be a setting. Does not own: the settings (`documentation`).

use std::ffi::OsStr;

use strsim::osa_distance;

use super::{SETTINGS, SettingDoc};

/// Variables of other programs that resemble settings: those of the `nats` command.
const FOREIGN: [&str; 12] = [
    "NATS_CERT",
    "NATS_COLOR",
    "NATS_CONTEXT",
    "NATS_CREDS",
    "NATS_DOMAIN",
    "NATS_INBOX_PREFIX",
    "NATS_KEY",
    "NATS_NKEY_SEED",
    "NATS_SOCKS_PROXY",
    "NATS_TIMEOUT",
    "NATS_JS_API_PREFIX",
    "NATS_JS_EVENT_PREFIX",
];
/// From this length of a name on, two changed letters are a misspelling; below it, one.
const LONG_NAME: usize = 10;
/// Words at the end of a name that give a unit, which settings have and people forget or change.
const UNITS: [&str; 12] = ["SECS", "SEC", "SECONDS", "S", "MS", "MILLIS", "MINUTES", "BYTES", "KB", "MB", "MIB", "GB"];

/// The setting that the unknown variable `name` was meant to be.
pub(super) fn intended(name: &str, value: &OsStr) -> Option<&'static SettingDoc> {
    if FOREIGN.contains(&name) || is_of_kubernetes(name, value) {
        return None;
    }
    // A single word in lower case belongs to somebody else.
    if !name.contains('_') && name.chars().any(char::is_lowercase) {
        return None;
    }
    let upper = name.to_uppercase();
    let plain = upper.strip_prefix("SILTSTONE_").unwrap_or(&upper);
    let near = SETTINGS.iter().filter(|doc| is_near(plain, doc.name));
    near.min_by_key(|doc| osa_distance(plain, doc.name))
}

/// The variables by which Kubernetes names each service, such as `NATS_PORT=tcp://10.0.0.1:4222`.
fn is_of_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_address = value
        .to_str()
        .is_some_and(|value| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme)));
    let is_port = name.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || is_port
        || name.ends_with("_PORT") && is_address
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.'))
}

fn is_near(name: &str, known: &str) -> bool {
    let edits_max = if known.len() < LONG_NAME { 1 } else { 2 };
    // Each edit changes the length by at most one: most variables of an environment need no more than this look.
    let may_be_edited = name.chars().count().abs_diff(known.len()) <= edits_max;
    letters(name).eq(letters(known))
        || without_unit(name) == without_unit(known)
        || may_be_edited && osa_distance(name, known) <= edits_max
}

fn without_unit(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((stem, unit)) if UNITS.contains(&unit) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(name: &str) -> Option<&'static str> {
        intended(name, OsStr::new("x")).map(|doc| doc.name)
    }

    #[test]
    fn near_misses_are_told_from_other_programs_variables() {
        for (name, known) in [
            ("STORAGE_PTH", "STORAGE_PATH"),
            ("STORAGEPATH", "STORAGE_PATH"),
            ("storage_path", "STORAGE_PATH"),
            ("SILTSTONE_STORAGE_URL", "STORAGE_URL"),
            ("SILTSTONE_CATALOG_ULR", "CATALOG_URL"),
            ("FLUSH_INTERVAL", "FLUSH_INTERVAL_SECS"),
            ("FLUSH_INTERVAL_MS", "FLUSH_INTERVAL_SECS"),
            ("MEMORY_BUDGET_MB", "MEMORY_BUDGET_BYTES"),
            ("MAX_SEGMENTS_RECORD", "MAX_SEGMENT_RECORDS"),
            ("CATALOG_URI", "CATALOG_URL"),
            ("NATS_PASWORD", "NATS_PASSWORD"),
            ("TOPIC", "TOPICS"),
            ("TOPCIS", "TOPICS"),
        ] {
            assert_eq!(meant(name), Some(known), "{name}");
        }
        for name in FOREIGN.iter().chain(&[
            "NATS_SERVICE_HOST",
            "NATS_SERVICE_PORT",
            "NATS_SERVICE_PORT_CLIENT",
            "NATS_PORT_4222_TCP_ADDR",
            "AWS_REGION",
            "AWS_PROFILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "SILTSTONE_TEST_S3",
            "LOG_DIR",
            "STORAGE_ACCOUNT",
            "topics",
            "HTTP_PROXY",
            "MAX_CONNECTIONS",
            "RUST_LOG",
            "",
        ]) {
            assert_eq!(meant(name), None, "{name}");
        }
        assert!(is_of_kubernetes("NATS_URL_PORT", OsStr::new("tcp://10.0.0.1:4222")));
    }

    #[test]
    fn every_setting_is_recognised_with_one_letter_missing() {
        for SettingDoc { name, .. } in SETTINGS {
            for at in 1..name.len() {
                let mistyped = format!("{}{}", &name[..at], &name[at + 1..]);
                let is_known = SETTINGS.iter().any(|doc| doc.name == mistyped) || FOREIGN.contains(&mistyped.as_str());
                assert!(is_known || meant(&mistyped).is_some(), "{mistyped}");
            }
        }
    }
}
