//! The type of a column, from the values that it must take.
//!
//! Owns: the types that are tried and their order. Does not own: which values a type takes (the decoder is asked).

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use bytes::Bytes;
use common::topic::{ColumnSpec, ColumnType, Reading};
use lake::schema::OFFSET;
use serde_json::value::RawValue;

use super::SampledMessage;
use super::sample::{decode, members_of};

/// Values of which none fits a type show that the others do not matter.
const FIRST_VALUES: usize = 256;
/// Deepest lists and structs that are proposed; what is nested deeper is JSON.
const NESTING_MAX: usize = 8;
/// Most members of a struct that is proposed.
const STRUCT_MEMBERS_MAX: usize = 100;
/// Most digits of a decimal.
const PRECISION_MAX: u8 = 38;

/// A value of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'d> {
    /// Its JSON.
    pub(super) raw: &'d str,
    /// The number of its record.
    pub(super) record: usize,
}

/// Finds types for values that are read by the options of a topic.
pub(super) struct Types<'r> {
    pub(super) reading: &'r Reading,
}

/// A type, and why it is not a narrower one.
pub(super) struct Inferred<'d> {
    pub(super) column_type: ColumnType,
    pub(super) narrower: Vec<TooNarrow<'d>>,
    pub(super) note: Option<Note>,
    /// True if some of the values become null.
    pub(super) takes_empty_as_null: bool,
}

/// A type that takes some of the values.
pub(super) struct TooNarrow<'d> {
    pub(super) column_type: ColumnType,
    pub(super) fits: u64,
    pub(super) values: u64,
    pub(super) counter: Value<'d>,
}

/// A reason in words, and a record that shows it.
pub(super) struct Note {
    pub(super) text: String,
    pub(super) record: Option<usize>,
}

impl Types<'_> {
    /// The narrowest type that takes all of `values`, none of which is null.
    pub(super) fn of<'d>(&self, values: &[Value<'d>], depth: usize) -> Inferred<'d> {
        let mut narrower = Vec::new();
        if values.is_empty() {
            return json(narrower, Some(Note { text: "no value but null was seen".to_owned(), record: None }));
        }
        for column_type in scalars(values) {
            match self.first_refused(&column_type, values) {
                Ok(()) => {
                    let is_text = column_type == ColumnType::String;
                    let has_empty = self.reading.empty_as_null && values.iter().any(|value| value.raw == "\"\"");
                    return Inferred { column_type, narrower, note: None, takes_empty_as_null: has_empty && !is_text };
                }
                Err(tried) if tried.fits > 0 => narrower.push(tried),
                Err(_) => {}
            }
        }
        let nested = match depth < NESTING_MAX {
            true if all_begin(values, '[') => self.list_of(values, depth),
            true if all_begin(values, '{') => self.struct_of(values, depth),
            _ => json(narrower, None),
        };
        match nested.column_type {
            ColumnType::Json => nested,
            // Whatever was overlooked, JSON takes it.
            ref column_type if self.first_refused(column_type, values).is_err() => json(nested.narrower, nested.note),
            _ => nested,
        }
    }

    /// # Errors
    /// The first value that does not fit, with the number of those that do.
    fn first_refused<'d>(&self, column_type: &ColumnType, values: &[Value<'d>]) -> Result<(), TooNarrow<'d>> {
        let column = ColumnSpec::new("v", column_type.clone());
        let (mut fits, mut counter) = (0, None);
        for part in values.chunks(FIRST_VALUES) {
            let refused = refused_of(&column, part, self.reading);
            fits += (part.len() - refused.len()) as u64;
            counter = counter.or_else(|| refused.first().map(|number| part[*number]));
            if fits == 0 {
                break;
            }
        }
        let values = values.len() as u64;
        counter.map_or(Ok(()), |counter| Err(TooNarrow { column_type: column_type.clone(), fits, values, counter }))
    }

    fn list_of<'d>(&self, values: &[Value<'d>], depth: usize) -> Inferred<'d> {
        let mut elements = Vec::new();
        for value in values {
            let raws: Vec<&'d RawValue> = serde_json::from_str(value.raw).expect("the decoder has read this array");
            elements.extend(raws.into_iter().map(|raw| Value { raw: raw.get(), record: value.record }));
        }
        elements.retain(|element| element.raw != "null");
        if elements.is_empty() {
            return json(Vec::new(), Some(Note { text: "no element but null was seen".to_owned(), record: None }));
        }
        let element = self.of(&elements, depth + 1);
        let list = |column_type| ColumnType::List(Box::new(column_type));
        let narrower = element.narrower.into_iter();
        let narrower = narrower.map(|tried| TooNarrow { column_type: list(tried.column_type), ..tried }).collect();
        match element.column_type {
            // A list of anything says no more than JSON.
            ColumnType::Json => json(narrower, element.note),
            column_type => {
                Inferred { column_type: list(column_type), narrower, note: element.note, takes_empty_as_null: false }
            }
        }
    }

    /// A struct, if all objects have the same members: a struct refuses members that it does not name.
    fn struct_of<'d>(&self, values: &[Value<'d>], depth: usize) -> Inferred<'d> {
        let mut members: Vec<(String, Vec<Value<'d>>)> = Vec::new();
        for (number, value) in values.iter().enumerate() {
            let object = members_of(value.raw);
            if number == 0 {
                members = object.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
                if let Err(text) = check_members(&members) {
                    return json(Vec::new(), Some(Note { text, record: Some(value.record) }));
                }
            }
            if let Some(text) = difference(&members, &object) {
                return json(Vec::new(), Some(Note { text, record: Some(value.record) }));
            }
            for (name, raw) in object {
                let member = members.iter_mut().find(|(known, _)| *known == name).expect("the same members");
                member.1.push(Value { raw, record: value.record });
            }
        }
        let column = |(name, values): (String, Vec<Value<'d>>)| {
            let values: Vec<_> = values.into_iter().filter(|value| value.raw != "null").collect();
            ColumnSpec::new(&name, self.of(&values, depth + 1).column_type)
        };
        let columns = members.into_iter().map(column).collect();
        Inferred {
            column_type: ColumnType::Struct(columns),
            narrower: Vec::new(),
            note: None,
            takes_empty_as_null: false,
        }
    }
}

