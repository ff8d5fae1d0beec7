//! `writer`: the standalone service.
//!
//! Owns: the allocator. Does not own: the process (`service::process`), the service (`writer::service`).

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service::process::run(writer::service::run)
}
