//! A model of the SQL catalog: the contract of `::catalog`, stated a second time, without SQL, all in memory.
//!
//! Owns: the effect of each transaction on the tables, and the faults of a request on its way.
//! Does not own: invariants over the tables and the queue (the world checks them through the observer).
//!
//! Usage:
//!
//! ```text
//! let catalog = ModelCatalog::new(VirtualClock::shared(), Guards::default()); // clones share one server
//! catalog.observe(Box::new(|state: &CatalogState, event: &Event| { … }));     // after each transaction that changed something
//! let faults = Faults::new(seed, Rates { reply_lost: 20, ..Rates::default() }); // clones share one network
//! let store = Session::new(&catalog, &faults, 7);                             // the catalog of writer process 7
//! faults.force("commit", Fate::ReplyLost);                                    // the fate of the next such call
//! faults.set_link(7, Link::Down);                                             // or RepliesLost, Up; set_links for all
//! faults.pause(7); faults.resume(7);                                          // SIGSTOP, SIGCONT
//! let standby = catalog.state();                                              // a copy, later …
//! catalog.restore(standby);                                                   // … the server that took over
//! catalog.crash();                                                            // requests under way are lost, tables stay
//! catalog.jump_clock(-5_000);
//! ```
//!
//! [`ModelCatalog`] and [`Session`] both are a whole `MetadataStore`. The first answers at once and never fails; the
//! second sends each call through a network of faults to the first. Every transaction is one synchronous function on
//! [`CatalogState`], so there is exactly one moment at which it happens. Nothing here depends on threads, on the real
//! clock, or on the order of a hash map: on a paused current-thread runtime, one seed is one history.

mod agents;
mod aging;
mod client;
mod clock;
mod commit;
mod consumers;
mod event;
mod expire;
mod faults;
mod groups;
mod guards;
mod history;
mod iceberg;
mod intents;
mod janitor;
mod judge;
mod lake;
mod limits;
mod objects;
mod ownership;
mod replace;
mod replays;
mod resume;
mod segments;
mod server;
mod session;
mod state;
mod tables;
mod together;
mod tokens;
mod topics;

pub(crate) use aging::newest_us;
pub use client::{Call, Client, Door, Failure, Rows};
pub use clock::VirtualClock;
pub use event::{Change, Event};
pub use faults::{Fate, Faults, Link, Rates};
pub use groups::{ClaimRow, MemberRow};
pub use guards::Guards;
pub use server::{ModelCatalog, Observer, Server};
pub use session::{Network, Session};
pub use state::{AgentRow, CatalogState, GroupRow, ObjectName, ObjectRow, OffsetRow, PartitionRow, RetiredRow};
