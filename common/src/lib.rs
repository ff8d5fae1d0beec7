//! The parts that all crates of Siltstone share: its words, the contract of a queue, the queue in memory, settings.
//!
//! Owns: the contract between producers, queue and writer. Does not own: SQL (`catalog`), Arrow and Parquet (`lake`),
//! logs and pages of a process (`service`).

pub mod agent_group;
pub mod agent_name;
pub mod agent_url;
pub mod anchor;
pub mod backoff;
pub mod checksum;
pub mod clock;
pub mod config;
pub mod diagnosis;
pub mod error;
pub mod failpoint;
pub mod ids;
pub mod memory;
pub mod message;
#[doc(hidden)]
pub mod mutation;
pub mod packing;
pub mod partitioner;
pub mod queue;
pub mod range;
pub mod receipt;
pub mod secret;
pub mod subject;
pub mod text;
pub mod timestamp;
pub mod topic;

pub use agent_group::AgentGroup;
pub use agent_name::agent_name;
pub use agent_url::AgentUrl;
pub use anchor::Anchor;
pub use error::ErrorKind;
pub use ids::{Epoch, Generation, Incarnation, MemberId, OwnerId, TopicName, TopicPartition};
pub use message::{Message, OutgoingMessage};
pub use queue::{Queue, QueueError, Subscription};
pub use range::OffsetRange;
pub use receipt::CommitReceipt;
pub use topic::TopicDefinition;
