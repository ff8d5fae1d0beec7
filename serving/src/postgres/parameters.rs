//! Values of parameters as a client binds them.
//!
//! Owns: reading both formats. A value as text is cast to the type that the statement wants; one in binary has the type that
//! the client declared, or else was told. Where the statement leaves a type open, it is the declared one; so it is where an operand of
//! that type computes otherwise.
//! Does not own: the cast (`crate::parameters`).

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::scalar::ScalarValue;
use lake::query::plain_number;
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::types::FromSqlText;
use pgwire::types::format::FormatOptions;
use postgres_types::{FromSql, FromSqlOwned, Kind};

use super::arrays;
use super::interval::Interval;
use super::numeric::Numeric;
use crate::error::QueryFailure;
use crate::parameters::fitted;

/// Most digits of the decimal types.
const DIGITS_MAX: [usize; 2] = [38, 76];

/// The values of a portal, in the types that the statement wants.
///
/// # Errors
/// A value is not of its type.
pub(super) fn values<S: Clone>(portal: &Portal<S>, wanted: &[Option<DataType>]) -> PgWireResult<Vec<ScalarValue>> {
    let value = |index: usize| {
        let declared = declared(&portal.statement.parameter_types, index);
        let wanted = wanted.get(index).and_then(Option::as_ref).filter(|wanted| !is_otherwise(declared, wanted));
        let open = declared.filter(|_| wanted.is_none()).and_then(declared_type);
        let value = match portal.parameter_format.is_text(index) {
            true => from_text(portal, index, declared, wanted.or(open.as_ref()))?,
            false => from_binary(portal, index, &declared.cloned().map_or_else(|| super::planned::told(wanted), Ok)?)?,
        };
        let value = match (value, wanted) {
            (ScalarValue::IntervalMonthDayNano(Some(span)), Some(DataType::Duration(_))) => Interval(span).as_time(),
            (value, _) => value,
        };
        match (&value, &open) {
            // Such a value has the digits that the client wrote.
            (ScalarValue::Utf8(Some(text)), Some(DataType::Decimal128(..))) => decimal(text, index + 1),
            _ => Ok(fitted(value, wanted.or(open.as_ref()), index + 1)?),
        }
    };
    (0..portal.parameter_len()).map(value).collect()
}

/// Nulls in the types that parameters will have, to describe a statement by.
///
/// # Errors
/// There are none of such a type.
pub(super) fn nulls(client: &[Option<Type>], wanted: &[Option<DataType>]) -> PgWireResult<Vec<ScalarValue>> {
    let null = |(index, wanted): (usize, &Option<DataType>)| {
        let declared = declared(client, index);
        let wanted = wanted.clone().filter(|wanted| !is_otherwise(declared, wanted));
        let data_type = wanted.or_else(|| declared.and_then(declared_type));
        let null = ScalarValue::try_new_null(&data_type.unwrap_or(DataType::Null));
        null.map_err(|error| QueryFailure::invalid(error.to_string()).into())
    };
    wanted.iter().enumerate().map(null).collect()
}

fn declared(client: &[Option<Type>], index: usize) -> Option<&Type> {
    client.get(index).and_then(Option::as_ref).filter(|declared| **declared != Type::UNKNOWN)
}

/// True when a value of the declared type computes in the place of a parameter, and to something else there: the engine takes the type
/// of a parameter from the other operand, as the time of `ts - $1` and the integer of `k / $1`.
fn is_otherwise(declared: Option<&Type>, wanted: &DataType) -> bool {
    let Some(declared) = declared else { return false };
    let is_time =
        matches!(wanted, DataType::Timestamp(..) | DataType::Date32 | DataType::Time32(_) | DataType::Time64(_));
    match *declared {
        Type::INTERVAL => is_time,
        Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::DATE | Type::TIME => matches!(wanted, DataType::Interval(_)),
        Type::INT2 | Type::INT4 | Type::INT8 => matches!(wanted, DataType::Interval(_) | DataType::Date32),
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => wanted.is_integer(),
        _ => false,
    }
}

/// A value in text, in a type that can be cast to `wanted`.
fn from_text<S: Clone>(
    portal: &Portal<S>,
    index: usize,
    declared: Option<&Type>,
    wanted: Option<&DataType>,
) -> PgWireResult<ScalarValue> {
    let Some(bytes) = &portal.parameters[index] else { return Ok(ScalarValue::Null) };
    let number = index + 1;
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| QueryFailure::invalid(format!("parameter ${number} is not UTF-8")))?;
    if let Some(DataType::List(element)) = wanted {
        let texts = arrays::elements(text).ok_or_else(|| {
            QueryFailure::invalid(format!(
                "parameter ${number}: {text:?} is no array of one dimension, such as {{1,2}}"
            ))
        })?;
        let values = texts.iter().map(|text| of_text(text.as_deref(), element.data_type()));
        return Ok(list(&values.collect::<PgWireResult<Vec<_>>>()?));
    }
    let wanted = match declared {
        Some(&Type::BYTEA) => &DataType::Binary,
        Some(&Type::BOOL) => &DataType::Boolean,
        _ => wanted.unwrap_or(&DataType::Utf8),
    };
    of_text(Some(text), wanted)
}

