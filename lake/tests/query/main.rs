//! Reading through the public door: DataFusion and DuckDB over objects that an SQLite catalog lists.

mod attached;
mod bounded;
mod chains;
mod damage;
mod duckdb;
mod hot_tail;
mod json;
mod lake;
mod memory;
mod names;
mod precedence;
mod pruning;
mod pushdown;
mod reading;
mod records;
mod spying_store;
mod statistics;
mod tables;
mod values;
