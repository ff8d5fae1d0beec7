//! `--param` and `--param-null`: the values of placeholders.
//!
//! Owns: reading the arguments. Does not own: the types of values (lake::query).

use std::str::FromStr;

use lake::query::Parameters;

use crate::output::UsageError;

/// The name of a placeholder, without `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('$').unwrap_or(text);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(format!("{name:?} is no name of a placeholder: letters, digits and _ are allowed"));
        }
        Ok(Self(name.to_owned()))
    }
}

/// One `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    name: Name,
    value: String,
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("give NAME=VALUE, for example --param customer=7; NULL is given by --param-null NAME")?;
        Ok(Self { name: name.parse()?, value: value.to_owned() })
    }
}

/// The values by name, NULL for those of `nulls`.
///
/// # Errors
/// When a name is given twice.
pub(super) fn all(given: Vec<Parameter>, nulls: Vec<Name>) -> Result<Parameters, UsageError> {
    let mut values = Parameters::new();
    let given = given.into_iter().map(|parameter| (parameter.name, Some(parameter.value)));
    for (Name(name), value) in given.chain(nulls.into_iter().map(|name| (name, None))) {
        if values.insert(name.clone(), value).is_some() {
            return Err(UsageError::new(format!("the placeholder ${name} is given twice")));
        }
    }
    Ok(values)
}
