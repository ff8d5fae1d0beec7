//! The value of one setting by itself.
//!
//! Owns: refusing a text that its kind does not allow, with name, value and what is allowed.
//! Does not own: URLs (`urls`), log levels (`log_level`), combinations (`validation`).

use std::net::SocketAddr;

use super::{InvalidSetting, Kind, SettingDoc, log_level};
use crate::agent_group::AgentGroup;
use crate::agent_url::AgentUrl;
use crate::ids::TopicName;
use crate::secret::{HIDDEN, masked_url};
use crate::text::escaped;

/// Checks a value that is set.
pub(super) fn check(doc: &SettingDoc, value: &str) -> Result<(), InvalidSetting> {
    if doc.kind != Kind::Path && value.contains(char::is_control) {
        return Err(refused(doc, value, "it holds a control character, such as a line break"));
    }
    match doc.kind {
        Kind::Choice(words) if words.contains(&value) => Ok(()),
        Kind::Choice(_) => Err(refused(doc, value, "")),
        Kind::Number(min, max) => check_number(doc, value, (min, max)),
        Kind::Path => check_path(value).map_err(|why| refused(doc, value, &why)),
        Kind::Topics => value.split(',').try_for_each(|name| check_topic(doc, value, name)),
        Kind::Address => match value.parse::<SocketAddr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(refused(doc, value, &why_no_address(value))),
        },
        Kind::LogLevel => log_level::check(value).map_err(|why| refused(doc, value, &why)),
        Kind::AgentGroup => AgentGroup::new(value).map(drop).map_err(|_| refused(doc, value, "")),
        Kind::AgentUrl => AgentUrl::new(value).map(drop).map_err(|error| refused(doc, value, &error.reason)),
        Kind::SubjectToken => {
            let is_token = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            if is_token { Ok(()) } else { Err(refused(doc, value, "a domain has letters, digits, - and _")) }
        }
        Kind::Url | Kind::Text => Ok(()),
    }
}

/// The error for `value`; `why` is a clause, or empty if the allowed values say enough.
pub(super) fn refused(doc: &SettingDoc, value: &str, why: &str) -> InvalidSetting {
    let shown = if doc.secret {
        HIDDEN.to_owned()
    } else if matches!(doc.kind, Kind::Url | Kind::AgentUrl) {
        masked_url(value)
    } else {
        value.to_owned()
    };
    let why = if why.is_empty() { String::new() } else { format!("{why}; ") };
    InvalidSetting::new(format!("{}={}: {why}allowed is {}", doc.name, escaped(&shown), doc.allowed))
}

/// The part of an address that is wrong, as a clause.
fn why_no_address(value: &str) -> String {
    let (host, port) = value.rsplit_once(':').unwrap_or((value, ""));
    let has_host = format!("{host}:0").parse::<SocketAddr>().is_ok();
    match has_host && port.parse::<u16>().is_err() {
        true => format!("the port {port:?} is not a number from 0 to 65535"),
        false => "the address is a number with a port, such as 127.0.0.1:8081 or [::1]:8081".to_owned(),
    }
}

fn check_number(doc: &SettingDoc, value: &str, (min, max): (u64, u64)) -> Result<(), InvalidSetting> {
    let name = doc.name;
    let digits = value.strip_prefix('+').unwrap_or(value);
    let is_whole = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let is_negative = value.strip_prefix('-').is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()));
    match value.parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(()),
        // Digits alone that cannot be read are too many of them.
        _ if is_whole || is_negative => Err(InvalidSetting::new(format!("{name}={value} is not in {min}..={max}"))),
        _ => {
            let unit = match name.rsplit('_').next() {
                Some("SECS") => " of seconds",
                Some("BYTES") => " of bytes",
                _ => "",
            };
            Err(refused(doc, value, &format!("it must be a whole number{unit}, without a unit")))
        }
    }
}

/// Checks that a path can be opened as it is written; the error is a clause.
pub(super) fn check_path(path: &str) -> Result<(), String> {
    if path.contains('\0') {
        return Err("no path holds a NUL".to_owned());
    }
    if path.starts_with('~') {
        return Err(format!(
            "~ stands for the home directory only where the shell replaces it; write $HOME, or ./{path} for a directory \
             of that name"
        ));
    }
    Ok(())
}

fn check_topic(doc: &SettingDoc, value: &str, name: &str) -> Result<(), InvalidSetting> {
    match TopicName::new(name.trim()) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused(doc, value, &format!("{:?} is no name of a topic: {error}", name.trim()))),
    }
}
