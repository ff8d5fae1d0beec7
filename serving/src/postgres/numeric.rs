//! Decimals of any size in the two forms of PostgreSQL's `numeric`.
//!
//! Owns: the binary form: groups of four digits, as `numeric_send` of PostgreSQL writes them, and `numeric_recv` reads them.
//! Does not own: the digits (arrow).
//! Libraries for decimals end at 28 digits; columns may have 76.

use std::error::Error;

use bytes::{Buf, BufMut, BytesMut};
use pgwire::api::Type;
use pgwire::types::ToSqlText;
use pgwire::types::format::FormatOptions;
use postgres_types::{FromSql, IsNull, ToSql};

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
/// Most digits on either side of the point of a number that is read.
const DIGITS_MAX: usize = 76;
/// The groups that hold them.
const GROUPS_MAX: i16 = 19;

/// A decimal as its text, such as `-12.50`.
#[derive(Debug)]
pub(super) struct Numeric(pub(super) String);

impl Numeric {
    /// Digits in groups of four around the point, the place of the first group, and the digits behind the point.
    fn groups(&self) -> (Vec<i16>, i16, u16) {
        let digits = self.0.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let left = whole.len().next_multiple_of(4) - whole.len();
        let right = fraction.len().next_multiple_of(4) - fraction.len();
        let padded = format!("{}{whole}{fraction}{}", "0".repeat(left), "0".repeat(right));
        let group = |group: &[u8]| group.iter().fold(0, |value, digit| value * 10 + i16::from(digit - b'0'));
        let groups: Vec<i16> = padded.as_bytes().chunks(4).map(group).collect();
        let weight = ((whole.len() + left) / 4) as i16 - 1;
        // Zeros at both ends are not sent.
        let zeros = groups.iter().take_while(|group| **group == 0).count();
        let end = groups.iter().rposition(|group| *group != 0).map_or(zeros, |last| last + 1);
        let weight = if zeros == groups.len() { 0 } else { weight - zeros as i16 };
        (groups[zeros.min(end)..end].to_vec(), weight, fraction.len() as u16)
    }
}

impl ToSql for Numeric {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (groups, weight, scale) = self.groups();
        out.put_u16(u16::try_from(groups.len())?);
        out.put_i16(weight);
        out.put_u16(if self.0.starts_with('-') { NEGATIVE } else { POSITIVE });
        out.put_u16(scale);
        groups.into_iter().for_each(|group| out.put_i16(group));
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }

    postgres_types::to_sql_checked!();
}

impl ToSqlText for Numeric {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut BytesMut,
        _: &FormatOptions,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl FromSql<'_> for Numeric {
    fn from_sql(_: &Type, mut raw: &[u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let (count, weight) = (raw.try_get_u16()?, raw.try_get_i16()?);
        let (sign, scale) = (raw.try_get_u16()?, usize::from(raw.try_get_u16()?));
        if !matches!(sign, POSITIVE | NEGATIVE) {
            return Err("a numeric that is no number".into());
        }
        let is_large = !(-GROUPS_MAX..=GROUPS_MAX).contains(&weight) || count > 2 * GROUPS_MAX as u16 + 1;
        if is_large || scale > DIGITS_MAX {
            return Err(format!("a numeric of more than {DIGITS_MAX} digits").into());
        }
        let groups = (0..count).map(|_| raw.try_get_i16()).collect::<Result<Vec<_>, _>>()?;
        if !groups.iter().all(|group| (0..10_000).contains(group)) || raw.has_remaining() {
            return Err("a numeric of other digits".into());
        }
        let group = |place: i16| {
            let index = usize::try_from(weight - place).ok();
            let group = index.and_then(|index| groups.get(index)).copied().unwrap_or_default();
            format!("{group:04}")
        };
        let whole: String = (0..=weight.max(0)).rev().map(group).collect();
        let behind = GROUPS_MAX.max(count as i16 - weight - 1);
        let mut fraction: String = (1..=behind).map(|place| group(-place)).collect();
        if fraction.split_off(scale.min(fraction.len())).bytes().any(|digit| digit != b'0') {
            return Err("a numeric with digits behind its scale".into());
        }
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let (sign, point) = (if sign == NEGATIVE { "-" } else { "" }, if scale == 0 { "" } else { "." });
        Ok(Self(format!("{sign}{whole}{point}{fraction}")))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_postgresql() {
        // As `SELECT numeric_send(...)` of PostgreSQL shows them.
        for (text, groups, weight, scale) in [
            ("0", vec![], 0, 0),
            ("0.00", vec![], 0, 2),
            ("1", vec![1], 0, 0),
            ("10000", vec![1], 1, 0),
            ("-12.50", vec![12, 5000], 0, 2),
            ("0.00012", vec![1, 2000], -1, 5),
            ("123456789.1", vec![1, 2345, 6789, 1000], 2, 1),
        ] {
            assert_eq!(Numeric(text.to_owned()).groups(), (groups, weight, scale), "{text}");
            let mut sent = BytesMut::new();
            Numeric(text.to_owned()).to_sql(&Type::NUMERIC, &mut sent).expect("written");
            assert_eq!(Numeric::from_sql(&Type::NUMERIC, &sent).expect("read").0, text);
        }
    }

    #[test]
    fn what_is_no_number_of_the_engine_is_refused() {
        let read = |words: &[u16]| {
            let sent: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            Numeric::from_sql(&Type::NUMERIC, &sent).map(|Numeric(text)| text).map_err(|error| error.to_string())
        };
        assert_eq!(read(&[2, 18, 0, 0, 1, 2]), Ok(format!("10002{}", "0".repeat(68))));
        assert_eq!(read(&[1, 0xffff, NEGATIVE, 76, 1]), Ok(format!("-0.0001{}", "0".repeat(72))));
        let not_a_number = [0, 0, 0xc000, 0];
        for words in
            [&not_a_number[..], &[], &[1, 0, 0, 0], &[0, 0, 0, 77], &[1, 0, 0, 0, 10_000], &[1, 0x7fff, 0, 0, 1]]
        {
            assert!(read(words).is_err(), "{words:?}");
        }
        assert!(read(&[2, 0, 0, 3, 1, 2345]).is_err_and(|error| error.contains("behind its scale")));
    }

    #[test]
    fn a_scale_may_end_within_a_group() {
        let sent: Vec<u8> = [2_u16, 0, 0, 3, 1, 2340].iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(Numeric::from_sql(&Type::NUMERIC, &sent).expect("read").0, "1.234");
    }
}
