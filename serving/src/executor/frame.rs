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
pub(super) struct Frame(Arc<dyn Hidden>);

trait Hidden: Send + Sync {
    fn shown(&self) -> &DataFrame;

    /// Copies it only if it is shared: with it goes a whole session's state.
    fn taken(self: Arc<Self>) -> DataFrame;
}

impl Hidden for DataFrame {
    fn shown(&self) -> &DataFrame {
        self
    }

    fn taken(self: Arc<Self>) -> DataFrame {
        Arc::unwrap_or_clone(self)
    }
}

impl From<DataFrame> for Frame {
    fn from(frame: DataFrame) -> Self {
        Self(Arc::new(frame))
    }
}

impl From<Frame> for DataFrame {
    fn from(frame: Frame) -> Self {
        frame.0.taken()
    }
}

impl AsRef<DataFrame> for Frame {
    fn as_ref(&self) -> &DataFrame {
        self.0.shown()
    }
}
