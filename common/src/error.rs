//! The four reactions to an error that this system has, shared by every crate's error type.
//!
//! Owns: the four kinds. Does not own: any error.

/// What the caller of a failed operation must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The other side could not be reached or was busy: try again, with back-off.
    Unavailable,
    /// The state is not what the caller believed: read it again and decide.
    Conflict,
    /// This one message or record cannot be handled: set it aside and go on.
    Poison,
    /// No repetition will help: stop and tell the operator.
    Fatal,
}
