//! Free loopback ports for servers that are killed and restarted on the same port.
//!
//! Owns: the choice of a port. Does not own: holding it; a server that finds it taken gets another one.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};

/// Below the kernel's range of ports for outgoing connections: while a server is down, a client that keeps retrying
/// can get the server's own port as its source, and then connects to itself.
const FIRST: u64 = 22_000;
const COUNT: u64 = 10_000;

/// A port on 127.0.0.1 that is free now and that this process has not returned before.
pub fn free() -> Result<u16> {
    static START: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let start = *START.get_or_init(|| crate::random() % COUNT);
    for _ in 0..COUNT {
        let candidate = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(candidate).expect("the range ends below 65536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}
