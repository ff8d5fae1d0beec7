//! `token create`: a token whose text is shown once.
//!
//! Owns: the arguments, and showing the text. Does not own: the secret and its hash (crate `catalog`).

use std::time::Duration;

use anyhow::Context;
use catalog::{CatalogError, Grant, NewToken, TokenSecret};
use common::clock::{Clock, SystemClock};
use common::config::Settings;
use serde_json::json;

use super::grants_text;
use crate::opened::with_new_catalog;
use crate::output::{self, UsageError};
use crate::units::{parse_duration, time_text};

/// Create a token and show it, this once.
///
/// The catalog keeps a hash of it alone. Standard output has the token and nothing else, so that a script can take it. A
/// client sends it as `Authorization: Bearer TOKEN`. A running service knows it within a second.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: siltstone token create shop --allow produce:orders --allow 'read:logs*' --expires-in 90d"
)]
pub(crate) struct Args {
    /// Name of the token, for people and for `token revoke`
    name: String,
    /// Allow these rights (produce, read, admin, separated by commas) on this topic, or on all topics that begin so with *
    /// at the end; repeatable. Admin creates, changes and deletes topics, and includes neither of the others
    #[arg(long, value_name = "RIGHTS:TOPICS", required = true)]
    allow: Vec<Grant>,
    /// Let it be worth nothing after this time, such as 12h or 90d; without it the token does not expire
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires_in: Option<Duration>,
}

/// Creates the token.
pub(super) async fn run(args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let secret = TokenSecret::generate();
    let token = NewToken {
        id: secret.id().to_owned(),
        name: args.name,
        hash: secret.hash(),
        grants: args.allow,
        expires_at: args.expires_in.map(end_of).transpose()?,
    };
    token.check().map_err(|error| match error {
        CatalogError::Refused(reason) => UsageError::new(reason).into(),
        error => anyhow::Error::from(error),
    })?;
    for topics in token.grants.iter().map(|grant| grant.topics.to_string()) {
        if topics.trim_end_matches('*').contains('*') {
            output::note(&format!(
                "note: {topics:?} means the star itself: only one at the end stands for other letters"
            ));
        }
    }
    let token = with_new_catalog(settings, async |catalog| Ok(catalog.create_token(token).await?)).await?;
    if json {
        return output::print_json(&json!({ "token": token, "secret": secret.expose() }));
    }
    output::print(&format!("{}\n", secret.expose()))?;
    let end = token
        .expires_at
        .map_or_else(|| "it does not expire".to_owned(), |end| format!("it expires at {}", time_text(end)));
    output::note(&format!(
        "created token {} for {}; {end}. It is shown this once: keep it now",
        token.name,
        grants_text(&token)
    ));
    Ok(())
}

fn end_of(time: Duration) -> anyhow::Result<i64> {
    let end = i64::try_from(time.as_millis()).ok().and_then(|time| SystemClock.now_ms().checked_add(time));
    let end = end.filter(|_| !time.is_zero());
    end.context(UsageError::new("--expires-in: allowed is more than 0 and less than 292 million years"))
}
