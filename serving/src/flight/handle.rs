//! The handle of a statement: its text and the values of its parameters.
//!
//! Owns: its form, which clients carry and do not read. Whatever they make of it, it names a statement that they might have
//! sent. Does not own: the statement.

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use tonic::Status;

use crate::error::QueryFailure;
use crate::executor::Planned;
use crate::parameters::fitted;

/// Bytes of the values of one statement.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// Ends the text: no statement holds it.
const END: u8 = 0;

/// A statement with its values, if it has any.
pub(super) struct Handle {
    pub(super) sql: String,
    values: Option<RecordBatch>,
}

impl Handle {
    pub(super) fn of(sql: String) -> Self {
        Self { sql, values: None }
    }

    pub(super) fn decoded(bytes: &[u8]) -> Result<Self, Status> {
        let invalid = || Status::invalid_argument("this is no handle of a statement of this service");
        let end = bytes.iter().position(|byte| *byte == END).ok_or_else(invalid)?;
        let sql = String::from_utf8(bytes[..end].to_vec()).map_err(|_| invalid())?;
        let rest = &bytes[end + 1..];
        if rest.is_empty() {
            return Ok(Self::of(sql));
        }
        let mut batches = StreamReader::try_new(rest, None).map_err(|_| invalid())?;
        let values = batches.next().ok_or_else(invalid)?.map_err(|_| invalid())?;
        Ok(Self { sql, values: Some(values) })
    }

    pub(super) fn encoded(&self) -> Result<Bytes, Status> {
        let mut bytes = self.sql.clone().into_bytes();
        bytes.push(END);
        if let Some(values) = &self.values {
            let written = StreamWriter::try_new(&mut bytes, &values.schema()).and_then(|mut writer| {
                writer.write(values)?;
                writer.finish()
            });
            written.map_err(|error| Status::internal(error.to_string()))?;
        }
        Ok(bytes.into())
    }

    /// The same with the one row of values that a client sends.
    pub(super) async fn with_values(self, stream: PeekableFlightDataStream) -> Result<Self, Status> {
        let data = stream.map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
        let mut values: Option<RecordBatch> = None;
        while let Some(batch) = batches.try_next().await.map_err(Status::from)? {
            let rows = batch.num_rows() + values.as_ref().map_or(0, RecordBatch::num_rows);
            if rows > 1 || batch.get_array_memory_size() > VALUES_BYTES_MAX {
                return Err(Status::invalid_argument(format!(
                    "a query takes one row of values, of at most {VALUES_BYTES_MAX} bytes"
                )));
            }
            if batch.num_rows() == 1 {
                values = Some(batch);
            }
        }
        Ok(Self { values, ..self })
    }

    /// The values in the types that the statement wants.
    pub(super) fn values(&self, planned: &Planned) -> Result<Vec<ScalarValue>, QueryFailure> {
        let Some(values) = &self.values else { return Ok(Vec::new()) };
        let wanted = planned.parameters()?;
        let value = |(index, column): (usize, &arrow_array::ArrayRef)| {
            let value = ScalarValue::try_from_array(column, 0);
            let value = value.map_err(|error| QueryFailure::invalid(format!("parameter ${}: {error}", index + 1)))?;
            fitted(value, wanted.get(index).and_then(Option::as_ref), index + 1)
        };
        values.columns().iter().enumerate().map(value).collect()
    }
}
