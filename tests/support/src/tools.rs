//! The places of the test tools that `scripts/setup-tools` installed.
//!
//! Owns: the paths. Does not own: the installation, the pinned versions.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The folder of the tools: `SILTSTONE_TOOLS`, or `.tools` in the workspace root. Empty is unset, as in the scripts.
pub fn directory() -> PathBuf {
    match std::env::var_os("SILTSTONE_TOOLS").filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => workspace_root().join(".tools"),
    }
}

/// The workspace root.
pub fn workspace_root() -> &'static Path {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root.ancestors().nth(2).expect("this crate lies two folders below the workspace root")
}

/// The NATS server. The error names the command that installs it.
pub fn nats_server() -> Result<PathBuf> {
    from_venv("nats-server")
}

/// The SeaweedFS binary, which serves S3. The error names the command that installs it.
pub fn weed() -> Result<PathBuf> {
    from_venv("weed")
}

/// A Python that has duckdb and nats-py. The error names the command that installs it.
pub fn python() -> Result<PathBuf> {
    from_venv("python")
}

/// The tester of HTTP services by their OpenAPI document. The error names the command that installs it.
pub fn schemathesis() -> Result<PathBuf> {
    from_venv("schemathesis")
}

/// A program of the newest installed PostgreSQL, such as `initdb`; else the one on the path.
pub fn postgres(program: &str) -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        versions.push((version, entry.path().join("bin").join(program)));
    }
    versions.sort();
    if let Some((_, path)) = versions.into_iter().rev().find(|(_, path)| path.is_file()) {
        return Ok(path);
    }
    match on_path(program) {
        Some(path) => Ok(path),
        None => bail!("no PostgreSQL program {program:?} here: run scripts/test, or scripts/setup-tools once"),
    }
}

/// The connection pooler for PostgreSQL. The error names the command that installs it.
pub fn pgbouncer() -> Result<PathBuf> {
    let system = Path::new("/usr/sbin/pgbouncer");
    match on_path("pgbouncer").or_else(|| system.is_file().then(|| system.to_owned())) {
        Some(path) => Ok(path),
        None => bail!("no pgbouncer here: run scripts/test, or scripts/setup-tools once"),
    }
}

/// Node, which runs the script of a page. The error names the command that installs it.
pub fn node() -> Result<PathBuf> {
    match on_path("node") {
        Some(path) => Ok(path),
        None => bail!("no node here: run scripts/test, or scripts/setup-tools once"),
    }
}

/// The tracer that makes system calls fail. The error names the command that installs it.
pub fn strace() -> Result<PathBuf> {
    match on_path("strace") {
        Some(path) => Ok(path),
        None => bail!("no strace here: run scripts/test, or scripts/setup-tools once"),
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn from_venv(program: &str) -> Result<PathBuf> {
    let path = directory().join("venv/bin").join(program);
    if !path.exists() {
        bail!("no {program} at {}: run scripts/test, or scripts/setup-tools once", path.display());
    }
    Ok(path)
}
