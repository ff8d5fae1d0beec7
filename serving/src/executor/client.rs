//! The sender of statements: its door, its rights, and what it has set.
//!
//! Owns: which topics its statements see. Does not own: who it is (`catalog::Callers`), reading its settings (the doors).

use std::sync::Arc;

use catalog::{Caller, Right};
use lake::query::{Additions, Scope, SessionSettings};

/// The way on which a statement came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `POST /v1/query`.
    Http,
    /// The PostgreSQL protocol.
    Postgres,
    /// Flight SQL.
    Flight,
}

/// The sender of statements.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its door.
    pub door: Door,
    /// The holder of the token.
    pub caller: Caller,
    /// Schemas and functions that its protocol adds.
    pub additions: Option<Arc<dyn Additions>>,
    /// The settings of its connection, or of its one statement.
    pub settings: SessionSettings,
}

impl Door {
    /// Its word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Postgres => "postgres",
            Self::Flight => "flight",
        }
    }
}

impl Client {
    /// Its view: a topic that it may not read does not exist for it.
    pub(super) fn scope(&self) -> Scope {
        let caller = self.caller.clone();
        let scope = Scope::default().with_topics(move |topic| caller.may(Right::Read, topic));
        match &self.additions {
            Some(additions) => scope.with_additions(Arc::clone(additions)),
            None => scope,
        }
    }
}
