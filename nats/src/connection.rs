//! The connection to the server.
//!
//! Owns: connecting, reconnecting without end, the signal that messages in transit may be lost, the server's last
//! complaint. Does not own: requests and their answers (`api`), the login (`login`).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::announcements::ANNOUNCEMENTS_SUBJECT;
use crate::config::NatsConfig;
use crate::login;
use crate::server_version::{Judgement, judge};
use common::queue::QueueError;
use common::secret::scrubbed;

/// Longest duration of a request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest pause between attempts to reconnect.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(2);

/// Most unacked publishes of all callers together: well below the 5,000 at which the client blocks.
pub(super) const PUBLISHES_IN_FLIGHT_MAX: usize = 2_048;

/// Pause between two probes of an unreachable server.
const PROBE_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) jetstream: Context,
    pub(super) publish_permits: Semaphore,
    /// Rises whenever messages in transit to this process may have been lost.
    losses: watch::Receiver<u64>,
    reader_count: AtomicUsize,
    complaint: Complaint,
    /// The server denies this login the subject of announcements.
    is_announcing_denied: Arc<AtomicBool>,
    /// The last version judged untested, so that it is logged once.
    warned_of: Mutex<String>,
    config: NatsConfig,
    /// Start of the last probe; locked while one runs.
    probing: tokio::sync::Mutex<Option<Instant>>,
}

/// The last complaint of the server or the network, until the next good connection.
type Complaint = Arc<watch::Sender<Option<String>>>;

impl Connection {
    pub(super) async fn new(config: &NatsConfig) -> Result<Self, QueueError> {
        let (loss, losses) = watch::channel(0_u64);
        let complaint: Complaint = Arc::new(watch::channel(None).0);
        let noted = Arc::clone(&complaint);
        let is_announcing_denied = Arc::new(AtomicBool::new(false));
        let denied = Arc::clone(&is_announcing_denied);
        let options = login::options(config).await?.max_reconnects(None).event_callback(move |event| {
            if !note_announcing_denied(&event, &denied) {
                note_event(&event, &loss, &noted);
            }
            std::future::ready(())
        });
        let client = connect(config, options).await?;
        let mut jetstream = match &config.domain {
            Some(domain) => jetstream::with_domain(client.clone(), domain),
            None => jetstream::new(client.clone()),
        };
        jetstream.set_timeout(REQUEST_TIMEOUT);
        let publish_permits = Semaphore::new(PUBLISHES_IN_FLIGHT_MAX);
        let (reader_count, warned_of) = (AtomicUsize::new(0), Mutex::default());
        let (config, probing) = (config.clone(), tokio::sync::Mutex::default());
        let connection = Self {
            client,
            jetstream,
            publish_permits,
            losses,
            reader_count,
            complaint,
            is_announcing_denied,
            warned_of,
            config,
            probing,
        };
        connection.check_version()?;
        Ok(connection)
    }

    /// Checks that the connected server may be used; warns once of an untested version.
    pub(super) fn check_version(&self) -> Result<(), QueueError> {
        let version = self.client.server_info().version;
        match judge(&version) {
            Judgement::Tested => Ok(()),
            Judgement::Refused(reason) => Err(QueueError::Refused { reason }),
            Judgement::Untested(reason) => {
                let mut warned_of = self.warned_of.lock().expect("no holder of this lock panics");
                if *warned_of != version {
                    tracing::warn!(%reason, "untested server version");
                    *warned_of = version;
                }
                Ok(())
            }
        }
    }

    /// The server's last complaint, as the end of a sentence; empty if there is none.
    pub(super) fn because(&self) -> String {
        let complaint = self.complaint.borrow();
        complaint.as_ref().map_or(String::new(), |complaint| format!("; the connection says: {complaint}"))
    }

    /// Waits until the server denies this login the right to publish to `subject`.
    pub(super) async fn denial(&self, subject: &str) -> QueueError {
        let mut complaints = self.complaint.subscribe();
        loop {
            // The sender lives as long as the connection.
            if complaints.changed().await.is_err() {
                return std::future::pending().await;
            }
            if let Some(denied) = self.denied(subject) {
                return denied;
            }
        }
    }

    /// Returns an error with the reason if there is no connection now.
    pub(super) async fn check_connected(&self) -> Result<(), QueueError> {
        self.probe().await;
        if self.client.connection_state() == State::Connected {
            return Ok(());
        }
        Err(QueueError::unavailable(format!("not connected to NATS{}", self.because())))
    }

    /// Finds the reason for a missing connection, which the client does not report while it reconnects.
    pub(super) async fn probe(&self) {
        if self.client.connection_state() == State::Connected {
            return;
        }
        // All waiting callers probe at the same time: one answer serves all.
        let Ok(mut last) = self.probing.try_lock() else { return };
        if last.is_some_and(|last| last.elapsed() < PROBE_PAUSE) {
            return;
        }
        *last = Some(Instant::now());
        let probed = match login::options(&self.config).await {
            Ok(options) => connect(&self.config, options).await.err(),
            Err(error) => Some(error),
        };
        if let Some(error) = probed
            && self.client.connection_state() != State::Connected
        {
            self.complaint.send_replace(Some(error.to_string()));
        }
    }

