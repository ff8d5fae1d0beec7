//! Reading through the public door: DataFusion and DuckDB over objects that an SQLite catalog lists.

mod attached;
mod bounded;
mod chains;
mod damage;
mod duckdb;
mod extremes;
mod hot_tail;
mod json;
mod lake;
mod lists;
mod many;
mod memory;
mod moments;
mod names;
mod numbers;
mod order;
mod precedence;
mod pruning;
mod pushdown;
mod reading;
mod records;
mod relations;
mod spying_store;
mod statistics;
mod tables;
mod values;
