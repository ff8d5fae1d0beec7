//! The answer: each column with its reasons, and the command that creates the topic.
//!
//! Owns: its text, its JSON, and the words of the command. Does not own: the columns (`writer::infer`).

use catalog::Topic;
use common::topic::ColumnSpec;
use serde_json::{Value, json};
use writer::infer::{InferredColumn, Narrower};

use super::{Proposal, sample};
use crate::columns::parse_column;
use crate::output::{Align, Table};
use crate::shell;
use crate::units::count_text;

/// Records and members of which each is listed.
const LISTED_MAX: usize = 10;

/// A proposal, with the topic if it was created.
pub(super) struct Answer<'a> {
    pub(super) proposal: &'a Proposal,
    pub(super) created: Option<&'a Topic>,
}

impl Answer<'_> {
    pub(super) fn json(&self) -> Value {
        let inference = &self.proposal.inference;
        let column = |column: &InferredColumn| {
            let narrower = |narrower: &Narrower| {
                json!({ "type": narrower.column_type.to_string(), "fits": narrower.fits, "values": narrower.values,
                        "value": narrower.value, "place": narrower.place })
            };
            json!({
                "column": column.spec.to_string(), "name": column.spec.name, "member": column.spec.member(),
                "type": column.spec.column_type.to_string(), "nullable": column.spec.nullable,
                "present": column.present, "nulls": column.nulls, "share": share(column, inference.records),
                "narrower": column.narrower.iter().map(narrower).collect::<Vec<_>>(), "note": column.note,
            })
        };
        json!({
            "created": self.created,
            "sample": self.proposal.sample,
            "records": inference.records,
            "columns": inference.columns.iter().map(column).collect::<Vec<_>>(),
            "left_out": inference.left_out.iter().map(|left| json!({"member": left.member, "reason": left.reason})).collect::<Vec<_>>(),
            "refused": inference.refused.iter().map(|refused| json!({"place": refused.place, "reason": refused.reason})).collect::<Vec<_>>(),
            "command": self.command(),
        })
    }

    pub(super) fn text(&self) -> String {
        let Proposal { inference, sample, .. } = self.proposal;
        let records = if inference.records == 1 { "record" } else { "records" };
        let mut table = Table::new(&[
            ("COLUMN", Align::Left),
            ("TYPE", Align::Left),
            ("PRESENT", Align::Right),
            ("NULL", Align::Right),
            ("WHY", Align::Left),
        ]);
        for column in &inference.columns {
            let mark = if column.spec.nullable { "" } else { "!" };
            let name = match column.spec.member() {
                Some(member) if member != column.spec.name => format!("{} = {member}", column.spec.name),
                _ => column.spec.name.clone(),
            };
            table.row([
                name,
                format!("{}{mark}", column.spec.column_type),
                percent(share(column, inference.records)),
                count_text(column.nulls),
                why(column),
            ]);
        }
        let mut text = format!("{} {records} of {sample}\n{table}", count_text(inference.records));
        for left in inference.left_out.iter().take(LISTED_MAX) {
            text += &format!("left in _extra: {:?}: {}\n", left.member, left.reason);
        }
        text += &more(inference.left_out.len(), "members are left in _extra");
        for refused in inference.refused.iter().take(LISTED_MAX) {
            text +=
                &format!("would go to quarantine: {}: {}\n", refused.place, sample::without_position(&refused.reason));
        }
        text += &more(inference.refused.len(), "records would go to quarantine");
        if inference.columns.iter().any(|column| !column.spec.nullable) {
            text += "A record without a column that is marked ! goes to quarantine; leave the mark out to take null.\n";
        }
        match self.created {
            Some(topic) => text + &format!("created topic {}, as this command does:\n{}\n", topic.name, self.command()),
            None => text + &format!("nothing was created; --yes does, or this command:\n{}\n", self.command()),
        }
    }

    /// The command without a sample that creates the same topic.
    fn command(&self) -> String {
        let columns: Vec<&ColumnSpec> = self.proposal.inference.columns.iter().map(|column| &column.spec).collect();
        let mut words = vec!["siltstone".to_owned()];
        words.extend(self.proposal.words.iter().cloned());
        let read_back = |column: &&&ColumnSpec| parse_column(&column.to_string()).as_ref() == Ok(**column);
        if columns.iter().filter(read_back).count() == columns.len() {
            words.extend(columns.iter().flat_map(|column| ["--column".to_owned(), column.to_string()]));
        } else {
            let schema = serde_json::to_string(&columns).expect("columns are plain data");
            words.extend(["--schema".to_owned(), schema]);
        }
        words.iter().map(|word| shell::word(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Says how many more there are than are listed.
fn more(count: usize, what: &str) -> String {
    match count.saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!("{} more {what}\n", count_text(more as u64)),
    }
}

/// Records with the member, of all.
#[expect(clippy::cast_precision_loss, reason = "a share is approximate")]
fn share(column: &InferredColumn, records: u64) -> f64 {
    column.present as f64 / records.max(1) as f64
}

/// Cut, not rounded: only all are 100 %, and only none 0 %.
fn percent(share: f64) -> String {
    match (share * 1000.0).floor() / 10.0 {
        all if all >= 100.0 => "100 %".to_owned(),
        few if few < 0.1 => "< 0.1 %".to_owned(),
        part => format!("{part:.1} %"),
    }
}

fn why(column: &InferredColumn) -> String {
    let narrower = column.narrower.iter().map(|it| {
        format!(
            "not {}: {} ({}), {} of {} fit",
            it.column_type,
            it.value,
            it.place,
            count_text(it.fits),
            count_text(it.values)
        )
    });
    narrower.chain(column.note.clone()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_records_are_a_hundred_percent() {
        assert_eq!([1.0, 0.9999, 0.5, 0.0004].map(percent), ["100 %", "99.9 %", "50.0 %", "< 0.1 %"]);
    }
}
