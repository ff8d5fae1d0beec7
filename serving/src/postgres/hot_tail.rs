//! Settings of the hot tail in a session of PostgreSQL.
//!
//! Owns: SET, RESET and SHOW of them, and the options with which a connection starts. They are no part of a transaction: its
//! end takes nothing back. Does not own: the settings and their values (`lake::query`).

use lake::query::SessionSettings;
use pgwire::error::PgWireResult;

use super::command::Command;
use super::failure::{error, fatal};

const PREFIX: &str = "siltstone.";

/// True for the name of such a setting, known or not.
pub(super) fn is_setting(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The command of `SET name = value…`, with the words behind SET and the name.
///
/// # Errors
/// It has no value, or would hold for a transaction alone.
pub(super) fn set(name: String, words: &[String], is_local: bool) -> PgWireResult<Command> {
    if is_local {
        let text = format!(
            "SET LOCAL {name}: a transaction has no settings of its own here; SET {name} holds for the session"
        );
        return Err(error("ERROR", "0A000", text));
    }
    let value = words.iter().skip_while(|word| *word != "=" && *word != "to").skip(1).cloned().collect::<String>();
    if value.is_empty() {
        return Err(error("ERROR", "42601", format!("SET {name}: a value is missing")));
    }
    Ok(Command::Set { variable: name, value: (value != "default").then_some(value), done: "SET" })
}

/// Sets a variable, or sets it back.
///
/// # Errors
/// A name or a value that is not allowed.
pub(super) fn apply(settings: &SessionSettings, variable: &str, value: Option<&str>) -> PgWireResult<()> {
    let done = match value {
        Some(value) => settings.set(variable, value),
        None => settings.reset(variable),
    };
    let state = if settings.hot_tail().variable(variable).is_some() { "22023" } else { "42704" };
    done.map_err(|refused| error("ERROR", state, refused.message()))
}

/// The value of a variable.
///
/// # Errors
/// An unknown name.
pub(super) fn shown(settings: &SessionSettings, variable: &str) -> PgWireResult<String> {
    let value = settings.hot_tail().variable(variable);
    value.ok_or_else(|| error("ERROR", "42704", format!("unrecognized configuration parameter {variable:?}")))
}

/// Sets what the options of a connection's start name, such as `-c siltstone.hot_tail=off`. Others mean nothing here.
///
/// # Errors
/// As [`apply`]; the connection ends.
pub(super) fn start(settings: &SessionSettings, options: &str) -> PgWireResult<()> {
    for option in options.split_whitespace() {
        let option = option.strip_prefix("-c").or_else(|| option.strip_prefix("--")).unwrap_or(option);
        let Some((name, value)) = option.split_once('=') else { continue };
        let name = name.to_lowercase();
        if is_setting(&name) {
            let done = settings.set(&name, value);
            done.map_err(|refused| fatal("22023", format!("option {option}: {}", refused.message())))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lake::query::HotTailMode;

    use super::super::command::commands;
    use super::*;

    #[test]
    fn settings_are_set_shown_and_set_back() {
        let settings = SessionSettings::default();
        for (text, variable, value, shows) in [
            ("SET siltstone.hot_tail = off", "hot_tail", Some("off"), "off"),
            ("set SESSION Siltstone.Hot_Tail TO 'on'", "hot_tail", Some("on"), "on"),
            ("SET siltstone.hot_tail_bytes = 5", "hot_tail_bytes", Some("5"), "5"),
            ("SET siltstone.hot_tail_timeout TO '2 s';", "hot_tail_timeout", Some("2 s"), "2000ms"),
            ("SET siltstone.hot_tail TO DEFAULT", "hot_tail", None, "auto"),
            ("RESET siltstone.hot_tail_bytes", "hot_tail_bytes", None, "1073741824"),
        ] {
            let [Command::Set { variable: named, value: given, .. }] = &commands(text).expect(text)[..] else {
                panic!("{text} sets nothing")
            };
            assert_eq!((named.as_str(), given.as_deref()), (&*format!("siltstone.{variable}"), value), "{text}");
            apply(&settings, named, given.as_deref()).expect(text);
            assert_eq!(shown(&settings, named).expect(text), shows, "{text}");
        }
        assert_eq!(commands("RESET ALL").expect("known"), [Command::ResetAll("RESET")]);
        assert_eq!(
            commands("SHOW siltstone.hot_tail").expect("known"),
            [Command::ShowHotTail("siltstone.hot_tail".to_owned())]
        );
    }

    #[test]
    fn wrong_settings_are_refused_with_what_is_allowed() {
        let settings = SessionSettings::default();
        for (variable, value, state, said) in [
            ("siltstone.hot_tail", "maybe", "22023", "auto, on or off"),
            ("siltstone.hot", "on", "42704", "what can be set is siltstone.hot_tail"),
        ] {
            let refused = apply(&settings, variable, Some(value)).expect_err(variable).to_string();
            assert!(refused.contains(state) && refused.contains(said), "{refused}");
        }
        for text in ["SET LOCAL siltstone.hot_tail = off", "SET siltstone.hot_tail", "SET siltstone.hot_tail ="] {
            let refused = commands(text).expect_err(text).to_string();
            assert!(refused.contains("siltstone.hot_tail"), "{refused}");
        }
        shown(&settings, "siltstone.hot").expect_err("unknown");
    }

    #[test]
    fn a_connection_starts_with_its_options() {
        let settings = SessionSettings::default();
        start(&settings, "-c geqo=off -csiltstone.hot_tail_bytes=7 --siltstone.hot_tail=off").expect("allowed");
        assert_eq!((settings.hot_tail().mode, settings.hot_tail().bytes_max), (HotTailMode::Off, 7));
        let refused = start(&settings, "-c siltstone.hot_tail=maybe").expect_err("wrong").to_string();
        assert!(refused.contains("FATAL") && refused.contains("auto, on or off"), "{refused}");
    }
}
