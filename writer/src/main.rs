//! `writer`: the standalone service. Owns nothing but the process: see `writer::service`.

use common::config::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    writer::service::run(Settings::from_env()?).await
}
