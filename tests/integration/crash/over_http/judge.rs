//! The judge: compares the answer to each record with the rows in SQL.
//!
//! Owns: comparing. Does not own: reading the rows (`oracle::readers`), the records (`clients`).

use std::collections::HashMap;
use std::fmt;

use super::clients::{Answered, Form, Place, Record, Sent, Told};
use crate::crash::oracle::readers::{Row, with_datafusion, with_duckdb};
use crate::crash::world::World;

/// Most violations listed one by one; the others are only counted.
const TOLD_MAX: usize = 20;
/// Codes of records that are certainly stored nowhere.
const NOWHERE: [&str; 3] = ["invalid_record", "too_large", "not_sent"];

/// The violations, by kind.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    rows: u64,
    quarantined: u64,
    /// Sound records in quarantine, because their readers were killed repeatedly.
    condemned: u64,
    refused: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// At another place than the answer says, or in the wrong table.
    misplaced: u64,
    altered: u64,
    /// Rows of a record that was refused, or was never sent.
    foreign: u64,
    pub(super) is_audit_clean: bool,
    pub(super) violations: Vec<String>,
}

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        let Self { lost, doubled, misplaced, altered, foreign, .. } = self;
        lost + doubled + misplaced + altered + foreign == 0 && self.is_audit_clean
    }

    fn tell(&mut self, violation: String) {
        if self.violations.len() < TOLD_MAX {
            self.violations.push(violation);
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, quarantined, condemned, refused, lost, doubled, misplaced, altered, foreign, .. } = self;
        let audit = if self.is_audit_clean { "clean" } else { "not clean" };
        write!(
            f,
            "{rows} rows and {quarantined} quarantined ({condemned} condemned), {refused} refused, audit --deep {audit}, {lost} \
             lost, {doubled} doubled, {misplaced} misplaced, {altered} altered, {foreign} foreign"
        )
    }
}

/// Judges a world whose processes have ended.
pub(super) async fn judge(world: &World, sent: &Sent) -> Verdict {
    let mut verdict = Verdict::default();
    let readers = [("DataFusion", with_datafusion(world).await), ("DuckDB", with_duckdb(world).await)];
    for (reader, [rows, quarantined]) in readers {
        (verdict.rows, verdict.quarantined) = (rows.len() as u64, quarantined.len() as u64);
        (verdict.condemned, verdict.refused) = (0, 0);
        compare(reader, &sent.answered, &rows, &quarantined, &mut verdict);
    }
    let audited = world.siltstone.run(&["audit", "orders", "--deep"]).await;
    verdict.is_audit_clean = audited.code == 0;
    if audited.code != 0 {
        verdict.tell(format!("the audit is not clean: {audited:#?}"));
    }
    verdict
}

/// The rows of each number, and true for those in quarantine.
fn by_number<'r>(rows: &'r [Row], quarantined: &'r [Row]) -> HashMap<Option<u64>, Vec<(&'r Row, bool)>> {
    let mut found: HashMap<Option<u64>, Vec<(&Row, bool)>> = HashMap::new();
    for row in rows {
        found.entry(row.n).or_default().push((row, false));
    }
    for row in quarantined {
        found.entry(number_of(&row.text)).or_default().push((row, true));
    }
    found
}

/// The number in a payload, with or without quotes.
fn number_of(payload: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(payload).ok()?;
    value["n"].as_u64().or_else(|| value["n"].as_str()?.parse().ok())
}

fn compare(reader: &str, answered: &[Answered], rows: &[Row], quarantined: &[Row], verdict: &mut Verdict) {
    let mut by_number = by_number(rows, quarantined);
    for Answered { record, told, other_place } in answered {
        let found = by_number.remove(&Some(record.n)).unwrap_or_default();
        let context = || format!("{reader}: record {} ({:?}), told {told:?}, is {found:?}", record.n, record.form);
        if found.len() > 1 {
            verdict.doubled += 1;
            verdict.tell(format!("doubled: {}", context()));
        }
        match told {
            Told::Refused { code } => {
                verdict.refused += 1;
                if !found.is_empty() && NOWHERE.contains(&code.as_str()) {
                    verdict.foreign += 1;
                    verdict.tell(format!("stored, though refused: {}", context()));
                }
                continue;
            }
            Told::Stored { .. } | Told::Quarantined { .. } if found.is_empty() => {
                verdict.lost += 1;
                verdict.tell(format!("lost: {}", context()));
                continue;
            }
            Told::Stored { .. } | Told::Quarantined { .. } => {}
        }
        if let Some(other) = other_place {
            verdict.misplaced += 1;
            verdict.tell(format!("an earlier answer named {other:?}: {}", context()));
        }
        if !found.iter().any(|(row, is_quarantined)| is_where_told(told, record, row, *is_quarantined)) {
            verdict.misplaced += 1;
            verdict.tell(format!("misplaced: {}", context()));
        }
        for (row, is_quarantined) in &found {
            verdict.condemned += u64::from(*is_quarantined && record.form == Form::Sound);
            let text = if *is_quarantined { record.payload() } else { record.text.clone() };
            if row.text != text || row.r != 0 {
                verdict.altered += 1;
                verdict.tell(format!("altered: {}", context()));
            }
        }
    }
    let foreign: Vec<_> = by_number.into_values().flatten().collect();
    verdict.foreign += foreign.len() as u64;
    foreign.iter().for_each(|row| verdict.tell(format!("{reader}: never sent: {row:?}")));
}

