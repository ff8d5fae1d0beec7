//! Values of parameters as a client binds them.
//!
//! Owns: reading both formats. A value as text is cast to the type that the statement wants; one in binary has the type that
//! the client declared, or else was told. Does not own: the cast (`crate::parameters`).

use arrow_schema::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;
use pgwire::api::portal::Portal;
use pgwire::error::PgWireResult;

use crate::error::QueryFailure;
use crate::parameters::fitted;

/// The values of a portal, in the types that the statement wants.
///
/// # Errors
/// A value is not of its type.
pub(super) fn values<S: Clone>(portal: &Portal<S>, wanted: &[Option<DataType>]) -> PgWireResult<Vec<ScalarValue>> {
    let value = |index: usize| {
        let wanted = wanted.get(index).and_then(Option::as_ref);
        let declared = portal.statement.parameter_types.get(index).cloned().flatten();
        let declared = declared.filter(|declared| *declared != Type::UNKNOWN);
        let value = match portal.parameter_format.is_text(index) {
            true => from_text(portal, index, declared.as_ref(), wanted)?,
            false => from_binary(portal, index, &declared.map_or_else(|| super::planned::told(wanted), Ok)?)?,
        };
        Ok(fitted(value, wanted, index + 1)?)
    };
    (0..portal.parameter_len()).map(value).collect()
}

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
    if declared == Some(&Type::BYTEA) || matches!(wanted, Some(DataType::Binary | DataType::BinaryView)) {
        return Ok(ScalarValue::Binary(portal.parameter::<Vec<u8>>(index, &Type::BYTEA)?));
    }
    if declared == Some(&Type::BOOL) || wanted == Some(&DataType::Boolean) {
        return Ok(ScalarValue::Boolean(portal.parameter::<bool>(index, &Type::BOOL)?));
    }
    let value = ScalarValue::Utf8(Some(text.to_owned()));
    // Where the statement leaves the type open, it is the declared one.
    match (wanted, declared.and_then(declared_type)) {
        (None, Some(declared)) => Ok(fitted(value, Some(&declared), number)?),
        _ => Ok(value),
    }
}

fn declared_type(declared: &Type) -> Option<DataType> {
    Some(match *declared {
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return None,
    })
}

fn from_binary<S: Clone>(portal: &Portal<S>, index: usize, declared: &Type) -> PgWireResult<ScalarValue> {
    use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};
    Ok(match *declared {
        Type::BOOL => ScalarValue::Boolean(portal.parameter(index, declared)?),
        Type::INT2 => ScalarValue::Int16(portal.parameter(index, declared)?),
        Type::INT4 => ScalarValue::Int32(portal.parameter(index, declared)?),
        Type::INT8 => ScalarValue::Int64(portal.parameter(index, declared)?),
        Type::FLOAT4 => ScalarValue::Float32(portal.parameter(index, declared)?),
        Type::FLOAT8 => ScalarValue::Float64(portal.parameter(index, declared)?),
        Type::BYTEA => ScalarValue::Binary(portal.parameter(index, declared)?),
        Type::NUMERIC => {
            let value = portal.parameter::<rust_decimal::Decimal>(index, declared)?;
            ScalarValue::Utf8(value.map(|value| value.to_string()))
        }
        Type::DATE => {
            let value = portal.parameter::<NaiveDate>(index, declared)?;
            ScalarValue::Utf8(value.map(|value| value.to_string()))
        }
        Type::TIMESTAMP => {
            let value = portal.parameter::<NaiveDateTime>(index, declared)?;
            ScalarValue::TimestampMicrosecond(value.map(|value| value.and_utc().timestamp_micros()), None)
        }
        Type::TIMESTAMPTZ => {
            let value = portal.parameter::<DateTime<FixedOffset>>(index, declared)?;
            ScalarValue::TimestampMicrosecond(value.map(|value| value.timestamp_micros()), Some("UTC".into()))
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            ScalarValue::Utf8(portal.parameter(index, &Type::TEXT)?)
        }
        _ => {
            let number = index + 1;
            let text = format!("parameter ${number}: type {declared} is not taken in binary; send it as text");
            return Err(QueryFailure::invalid(text).into());
        }
    })
}
