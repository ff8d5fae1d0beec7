//! Rebuilds the crate when a migration changes: the migrations are compiled into it.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