/// What the engine does not cast from text as PostgreSQL does is read here; the rest stays text.
fn of_text(text: Option<&str>, wanted: &DataType) -> PgWireResult<ScalarValue> {
    let options = FormatOptions::default();
    Ok(match wanted {
        DataType::Binary | DataType::BinaryView => {
            let bytes = text.map(|text| Vec::<u8>::from_sql_text(&Type::BYTEA, text.as_bytes(), &options));
            ScalarValue::Binary(bytes.transpose().map_err(PgWireError::FailedToParseParameter)?)
        }
        DataType::Boolean => {
            let value = text.map(|text| bool::from_sql_text(&Type::BOOL, text.as_bytes(), &options));
            ScalarValue::Boolean(value.transpose().map_err(PgWireError::FailedToParseParameter)?)
        }
        _ => ScalarValue::Utf8(text.map(str::to_owned)),
    })
}

/// A list of values of one type, or of none.
fn list(values: &[ScalarValue]) -> ScalarValue {
    let data_type = values.first().map_or(DataType::Null, ScalarValue::data_type);
    ScalarValue::List(ScalarValue::new_list_nullable(values, &data_type))
}

/// A decimal in a type of as many digits as its text has.
fn decimal(text: &str, number: usize) -> PgWireResult<ScalarValue> {
    let plain = if text.contains(['e', 'E']) { plain_number(text) } else { None };
    let plain = plain.as_deref().unwrap_or(text);
    let count = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let scale = plain.split_once('.').map_or(0, |(_, fraction)| count(fraction));
    let digits = count(plain).max(1);
    let data_type = match (u8::try_from(digits), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if digits <= DIGITS_MAX[0] => DataType::Decimal128(precision, scale),
        (Ok(precision), Ok(scale)) if digits <= DIGITS_MAX[1] => DataType::Decimal256(precision, scale),
        _ => {
            let text = format!("parameter ${number} has {digits} digits; a decimal has at most {}", DIGITS_MAX[1]);
            return Err(QueryFailure::invalid(text).into());
        }
    };
    Ok(fitted(ScalarValue::Utf8(Some(plain.to_owned())), Some(&data_type), number)?)
}

fn declared_type(declared: &Type) -> Option<DataType> {
    if let Kind::Array(element) = declared.kind() {
        return Some(DataType::List(Field::new_list_field(declared_type(element)?, true).into()));
    }
    Some(match *declared {
        Type::BOOL => DataType::Boolean,
        // Drivers send the shortest that holds a number; functions want the one of literals.
        Type::INT2 | Type::INT4 | Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => DataType::Utf8,
        _ => return None,
    })
}

fn from_binary<S: Clone>(portal: &Portal<S>, index: usize, declared: &Type) -> PgWireResult<ScalarValue> {
    use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
    let Some(bytes) = &portal.parameters[index] else { return Ok(ScalarValue::Null) };
    let (bytes, utc) = (bytes.as_ref(), || Some("UTC".into()));
    let of = match declared.kind() {
        Kind::Array(element) => element,
        _ => declared,
    };
    match *of {
        Type::BOOL => read(declared, bytes, ScalarValue::Boolean),
        Type::INT2 => read(declared, bytes, ScalarValue::Int16),
        Type::INT4 => read(declared, bytes, ScalarValue::Int32),
        Type::INT8 => read(declared, bytes, ScalarValue::Int64),
        Type::FLOAT4 => read(declared, bytes, ScalarValue::Float32),
        Type::FLOAT8 => read(declared, bytes, ScalarValue::Float64),
        Type::BYTEA => read(declared, bytes, ScalarValue::Binary),
        Type::NUMERIC => {
            read(declared, bytes, |value: Option<Numeric>| ScalarValue::Utf8(value.map(|Numeric(digits)| digits)))
        }
        Type::DATE => {
            read(declared, bytes, |value: Option<NaiveDate>| ScalarValue::Utf8(value.map(|value| value.to_string())))
        }
        Type::TIMESTAMP => read(declared, bytes, |value: Option<NaiveDateTime>| {
            ScalarValue::TimestampMicrosecond(value.map(|value| value.and_utc().timestamp_micros()), None)
        }),
        Type::TIMESTAMPTZ => read(declared, bytes, |value: Option<DateTime<FixedOffset>>| {
            ScalarValue::TimestampMicrosecond(value.map(|value| value.timestamp_micros()), utc())
        }),
        Type::TIME => {
            let since_midnight = |value: NaiveTime| value.signed_duration_since(NaiveTime::MIN).num_microseconds();
            read(declared, bytes, |value| ScalarValue::Time64Microsecond(value.and_then(since_midnight)))
        }
        Type::INTERVAL => read(declared, bytes, |value: Option<Interval>| {
            ScalarValue::IntervalMonthDayNano(value.map(|Interval(value)| value))
        }),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => read(declared, bytes, ScalarValue::Utf8),
        Type::UNKNOWN => read(&Type::TEXT, bytes, ScalarValue::Utf8),
        _ => {
            let number = index + 1;
            let text = format!("parameter ${number}: type {declared} is not taken in binary; send it as text");
            Err(QueryFailure::invalid(text).into())
        }
    }
}

/// A value in binary, or a list of them, as its type says.
fn read<T: FromSqlOwned>(
    declared: &Type,
    bytes: &[u8],
    scalar: impl Fn(Option<T>) -> ScalarValue,
) -> PgWireResult<ScalarValue> {
    if matches!(declared.kind(), Kind::Array(_)) {
        let values = Vec::<Option<T>>::from_sql(declared, bytes).map_err(PgWireError::FailedToParseParameter)?;
        return Ok(list(&values.into_iter().map(scalar).collect::<Vec<_>>()));
    }
    let value = T::from_sql(declared, bytes).map_err(PgWireError::FailedToParseParameter)?;
    Ok(scalar(Some(value)))
}
