//! A model of JetStream, as the writer meets it.
//!
//! Owns: the parts. `stream` is what is stored, `server` who holds it, `pump` how it is delivered and what goes wrong on
//! the way, `client` the [`common::Queue`] of one process, `subscription` its reader.
//! Does not own: the rule by which deliveries are trusted; the reader asks the real one (`common`'s contiguity).

mod client;
mod pump;
mod server;
mod stream;
mod subscription;

pub use client::{AckObserver, ModelQueue};
pub use pump::DeliveryFaults;
pub use server::{PAYLOAD_BYTES_MAX, QueueServer, StreamObserver};
pub use stream::Stream;
