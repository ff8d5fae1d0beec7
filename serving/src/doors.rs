//! The doors that have addresses of their own: the PostgreSQL protocol and Flight SQL.
//!
//! Owns: which of them are open, the number of their connections, and their end in good order. Does not own: the door over
//! HTTP, which is a route of the HTTP service; the protocols (`postgres`, `flight`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Callers, MetadataStore};
use common::clock::system_clock;
use common::config::Settings;
use service::guarded::no_token;
use service::{Arrivals, Listener, Protocol, ServiceError};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::executor::Executor;
use crate::flight::{self, Flight};
use crate::postgres::Postgres;

/// Connections of the PostgreSQL protocol that are open at once. Pools keep idle ones.
const CONNECTIONS_MAX: usize = 512;

const POSTGRES_SETTING: &str = "POSTGRES_ADDR";
const FLIGHT_SETTING: &str = "FLIGHT_ADDR";

/// The addresses, before anybody is served.
#[derive(Debug)]
pub struct Bound {
    postgres: Option<Listener>,
    flight: Option<Listener>,
}

/// The open doors. Dropping them cuts off the answers that are under way.
#[derive(Debug)]
pub struct Doors {
    postgres: Option<PostgresDoor>,
    flight: Option<FlightDoor>,
    drain_max: Duration,
}

#[derive(Debug)]
struct FlightDoor {
    addr: SocketAddr,
    stop: CancellationToken,
    /// The task that serves, which ends once every request is answered.
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct PostgresDoor {
    addr: SocketAddr,
    service: Arc<Postgres>,
    stop: CancellationToken,
    /// The task that accepts, which holds those of the connections.
    tasks: JoinSet<()>,
}

impl Bound {
    /// Listens on the addresses that the settings name.
    ///
    /// # Errors
    /// As [`Listener::bind_ingest`].
    pub async fn of(settings: &Settings) -> Result<Self, ServiceError> {
        let postgres = match settings.postgres_addr {
            Some(addr) => Some(Listener::bind_door(settings, (POSTGRES_SETTING, addr), Protocol::Postgres).await?),
            None => None,
        };
        let flight = match settings.flight_addr {
            Some(addr) => Some(Listener::bind_door(settings, (FLIGHT_SETTING, addr), Protocol::Http2).await?),
            None => None,
        };
        Ok(Self { postgres, flight })
    }

    /// Opens the doors.
    ///
    /// # Errors
    /// Other machines reach an address, and the catalog has no token.
    pub async fn open(
        self,
        settings: &Settings,
        executor: &Arc<Executor>,
        catalog: &Arc<dyn MetadataStore>,
    ) -> Result<Doors, ServiceError> {
        let postgres = match self.postgres {
            Some(listener) => {
                let callers = callers(POSTGRES_SETTING, &listener, catalog).await?;
                let service = Postgres::new(Arc::clone(executor), callers);
                let service = service.map_err(|error| ServiceError::Intake(error.to_string()))?;
                Some(PostgresDoor::open(listener, service))
            }
            None => None,
        };
        let flight = match self.flight {
            Some(listener) => {
                let callers = callers(FLIGHT_SETTING, &listener, catalog).await?;
                let flight = Flight::new(Arc::clone(executor), callers);
                let flight = flight.map_err(|_| ServiceError::Intake("the system has no random numbers".to_owned()))?;
                Some(FlightDoor::open(listener, flight))
            }
            None => None,
        };
        Ok(Doors { postgres, flight, drain_max: Duration::from_secs(settings.shutdown_timeout_secs) })
    }
}

impl Doors {
    /// The address of the PostgreSQL protocol, if it is served.
    pub fn postgres_addr(&self) -> Option<SocketAddr> {
        self.postgres.as_ref().map(|door| door.addr)
    }

    /// The address of Flight SQL, if it is served.
    pub fn flight_addr(&self) -> Option<SocketAddr> {
        self.flight.as_ref().map(|door| door.addr)
    }

    /// Accepts nobody any more, lets the answers that began end, at most for the time of a shutdown, and closes.
    pub async fn drain(self) {
        let postgres = async {
            if let Some(mut door) = self.postgres {
                door.stop.cancel();
                if timeout(self.drain_max, door.service.answered()).await.is_err() {
                    tracing::warn!("answers of the PostgreSQL protocol were cut off");
                }
                door.tasks.shutdown().await;
            }
        };
        let flight = async {
            if let Some(mut door) = self.flight {
                door.stop.cancel();
                if timeout(self.drain_max, door.tasks.join_next()).await.is_err() {
                    tracing::warn!("answers of Flight SQL were cut off");
                }
                door.tasks.shutdown().await;
            }
        };
        tokio::join!(postgres, flight);
    }
}

impl FlightDoor {
    fn open(listener: Listener, flight: Flight) -> Self {
        let (addr, stop, mut tasks) = (listener.addr(), CancellationToken::new(), JoinSet::new());
        tasks.spawn(flight::serve(Arrivals::of(listener), flight, stop.clone()));
        Self { addr, stop, tasks }
    }
}

impl PostgresDoor {
    fn open(listener: Listener, service: Arc<Postgres>) -> Self {
        let (addr, stop, mut tasks) = (listener.addr(), CancellationToken::new(), JoinSet::new());
        tasks.spawn(accept(Arrivals::of(listener), Arc::clone(&service), stop.clone()));
        Self { addr, service, stop, tasks }
    }
}

/// The callers of an address, and a line in the log.
async fn callers(
    setting: &str,
    listener: &Listener,
    catalog: &Arc<dyn MetadataStore>,
) -> Result<Arc<Callers>, ServiceError> {
    let (addr, tls) = (listener.addr(), listener.has_tls());
    let is_local = addr.ip().is_loopback();
    let callers = Callers::new(Arc::clone(catalog), system_clock(), is_local);
    match callers.counts().await {
        Ok((0, _)) if !is_local => {
            return Err(no_token(setting, addr, "read").into());
        }
        Ok((0, _)) => tracing::info!(setting, %addr, tls, "queries are answered; no tokens: loopback only"),
        Ok((_, tokens)) => tracing::info!(setting, %addr, tls, tokens, "queries are answered for holders of a token"),
        Err(error) if is_local => {
            tracing::warn!(setting, %addr, tls, %error, "queries are answered once the tokens can be read");
        }
        Err(error) => return Err(ServiceError::Intake(format!("the tokens cannot be read: {error}"))),
    }
    if !is_local && !tls {
        tracing::warn!(setting, %addr, "tokens and rows are sent in the clear: set INGEST_TLS_CERT and INGEST_TLS_KEY");
    }
    Ok(Arc::new(callers))
}

/// Accepts until `stop`, then waits for the connections.
async fn accept(arrivals: Arrivals, service: Arc<Postgres>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            (stream, tls) = arrivals.next() => {
                if connections.len() < CONNECTIONS_MAX {
                    connections.spawn(Arc::clone(&service).converse(stream, tls));
                } else {
                    refuse(stream).await;
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(arrivals);
    while connections.join_next().await.is_some() {}
}

/// Tells a client that there are too many, in the words of the protocol: an error is allowed in place of any first answer.
async fn refuse(mut stream: TcpStream) {
    let mut fields = Vec::new();
    for (kind, text) in
        [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "53300"), (b'M', "too many connections are open here")]
    {
        fields.push(kind);
        fields.extend_from_slice(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let mut message = vec![b'E'];
    message.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(&fields);
    // Into the system's buffer, which is empty.
    timeout(Duration::from_millis(100), stream.write_all(&message)).await.ok();
}
