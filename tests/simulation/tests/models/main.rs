//! The models themselves, each alone.
//!
//! Owns: the modules. Does not own: runs with writers (`seeds`, `mutations`), the contract that the models share with the
//! real parts (`catalog`'s and `nats`' conformance suites).
//!
//! Outside of the library, which is optimised: as its unit tests, they would have it compiled twice.

#![allow(missing_docs, reason = "tests")]

mod consumers;
mod fixture;
mod forgery;
mod guards;
mod session;
mod stream;
mod trace;
mod world;