/// True if the row is at the place that the answer names, in the table that it names.
fn is_where_told(told: &Told, record: &Record, row: &Row, is_quarantined: bool) -> bool {
    let here: Place = (row.p, row.o);
    // A sound record is set aside if its readers died while it was being decoded.
    let is_condemned = row.reason.as_ref().is_some_and(|reason| reason.starts_with("not decoded: the writer died"));
    let belongs_there = record.form == Form::Broken || is_condemned;
    match told {
        Told::Stored { place, is_committed: true } => *place == here && !is_quarantined && record.form == Form::Sound,
        Told::Stored { place, is_committed: false } => *place == here && is_quarantined == belongs_there,
        Told::Quarantined { place } => *place == here && is_quarantined && belongs_there,
        Told::Refused { .. } => false,
    }
}

/// A judge that detects no violation would find every run clean.
#[test]
fn the_judge_of_answers_finds_each_kind_of_violation() {
    let record = |n, form| Record { n, form, text: format!("text {n}") };
    let row = |n: u64| Row { p: 0, o: n + 100, r: 0, n: Some(n), text: format!("text {n}"), reason: None };
    let aside = |n, reason: &str| {
        let payload = record(n, if reason == "broken" { Form::Broken } else { Form::Sound }).payload();
        Row { n: None, text: payload, reason: Some(reason.to_owned()), ..row(n) }
    };
    let answer = |n, form, told| Answered { record: record(n, form), told, other_place: None };
    let place = |n: u64| (0, n + 100);
    let answered = [
        answer(0, Form::Sound, Told::Stored { place: place(0), is_committed: false }),
        answer(1, Form::Sound, Told::Stored { place: place(1), is_committed: true }),
        answer(2, Form::Broken, Told::Stored { place: place(2), is_committed: false }),
        answer(3, Form::Broken, Told::Quarantined { place: place(3) }),
        answer(4, Form::NotAnObject, Told::Refused { code: "invalid_record".to_owned() }),
    ];
    let judged = |answered: &[Answered], rows: &[Row], quarantined: &[Row]| {
        let mut verdict = Verdict::default();
        compare("test", answered, rows, quarantined, &mut verdict);
        [verdict.lost, verdict.doubled, verdict.misplaced, verdict.altered, verdict.foreign, verdict.condemned]
    };
    let (rows, set_aside) = ([row(0), row(1)], [aside(2, "broken"), aside(3, "broken")]);
    assert_eq!(judged(&answered, &rows, &set_aside), [0; 6]);
    assert_eq!(judged(&answered, &rows[1..], &set_aside), [1, 0, 0, 0, 0, 0], "lost");
    assert_eq!(judged(&answered, &rows, &set_aside[1..]), [1, 0, 0, 0, 0, 0], "lost from quarantine");
    let doubled = [row(0), row(1), Row { o: 900, ..row(1) }];
    assert_eq!(judged(&answered, &doubled, &set_aside), [0, 1, 0, 0, 0, 0], "doubled");
    let elsewhere = [row(0), Row { o: 900, ..row(1) }];
    assert_eq!(judged(&answered, &elsewhere, &set_aside), [0, 0, 1, 0, 0, 0], "at another place");
    let moved = [Answered { other_place: Some((3, 3)), ..answered[0].clone() }];
    assert_eq!(judged(&moved, &rows[..1], &[]), [0, 0, 1, 0, 0, 0], "the answers name two places");
    let altered = [row(0), Row { text: "text".to_owned(), ..row(1) }];
    assert_eq!(judged(&answered, &altered, &set_aside), [0, 0, 0, 1, 0, 0], "altered");
    assert_eq!(judged(&answered, &[row(0), row(1), row(4)], &set_aside), [0, 0, 0, 0, 1, 0], "stored, though refused");
    assert_eq!(judged(&answered, &[row(0), row(1), row(5)], &set_aside), [0, 0, 0, 0, 1, 0], "never sent");
    let wrong_table = [aside(0, "not a number"), aside(2, "broken"), aside(3, "broken")];
    assert_eq!(judged(&answered, &rows[1..], &wrong_table), [0, 0, 1, 0, 0, 1], "a sound record is in quarantine");
    let condemned = [aside(0, "not decoded: the writer died 2 times"), aside(2, "broken"), aside(3, "broken")];
    assert_eq!(judged(&answered, &rows[1..], &condemned), [0, 0, 0, 0, 0, 1], "set aside for its readers' deaths");
    let committed = [answer(2, Form::Broken, Told::Stored { place: place(2), is_committed: true })];
    assert_eq!(judged(&committed, &[], &set_aside[..1]), [0, 0, 1, 0, 0, 0], "told committed, and is in quarantine");
}
