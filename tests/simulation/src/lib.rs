//! Models of everything outside a writer, and a world in which whole writers run on virtual time.
//!
//! Owns: the modules. Does not own: what the modelled parts promise, which their traits say.

pub mod catalog;
