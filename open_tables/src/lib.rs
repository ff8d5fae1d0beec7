//! Topics as tables that others read: Iceberg, published after the commits.
//!
//! The metadata of a table is a pure function of the catalog: the live objects at a lake snapshot, the topic's columns, less
//! what the last version has. `plan` is that function, `manifest`, `manifest_list` and `metadata` give its bytes, `schema`
//! and `bounds` the words and values of Iceberg, `avro` the format of its lists. `publish` stores the objects and makes the
//! version the newest; `shown` reads back what readers find, `inspect` compares it with the catalog.
//!
//! Owns: the metadata of Iceberg, its places, the order of a publication. Does not own: what is published and what it keeps
//! from the janitor (crate `catalog`), storing an object (crate `lake`), the times of publications (`writer`).

mod avro;
mod bounds;
mod error;
mod inspect;
mod manifest;
mod manifest_list;
mod metadata;
mod outcome;
mod place;
mod plan;
mod publish;
mod schema;
mod shown;
mod store;
#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use inspect::{Discrepancy, Inspection, inspect};
pub use manifest::ListedFile;
pub use outcome::{Done, Extent, Published};
pub use publish::Publisher;
pub use shown::{Shown, Unreadable};
