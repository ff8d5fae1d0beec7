//! Producing messages: the choice of a partition, batches, message ids, repeated requests, results.
//!
//! Owns: [`Producer`] with the outcome of each message, [`Commits`], which waits for the commit of messages, [`feed`],
//! which turns a byte stream into messages, and [`http`], which takes them from any program; [`service`] is its process.
//! Does not own: storing (the queue), the list of topics (the catalog), the commit of a message (the writer; this
//! crate does not depend on it).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use common::queue::memory::InMemoryQueue;
//! use common::{OutgoingMessage, TopicName};
//! use ingester::Producer;
//!
//! let catalog = catalog::connect("sqlite:./data/catalog.db").await?;
//! let producer = Producer::builder().queue(Arc::new(InMemoryQueue::default())).catalog(catalog).build().await?;
//! let orders = TopicName::new("orders")?;
//!
//! // At once.
//! let sent = producer.send(&orders, Some(b"customer-7"), b"{}", None).await?;
//! println!("partition {} offset {}", sent.partition, sent.offset);
//!
//! // In a batch with others; the handle is a future of the same result.
//! let handle = producer.enqueue(&orders, None, OutgoingMessage::new("{}").with_key("customer-7")).await?;
//! println!("offset {}", handle.await?.offset);
//!
//! producer.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Errors by what they leave behind
//!
//! | [`ProducerError`] | comes from | the message is |
//! |---|---|---|
//! | `Config` | an option of the builder | not sent |
//! | `NoAgentsAvailable` | a queue or a group of agents of which none answers, when the producer is built | not sent |
//! | `NoAgentsAvailable` | a group of agents of which none answers, in every attempt | not stored if [`SendFailure::is_not_stored`] |
//! | `AgentConnectionFailed` | the one address that was given, when the producer is built or in every attempt | not stored if [`SendFailure::is_not_stored`] |
//! | `AgentError` | an agent that answered with an error; its code and its status say which | not stored if [`SendFailure::is_not_stored`] |
//! | `TopicNotFound`, `InvalidPartition` | the caller | not sent |
//! | `Catalog` | the catalog, while the topic is looked up | not sent |
//! | `Serialization` | a value that cannot be written as JSON | not sent |
//! | `Queue`, kind `Unavailable` | the connection to the queue, in every attempt | perhaps stored |
//! | `Queue`, other kinds | a refusal of the queue | not stored if [`SendFailure::is_not_stored`] |
//! | `Timeout` | a queue that did not answer in time, in every attempt | perhaps stored |
//! | `Discarded` | [`Producer::discard`] | not sent |
//! | `Internal` | a panic, or a producer that was dropped | perhaps stored |
//! | `Commit` | the wait for the commit | stored in the queue |
//! | `Quarantined` | the writer | committed, to quarantine |

mod acks;
mod commits;
mod error;
pub mod feed;
#[doc(hidden)]
pub mod frames;
pub mod http;
mod outcome;
mod presence;
mod producer;
mod remote;
pub mod service;
mod topics;

pub use acks::{Acks, UnknownAcks};
pub use commits::{Before, Commits, Fate, Refusals, WaitError};
pub use error::{FlushError, ProducerError, Result};
pub use outcome::{SendFailure, SendOutcome, SendResult};
pub use producer::{ConfigError, Producer, ProducerBuilder, SendHandle};
