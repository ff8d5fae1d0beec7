//! Quarantined records: publishing them again.
//!
//! Owns: the door to reading (`lake::quarantine`) and publishing them.
//! Does not own: quarantining records (`decode`), showing.

pub mod replay;

pub use lake::quarantine::{Filter, Origin, QuarantineReader, QuarantinedRecord};

#[cfg(test)]
mod tests;
