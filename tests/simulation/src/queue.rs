//! A model of JetStream, as the writer uses it.
//!
//! Owns: the parts. `stream` stores messages, `server` holds streams, `pump` delivers messages with faults on the way,
//! `client` is the [`common::Queue`] of one process, `subscription` its reader.
//! Does not own: the rule that judges deliveries; the reader uses the real one (`nats::contiguity`).

mod client;
mod pump;
mod server;
mod stream;
mod subscription;

pub use client::{AckObserver, ModelQueue};
pub use pump::DeliveryFaults;
pub use server::{PAYLOAD_BYTES_MAX, QueueServer, StreamObserver};
pub use stream::{DUPLICATE_WINDOW_US, Stream};
