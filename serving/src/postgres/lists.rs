//! Lists as arrays of PostgreSQL, in both formats.
//!
//! Owns: which types have arrays, and the form of an element within one. Does not own: the values of elements (`rows`), arrays
//! that clients send (`arrays`).

use std::error::Error;

use arrow_array::{Array, ListArray};
use arrow_pg::encoder::Encoder;
use bytes::{BufMut, BytesMut};
use pgwire::api::Type;
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::types::ToSqlText;
use pgwire::types::format::FormatOptions;
use postgres_types::{IsNull, ToSql};

use super::rows::{Column, write};

/// The type of arrays of a type; `None` for a type whose lists are JSON.
pub(super) fn array_of(element: &Type) -> Option<Type> {
    Some(match *element {
        Type::BOOL => Type::BOOL_ARRAY,
        Type::INT2 => Type::INT2_ARRAY,
        Type::INT4 => Type::INT4_ARRAY,
        Type::INT8 => Type::INT8_ARRAY,
        Type::FLOAT4 => Type::FLOAT4_ARRAY,
        Type::FLOAT8 => Type::FLOAT8_ARRAY,
        Type::NUMERIC => Type::NUMERIC_ARRAY,
        Type::TEXT => Type::TEXT_ARRAY,
        Type::BYTEA => Type::BYTEA_ARRAY,
        Type::DATE => Type::DATE_ARRAY,
        Type::TIME => Type::TIME_ARRAY,
        Type::TIMESTAMP => Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL => Type::INTERVAL_ARRAY,
        _ => return None,
    })
}

/// A column of lists.
#[derive(Debug)]
pub(super) struct Lists {
    array: ListArray,
    /// The values of all lists, one after the other.
    elements: Box<Column>,
    /// The type of an element; its format is that of the list.
    field: FieldInfo,
}

impl Lists {
    pub(super) fn new(array: ListArray, elements: Column, element: Type) -> Self {
        let field = FieldInfo::new(String::new(), None, None, element, FieldFormat::Text);
        Self { array, elements: Box::new(elements), field }
    }

    /// The elements of a row; `None` for null.
    pub(super) fn row(&self, row: usize) -> Option<Vec<Element<'_>>> {
        let offsets = self.array.value_offsets();
        let element = |index| Element { column: &self.elements, row: index, field: &self.field };
        self.array.is_valid(row).then(|| (offsets[row] as usize..offsets[row + 1] as usize).map(element).collect())
    }
}

/// An element of an array.
#[derive(Debug)]
pub(super) struct Element<'c> {
    column: &'c Column,
    row: usize,
    field: &'c FieldInfo,
}

impl Element<'_> {
    fn written(&self, out: &mut BytesMut, format: FieldFormat) -> Result<bool, Box<dyn Error + Sync + Send>> {
        let mut sink = Sink { out, format, is_null: true };
        write(&mut sink, self.column, self.row, self.field)?;
        Ok(sink.is_null)
    }
}

impl ToSql for Element<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(if self.written(out, FieldFormat::Binary)? { IsNull::Yes } else { IsNull::No })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    postgres_types::to_sql_checked!();
}

impl ToSqlText for Element<'_> {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut BytesMut,
        _: &FormatOptions,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let begin = out.len();
        if self.written(out, FieldFormat::Text)? {
            return Ok(IsNull::Yes);
        }
        if must_be_quoted(&out[begin..]) {
            let text = out.split_off(begin);
            out.put_u8(b'"');
            for byte in text {
                if matches!(byte, b'"' | b'\\') {
                    out.put_u8(b'\\');
                }
                out.put_u8(byte);
            }
            out.put_u8(b'"');
        }
        Ok(IsNull::No)
    }
}

/// True for a text that would be read as another one, or as none, without quotes.
fn must_be_quoted(text: &[u8]) -> bool {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b',' | b'\\' | 0x0b) || byte.is_ascii_whitespace();
    text.is_empty() || text.eq_ignore_ascii_case(b"null") || text.iter().any(is_special)
}

/// The place of one element.
struct Sink<'o> {
    out: &'o mut BytesMut,
    format: FieldFormat,
    is_null: bool,
}

impl Encoder for Sink<'_> {
    type Item = ();

    fn encode_field<T: ToSql + ToSqlText>(&mut self, value: &T, field: &FieldInfo) -> PgWireResult<()> {
        let is_null = match self.format {
            FieldFormat::Text => value.to_sql_text(field.datatype(), self.out, field.format_options()),
            FieldFormat::Binary => value.to_sql(field.datatype(), self.out),
        };
        self.is_null = matches!(is_null.map_err(PgWireError::ApiError)?, IsNull::Yes);
        Ok(())
    }

    fn take_row(&mut self) {}
}
