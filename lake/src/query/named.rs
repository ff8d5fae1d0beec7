//! A table that a statement names, before its rows are known.
//!
//! Owns: the names of tables with their columns, which are all that planning a statement needs.
//! Does not own: the rows, which all tables of a statement get at one moment (`binding`).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::known::Known;
use super::provider::table_schema_of;
use super::system::SystemTable;
use catalog::{SegmentKind, Topic};
use common::TopicName;

/// The name of a table of a lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TableName {
    /// A topic's records of a kind.
    Topic(TopicName, SegmentKind),
    /// Rows of the catalog itself.
    System(SystemTable),
}

/// A table by its name and columns.
#[derive(Debug)]
pub(super) struct NamedTable {
    pub(super) lake: Arc<Known>,
    pub(super) name: TableName,
    schema: SchemaRef,
}

impl NamedTable {
    /// The records of a topic, with the columns that it has now.
    pub(super) fn of_topic(lake: Arc<Known>, topic: &Topic, kind: SegmentKind) -> Self {
        let schema = table_schema_of(&topic.config, kind);
        Self { lake, name: TableName::Topic(topic.name.clone(), kind), schema }
    }

    /// A system table.
    pub(super) fn of_system(lake: Arc<Known>, table: SystemTable) -> Self {
        Self { lake, name: TableName::System(table), schema: table.schema() }
    }
}

#[async_trait]
impl TableProvider for NamedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushed = match self.name {
            TableName::Topic(..) => TableProviderFilterPushDown::Inexact,
            TableName::System(_) => TableProviderFilterPushDown::Unsupported,
        };
        Ok(vec![pushed; filters.len()])
    }

    /// Refuses: a scan of its own would see another moment than the other tables of its statement.
    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Plan(
            "a table of a lake is read through the query planner that registering the lake sets; register the lake after \
             setting another planner"
                .to_owned(),
        ))
    }
}
