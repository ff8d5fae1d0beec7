//! Settings: any variables are refused with a reason that shows no secret, or make valid settings.
//!
//! Owns: that no set of variables panics, and that a secret is in no text. Does not own: the rules (`common::config`).
//!
//! The input is a variable a line, `NAME=VALUE`.
#![no_main]

use std::ffi::OsString;

use common::config::Settings;
use libfuzzer_sys::fuzz_target;

/// A value of a secret that occurs in no rule and in no name.
const SECRET: &str = "kU7hQ2zzt";

fuzz_target!(|input: &str| {
    if input.contains(SECRET) {
        return;
    }
    let variables = input.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let secret = ("NATS_PASSWORD".into(), SECRET.into());
    match Settings::from_vars(variables.chain([secret])) {
        Ok(settings) => assert!(!format!("{settings:?}").contains(SECRET)),
        Err(error) => assert!(!error.to_string().is_empty() && !error.to_string().contains(SECRET)),
    }
});
