//! `writer`: the standalone service.
//!
//! Owns: the allocator. Does not own: the process (`service::process`), the service (`writer::service`).

use std::process::ExitCode;

use service::arguments::Program;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let about = "Commits the records of queues to object storage and a catalog, exactly once.";
    let program = Program { name: "writer", version: env!("CARGO_PKG_VERSION"), about };
    service::process::run(program, writer::service::run)
}
