//! The member of a JSON object that a column reads.
//!
//! Owns: the three cases and their notations: the catalog's JSON, the command line.
//! Does not own: the columns (`columns`), two columns that read one member (`validity`, `evolution`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The member of a JSON object that a column reads. In the catalog's JSON it is left out, a string, or `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Member {
    /// The member that has the column's own name.
    #[default]
    Own,
    /// The member of this name.
    Named(String),
    /// None: new rows have null, older rows keep their values.
    None,
}

impl Member {
    pub(super) fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own => Err(serde::ser::Error::custom("a column's own member is left out")),
            Self::Named(name) => serializer.serialize_some(name),
            Self::None => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map_or(Self::None, Self::Named))
    }
}
