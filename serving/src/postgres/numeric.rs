//! Decimals of any size in the two forms of PostgreSQL's `numeric`.
//!
//! Owns: the binary form: groups of four digits, as `numeric_send` of PostgreSQL writes them. Does not own: the digits (arrow).
//! Libraries for decimals end at 28 digits; columns may have 76.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use pgwire::api::Type;
use pgwire::types::ToSqlText;
use pgwire::types::format::FormatOptions;
use postgres_types::{IsNull, ToSql};

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;

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
        }
    }
}
