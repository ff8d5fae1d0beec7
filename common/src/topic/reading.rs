//! The notations of values that a JSON topic takes beside the strict ones. All are off unless a topic asks for them.
//!
//! Owns: the options, their names in the catalog and on the command line, and which are valid.
//! Does not own: the patterns of times (`time_format`), reading values by the options (crate `writer`).

use chrono::FixedOffset;
use serde::{Deserialize, Serialize};

use super::time_format::TimeFormat;

/// The notations that are taken beside the strict ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reading {
    /// A string that holds a number is taken for a number, and for an integer time. Decimals always take one.
    #[serde(skip_serializing_if = "is_false")]
    pub quoted_numbers: bool,
    /// An empty string is null in a column of any type but `string` and `json`.
    #[serde(skip_serializing_if = "is_false")]
    pub empty_as_null: bool,
    /// The notations of times, tried in this order: `rfc3339`, or a pattern such as `%Y-%m-%d %H:%M:%S%.f`. Empty: RFC 3339.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub time_formats: Vec<String>,
    /// The zone of times that name none, such as `+00:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Digits of a second behind the sixth are cut off instead of refused.
    #[serde(skip_serializing_if = "is_false")]
    pub truncate_times: bool,
    /// The alphabets of `binary` columns.
    #[serde(skip_serializing_if = "Base64::is_standard")]
    pub base64: Base64,
    /// A string in a decimal column is the unscaled number, big-endian in two's complement, in base64.
    #[serde(skip_serializing_if = "is_false")]
    pub decimals_in_base64: bool,
}

/// Which base64 is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base64 {
    /// The standard alphabet, padded.
    #[default]
    Standard,
    /// The standard or the URL-safe alphabet, with or without padding.
    Any,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Base64 {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    fn is_standard(&self) -> bool {
        *self == Self::Standard
    }
}

impl Reading {
    /// Whether only the strict notations are taken.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The notations of times; `None` if they are the strict one.
    ///
    /// # Errors
    /// Names the option that is not valid, and what is allowed.
    pub fn times(&self) -> Result<Option<Vec<TimeFormat>>, String> {
        let zone = self.time_zone.as_deref().map(zone).transpose()?;
        let formats = self.time_formats.iter().map(|format| TimeFormat::new(format, zone));
        let formats: Vec<TimeFormat> = formats.collect::<Result<_, _>>()?;
        if zone.is_some() && formats.iter().all(TimeFormat::has_zone) {
            return Err(
                "time zone: no time format is without a zone, so it has no effect; name one with --time-format"
                    .to_owned(),
            );
        }
        if !formats.is_empty() {
            return Ok(Some(formats));
        }
        Ok(self.truncate_times.then(|| vec![TimeFormat::Rfc3339]))
    }

    /// The options that are on, as arguments of the command line.
    pub fn arguments(&self) -> Vec<String> {
        let flags = [
            (self.quoted_numbers, "--quoted-numbers"),
            (self.empty_as_null, "--empty-as-null"),
            (self.truncate_times, "--truncate-times"),
            (self.base64 == Base64::Any, "--base64 any"),
            (self.decimals_in_base64, "--decimals base64"),
        ];
        let on = flags.into_iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| flag.to_owned());
        let formats = self.time_formats.iter().map(|format| format!("--time-format '{format}'"));
        on.chain(formats).chain(self.time_zone.iter().map(|zone| format!("--time-zone {zone}"))).collect()
    }
}

fn zone(text: &str) -> Result<FixedOffset, String> {
    let digits = if text == "Z" { "+00:00" } else { text };
    digits.parse().map_err(|_| format!("time zone {text:?} is none of Z, +HH:MM and -HH:MM"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::time_format::RFC_3339;

    #[test]
    fn options_that_are_off_are_not_written() {
        assert_eq!(serde_json::to_string(&Reading::default()).expect("serializes"), "{}");
        let on = Reading {
            quoted_numbers: true,
            time_formats: vec![RFC_3339.to_owned()],
            base64: Base64::Any,
            ..Reading::default()
        };
        let text = serde_json::to_string(&on).expect("serializes");
        assert_eq!(text, r#"{"quoted_numbers":true,"time_formats":["rfc3339"],"base64":"any"}"#);
        assert_eq!(serde_json::from_str::<Reading>(&text).expect("reads back"), on);
        assert_eq!(on.arguments(), ["--quoted-numbers", "--base64 any", "--time-format 'rfc3339'"]);
    }

    #[test]
    fn times_are_compiled_or_the_mistake_is_named() {
        assert!(Reading::default().times().expect("valid").is_none());
        let truncating = Reading { truncate_times: true, ..Reading::default() };
        assert_eq!(truncating.times().expect("valid").expect("another").len(), 1);
        let plain = "%Y-%m-%d %H:%M:%S";
        for (format, zone, part) in [
            (plain, None, "--time-zone"),
            (plain, Some("UTC"), "+HH:MM"),
            (RFC_3339, Some("+01:00"), "no effect"),
            ("%Q", None, "not a pattern"),
            ("%H:%M:%S", Some("Z"), "date"),
            ("%Y-%m-%d %H:%M:%S %Z", Some("Z"), "names of zones"),
        ] {
            let (time_formats, time_zone) = (vec![format.to_owned()], zone.map(str::to_owned));
            let refused = Reading { time_formats, time_zone, ..Reading::default() }.times().expect_err(part);
            assert!(refused.contains(part), "{refused}");
        }
    }
}
