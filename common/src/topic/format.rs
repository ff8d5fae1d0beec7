//! The formats of payloads, and their names.
//!
//! Owns: the list of formats, and the name and description that every command, table and error shows.
//! Does not own: the columns of their tables (`lake::schema`), decoding (`writer::decode`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The format of a topic's payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Any bytes; one row per message, column `value`.
    #[default]
    Raw,
    /// One or many JSON objects per message; a row for each, with the declared columns.
    Json,
    /// Lines of text in UTF-8; a row for each, column `value`.
    Text,
}

/// A word that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {word:?}; formats are {}", Format::ALL.map(Format::as_str).join(", "))]
pub struct UnknownFormat {
    word: String,
}

impl Format {
    /// Every format, in display order.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Json, Self::Text];

    /// Its name: in the catalog, on the command line, in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    /// Its description in the help of commands: the content of a payload, and the unit of a row.
    pub fn about(self) -> &'static str {
        match self {
            Self::Raw => "any bytes, one row per message",
            Self::Json => "JSON objects with declared columns, one row per object",
            Self::Text => "lines of text in UTF-8, one row per line",
        }
    }

    /// A sentence that describes the rows of a format with fixed columns; `None` if topics declare the columns.
    pub fn fixed_rows(self) -> Option<&'static str> {
        match self {
            Self::Raw => Some("every row is the payload in column value"),
            Self::Json => None,
            Self::Text => Some("every row is a line of the payload in column value"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|format| format.as_str() == word);
        named.ok_or_else(|| UnknownFormat { word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_reads_back_from_its_name_which_the_catalog_stores_too() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).expect("serializes"), format.as_str());
        }
        let unknown = "avro".parse::<Format>().expect_err("none of ours").to_string();
        for format in Format::ALL {
            assert!(unknown.contains("\"avro\"") && unknown.contains(format.as_str()), "{unknown}");
        }
    }

    #[test]
    fn every_format_is_listed() {
        // The match is exhaustive: a new format does not compile before it has a place here.
        let next = |format: &Format| match format {
            Format::Raw => Some(Format::Json),
            Format::Json => Some(Format::Text),
            Format::Text => None,
        };
        let declared: Vec<Format> = std::iter::successors(Some(Format::Raw), next).collect();
        assert_eq!(Format::ALL.to_vec(), declared);
    }
}
