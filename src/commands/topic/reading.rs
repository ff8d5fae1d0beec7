//! The options of reading JSON, as arguments of `topic create` and `topic update`.
//!
//! Owns: their names, their help, and applying those that are given.
//! Does not own: what each option takes (`common::topic::Reading`), reading values (crate `writer`).

use common::topic::{Base64, Reading};

/// Arguments that say which notations of values a json topic takes beside the strict ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Notations of values in JSON (all off by default)")]
pub(super) struct ReadingArgs {
    /// Take a string that holds a number, such as "12", for the number
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    quoted_numbers: Option<bool>,
    /// Take an empty string for null, in columns of any type but string and json
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    empty_as_null: Option<bool>,
    /// A notation of times: rfc3339, or a pattern such as '%Y-%m-%dT%H:%M:%S%.f%z'; repeat it, the first that fits counts
    #[arg(long = "time-format", value_name = "rfc3339|PATTERN")]
    time_formats: Vec<String>,
    /// The zone of times whose notation has none, such as +00:00; '' for none
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    time_zone: Option<String>,
    /// Cut off the digits of a second behind the sixth
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    truncate_times: Option<bool>,
    /// The base64 of binary columns: the standard alphabet with padding, or any alphabet and padding
    #[arg(long, value_parser = ["standard", "any"])]
    base64: Option<String>,
    /// A string in a decimal column: the number as text, or its unscaled bytes in base64 (Debezium's `precise`)
    #[arg(long, value_parser = ["text", "base64"])]
    decimals: Option<String>,
}

impl ReadingArgs {
    /// Sets the options that are given.
    pub(super) fn apply(&self, reading: &mut Reading) {
        let set = |option: &mut bool, given: Option<bool>| *option = given.unwrap_or(*option);
        set(&mut reading.quoted_numbers, self.quoted_numbers);
        set(&mut reading.empty_as_null, self.empty_as_null);
        set(&mut reading.truncate_times, self.truncate_times);
        set(&mut reading.decimals_in_base64, self.decimals.as_ref().map(|word| word == "base64"));
        if let Some(word) = &self.base64 {
            reading.base64 = if word == "any" { Base64::Any } else { Base64::Standard };
        }
        if !self.time_formats.is_empty() {
            let is_strict = self.time_formats == ["rfc3339"];
            reading.time_formats = if is_strict { Vec::new() } else { self.time_formats.clone() };
        }
        if let Some(zone) = &self.time_zone {
            reading.time_zone = (!zone.is_empty()).then(|| zone.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct TestCli {
        #[command(flatten)]
        args: ReadingArgs,
    }

    fn applied(reading: Reading, args: &[&str]) -> Reading {
        let mut reading = reading;
        TestCli::try_parse_from([&["test"], args].concat()).expect("valid").args.apply(&mut reading);
        reading
    }

    #[test]
    fn options_are_set_and_taken_back() {
        let args = ["--quoted-numbers", "--empty-as-null=true", "--time-format", "%s", "--time-zone", "-05:30"];
        let on = applied(Reading::default(), &[&args[..], &["--base64", "any", "--decimals", "base64"]].concat());
        assert_eq!(
            on.arguments(),
            [
                "--quoted-numbers",
                "--empty-as-null",
                "--base64 any",
                "--decimals base64",
                "--time-format '%s'",
                "--time-zone -05:30"
            ]
        );
        assert_eq!(applied(on.clone(), &[]), on);
        let off = ["--quoted-numbers=false", "--empty-as-null=false", "--time-format", "rfc3339", "--time-zone", ""];
        let off = applied(on, &[&off[..], &["--base64", "standard", "--decimals", "text"]].concat());
        assert_eq!(off, Reading::default());
    }
}
