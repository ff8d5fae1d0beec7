//! Rebuilds the crate when a migration changes: the migrations are compiled into it.
//!
//! Owns: that one rule. Does not own: running migrations.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
