//! The errors of publishing.
//!
//! Owns: the error type and its texts. Does not own: the next attempt (the caller's).

use catalog::CatalogError;
use common::ErrorKind;

/// Short for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a table was not published. Readers still see the version before.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The catalog failed or refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store took no metadata.
    #[error("the metadata is not stored: {0}")]
    Store(String),
    /// Nobody else can read the store.
    #[error(
        "the store is inside this process, or its directory has no name in Unicode: nobody else could read the tables; \
         set STORAGE_URL or STORAGE_PATH"
    )]
    NoAddress,
    /// The catalog has a column that this version does not know.
    #[error("the columns cannot be published: {0}; use the program of the version that made them")]
    Columns(String),
    /// Others changed the table in each attempt.
    #[error("the table changed during each of {0} attempts; run the command again")]
    Busy(u32),
}

impl Error {
    /// What the caller must do.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Catalog(error) => error.kind(),
            Self::Store(_) | Self::Busy(_) => ErrorKind::Unavailable,
            Self::NoAddress | Self::Columns(_) => ErrorKind::Fatal,
        }
    }
}
