//! `token list`: one line per token.
//!
//! Owns: showing them. Does not own: the tokens (the catalog); no secret and no hash is shown.

use catalog::{Token, TokenState};
use common::clock::{Clock, SystemClock};
use common::config::Settings;
use serde::Serialize;

use super::grants_text;
use crate::opened::reading_catalog;
use crate::output::{self, Align, Table};
use crate::units::time_text;

#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    token: Token,
    state: TokenState,
}

/// Lists all tokens, by name.
pub(super) async fn run(settings: &Settings, json: bool) -> anyhow::Result<()> {
    let tokens = reading_catalog(settings, async |catalog| Ok(catalog.list_tokens().await?)).await?;
    let now_ms = SystemClock.now_ms();
    let listed: Vec<Listed> = tokens.into_iter().map(|token| Listed { state: token.state(now_ms), token }).collect();
    output::show(json, &listed, || text(&listed))
}

fn text(listed: &[Listed]) -> String {
    if listed.is_empty() {
        return "no tokens yet, so the HTTP service serves its own machine alone; create one with `siltstone token create NAME \
                --allow RIGHTS:TOPICS`\n"
            .to_owned();
    }
    let mut table =
        Table::new(&["TOKEN", "ID", "ALLOWS", "STATE", "CREATED", "EXPIRES"].map(|name| (name, Align::Left)));
    for Listed { token, state } in listed {
        table.row([
            token.name.clone(),
            token.id.clone(),
            grants_text(token),
            match state {
                TokenState::Valid => "valid".to_owned(),
                TokenState::Expired => "expired".to_owned(),
                TokenState::Revoked => "revoked".to_owned(),
            },
            time_text(token.created_at),
            token.expires_at.map_or_else(|| "never".to_owned(), time_text),
        ]);
    }
    table.to_string()
}
