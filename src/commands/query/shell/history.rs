//! The history of the shell, in a file of the user's state.
//!
//! Owns: its place and its form, a JSON text per line. Does not own: moving in it (rustyline).
//!
//! A history that cannot be read or written is no reason to end the shell.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Statements that are read at the start.
const KEPT: usize = 1_000;

/// `$XDG_STATE_HOME/siltstone/history`, else `~/.local/state/siltstone/history`; `None` for a user without a home.
fn path() -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("siltstone").join("history"))
}

/// The statements of earlier shells, oldest first.
pub(super) fn earlier() -> Vec<String> {
    let text = path().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let statements: Vec<String> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let begin = statements.len().saturating_sub(KEPT);
    statements.into_iter().skip(begin).collect()
}

/// Adds a statement for later shells. The file is for its user alone: statements hold values.
pub(super) fn remember(statement: &str) {
    let Some((path, line)) = path().zip(serde_json::to_string(statement).ok()) else { return };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).ok();
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    if let Ok(mut file) = file {
        file.write_all(format!("{line}\n").as_bytes()).ok();
    }
}
