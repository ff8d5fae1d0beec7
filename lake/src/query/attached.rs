//! A lake in a program's own DataFusion context.
//!
//! Owns: registering the tables, and the planner that reads all tables of a query at one moment.
//! Does not own: the context, its rules and its memory; the rules of our own sessions (`session`).

use std::fmt;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;

use super::binding::BindingPlanner;
use super::known::Known;
use super::schemas::QueryCatalog;
use super::{QueryError, QueryStore, sources};
use catalog::MetadataStore;

/// A catalog of topics and the store of their objects, to be queried by a program with DataFusion of its own.
///
/// Tables are named as in [`QuerySession`](super::QuerySession), below the name of the registration: `lake.public.orders`,
/// `lake.quarantine.orders`, `lake.siltstone.segments`. Each query reads one moment of all of them, the one at which it is
/// planned for execution. Values are read as in our own sessions; the rules by which these keep arithmetic exact are those
/// of a context that [`exact_context`](super::exact_context) makes.
pub struct Lake {
    catalog: Arc<dyn MetadataStore>,
    store: QueryStore,
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Lake {
    /// The lake of this catalog, whose objects are in this store.
    pub fn new(catalog: Arc<dyn MetadataStore>, store: QueryStore) -> Self {
        Self { catalog, store }
    }

    /// Registers the lake's tables in the context under a name, and sets the context's query planner to one that reads all
    /// tables of a query at one moment before the present planner plans it. Topics that are created later are found. A
    /// planner that is set afterwards takes its place, and the tables then refuse to be read.
    ///
    /// # Errors
    /// [`QueryError::Store`] when the store's URL cannot name a store; those of the catalog.
    pub async fn register(&self, context: &SessionContext, name: &str) -> Result<(), QueryError> {
        let topics = self.catalog.list_topics().await?;
        let sources = sources(Arc::clone(&self.catalog), &self.store, &context.runtime_env(), false)?;
        let lake = Arc::new(Known::new(sources));
        context.register_catalog(name, Arc::new(QueryCatalog::following(lake, topics)));
        let state = context.state_ref();
        let mut state = state.write();
        let planner = Arc::new(BindingPlanner(Arc::clone(state.query_planner())));
        let id = state.session_id().to_owned();
        let rebuilt = SessionStateBuilder::new_from_existing(state.clone()).with_query_planner(planner);
        *state = rebuilt.with_session_id(id).build();
        Ok(())
    }
}
