//! The lake that settings name, for a program that queries it with DataFusion of its own.
//!
//! Owns: opening catalog and store to be read. Does not own: the tables (`lake::query`).

use lake::query::{Lake, QueryStore};
use service::connect;
use writer::service::ServeError;

use crate::{Result, Settings};

/// Opens the catalog and the store of these settings to be read: no catalog is made or changed. Two lines register every topic
/// in a DataFusion context:
///
/// ```ignore
/// let lake = siltstone::open_lake(&settings).await?;
/// lake.register(&context, "lake").await?; // then: SELECT * FROM lake.public.orders
/// ```
///
/// # Errors
/// [`Error::Open`](crate::Error::Open) when there is no catalog, or a part cannot be opened.
pub async fn open_lake(settings: &Settings) -> Result<Lake> {
    let opened = |error| Box::new(ServeError::from(error));
    let catalog = connect::catalog_to_read(settings).await.map_err(opened)?;
    let storage = connect::existing_storage(settings).map_err(opened)?;
    Ok(Lake::new(catalog, QueryStore { url: storage.url, store: storage.store }))
}
