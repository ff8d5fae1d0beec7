//! The signals that stop a service, or a command that goes on until then.
//!
//! Owns: the list of signals, and their names. Does not own: the reaction to them (`shell`).
//!
//! A terminal that closes sends SIGHUP, which would end a process at once. One that was started to outlive its terminal, as
//! `nohup` does, ignores the signal, and goes on to.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Result, ServiceError};

/// SIGTERM, SIGINT and SIGHUP. Once a process has created this, none of them ends it by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` in a process that ignores it.
    hangup: Option<Signal>,
}

impl Signals {
    /// Takes over the signals from the system's default action.
    ///
    /// # Errors
    /// [`ServiceError::Signals`] if the system refuses.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(ServiceError::Signals);
        let hangup = if is_hangup_ignored() { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())?, hangup })
    }

    /// Waits for the next signal and returns its name. Cancel-safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(self.hangup.as_mut()) => "SIGHUP",
        }
    }
}

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// True if this process was started with SIGHUP ignored, as far as the system tells.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Reads the mask of ignored signals; SIGHUP is the first.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ignores_a_closed_terminal_goes_on_to() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\tx\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
