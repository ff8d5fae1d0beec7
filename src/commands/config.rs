//! `config`: the settings as this process understands them, and where each value comes from.
//!
//! Owns: showing them. Does not own: the settings and their manual (`common::config`).

use common::config::{EffectiveSetting, Origin, Settings, StoreVariable};
use serde_json::{Value, json};

use crate::output::{self, Align, Table};

/// Show the effective settings.
///
/// Each is a default, set by the environment, or derived from another setting. The variables that the client of the
/// object store reads itself follow. Secrets are hidden.
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
    let of_store = StoreVariable::in_force(settings.storage_type);
    if json {
        let entries =
            effective.iter().map(entry).chain(of_store.iter().map(|variable| store_entry(settings, variable)));
        return output::print_json(&entries.collect::<Vec<_>>());
    }
    let mut table = Table::new(&[("SETTING", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)]);
    for EffectiveSetting { doc, value, origin } in &effective {
        let shown = if value.is_empty() { "(unset)" } else { value };
        table.row([doc.name, shown, &origin.to_string()]);
        if args.explain {
            table.text(format!("    {}; {}", doc.about, doc.allowed));
        }
    }
    for variable in &of_store {
        table.row([variable.name.as_str(), &variable.value, "environment"]);
        if args.explain {
            table.text(format!("    {}", about_store(settings)));
        }
    }
    output::print(&table.to_string())
}

fn entry(EffectiveSetting { doc, value, origin }: &EffectiveSetting) -> Value {
    let derived_from = if let Origin::Derived(from) = origin { Some(*from) } else { None };
    let word = match origin {
        Origin::Default => "default",
        Origin::Environment => "environment",
        Origin::Derived(_) => "derived",
    };
    json!({ "name": doc.name, "value": value, "is_default": *origin == Origin::Default, "origin": word,
            "derived_from": derived_from, "default": doc.default, "allowed": doc.allowed, "about": doc.about,
            "secret": doc.secret })
}

fn store_entry(settings: &Settings, variable: &StoreVariable) -> Value {
    json!({ "name": variable.name, "value": variable.value, "is_default": false, "origin": "environment",
            "derived_from": null, "default": "", "allowed": "", "about": about_store(settings),
            "secret": variable.secret })
}

fn about_store(settings: &Settings) -> String {
    format!("read by the client of the {} store", settings.storage_type.as_str())
}
