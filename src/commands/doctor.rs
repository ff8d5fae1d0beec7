//! `doctor`: the promise that the configured deployment can keep.
//!
//! Owns: showing findings and promise. Does not own: finding (`service::diagnose`), judging (`common::diagnosis`).

use common::config::Settings;
use common::diagnosis::{self, Finding, Promise, Verdict};
use serde_json::json;

use crate::output::{self, Align, Reported, Table};

/// Check the deployment, and say what it can promise.
///
/// The promise is strong when everything that the queue confirmed becomes rows exactly once, through crashes and power
/// cuts; it is reduced, with the reasons and what to change, where a part keeps less than it confirms. Canary objects
/// are put and deleted in the store, a consumer that delivers nothing is made and deleted in the queue; nothing else
/// changes.
///
/// Exit code 0 when everything works, strong or reduced; 1 when something does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: siltstone doctor")]
pub(crate) struct Args {}

/// Prints every finding and the promise.
pub(crate) async fn run(_args: Args, settings: &Settings, json: bool) -> anyhow::Result<()> {
    let findings = Box::pin(service::diagnose::diagnose(settings)).await;
    let promise = diagnosis::promise(&findings);
    let mut answer = serde_json::to_value(&promise)?;
    answer["findings"] = json!(findings);
    output::show(json, &answer, || text(&findings, &promise))?;
    if matches!(promise, Promise::Unknown { .. }) { Err(Reported.into()) } else { Ok(()) }
}

fn text(findings: &[Finding], promise: &Promise) -> String {
    let left = Align::Left;
    let mut table = Table::new(&[("", left), ("PART", left), ("CHECK", left), ("FOUND", left)]);
    for finding in findings {
        let verdict = finding.verdict.word();
        table.row([verdict, finding.area.word(), &finding.check, &finding.found]);
        if finding.verdict != Verdict::Ok && !finding.advice.is_empty() {
            table.text(format!("      {}", finding.advice));
        }
    }
    let list = |head: &str, lines: &[String]| {
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        format!("{head}\n{lines}")
    };
    let promise = match promise {
        Promise::Strong => "promise: strong\n".to_owned(),
        Promise::Reduced { reasons } => list("promise: reduced", reasons),
        Promise::Unknown { failures } => list("promise: none until this works", failures),
    };
    format!("{table}\n{promise}")
}
