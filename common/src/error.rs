//! The four kinds of error by the caller's reaction, shared by every crate's error type.
//!
//! Owns: the four kinds. Does not own: any error.

/// The reaction that a failed operation requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The other side was unreachable or busy: retry with back-off.
    Unavailable,
    /// The caller's view of the state is outdated: read it again and decide.
    Conflict,
    /// This one message or record cannot be handled: set it aside and continue.
    Poison,
    /// Retrying cannot help: stop and report to the operator.
    Fatal,
}
