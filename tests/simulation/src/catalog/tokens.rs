//! Transactions on the tokens of the HTTP service.
//!
//! Owns: their rows. Does not own: what a token allows (`::catalog`).

use ::catalog::{CatalogError, NewToken, Result, Token};

use super::event::Change;
use super::limits;
use super::state::CatalogState;

impl CatalogState {
    pub(crate) fn create_token(&mut self, token: NewToken) -> Result<Token> {
        token.check()?;
        limits::exact("token id", &token.id)?;
        let NewToken { id, name, hash, grants, expires_at } = token;
        if self.tokens.contains_key(&id) || self.valid_token(&name).is_some() {
            return Err(CatalogError::TokenExists(name));
        }
        let token = Token { id: id.clone(), name, hash, grants, created_at: self.now_ms, expires_at, revoked_at: None };
        self.tokens.insert(id, token.clone());
        self.changed(Change::Other("create_token"));
        Ok(token)
    }

    pub(crate) fn list_tokens(&self) -> Vec<Token> {
        let mut tokens: Vec<Token> = self.tokens.values().cloned().collect();
        tokens.sort_by(|a, b| (&a.name, a.created_at, &a.id).cmp(&(&b.name, b.created_at, &b.id)));
        tokens
    }

    pub(crate) fn revoke_token(&mut self, name: &str) -> Result<Token> {
        limits::exact("token name", name)?;
        let id = self.valid_token(name).ok_or_else(|| CatalogError::TokenNotFound(name.to_owned()))?;
        let now_ms = self.now_ms;
        let token = self.tokens.get_mut(&id).expect("it was just found");
        token.revoked_at = Some(now_ms);
        let token = token.clone();
        self.changed(Change::Other("revoke_token"));
        Ok(token)
    }

    /// The id of the token of this name that is not revoked.
    fn valid_token(&self, name: &str) -> Option<String> {
        let mut tokens = self.tokens.values();
        tokens.find(|token| token.name == name && token.revoked_at.is_none()).map(|token| token.id.clone())
    }
}
