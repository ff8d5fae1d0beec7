//! The view of one statement: what it may name, and what it finds besides the lake's tables.
//!
//! Owns: the topics that a caller may read, and the additions of a protocol. A topic out of sight is absent from every
//! table: its own, its quarantine's, and the rows of system tables.
//! Does not own: who may read which topic (the caller), the tables (`schemas`).

use std::fmt;
use std::sync::Arc;

use catalog::View;
use common::TopicName;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::catalog::SchemaProvider;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast;

use super::times::Microseconds;

/// The view of one statement. By default, every topic and nothing more.
#[derive(Clone, Default)]
pub struct Scope {
    visible: Option<Arc<Visible>>,
    additions: Option<Arc<dyn Additions>>,
}

/// True for a topic in sight.
type Visible = dyn Fn(&TopicName) -> bool + Send + Sync;

/// Schemas, functions and types that clients of a protocol expect.
pub trait Additions: fmt::Debug + Send + Sync {
    /// The schema of this name, if there is one.
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>>;

    /// Adds functions.
    fn extend(&self, builder: SessionStateBuilder) -> SessionStateBuilder;

    /// Names of types, besides those of every session.
    fn types(&self) -> Arc<dyn TypePlanner>;
}

impl Scope {
    /// Only the topics for which `visible` is true.
    #[must_use]
    pub fn with_topics(self, visible: impl Fn(&TopicName) -> bool + Send + Sync + 'static) -> Self {
        Self { visible: Some(Arc::new(visible)), ..self }
    }

    /// With these schemas and functions as well.
    #[must_use]
    pub fn with_additions(self, additions: Arc<dyn Additions>) -> Self {
        Self { additions: Some(additions), ..self }
    }

    pub(super) fn sees(&self, topic: &TopicName) -> bool {
        self.visible.as_ref().is_none_or(|visible| visible(topic))
    }

    /// The rows of the catalog that are in sight. Agents are of no topic: who sees some topics alone sees none of them. A group is
    /// in sight with one of its topics.
    pub(super) fn of(&self, mut view: View) -> View {
        if self.visible.is_none() {
            return view;
        }
        view.topics.retain(|topic| self.sees(&topic.name));
        view.snapshots.retain(|snapshot| self.sees(&snapshot.topic.name));
        view.commits.retain(|(partition, _)| self.sees(&partition.topic));
        view.gaps.retain(|(partition, _)| self.sees(&partition.topic));
        view.uploads.retain(|upload| self.sees(&upload.topic));
        view.offsets.retain(|row| self.sees(&row.offset.topic));
        view.groups.retain(|group| group.topics.iter().any(|topic| self.sees(topic)));
        view.agents.clear();
        view
    }

    pub(super) fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.additions.as_ref()?.schema(name)
    }

    pub(super) fn extend(&self, builder: SessionStateBuilder) -> SessionStateBuilder {
        match &self.additions {
            Some(additions) => additions.extend(builder).with_type_planner(Arc::new(Types(additions.types()))),
            None => builder,
        }
    }
}

/// Types of an addition before those of every session: a session has one planner of types.
#[derive(Debug)]
struct Types(Arc<dyn TypePlanner>);

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        match self.0.plan_type_field(sql_type)? {
            Some(added) => Ok(Some(added)),
            None => Microseconds.plan_type_field(sql_type),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("additions", &self.additions).finish_non_exhaustive()
    }
}
