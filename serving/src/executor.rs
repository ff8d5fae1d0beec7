//! The one executor of statements, for all doors.
//!
//! Owns: the life of a statement: a slot to plan, its plan, a slot to run, its rows. Does not own: its sender (`client`), the
//! slots (`slots`), the run (`run`), its threads (`workers`), what is counted and logged of it (`report`), planning itself
//! (`lake::query`).

mod client;
mod columns;
mod frame;
mod limits;
mod lists;
mod report;
mod run;
mod slots;
mod workers;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use catalog::MetadataStore;
use datafusion::common::ParamValues;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::dataframe::DataFrame;
use datafusion::scalar::ScalarValue;
use lake::query::{ListedTable, QueryError, QuerySession, QueryStore, SessionSettings, parameter_types};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use self::frame::Frame;
use self::report::Report;
use self::slots::Slots;
use self::workers::Workers;
use crate::error::{FailureKind, QueryFailure};
pub use client::{Client, Door};
pub(crate) use columns::conformed;
pub use limits::Limits;
pub use report::describe_metrics;
pub use run::Rows;

/// The name of the one catalog.
pub(crate) const CATALOG: &str = "siltstone";

/// Longest text of a statement: larger ones are made by programs that should send values as parameters.
pub(crate) const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Plans and runs statements within [`Limits`].
pub struct Executor {
    session: QuerySession,
    slots: Slots,
    limits: Limits,
    workers: Workers,
}

/// A statement that was planned, and may run.
#[derive(Clone)]
pub struct Planned {
    id: Uuid,
    executor: Arc<Executor>,
    client: Client,
    frame: Frame,
}

impl Executor {
    /// An executor over the objects that `catalog` lists in `store`.
    ///
    /// # Errors
    /// As [`QuerySession::open_with`], and when there are no more threads.
    pub fn open(catalog: Arc<dyn MetadataStore>, store: QueryStore, limits: Limits) -> Result<Arc<Self>, QueryError> {
        Self::over(QuerySession::open_with(catalog, store, limits.options())?, limits)
    }

    /// The same over a session with [`Limits::options`].
    ///
    /// # Errors
    /// There are no more threads.
    pub fn over(session: QuerySession, limits: Limits) -> Result<Arc<Self>, QueryError> {
        let workers = Workers::start().map_err(|error| QueryError::Query(error.into()))?;
        Ok(Arc::new(Self { session, slots: Slots::new(&limits), limits, workers }))
    }

    /// The settings with which a client begins, its own from then on.
    pub fn settings(&self) -> SessionSettings {
        SessionSettings::new(self.session.settings().hot_tail())
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Plans one statement, in which `$1`, `$2` stand for parameters. It sees the topics that its client may read.
    ///
    /// # Errors
    /// [`QueryFailure`], which is logged.
    pub async fn plan(self: &Arc<Self>, client: &Client, sql: &str) -> Result<Planned, QueryFailure> {
        let id = Uuid::now_v7();
        let mut report = Report::begin(id, client);
        tracing::debug!(query = %id, sql, "statement");
        let planned = self.frame(client, sql).await;
        match planned {
            Ok(frame) => {
                report.forget();
                Ok(Planned { id, executor: Arc::clone(self), client: client.clone(), frame })
            }
            Err(failure) => Err(report.failed(failure)),
        }
    }

    /// The tables that a client may name.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub async fn tables(&self, client: &Client) -> Result<Vec<ListedTable>, QueryFailure> {
        let tables = self.session.tables(&client.scope()).await;
        tables.map_err(|error| QueryFailure::planning(&error, self.limits.memory_bytes))
    }

