//! The notations of values that a topic takes beside the strict ones.
//!
//! Owns: what a text becomes by the topic's options, and which option would take a text.
//! Does not own: the options (`common::topic::Reading`), the strict notations (`typed`, `values`).

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::Timelike;
use common::timestamp::is_finer_than_nanoseconds;
use common::topic::{Base64, ColumnType, Reading, TimeFormat};

use super::columns::{Column, Values};
use super::typed::{Pushed, Refusal};
use super::values::{decimal_of_bytes, double, is_number, quoted};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ALPHABET: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const URL_SAFE_ALPHABET: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

const DECIMALS_IN_BASE64: &str = "; topic update --decimals base64 takes unscaled numbers in base64";
const EMPTY_AS_NULL: &str = "; topic update --empty-as-null takes it for null";
const QUOTED_NUMBERS: &str = "; topic update --quoted-numbers takes numbers in quotes";

/// The options of one topic, made ready for its values.
pub(super) struct Rules {
    reading: Reading,
    times: Option<Vec<TimeFormat>>,
}

impl Rules {
    /// The rules of a topic; `None` if it takes the strict notations alone.
    pub(super) fn of(reading: &Reading) -> Option<Self> {
        // Options are checked before they are stored: if somebody altered them, times are taken strictly.
        let times = reading.times().unwrap_or_default();
        (!reading.is_default()).then(|| Self { reading: reading.clone(), times })
    }

    /// Adds what `text`, a string that is no decimal number, stands for.
    pub(super) fn push_text(&self, column: &mut Column, column_type: &ColumnType, text: &str) -> Pushed {
        if self.is_null(column_type, text) {
            return column.push_null();
        }
        match column_type {
            ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::TimestampS
            | ColumnType::TimestampMs
            | ColumnType::TimestampUs
                if self.reading.quoted_numbers && is_number(text) =>
            {
                column.push_integer(column_type, text.parse().map_err(|_| Refusal::Value)?)
            }
            ColumnType::Float64 if self.reading.quoted_numbers && is_number(text) => {
                column.push_float(double(text).map_err(Refusal::Reason)?)
            }
            ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs => {
                match &self.times {
                    Some(formats) => {
                        let time_us = self.time_us(formats, text).map_err(Refusal::Reason)?;
                        column.push_integer(&ColumnType::TimestampUs, time_us)
                    }
                    None => column.push_text(column_type, text),
                }
            }
            ColumnType::Binary if self.reading.base64 == Base64::Any => {
                column.push_bytes(&bytes_of(text).map_err(Refusal::Reason)?)
            }
            _ => column.push_text(column_type, text),
        }
    }

    /// Adds the decimal number that `text`, a string, stands for.
    pub(super) fn push_decimal_text(&self, column: &mut Column, column_type: &ColumnType, text: &str) -> Pushed {
        if self.is_null(column_type, text) {
            return column.push_null();
        }
        let (true, ColumnType::Decimal { precision, scale }) = (self.reading.decimals_in_base64, column_type) else {
            return column.push_decimal(column_type, text);
        };
        let bytes = bytes_of(text).map_err(Refusal::Reason)?;
        let unscaled = decimal_of_bytes(&bytes, *precision).ok_or_else(|| {
            Refusal::Reason(format!("{} is not the unscaled number of a decimal({precision},{scale})", quoted(text)))
        })?;
        let Values::Decimal(values) = &mut column.values else { return Err(Refusal::Kind) };
        values.push(unscaled);
        column.mark_valid();
        Ok(())
    }

    fn is_null(&self, column_type: &ColumnType, text: &str) -> bool {
        self.reading.empty_as_null && text.is_empty() && !matches!(column_type, ColumnType::String | ColumnType::Json)
    }

    fn time_us(&self, formats: &[TimeFormat], text: &str) -> Result<i64, String> {
        let Some(time) = formats.iter().find_map(|format| format.instant(text)) else {
            let known: Vec<&str> = formats.iter().map(TimeFormat::as_str).collect();
            return Err(format!(
                "{} is not a time in {}; topic update --time-format names other notations",
                quoted(text),
                known.join(" or ")
            ));
        };
        let is_finer = time.nanosecond() % 1000 != 0 || is_finer_than_nanoseconds(text);
        if is_finer && !self.reading.truncate_times {
            return Err(format!(
                "{} has more than the six digits of a second that are stored; topic update --truncate-times cuts them off",
                quoted(text)
            ));
        }
        Ok(time.timestamp_micros())
    }
}

/// The option with which a column would take the string `text`, as the end of a reason; empty if there is none, or it is on.
#[cold]
pub(super) fn option_for(rules: Option<&Rules>, column_type: &ColumnType, text: &str) -> &'static str {
    let is_on = |option: fn(&Reading) -> bool| rules.is_some_and(|rules| option(&rules.reading));
    let is_taken = match column_type {
        ColumnType::Int32 => text.parse::<i32>().is_ok(),
        ColumnType::Int64 => text.parse::<i64>().is_ok(),
        ColumnType::Float64 => double(text).is_ok(),
        ColumnType::Decimal { precision, .. } => {
            bytes_of(text).is_ok_and(|bytes| decimal_of_bytes(&bytes, *precision).is_some())
        }
        _ => false,
    };
    match column_type {
        ColumnType::String | ColumnType::Json => "",
        _ if text.is_empty() && is_on(|reading| reading.empty_as_null) => "",
        _ if text.is_empty() => EMPTY_AS_NULL,
        ColumnType::Decimal { .. } if is_number(text) || is_on(|reading| reading.decimals_in_base64) => "",
        ColumnType::Decimal { .. } if is_taken => DECIMALS_IN_BASE64,
        _ if is_taken && is_number(text) && !is_on(|reading| reading.quoted_numbers) => QUOTED_NUMBERS,
        _ => "",
    }
}

/// The bytes of a text in base64, of either alphabet, padded or not.
fn bytes_of(text: &str) -> Result<Vec<u8>, String> {
    let engine = if text.contains(['-', '_']) { URL_SAFE_ALPHABET } else { STANDARD_ALPHABET };
    engine.decode(text).map_err(|error| format!("{} is not base64: {error}", quoted(text)))
}

#[cfg(test)]
mod tests;
