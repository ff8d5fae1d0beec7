//! A progress bar on standard error, when that is a terminal.
//!
//! Owns: its look. Does not own: the counted work.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `total` units, named by `unit`. Hidden where standard error is no terminal.
pub(crate) fn bar(total: u64, unit: &str, what: &str) -> ProgressBar {
    let template = match unit {
        "bytes" => "{msg:12} {bar:32} {bytes}/{total_bytes} {bytes_per_sec}".to_owned(),
        _ => format!("{{msg:12}} {{bar:32}} {{human_pos}}/{{human_len}} {unit} {{per_sec}}"),
    };
    let style = ProgressStyle::with_template(&template).expect("the template is valid");
    ProgressBar::new(total).with_style(style).with_message(what.to_owned())
}
