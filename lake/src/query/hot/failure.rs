//! Failures of a query that its tail causes, by what can be done about them.
//!
//! Owns: the kinds. Does not own: the texts (`hot`, `scan`).

use datafusion::error::DataFusionError;

/// A query failed because of a hot tail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HotTailError {
    /// The tail is larger, or takes longer, than the settings allow. The text names the lag.
    #[error("{0}")]
    Exceeded(String),
    /// The queue does not answer now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<HotTailError> for DataFusionError {
    fn from(error: HotTailError) -> Self {
        Self::External(Box::new(error))
    }
}

/// The failure of a tail that an error is, if it is one.
pub fn hot_tail_error(error: &DataFusionError) -> Option<&HotTailError> {
    match error.find_root() {
        DataFusionError::External(cause) => cause.downcast_ref(),
        _ => None,
    }
}
