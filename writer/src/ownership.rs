//! Ownership: which partitions this process works on.
//!
//! `topics` follows the catalog's topics, `balance` computes the shares, `supervise` runs one pipeline per owned partition.
//!
//! Owns: taking partitions over, giving them back, ending what is lost. Does not own: the steps of a pipeline.

pub(crate) mod balance;
pub(crate) mod supervise;
pub(crate) mod topics;