fn json(narrower: Vec<TooNarrow<'_>>, note: Option<Note>) -> Inferred<'_> {
    Inferred { column_type: ColumnType::Json, narrower, note, takes_empty_as_null: false }
}

fn all_begin(values: &[Value<'_>], mark: char) -> bool {
    values.iter().all(|value| value.raw.starts_with(mark))
}

/// The types without members or elements that are tried, the narrowest first. An integer is one of 64 bits: the sample does
/// not show how far a narrower one would last.
fn scalars(values: &[Value<'_>]) -> Vec<ColumnType> {
    let mut types = vec![ColumnType::Bool, ColumnType::Int64, ColumnType::Float64];
    types.extend(decimal_of(values));
    types.extend([ColumnType::Date, ColumnType::Timestamp, ColumnType::String]);
    types
}

/// The decimal that takes all of `values`, if all are numbers: with as many digits before the point as there can be.
fn decimal_of(values: &[Value<'_>]) -> Option<ColumnType> {
    let (mut whole, mut fraction) = (0, 0);
    for value in values {
        let (digits_before, digits_behind) = digits_of(value.raw)?;
        whole = whole.max(digits_before);
        fraction = fraction.max(digits_behind);
    }
    let fits = whole.checked_add(fraction).is_some_and(|digits| digits <= i64::from(PRECISION_MAX));
    let scale = u8::try_from(fraction).ok().filter(|_| fits)?;
    Some(ColumnType::Decimal { precision: PRECISION_MAX, scale })
}

/// Digits before and behind the point of a number as JSON writes it; `None` for anything else.
fn digits_of(raw: &str) -> Option<(i64, i64)> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let kept = significant.trim_end_matches('0').len() as i64;
    if kept == 0 {
        return Some((0, 0));
    }
    // The number is `kept` digits with `power` zeros behind them, or with the point that many places further left.
    let power = (significant.len() as i64 - kept).checked_add(exponent)?.checked_sub(fraction.len() as i64)?;
    Some((kept.checked_add(power)?.max(0), power.checked_neg()?.max(0)))
}

/// The numbers of the values that `column`, which reads the member `v`, does not take.
fn refused_of(column: &ColumnSpec, values: &[Value<'_>], reading: &Reading) -> Vec<usize> {
    let message = |value: &Value<'_>| SampledMessage {
        payload: Bytes::from(format!("{{\"v\":{}}}", value.raw)),
        ..SampledMessage::default()
    };
    let messages: Vec<SampledMessage> = values.iter().map(message).collect();
    let decoded = decode(&messages, std::slice::from_ref(column), reading);
    let Some(refused) = decoded.quarantine else { return Vec::new() };
    let offsets = refused.column_by_name(OFFSET).expect("a system column").as_primitive::<Int64Type>();
    let numbers: BTreeSet<usize> = offsets.values().iter().filter_map(|offset| usize::try_from(*offset).ok()).collect();
    numbers.into_iter().collect()
}

/// # Errors
/// The reason why no struct has these members.
fn check_members(members: &[(String, Vec<Value<'_>>)]) -> Result<(), String> {
    if members.is_empty() {
        return Err("an object without members".to_owned());
    }
    if members.len() > STRUCT_MEMBERS_MAX {
        return Err(format!("an object of more than {STRUCT_MEMBERS_MAX} members"));
    }
    let mut seen = BTreeSet::new();
    for (name, _) in members {
        if name.is_empty() || name.chars().any(char::is_control) || !seen.insert(name.to_lowercase()) {
            return Err(format!("an object with member {name:?}, which no struct can have beside the others"));
        }
    }
    Ok(())
}

/// The difference between the members of the first object and of another one.
fn difference(members: &[(String, Vec<Value<'_>>)], object: &[(String, &str)]) -> Option<String> {
    let more = object.iter().find(|(name, _)| !members.iter().any(|(known, _)| known == name));
    let less = members.iter().find(|(known, _)| !object.iter().any(|(name, _)| name == known));
    match (more, less) {
        (Some((name, _)), _) => Some(format!("objects differ in their members: {name:?} is not in all")),
        (_, Some((name, _))) => Some(format!("objects differ in their members: {name:?} is not in all")),
        _ if object.len() > members.len() => Some("an object with a member that occurs twice".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_counted_on_both_sides_of_the_point() {
        for (raw, digits) in [
            ("0", (0, 0)),
            ("-0.00", (0, 0)),
            ("12", (2, 0)),
            ("1200", (4, 0)),
            ("1.50", (1, 1)),
            ("-0.05", (0, 2)),
            ("1e3", (4, 0)),
            ("1.5E-1", (0, 2)),
            ("100e-2", (1, 0)),
        ] {
            assert_eq!(digits_of(raw), Some(digits), "{raw}");
        }
        for raw in ["\"1\"", "true", "[1]", "1e99999999999999999999"] {
            assert_eq!(digits_of(raw), None, "{raw}");
        }
    }
}
