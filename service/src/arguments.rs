//! The arguments of a standalone service: none, since its settings are environment variables.
//!
//! Owns: the texts for `--help` and `--version`, and refusing anything else before something begins. Does not own: the settings
//! (`common::config`), the commands of `siltstone`.

use std::ffi::OsString;

/// A standalone service, as its arguments speak of it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of its binary.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its work, in a sentence.
    pub about: &'static str,
}

/// The demand of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// To serve.
    Serve,
    /// To print this and end.
    Print(String),
    /// Nothing that is known.
    Unknown(String),
}

impl Program {
    /// Reads the arguments behind the program's name.
    pub(crate) fn demand(&self, mut arguments: impl Iterator<Item = OsString>) -> Demand {
        let Some(first) = arguments.next() else { return Demand::Serve };
        match first.to_str() {
            Some("-h" | "--help") => Demand::Print(self.help()),
            Some("-V" | "--version") => Demand::Print(format!("{} {}\n", self.name, self.version)),
            _ => {
                let name = self.name;
                Demand::Unknown(format!(
                    "unknown argument {first:?}: {name} takes none but --help and --version; its settings are environment \
                     variables, which `siltstone config` lists"
                ))
            }
        }
    }

    fn help(&self) -> String {
        let Self { name, about, .. } = self;
        format!(
            "{about}\n\nUsage: {name} [--help | --version]\n\nIts settings are environment variables: README.md has the table, \
             `siltstone config` shows those\nthat are in force, and `siltstone doctor` checks them. SIGTERM ends it in good \
             order.\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: Program = Program { name: "writer", version: "1.2.3", about: "Writes." };

    fn demand(arguments: &[&str]) -> Demand {
        WRITER.demand(arguments.iter().map(OsString::from))
    }

    #[test]
    fn nothing_begins_with_an_argument() {
        assert_eq!(demand(&[]), Demand::Serve);
        for word in ["-V", "--version"] {
            assert_eq!(demand(&[word]), Demand::Print("writer 1.2.3\n".to_owned()));
        }
        for word in ["-h", "--help"] {
            let Demand::Print(text) = demand(&[word, "more"]) else { panic!("{word}") };
            assert!(text.starts_with("Writes.") && text.contains("Usage: writer"), "{text}");
        }
        for word in ["--port", "start", ""] {
            let Demand::Unknown(text) = demand(&[word]) else { panic!("{word}") };
            assert!(text.contains(&format!("{word:?}")) && text.contains("--help"), "{text}");
        }
    }
}
