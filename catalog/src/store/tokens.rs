//! Operations on the tokens of the HTTP service.
//!
//! Owns: the contract of these operations. Does not own: SQL, asking a client for its token (`ingester`).

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{NewToken, Token};

/// Tokens, valid or not.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Adds a token. The time of its creation is the database's. The name of a revoked token is free again.
    ///
    /// # Errors
    /// `TokenExists` if a token that is not revoked has this name, or any token this id; `Refused` if the name or the
    /// grants are not valid.
    async fn create_token(&self, token: NewToken) -> Result<Token>;

    /// All tokens, also those that are expired or revoked, by name, time of creation and id.
    async fn list_tokens(&self) -> Result<Vec<Token>>;

    /// Revokes the token of this name, for good.
    ///
    /// # Errors
    /// `TokenNotFound` if no token of this name is there, or only revoked ones.
    async fn revoke_token(&self, name: &str) -> Result<Token>;
}
