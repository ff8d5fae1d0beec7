//! The plan of a statement, as futures hold it.
//!
//! Owns: its hidden type. Does not own: making a plan, running it.
//!
//! That a `DataFrame` may change threads takes the compiler two seconds to prove, and each future that holds one across a pause
//! asks for the proof again. Behind `dyn` it is asked once.

use std::sync::Arc;

use datafusion::dataframe::DataFrame;

/// A shared [`DataFrame`].
#[derive(Clone)]
pub(super) struct Frame(Arc<dyn AsRef<DataFrame> + Send + Sync>);

struct Held(DataFrame);

impl AsRef<DataFrame> for Held {
    fn as_ref(&self) -> &DataFrame {
        &self.0
    }
}

impl From<DataFrame> for Frame {
    fn from(frame: DataFrame) -> Self {
        Self(Arc::new(Held(frame)))
    }
}

impl AsRef<DataFrame> for Frame {
    fn as_ref(&self) -> &DataFrame {
        (*self.0).as_ref()
    }
}
