//! Reading through the public door: DataFusion and DuckDB over objects that an SQLite catalog lists.

mod damage;
mod duckdb;
mod lake;
mod pruning;
mod reading;
mod spying_store;
mod statistics;
mod tables;
