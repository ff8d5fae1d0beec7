//! Models of everything outside a writer, and a world in which whole writers run on virtual time.
//!
//! Owns: the modules. Does not own: the promises of the modelled parts (their traits).
//!
//! `catalog`, `queue` and `store` are the models, each shown to keep its contract by the suite that the real ones pass.
//! `plan` draws a run from a seed, `world` carries it out with real writers (`process`), `oracle` checks every step, `run`
//! gives the verdict. One seed is one run: same plan, same chance, same order of tasks, same lines in the `trace`.

pub mod catalog;
pub mod chance;
pub mod clock;
pub mod compactor;
pub mod consumers;
pub mod forgery;
pub mod logs;
pub mod mutations;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod process;
pub mod queue;
pub mod report;
pub mod rows;
pub mod run;
pub mod store;
pub mod trace;
pub mod watch;
pub mod world;
