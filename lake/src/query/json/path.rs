//! The part of a JSON text at a step of a path, and what it is.
//!
//! Owns: walking a text without building it in memory, so that a part is exactly as it was sent.
//! Does not own: the functions of SQL (`json`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step into a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'s> {
    /// The member of an object.
    Member(&'s str),
    /// The element of an array, from 0; from the end where it is negative.
    Element(i64),
}

/// The text of the value that the step leads to; `None` where there is none, or the text is no JSON.
pub(super) fn at<'t>(json: &'t str, step: Step<'_>) -> Option<&'t str> {
    let json = json.trim_ascii();
    let number = match step {
        Step::Element(number) if number < 0 => i64::try_from(length(json)?).ok()?.checked_add(number)?,
        Step::Element(number) => number,
        Step::Member(_) => 0,
    };
    let mut source = serde_json::Deserializer::from_str(json);
    let found = match (step, json.as_bytes().first()?) {
        (Step::Member(name), b'{') => source.deserialize_map(Member(name)).ok()?,
        (Step::Element(_), b'[') => source.deserialize_seq(Element(usize::try_from(number).ok()?)).ok()?,
        _ => return None,
    };
    found.map(RawValue::get)
}

/// The number of members or elements.
pub(super) fn length(json: &str) -> Option<u64> {
    let json = json.trim_ascii();
    let mut source = serde_json::Deserializer::from_str(json);
    match json.as_bytes().first()? {
        b'{' => source.deserialize_map(Count).ok(),
        b'[' => source.deserialize_seq(Count).ok(),
        _ => None,
    }
}

/// A string's contents, or the text of any other value but null. A string that is not Unicode stays as it was sent.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json {
        "null" => None,
        quoted if quoted.starts_with('"') => Some(string(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned)),
        other => Some(Cow::Borrowed(other)),
    }
}

/// A string's contents.
pub(super) fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// An integer of 64 bits, also where it is written with a fraction of zeros.
pub(super) fn integer(json: &str) -> Option<i64> {
    let whole = json.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'));
    whole.map_or(json, |(whole, _)| whole).parse().ok()
}

/// A finite number.
pub(super) fn float(json: &str) -> Option<f64> {
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    is_number.then(|| json.parse().ok())?.filter(|number: &f64| number.is_finite())
}

struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = members.next_key_seed(IsNamed(self.0))? {
            match is_wanted {
                true => found = Some(members.next_value()?),
                false => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

struct Element(usize);

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut number = 0;
        while let Some(element) = elements.next_element()? {
            if number == self.0 {
                found = Some(element);
            }
            number += 1;
        }
        Ok(found)
    }
}

struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while elements.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Compares a member's name without keeping it.
struct IsNamed<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<bool, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNamed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_leads_to_the_text_as_it_was_sent() {
        let json =
            r#" {"a":[1, 2.50 ,{"b":"x\u0041"}],"big":123456789012345678901234567890,"a\"":0,"twice":1,"twice":2} "#;
        let list = at(json, Step::Member("a")).expect("there");
        assert_eq!(list, r#"[1, 2.50 ,{"b":"x\u0041"}]"#);
        assert_eq!(at(list, Step::Element(1)), Some("2.50"));
        assert_eq!(at(list, Step::Element(-1)), Some(r#"{"b":"x\u0041"}"#));
        assert_eq!(at(json, Step::Member("big")), Some("123456789012345678901234567890"));
        assert_eq!(at(json, Step::Member("a\"")), Some("0"));
        assert_eq!(at(json, Step::Member("twice")), Some("2"));
        for (json, step) in [
            (list, Step::Element(3)),
            (list, Step::Element(-4)),
            (list, Step::Member("a")),
            (json, Step::Element(0)),
            (json, Step::Member("A")),
            ("7", Step::Member("a")),
            ("", Step::Member("a")),
            ("{\"a\":1", Step::Member("a")),
        ] {
            assert_eq!(at(json, step), None, "{step:?} in {json}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_none() {
        assert_eq!(text(r#""x\u0041""#).as_deref(), Some("xA"));
        assert_eq!(text("1.50").as_deref(), Some("1.50"));
        assert_eq!(text("null"), None);
        assert_eq!(text(r#""\ud83d""#).as_deref(), Some(r#""\ud83d""#));
        assert_eq!((string("\"a\""), string("1")), (Some("a".to_owned()), None));
        assert_eq!(
            (integer("12"), integer("-3.00"), integer("1.5"), integer("\"1\"")),
            (Some(12), Some(-3), None, None)
        );
        assert_eq!(integer("9223372036854775808"), None);
        assert_eq!((float("1.5"), float("1e999"), float("\"1\""), float("NaN")), (Some(1.5), None, None, None));
        assert_eq!((length("[1,2]"), length("{\"a\":1}"), length("1")), (Some(2), Some(1), None));
    }
}
