//! The process around a service: logs, signals, HTTP pages, metrics, readiness, a drain with a deadline.
//!
//! A service opens a [`Shell`], starts its own parts inside [`Shell::start`], shows them with [`Pages`], waits for
//! [`Shell::signal`] and stops inside [`Shell::drain`]. An [`Intake`] takes requests from clients. [`connect`] turns settings into a queue, a catalog and a
//! store; [`diagnose`] examines the promise that these three can keep; [`producing`] has the place for new messages.
//!
//! Owns: the parts that every service of Siltstone needs, independent of its work.
//! Does not own: the work of a service (`writer`, `ingester`), the settings (`common::config`).
//!
//! Crates depend on each other in this direction: `common`, then `nats`, `catalog` and `lake`, then `service`, then the
//! services and the binaries.

pub mod arguments;
mod arrivals;
pub mod connect;
mod connections;
pub mod diagnose;
mod error;
pub mod guarded;
mod intake;
pub mod logs;
mod metrics;
mod pages;
pub mod process;
pub mod producing;
mod readiness;
mod shell;
mod signals;
mod tls;

pub use arrivals::Arrivals;
pub use error::{Result, ServiceError};
pub use intake::{Ending, Intake, IntakeLimits};
pub use pages::Pages;
pub use readiness::Fact;
pub use shell::{Listener, Shell};
pub use signals::Signals;
pub use tls::{Protocol, TlsError};
