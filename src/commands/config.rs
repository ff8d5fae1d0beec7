//! `config`: the settings as this process understands them.
//!
//! Owns: showing them. Does not own: the settings and their manual (`common::config`).

use common::config::Settings;
use serde_json::json;

use crate::output::{self, Align, Table};

/// Show the effective settings.
///
/// Settings come from environment variables. Passwords and other secrets are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone config --explain")]
pub(crate) struct Args {
    /// Also say what each setting does and which values it takes
    #[arg(long)]
    explain: bool,
}

/// Shows every setting; secrets are hidden.
pub(crate) fn run(args: &Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let effective = settings.effective();
    let defaults = Settings::default().effective();
    let is_default = |index: usize| defaults[index].1 == effective[index].1;
    if json {
        let entry = |(index, (doc, value)): (usize, &(&common::config::SettingDoc, String))| {
            json!({ "name": doc.name, "value": value, "is_default": is_default(index), "default": doc.default,
                    "allowed": doc.allowed, "about": doc.about, "secret": doc.secret })
        };
        return output::print_json(&effective.iter().enumerate().map(entry).collect::<Vec<_>>());
    }
    let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), ("", Align::Left)]);
    for (index, (doc, value)) in effective.iter().enumerate() {
        let shown = if value.is_empty() { "(unset)" } else { value };
        table.row([doc.name, shown, if is_default(index) { "default" } else { "set" }]);
        if args.explain {
            table.text(format!("    {}; {}", doc.about, doc.allowed));
        }
    }
    output::print(&table.to_string())
}
