//! Tokens of the HTTP service.
//!
//! Owns: their statements. Does not own: the decision what a token allows (`model`).

use async_trait::async_trait;

use super::{SqlMetadataStore, input, rows};
use crate::database::{Row, Session, sql, values};
use crate::error::{CatalogError, Result, is_unique_violation};
use crate::model::{NewToken, Token, TokenHash};
use crate::store::TokenStore;

impl TryFrom<Row> for Token {
    type Error = CatalogError;

    fn try_from(mut row: Row) -> Result<Self> {
        let (id, name, hash, grants) = (row.text("id")?, row.text("name")?, row.text("hash")?, row.text("grants")?);
        let inconsistent = |what: &str| CatalogError::Inconsistent(format!("{what} of token {id}"));
        Ok(Self {
            hash: TokenHash::from_hex(&hash).ok_or_else(|| inconsistent("hash"))?,
            grants: serde_json::from_str(&grants).map_err(|error| inconsistent(&format!("{error}: grants")))?,
            created_at: row.integer("created_at")?,
            expires_at: row.optional_integer("expires_at")?,
            revoked_at: row.optional_integer("revoked_at")?,
            id,
            name,
        })
    }
}

#[async_trait]
impl<D> TokenStore for SqlMetadataStore<D> {
    async fn create_token(&self, token: NewToken) -> Result<Token> {
        self.door.write(|session| Box::pin(create_token(session, &token))).await
    }

    async fn list_tokens(&self) -> Result<Vec<Token>> {
        let select = sql!("SELECT " token_columns " FROM tokens ORDER BY name, created_at, id");
        rows::all(self.door.fetch(&select, values![]).await?)
    }

    async fn revoke_token(&self, name: &str) -> Result<Token> {
        self.door.write(|session| Box::pin(revoke_token(session, name))).await
    }
}

async fn create_token(session: &mut dyn Session, token: &NewToken) -> Result<Token> {
    let insert = sql!(
        "INSERT INTO tokens (id, name, hash, grants, created_at, expires_at)
         VALUES ($1, $2, $3, $4, " now_ms ", $5)"
    );
    token.check()?;
    let grants = serde_json::to_string(&token.grants).expect("grants are text");
    let hash = token.hash.to_hex();
    let id = input::exact("token id", &token.id)?;
    let values = values![id, &token.name, &hash, &grants, token.expires_at];
    session.execute(&insert, values).await.map_err(|error| {
        if is_unique_violation(&error) { CatalogError::TokenExists(token.name.clone()) } else { error.into() }
    })?;
    read_token(session, id).await
}

async fn revoke_token(session: &mut dyn Session, name: &str) -> Result<Token> {
    let select = sql!("SELECT id FROM tokens WHERE name = $1 AND revoked_at IS NULL" for_update);
    let update = sql!("UPDATE tokens SET revoked_at = " now_ms " WHERE id = $1");
    let found = session.fetch(&select, values![input::exact("token name", name)?]).await?.pop();
    let id = found.ok_or_else(|| CatalogError::TokenNotFound(name.to_owned()))?.text("id")?;
    session.execute(&update, values![&id]).await?;
    read_token(session, &id).await
}

async fn read_token(session: &mut dyn Session, id: &str) -> Result<Token> {
    let select = sql!("SELECT " token_columns " FROM tokens WHERE id = $1");
    let token = rows::only(session.fetch(&select, values![id]).await?)?;
    token.ok_or_else(|| CatalogError::TokenNotFound(id.to_owned()))
}