    /// Of its own task, so that a long plan holds no connection, and its slot until it really ends.
    async fn frame(self: &Arc<Self>, client: &Client, sql: &str) -> Result<Frame, QueryFailure> {
        if sql.len() > STATEMENT_BYTES_MAX {
            let text = format!("the statement has {} bytes; allowed are {STATEMENT_BYTES_MAX}", sql.len());
            return Err(QueryFailure::invalid(text));
        }
        if sql.contains('\0') {
            return Err(QueryFailure::invalid("the statement holds a zero byte, which is no text"));
        }
        let slot = self.slots.take().await?;
        let _waits = slot.waits();
        let (executor, sql, scope) = (Arc::clone(self), sql.to_owned(), client.scope());
        let settings = client.settings.clone();
        let planning = self.workers.run(async move {
            let _slot = slot;
            executor.session.sql_within(&sql, &settings, &scope).await.map(Frame::from)
        });
        match timeout_at(self.deadline(), planning).await {
            Ok(Ok(Ok(frame))) => Ok(frame),
            Ok(Ok(Err(error))) => Err(QueryFailure::planning(&error, self.limits.memory_bytes)),
            Ok(Err(_)) => Err(QueryFailure::new(FailureKind::Internal, "planning the statement failed by a defect")),
            Err(_) => Err(self.too_long()),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.limits.timeout
    }

    fn too_long(&self) -> QueryFailure {
        let seconds = self.limits.timeout.as_secs();
        QueryFailure::new(FailureKind::Timeout, format!("the query did not end within QUERY_TIMEOUT_SECS={seconds}"))
    }
}

impl Planned {
    /// Its id, which the log has.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The columns of its rows, as far as they can be known before its parameters have values.
    pub async fn schema(&self) -> SchemaRef {
        let frame = self.frame.clone();
        // Planning deep statements takes the stack of these threads.
        let announced = self.executor.workers.run(async move { columns::announced(frame.into()) }).await;
        announced.unwrap_or_else(|_| Arc::new(self.frame.as_ref().schema().as_arrow().clone()))
    }

    /// The types of its parameters in order, where they are known.
    ///
    /// # Errors
    /// A parameter is not named by its number.
    pub fn parameters(&self) -> Result<Vec<Option<DataType>>, QueryFailure> {
        let failed = |error| QueryFailure::running(&error, self.executor.limits.memory_bytes);
        let plan = self.frame.as_ref().logical_plan();
        let types: HashMap<String, Option<DataType>> = parameter_types(plan).map_err(failed)?;
        let mut lists = match types.is_empty() {
            true => HashMap::new(),
            false => lists::types(plan).map_err(failed)?,
        };
        let mut ordered = Vec::new();
        for (name, known) in types {
            let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
            let Some(number) = number.filter(|number| (1..=usize::from(u16::MAX)).contains(number)) else {
                return Err(QueryFailure::invalid(format!("parameter {name}: parameters are $1, $2 and so on")));
            };
            if ordered.len() < number {
                ordered.resize(number, None);
            }
            ordered[number - 1] = known.or_else(|| lists.remove(&name));
        }
        Ok(ordered)
    }

    /// The same with the values of its parameters.
    ///
    /// # Errors
    /// Their number is wrong, or a value does not fit.
    pub fn with_values(self, values: Vec<ScalarValue>) -> Result<Self, QueryFailure> {
        let wanted = self.parameters()?.len();
        if values.len() != wanted {
            let given = values.len();
            return Err(QueryFailure::invalid(format!("{given} parameters are given; the statement has {wanted}")));
        }
        if wanted == 0 {
            return Ok(self);
        }
        let values = values.into_iter().map(|value| ScalarAndMetadata::new(value, None)).collect();
        let frame = DataFrame::from(self.frame).with_param_values(ParamValues::List(values));
        let frame = frame.map_err(|error| QueryFailure::running(&error, self.executor.limits.memory_bytes))?;
        Ok(Self { frame: frame.into(), ..self })
    }

    /// Runs it. The rows come as fast as they are taken; dropping them ends the query.
    ///
    /// # Errors
    /// [`QueryFailure`] up to the first row, which is logged; later ones are in the stream.
    pub async fn run(self) -> Result<Rows, QueryFailure> {
        let mut report = Report::begin(self.id, &self.client);
        let missing = self.parameters().map(|parameters| parameters.len());
        match missing {
            Ok(0) => {}
            Ok(wanted) => {
                let text = format!("0 parameters are given; the statement has {wanted}");
                return Err(report.failed(QueryFailure::invalid(text)));
            }
            Err(failure) => return Err(report.failed(failure)),
        }
        match self.executor.slots.take().await {
            Ok(slot) => Rows::begin(self.frame, slot, report, self.executor).await,
            Err(busy) => Err(report.failed(busy)),
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
