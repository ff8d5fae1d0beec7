//! Siltstone inside another program: append records, have them in Parquet exactly once, and query them with SQL.
//!
//! ```no_run
//! # async fn example() -> siltstone::Result<()> {
//! use siltstone::{Settings, Siltstone, TopicName};
//!
//! let siltstone = Siltstone::open(Settings::default()).await?; // catalog and segments below ./data
//! let orders = TopicName::new("orders").expect("valid");
//! let appended = siltstone.append(&orders, Some("customer-7".into()), r#"{"id":1}"#.into(), None).await?;
//! println!("partition {} offset {}: not durable yet", appended.partition, appended.offset);
//! siltstone.flush_all().await?; // everything appended before is committed
//! let rows = siltstone.query("SELECT count(*) FROM orders").await?;
//! siltstone.close().await?;
//! # drop(rows);
//! # Ok(())
//! # }
//! ```
//!
//! It sets no log subscriber and handles no signals: both are the program's.
//!
//! Owns: [`Siltstone`], and the types of other crates that a caller needs. Does not own: the binary of the same name.

mod embedded;
mod lake_of_settings;

pub use arrow_array;
pub use bytes::Bytes;
pub use catalog::{Topic, TopicConfig};
pub use common::config::{QueueType, Settings, StorageType};
pub use common::topic::{ColumnSpec, ColumnType, Format, TopicOptions};
pub use common::{ErrorKind, OutgoingMessage, TopicName};
pub use ingester::{Producer, ProducerError, SendFailure, SendOutcome, SendResult};
pub use lake::query::datafusion;
pub use lake::query::{BatchStream, Lake, QueryError, exact_context, format_table};
pub use writer::{Summary, WriterError};

pub use common::timestamp::TIMESTAMP_HEADER;
pub use embedded::{AppendResult, Error, Result, Siltstone};
pub use lake_of_settings::open_lake;
