//! Producing messages: the choice of a partition, message ids, retries.
//!
//! Owns: [`Producer`] with the outcome of each message, [`Commits`], which waits for the commit of messages, [`feed`],
//! which turns a byte stream into messages, and [`http`], which takes them from any program; [`service`] is its process.
//! Does not own: storing (the queue), the list of topics (the catalog), the commit of a message (the writer; this
//! crate does not depend on it).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use common::TopicName;
//! use common::queue::memory::InMemoryQueue;
//!
//! let catalog = catalog::connect("sqlite:./data/catalog.db").await?;
//! let producer = ingester::Producer::new(Arc::new(InMemoryQueue::default()), catalog);
//! let sent = producer.send(&TopicName::new("orders")?, Some(b"customer-7"), b"{}", None).await?;
//! println!("partition {} offset {}", sent.partition, sent.offset);
//! # Ok(())
//! # }
//! ```

mod acks;
mod commits;
mod error;
pub mod feed;
pub mod http;
mod outcome;
mod producer;
pub mod service;
mod topics;

pub use acks::{Acks, UnknownAcks};
pub use commits::{Before, Commits, Fate, WaitError};
pub use error::{ProducerError, Result};
pub use outcome::{SendFailure, SendOutcome, SendResult};
pub use producer::Producer;
