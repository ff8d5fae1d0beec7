//! The form of an entry in the manual of settings.
//!
//! Owns: the kinds of values, and what is said of a setting. Does not own: the settings (`documentation`).

/// The kind of a setting's value, which decides how it is read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A path of this machine, taken exactly as it is written.
    Path,
    /// A URL, or several.
    Url,
    /// One line of text.
    Text,
    /// The name of a group of agents.
    AgentGroup,
    /// The URL of an agent.
    AgentUrl,
    /// A token of a NATS subject.
    SubjectToken,
    /// Names of topics.
    Topics,
    /// An address with a port.
    Address,
    /// Levels and filters of log lines.
    LogLevel,
}

/// The documentation of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingDoc {
    /// Name of the variable.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// Its default, as text; empty when it is unset.
    pub default: &'static str,
    /// The allowed values.
    pub allowed: &'static str,
    /// Its effect.
    pub about: &'static str,
    /// The value is never shown.
    pub secret: bool,
}

/// A setting whose value is shown.
pub(super) const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    allowed: &'static str,
    about: &'static str,
) -> SettingDoc {
    SettingDoc { name, kind, default, allowed, about, secret: false }
}

/// A setting whose value is never shown; unset by default.
pub(super) const fn secret(name: &'static str, allowed: &'static str, about: &'static str) -> SettingDoc {
    SettingDoc { name, kind: Kind::Text, default: "", allowed, about, secret: true }
}
