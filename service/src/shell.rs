//! The shell of a service: everything around its work, from the first log line to the last.
//!
//! Owns: the order of setting up, signals during start, run and drain, the tasks that serve pages and maintain
//! metrics.
//! Does not own: the service's work, which the caller passes as futures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::config::Settings;
use common::failpoint;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::error::{Result, ServiceError};
use crate::pages::Pages;
use crate::signals::Signals;
use crate::tls::{Protocol, Tls, TlsFiles};
use crate::{logs, metrics};

/// A process that starts, runs and drains one service. One per process.
#[derive(Debug)]
pub struct Shell {
    signals: Signals,
    metrics: PrometheusHandle,
    /// The pages and the metrics' upkeep.
    tasks: JoinSet<()>,
    /// Set by the signal that ends the service, or at the latest by the drain.
    is_draining: Arc<AtomicBool>,
}

/// An address that this process listens on.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    /// Listens on `HTTP_ADDR`. No request is answered before [`Shell::serve`].
    ///
    /// # Errors
    /// [`ServiceError::Listen`] if the address is in use or not allowed.
    pub async fn bind(settings: &Settings) -> Result<Self> {
        Self::bind_to("HTTP_ADDR", settings.http_addr).await
    }

    /// Listens on `INGEST_ADDR`, with the certificate that the settings name. No request is answered before
    /// [`Intake::serve`](crate::Intake::serve).
    ///
    /// # Errors
    /// As [`Listener::bind`], and [`ServiceError::Tls`] if the certificate cannot be used.
    pub async fn bind_ingest(settings: &Settings) -> Result<Self> {
        Self::bind_door(settings, ("INGEST_ADDR", settings.ingest_addr), Protocol::Http1).await
    }

    /// Listens on an address of a protocol for clients, which a setting names, with the certificate of `INGEST_ADDR`.
    ///
    /// # Errors
    /// As [`Listener::bind_ingest`].
    pub async fn bind_door(
        settings: &Settings,
        (setting, addr): (&'static str, SocketAddr),
        protocol: Protocol,
    ) -> Result<Self> {
        let tls = match TlsFiles::of(settings, protocol) {
            Some(files) => Some(Tls::open(files).await?),
            None => None,
        };
        Ok(Self { tls, ..Self::bind_to(setting, addr).await? })
    }

    async fn bind_to(setting: &'static str, addr: SocketAddr) -> Result<Self> {
        let listening = async { Self::of(TcpListener::bind(addr).await?) };
        listening.await.map_err(|error| ServiceError::Listen { setting, addr, error })
    }

    pub(crate) fn of(listener: TcpListener) -> std::io::Result<Self> {
        Ok(Self { addr: listener.local_addr()?, listener, tls: None })
    }

    pub(crate) fn into_parts(self) -> (TcpListener, Option<Tls>) {
        (self.listener, self.tls)
    }

    /// True if connections are encrypted.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The URL under which others reach this listener: `AGENT_URL`, or the address in use. `None` if that stands for every
    /// address of the machine, so that nobody elsewhere could use it.
    pub fn advertised(&self, settings: &Settings) -> Option<String> {
        let scheme = if self.has_tls() { "https" } else { "http" };
        let of_address = || (!self.addr.ip().is_unspecified()).then(|| format!("{scheme}://{}", self.addr));
        settings.agent_url.as_ref().map(ToString::to_string).or_else(of_address)
    }

    /// The address in use. Port 0 in the settings lets the system choose one.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Shell {
    /// Sets up logs, failpoints, signals and metrics. From now on SIGTERM and SIGINT end the process only through this
    /// shell. Call it within a Tokio runtime.
    ///
    /// # Errors
    /// If `LOG_LEVEL` or the failpoints cannot be parsed, or signals cannot be handled.
    pub fn open(settings: &Settings) -> Result<Self> {
        logs::init(settings)?;
        failpoint::check().map_err(ServiceError::Failpoint)?;
        let is_draining = Arc::default();
        Ok(Self { signals: Signals::new()?, metrics: metrics::init(), tasks: JoinSet::new(), is_draining })
    }

    /// Runs `start` to its end. A signal drops it midway: before a service runs, there is nothing to drain.
    ///
    /// # Errors
    /// Those of `start`, and [`ServiceError::InterruptedStart`].
    pub async fn start<T, E: From<ServiceError>>(&mut self, start: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        tokio::select! {
            started = start => started,
            signal = self.signals.next() => Err(ServiceError::InterruptedStart { signal }.into()),
        }
    }

    /// Serves the pages, and maintains the metrics, until the drain has ended.
    pub fn serve(&mut self, listener: Listener, pages: Pages) {
        self.tasks.spawn(metrics::upkeep(self.metrics.clone()));
        self.tasks.spawn(pages.serve(listener.listener, self.metrics.clone(), Arc::clone(&self.is_draining)));
    }

    /// Waits for a signal and returns its name. From then on the service is not ready. Cancel-safe.
    pub async fn signal(&mut self) -> &'static str {
        let signal = self.signals.next().await;
        self.is_draining.store(true, Ordering::Relaxed);
        signal
    }

    /// Runs `drain` to its end while the pages are still served, then ends them. A second signal, or the deadline,
    /// drops `drain` midway: the process must then end at once.
    ///
    /// # Errors
    /// Those of `drain`, [`ServiceError::InterruptedDrain`] and [`ServiceError::DrainDeadline`].
    pub async fn drain<T, E: From<ServiceError>>(
        mut self,
        deadline: Duration,
        drain: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.is_draining.store(true, Ordering::Relaxed);
        let drained = tokio::select! {
            drained = tokio::time::timeout(deadline, drain) => drained,
            signal = self.signals.next() => return Err(ServiceError::InterruptedDrain { signal }.into()),
        };
        let Ok(drained) = drained else {
            return Err(ServiceError::DrainDeadline { seconds: deadline.as_secs() }.into());
        };
        self.tasks.shutdown().await;
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_stands_for_all_is_not_advertised_unless_a_url_is_set() {
        let settings = |addr: &str, url: Option<&str>| Settings {
            http_addr: addr.parse().expect("an address"),
            agent_url: url.map(|url| url.parse().expect("valid")),
            ..Settings::default()
        };
        let local = settings("127.0.0.1:0", None);
        let listener = Listener::bind(&local).await.expect("any port");
        assert_eq!(listener.advertised(&local), Some(format!("http://{}", listener.addr())), "the port in use");
        let all = settings("0.0.0.0:0", None);
        let listener = Listener::bind(&all).await.expect("any port");
        assert_eq!(listener.advertised(&all), None);
        let named = settings("0.0.0.0:0", Some("https://agents.example:8081/"));
        assert_eq!(listener.advertised(&named).as_deref(), Some("https://agents.example:8081"));
    }
}
