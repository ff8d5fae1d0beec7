//! `ingester`: the HTTP service as a process of its own.
//!
//! Owns: the allocator. Does not own: the process (`service::process`), the service (`ingester::service`).

use std::process::ExitCode;

use service::arguments::Program;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let about = "Takes records over HTTP, and publishes them to the queues of their topics.";
    let program = Program { name: "ingester", version: env!("CARGO_PKG_VERSION"), about };
    service::process::run(program, ingester::service::run)
}
