//! Addresses that other machines reach, which nobody is served at without a token.
//!
//! Owns: the refusal, and looking for it before something begins. Does not own: tokens (`catalog`), checking those of requests.

use std::net::SocketAddr;

use common::config::{InvalidSetting, Settings};

use crate::connect;
use crate::error::{Result, ServiceError};

/// The refusal of an address that other machines reach while the catalog has no token. `right` is `produce` or `read`.
pub fn no_token(setting: &str, addr: SocketAddr, right: &str) -> InvalidSetting {
    let everybody = if right == "read" { "read" } else { "publish" };
    InvalidSetting::new(format!(
        "{setting}={addr}: other machines reach this address, and the catalog has no token, so that everybody could \
         {everybody}; make a token with `siltstone token create NAME --allow {right}:TOPIC`, or listen on this machine alone, \
         such as on 127.0.0.1:{}",
        addr.port()
    ))
}

/// Refuses settings by which others would be served without a token, before a writer takes partitions from its peers.
///
/// # Errors
/// [`ServiceError::Setting`] as [`no_token`]. A catalog that cannot be read is no matter of this function: the start says so.
pub async fn ensure_guarded(settings: &Settings) -> Result<()> {
    let doors = [
        ("INGEST_ADDR", Some(settings.ingest_addr), "produce"),
        ("POSTGRES_ADDR", settings.postgres_addr, "read"),
        ("FLIGHT_ADDR", settings.flight_addr, "read"),
    ];
    let reached = doors.into_iter().find_map(|(setting, addr, right)| {
        addr.filter(|addr| !addr.ip().is_loopback()).map(|addr| (setting, addr, right))
    });
    let Some((setting, addr, right)) = reached else { return Ok(()) };
    let has_token = match connect::catalog_to_read(settings).await {
        Ok(catalog) => {
            let tokens = catalog.list_tokens().await;
            connect::close_catalog(catalog.as_ref()).await;
            tokens.map_or(true, |tokens| !tokens.is_empty())
        }
        Err(ServiceError::NoCatalog { .. }) => false,
        Err(_) => true,
    };
    if has_token { Ok(()) } else { Err(no_token(setting, addr, right).into()) }
}
