//! `LOG_LEVEL`: levels and filters.
//!
//! Owns: which words are levels, and whose log lines can be filtered. A word that is no level would otherwise be taken
//! for a module that never logs, and silence everything.
//! Does not own: filtering (`service::logs`).

use strsim::osa_distance;

/// The levels.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
/// Other programs' words for levels.
const SYNONYMS: [(&str, &str); 14] = [
    ("warning", "warn"),
    ("warnings", "warn"),
    ("err", "error"),
    ("errors", "error"),
    ("fatal", "error"),
    ("critical", "error"),
    ("crit", "error"),
    ("information", "info"),
    ("informational", "info"),
    ("notice", "info"),
    ("verbose", "debug"),
    ("all", "trace"),
    ("none", "off"),
    ("silent", "off"),
];
/// Crates that log: Siltstone's own, and the libraries at work in it.
const TARGETS: [&str; 9] =
    ["catalog", "common", "ingester", "lake", "nats", "service", "siltstone", "writer", "async_nats"];
/// Libraries of several crates, which all begin with the same word.
const FAMILIES: [&str; 16] = [
    "sqlx",
    "object_store",
    "datafusion",
    "parquet",
    "arrow",
    "tokio",
    "hyper",
    "reqwest",
    "rustls",
    "h2",
    "axum",
    "tower",
    "mio",
    "want",
    "tracing",
    "metrics",
];

/// Checks the whole value; the error is a clause that says what is wrong.
pub(super) fn check(value: &str) -> Result<(), String> {
    value.split(',').try_for_each(|directive| check_directive(directive.trim()))
}

fn check_directive(directive: &str) -> Result<(), String> {
    match directive.split_once('=') {
        Some((target, level)) => check_target(target).and_then(|()| check_level(level)),
        None if is_level(directive) => Ok(()),
        None => check_target(directive).map_err(|_| not_a_level(directive)),
    }
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

fn check_level(word: &str) -> Result<(), String> {
    if is_level(word) { Ok(()) } else { Err(not_a_level(word)) }
}

fn not_a_level(word: &str) -> String {
    let lower = word.to_lowercase();
    let synonym = SYNONYMS.iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| *ours);
    let nearest =
        || LEVELS.into_iter().filter(|level| osa_distance(&lower, level) <= 2).min_by_key(|l| osa_distance(&lower, l));
    match synonym.or_else(nearest) {
        Some(level) => format!("{word:?} is no level, did you mean {level}?"),
        None => format!("{word:?} is no level"),
    }
}

fn check_target(target: &str) -> Result<(), String> {
    let path = target.split('[').next().unwrap_or(target);
    let crate_name = path.split("::").next().unwrap_or(path);
    let is_family = FAMILIES
        .iter()
        .any(|family| crate_name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')));
    let is_path =
        path.split("::").all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    if is_path && (TARGETS.contains(&crate_name) || is_family) {
        return Ok(());
    }
    let known = TARGETS.into_iter().chain(FAMILIES);
    // Of a name of one or two letters, any other is a near one.
    let is_near = |known: &&str| osa_distance(crate_name, known) <= 2 && crate_name.len() > 2;
    match known.min_by_key(|known| osa_distance(crate_name, known)).filter(is_near) {
        Some(known) if is_path => Err(format!("nothing called {crate_name:?} logs, did you mean {known}?")),
        _ => Err(format!("nothing called {target:?} logs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_told_from_words_that_would_silence_everything() {
        for good in [
            "info",
            "WARN",
            "off",
            "info,writer=debug",
            "warn, catalog::sql=trace",
            "sqlx=off,datafusion_optimizer=debug",
            "writer",
            "info,object_store::aws=debug",
            "writer[commit]=debug",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, part) in [
            ("warning", "did you mean warn?"),
            ("err", "did you mean error?"),
            ("information", "did you mean info?"),
            ("inof", "did you mean info?"),
            ("wrtier=debug", "did you mean writer?"),
            ("info,writer=debgu", "did you mean debug?"),
            ("writer=", "\"\" is no level"),
            ("", "\"\" is no level"),
            ("info,", "\"\" is no level"),
            ("5", "\"5\" is no level"),
            ("a=b=c", "nothing called \"a\" logs"),
            ("writer::=info", "nothing called"),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
