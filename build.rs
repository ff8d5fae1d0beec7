//! How the binary is linked.
//!
//! Owns: the linker's arguments for debug builds. Does not own: profiles and dependencies (`Cargo.toml`).

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_debug = variable("PROFILE") == "debug";
    if is_debug && variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu" {
        // A position-independent binary adjusts 850,000 addresses at each start, which takes a third of the time of a
        // short command, and the tests start thousands. Binaries for use stay position-independent.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
