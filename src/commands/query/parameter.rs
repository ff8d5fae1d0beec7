//! `--param`: the value of a placeholder.
//!
//! Owns: reading the argument. Does not own: the types of values (lake::query).

use std::str::FromStr;

use lake::query::Parameters;

use crate::output::UsageError;

/// One `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    name: String,
    value: String,
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("give NAME=VALUE, for example --param customer=7")?;
        let name = name.strip_prefix('$').unwrap_or(name);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{name:?} is no name of a placeholder: letters, digits and _ are allowed"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// The values by name.
///
/// # Errors
/// When a name is given twice.
pub(super) fn all(given: Vec<Parameter>) -> Result<Parameters, UsageError> {
    let mut values = Parameters::new();
    for Parameter { name, value } in given {
        if values.insert(name.clone(), value).is_some() {
            return Err(UsageError::new(format!("--param {name} is given twice")));
        }
    }
    Ok(values)
}