    /// The server's denial of this login's right to publish to `subject`, if it sent one.
    pub(super) fn denied(&self, subject: &str) -> Option<QueueError> {
        let complaint = self.complaint.borrow();
        let words = complaint.as_ref()?;
        let is_denied = words.to_lowercase().contains("permissions violation")
            && words.to_lowercase().contains(&subject.to_lowercase());
        is_denied.then(|| QueueError::refused(format!("this NATS login lacks a permission: {words}")))
    }

    /// True once the server denied this login the subject of announcements, until it is connected anew.
    pub(super) fn is_announcing_denied(&self) -> bool {
        self.is_announcing_denied.load(Ordering::Relaxed)
    }

    /// The subject of a request to the JetStream API, in the configured domain.
    pub(super) fn api_subject(&self, request: &str) -> String {
        match self.domain() {
            Some(domain) => format!("$JS.{domain}.API.{request}"),
            None => format!("$JS.API.{request}"),
        }
    }

    /// The configured JetStream domain.
    pub(super) fn domain(&self) -> Option<&str> {
        self.config.domain.as_deref()
    }

    /// A receiver for losses from now on.
    pub(super) fn losses(&self) -> watch::Receiver<u64> {
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        losses
    }

    /// Largest message, headers included, that the server accepts.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.client.max_payload()
    }

    pub(super) fn reader_came(&self) {
        self.reader_count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reader_went(&self) {
        self.reader_count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Subscriptions that share this connection.
    pub(super) fn reader_count(&self) -> usize {
        self.reader_count.load(Ordering::Relaxed)
    }
}

/// True if the event is a denial of the subject of announcements, without which everything works.
fn note_announcing_denied(event: &Event, denied: &AtomicBool) -> bool {
    match event {
        Event::Connected => denied.store(false, Ordering::Relaxed),
        Event::ServerError(error) => {
            let words = error.to_string().to_lowercase();
            if words.contains("permissions violation") && words.contains(ANNOUNCEMENTS_SUBJECT) {
                if !denied.swap(true, Ordering::Relaxed) {
                    tracing::debug!(%event, "commits are announced no more; those who wait ask the catalog");
                }
                return true;
            }
        }
        _ => {}
    }
    false
}

fn note_event(event: &Event, loss: &watch::Sender<u64>, complaint: &Complaint) {
    match event {
        // Sent only when the last handle is dropped: no reader is left that could lose messages.
        Event::Closed => tracing::debug!("nats connection closed"),
        Event::Disconnected | Event::LameDuckMode | Event::SlowConsumer(_) => {
            tracing::warn!(%event, "nats connection disturbed, subscriptions start anew");
            loss.send_modify(|count| *count += 1);
        }
        Event::Connected => {
            complaint.send_replace(None);
            tracing::info!("nats connected");
        }
        Event::ServerError(_) | Event::ClientError(_) => {
            let text = event.to_string();
            // A probe's error is more exact than the client's.
            let is_vague = text.ends_with("IO error") || text.ends_with("TLS error");
            if is_vague && complaint.borrow().is_some() {
                return;
            }
            let before = complaint.send_replace(Some(text.clone()));
            // Logged once, not at every attempt to reconnect.
            if before != Some(text) {
                tracing::warn!(%event, "nats connection");
            }
        }
        Event::Draining => tracing::warn!(%event, "nats connection"),
    }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let exponent = u32::try_from(attempts).unwrap_or(u32::MAX).min(5);
    (Duration::from_millis(50) * 2_u32.pow(exponent)).min(RECONNECT_DELAY_MAX)
}

/// One attempt to connect.
async fn connect(config: &NatsConfig, options: ConnectOptions) -> Result<Client, QueueError> {
    let urls: Vec<&str> = config.url.expose().split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return Err(QueueError::refused("the NATS URL is empty; allowed is nats://host:port, or several with commas"));
    }
    let mut options = options
        .name(config.connection_name.as_deref().unwrap_or("siltstone"))
        .connection_timeout(REQUEST_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(reconnect_delay);
    if let Some(capacity) = config.reader_capacity {
        options = options.subscription_capacity(capacity);
    }
    // Boxed: the future is large, and part of every request, since an unanswered request probes.
    Box::pin(options.connect(urls.as_slice())).await.map_err(|error| connect_error(&error, &config.url.to_string()))
}

fn connect_error(error: &async_nats::ConnectError, shown: &str) -> QueueError {
    let reason = format!("cannot connect to NATS at {shown}: {}", scrubbed(&error.to_string()));
    match error.kind() {
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Authentication
        | ConnectErrorKind::AuthorizationViolation
        | ConnectErrorKind::Tls => QueueError::Refused { reason },
        // A failed handshake has no separate error kind.
        ConnectErrorKind::Io if reason.contains("certificate") => QueueError::Refused { reason },
        _ => QueueError::Unavailable { reason },
    }
}
