//! The name of this process in lists of agents.
//!
//! Owns: its form. Does not own: ids, which tell agents apart.

/// Host and process id, for people.
pub fn agent_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), std::process::id())
}
