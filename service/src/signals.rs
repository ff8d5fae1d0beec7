//! The signals that stop a service, or a command that goes on until then.
//!
//! Owns: the list of signals, and their names. Does not own: the reaction to them (`shell`).

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Result, ServiceError};

/// SIGTERM and SIGINT. Once a process has created this, neither signal ends it by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over both signals from the system's default action.
    ///
    /// # Errors
    /// [`ServiceError::Signals`] if the system refuses.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(ServiceError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and returns its name. Cancel-safe.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
