//! Errors of starting and stopping a service.
//!
//! Owns: their texts, which name the setting to check. Does not own: the errors of a service's work.

use std::io;
use std::net::SocketAddr;

use catalog::CatalogError;
use common::QueueError;
use common::config::{CatalogPlace, InvalidSetting};
use common::secret::scrubbed;
use lake::LakeError;

use crate::tls::TlsError;

/// Short for results of this crate.
pub type Result<T, E = ServiceError> = std::result::Result<T, E>;

/// Errors of a failed start, or of a stop that was not in good order. Every text is meant for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A setting is valid in form, but cannot be used.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The variable of the failpoints is set, but invalid or not allowed in this build.
    #[error("{0}")]
    Failpoint(String),
    /// The system does not let this process handle signals.
    #[error(transparent)]
    Signals(io::Error),
    /// A signal arrived before the service had started.
    #[error("{signal} during the start: ended at once")]
    InterruptedStart {
        /// Name of the signal.
        signal: &'static str,
    },
    /// A second signal arrived during the drain.
    #[error("{signal} again: ended at once; uncommitted messages stay in the queue")]
    InterruptedDrain {
        /// Name of the signal.
        signal: &'static str,
    },
    /// The deadline of the drain passed.
    #[error("the drain took longer than {seconds} s; uncommitted messages stay in the queue")]
    DrainDeadline {
        /// The deadline.
        seconds: u64,
    },
    /// The address of the pages, or of a service, cannot be used.
    #[error("cannot listen on {setting}={addr}")]
    Listen {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        addr: SocketAddr,
        /// The error of the system.
        #[source]
        error: io::Error,
    },
    /// The service that takes requests cannot start.
    #[error("records cannot be taken over HTTP: {0}")]
    Intake(String),
    /// The certificate or the key of an address cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The queue cannot be reached, or refuses the login.
    #[error("{error}; {advice}")]
    Queue {
        /// The error of the queue.
        error: QueueError,
        /// The settings to check.
        advice: &'static str,
    },
    /// The queue is inside another process, where this one cannot reach it.
    #[error(
        "QUEUE_TYPE=memory: that queue lives inside the process that writes and cannot be reached from here, so \
         {consequence}; set QUEUE_TYPE=nats where the topic's messages are on NATS"
    )]
    QueueNotShared {
        /// The impossible work without the queue, as a clause.
        consequence: String,
    },
    /// The catalog is a file that does not exist.
    #[error(
        "no catalog at {place}; is {} right? `siltstone topic create` or `siltstone up` makes one",
        setting_of(.place)
    )]
    NoCatalog {
        /// The catalog that was expected.
        place: CatalogPlace,
    },
    /// The catalog cannot be opened.
    #[error("cannot open the catalog {place}: {}; {}", shown(.error), advice_for(.place, .error))]
    Catalog {
        /// The catalog, shown without its password.
        place: CatalogPlace,
        /// The error of the catalog.
        error: CatalogError,
    },
    /// The store cannot be used as configured.
    #[error(transparent)]
    Storage(#[from] LakeError),
}

impl ServiceError {
    /// True if a setting, or a file that it names, is wrong: the service began nothing.
    pub fn is_wrong_setting(&self) -> bool {
        matches!(self, Self::Setting(_) | Self::Tls(_))
    }
}

/// The setting that names the place.
fn setting_of(place: &CatalogPlace) -> &'static str {
    match place {
        CatalogPlace::File(_) => "STORAGE_PATH",
        CatalogPlace::Url(_) => "CATALOG_URL",
    }
}

/// The error without what the database's client quotes of secrets.
fn shown(error: &CatalogError) -> String {
    scrubbed(&error.to_string()).into_owned()
}

fn advice_for(place: &CatalogPlace, error: &CatalogError) -> &'static str {
    match place {
        _ if matches!(error, CatalogError::DiskFull(_)) => "free space there, and run it again",
        CatalogPlace::Url(_) if error.to_string().contains("UnknownIssuer") => {
            "the server's certificate comes from an authority that is not known here; sslrootcert=<path> in CATALOG_URL names a \
             PEM file with it"
        }
        CatalogPlace::File(_) if error.to_string().contains("readonly database") => {
            "may this user write to the file and its directory?"
        }
        CatalogPlace::File(_) => "is STORAGE_PATH right? CATALOG_URL names another place",
        CatalogPlace::Url(_) => "is CATALOG_URL right, and does the database run?",
    }
}
