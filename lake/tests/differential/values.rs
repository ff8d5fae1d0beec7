//! Random values of each type.
//!
//! Owns: the pools, small so that values meet again in other rows and in literals. Does not own: types (`tables`).

use common::topic::ColumnType;
use fastrand::Rng;

use crate::value::{Number, Value};

/// The sort of values in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Small numbers whose sums and products are exact and in range in any order: fractions are eighths.
    Tame,
    /// With the ends of the range, NaN, infinities, both zeros.
    Wild,
}

/// A value that is not null.
pub(crate) fn value(rng: &mut Rng, column_type: &ColumnType, pool: Pool) -> Value {
    match column_type {
        ColumnType::Bool => Value::Bool(rng.bool()),
        ColumnType::Int32 => integer(rng, pool, [i64::from(i32::MIN), i64::from(i32::MAX)]),
        ColumnType::Int64 => integer(rng, pool, [i64::MIN, i64::MAX]),
        ColumnType::Float64 => Value::Float(float(rng, pool)),
        ColumnType::Decimal { precision, scale } => decimal(rng, pool, usize::from(*precision), usize::from(*scale)),
        ColumnType::String => Value::Text(text(rng, pool).to_owned()),
        ColumnType::Json => Value::Text(
            one_of(
                rng,
                &[r#"{"a":1}"#, r#"{"a":"x","b":null,"c":[1]}"#, r#"{"b":true}"#, "[1,null]", "null", "1.50", r#""x""#],
            )
            .to_owned(),
        ),
        ColumnType::Binary => Value::Bytes(one_of(rng, &[&b""[..], b"a", b"ab", b"\x00\xff", b"'\\", b"b"]).to_vec()),
        ColumnType::Date => Value::Date(match pool {
            Pool::Tame => rng.i64(19_000..19_040),
            // 0001-01-01 to 9999-12-31, which is what RFC 3339 and Python both have.
            Pool::Wild => one_of(rng, &[-719_162, 2_932_896, 0, -1, 19_000, 19_001, 18_992]),
        }),
        ColumnType::Timestamp | ColumnType::TimestampS | ColumnType::TimestampMs | ColumnType::TimestampUs => {
            Value::Time(match pool {
                Pool::Tame => 1_700_000_000_000_000 + rng.i64(0..40) * 3_600_000_000,
                Pool::Wild => {
                    let ends = [-62_135_596_800_000_000, 253_402_300_799_999_999];
                    one_of(rng, &[ends[0], ends[1], 0, -1, 1, 1_709_251_199_999_999, 1_709_164_800_000_000])
                }
            })
        }
        ColumnType::List(element) => {
            let item = |rng: &mut Rng| if rng.u8(0..5) == 0 { Value::Null } else { value(rng, element, pool) };
            Value::List((0..rng.usize(0..4)).map(|_| item(rng)).collect())
        }
        ColumnType::Struct(members) => {
            let mut of = |nullable: bool, member: &ColumnType| match nullable && rng.u8(0..4) == 0 {
                true => Value::Null,
                false => value(rng, member, pool),
            };
            let member =
                |member: &common::topic::ColumnSpec| (member.name.clone(), of(member.nullable, &member.column_type));
            Value::Struct(members.iter().map(member).collect())
        }
    }
}

pub(crate) fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(0..choices.len())]
}

fn number(value: impl ToString) -> Value {
    Value::Number(Number::parse(&value.to_string()))
}

fn integer(rng: &mut Rng, pool: Pool, [min, max]: [i64; 2]) -> Value {
    number(match pool {
        Pool::Tame => rng.i64(-3..=9),
        Pool::Wild => one_of(rng, &[min, max, min + 1, max - 1, 0, 1, -1, 2, 7, 100, 65_536, 2_147_483_647]),
    })
}

fn float(rng: &mut Rng, pool: Pool) -> f64 {
    let eighths = f64::from(rng.i32(-24..=72)) / 8.0;
    match pool {
        Pool::Tame => eighths + 0.0,
        Pool::Wild => {
            let special =
                [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN, 5e-324, 1e16, 0.1];
            if rng.bool() { one_of(rng, &special) } else { eighths }
        }
    }
}

fn decimal(rng: &mut Rng, pool: Pool, precision: usize, scale: usize) -> Value {
    let nines = "9".repeat(precision);
    let digits = match pool {
        Pool::Wild if rng.u8(0..3) == 0 => one_of(rng, &[nines.as_str(), "1", "0", "5"]).to_owned(),
        _ => rng.u32(0..1_000).to_string().chars().take(precision).collect(),
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if rng.u8(0..3) == 0 { "-" } else { "" };
    number(format!("{sign}{whole}.{fraction}"))
}

fn text(rng: &mut Rng, pool: Pool) -> &'static str {
    let plain = ["", "a", "b", "ab", "abc", "A", "7", "-12", "x_y", "100%"];
    let more = [
        "Ünï",
        "日本",
        "e\u{301}",
        "🙂",
        "it's",
        "a\tb\nc",
        " a ",
        "\\",
        "NaN",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    ];
    match pool {
        Pool::Tame => one_of(rng, &plain),
        Pool::Wild if rng.bool() => one_of(rng, &plain),
        Pool::Wild => one_of(rng, &more),
    }
}
