//! Parameters of statements, and the rows of their results.
//!
//! Owns: the two types of columns, numbers and text, each perhaps NULL. Does not own: their meaning (`sql`).

use std::borrow::Cow;
use std::vec::IntoIter;

use common::{Incarnation, MemberId, OwnerId, TopicName};

use crate::error::{CatalogError, Result};

/// A value for a parameter. A NULL has a type too, as PostgreSQL needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'v> {
    /// BIGINT.
    Integer(Option<i64>),
    /// TEXT.
    Text(Option<Cow<'v, str>>),
}

/// The values of a statement, in the order of its parameters.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::database::Value::from($value)),*] };
}

pub(crate) use values;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// NULL.
    Null,
    /// BIGINT.
    Integer(i64),
    /// TEXT.
    Text(String),
}

/// A row, whose columns are taken in order. The reader names each column, for errors.
#[derive(Debug)]
pub(crate) struct Row(IntoIter<Column>);

impl Row {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self(columns.into_iter())
    }

    /// The next column, a number.
    ///
    /// # Errors
    /// `Inconsistent` if it holds anything else, which this program never stores.
    pub(crate) fn integer(&mut self, name: &str) -> Result<i64> {
        self.optional_integer(name)?.ok_or_else(|| unexpected(name, &Column::Null))
    }

    /// The next column, a number or NULL.
    ///
    /// # Errors
    /// As [`Row::integer`].
    pub(crate) fn optional_integer(&mut self, name: &str) -> Result<Option<i64>> {
        match self.next() {
            Column::Null => Ok(None),
            Column::Integer(value) => Ok(Some(value)),
            other => Err(unexpected(name, &other)),
        }
    }

    /// The next column, a number that fits the type of the contract.
    ///
    /// # Errors
    /// As [`Row::integer`].
    pub(crate) fn unsigned<T: TryFrom<i64>>(&mut self, name: &str) -> Result<T> {
        unsigned(name, self.integer(name)?)
    }

    /// The next column, NULL or a number that fits the type of the contract.
    ///
    /// # Errors
    /// As [`Row::integer`].
    pub(crate) fn optional_unsigned<T: TryFrom<i64>>(&mut self, name: &str) -> Result<Option<T>> {
        self.optional_integer(name)?.map(|value| unsigned(name, value)).transpose()
    }

    /// The next column, a text.
    ///
    /// # Errors
    /// As [`Row::integer`].
    pub(crate) fn text(&mut self, name: &str) -> Result<String> {
        self.optional_text(name)?.ok_or_else(|| unexpected(name, &Column::Null))
    }

    /// The next column, a text or NULL.
    ///
    /// # Errors
    /// As [`Row::integer`].
    pub(crate) fn optional_text(&mut self, name: &str) -> Result<Option<String>> {
        match self.next() {
            Column::Null => Ok(None),
            Column::Text(value) => Ok(Some(value)),
            other => Err(unexpected(name, &other)),
        }
    }

    fn next(&mut self) -> Column {
        self.0.next().expect("a statement gives every column that is read from its rows")
    }
}

fn unsigned<T: TryFrom<i64>>(name: &str, value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| CatalogError::Inconsistent(format!("{name} is {value}")))
}

fn unexpected(name: &str, found: &Column) -> CatalogError {
    CatalogError::Inconsistent(format!("{name} is {found:?}"))
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Integer(Some(i64::from(value)))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<Incarnation> for Value<'_> {
    fn from(value: Incarnation) -> Self {
        value.0.into()
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Self::Text(Some(Cow::Borrowed(value)))
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(value: &'v String) -> Self {
        value.as_str().into()
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(Cow::Owned(value)))
    }
}

impl<'v> From<Cow<'v, str>> for Value<'v> {
    fn from(value: Cow<'v, str>) -> Self {
        Self::Text(Some(value))
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(value: Option<&'v str>) -> Self {
        Self::Text(value.map(Cow::Borrowed))
    }
}

impl<'v> From<&'v TopicName> for Value<'v> {
    fn from(value: &'v TopicName) -> Self {
        value.as_str().into()
    }
}

impl From<OwnerId> for Value<'_> {
    fn from(value: OwnerId) -> Self {
        value.to_string().into()
    }
}

impl From<MemberId> for Value<'_> {
    fn from(value: MemberId) -> Self {
        value.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_column_is_reported_with_its_name() {
        let row = || Row::new(vec![Column::Integer(-1), Column::Text("a".to_owned()), Column::Null]);
        let mut read = row();
        assert_eq!(read.integer("epoch").expect("a number"), -1);
        assert_eq!(read.optional_text("owner").expect("a text").as_deref(), Some("a"));
        assert_eq!(read.optional_unsigned::<u64>("doomed_at").expect("nothing"), None);
        assert_eq!(
            row().unsigned::<u64>("epoch").expect_err("negative").to_string(),
            "catalog is inconsistent: epoch is -1"
        );
        assert!(row().text("owner").expect_err("a number").to_string().contains("owner is Integer(-1)"));
    }
}
