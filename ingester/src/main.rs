//! `ingester`: the HTTP service as a process of its own.
//!
//! Owns: the allocator. Does not own: the process (`service::process`), the service (`ingester::service`).

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service::process::run(ingester::service::run)
}
