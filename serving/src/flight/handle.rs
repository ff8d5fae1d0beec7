//! The handle of a statement: its text and the values of its parameters.
//!
//! Owns: its form, which clients carry and do not read, and reading the values that they send. Without values, a handle names a
//! statement that any client might have sent. Values are of Arrow, whose readers trust lengths: those in a handle are read back only
//! under the seal of this process. Does not own: the statement.

use arrow_array::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::{Stream, TryStreamExt};
use ring::hmac;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::error::QueryFailure;
use crate::executor::Planned;
use crate::parameters::fitted;

/// Bytes of the values of one statement.
const VALUES_BYTES_MAX: usize = 1 << 20;

/// Ends the text: no statement holds it.
const END: u8 = 0;

/// Bytes of a seal, which is the end of a handle with values.
const SEAL_BYTES: usize = 32;

/// A statement with its values, if it has any.
pub(super) struct Handle {
    pub(super) sql: String,
    values: Option<RecordBatch>,
}

impl Handle {
    pub(super) fn of(sql: String) -> Self {
        Self { sql, values: None }
    }

    /// The statement of a handle.
    ///
    /// # Errors
    /// It is none, or has values that this process did not seal.
    pub(super) fn decoded(bytes: &[u8], key: &hmac::Key) -> Result<Self, Status> {
        let invalid = || Status::invalid_argument("this is no handle of a statement of this service");
        let end = bytes.iter().position(|byte| *byte == END).ok_or_else(invalid)?;
        let sql = String::from_utf8(bytes[..end].to_vec()).map_err(|_| invalid())?;
        if bytes.len() == end + 1 {
            return Ok(Self::of(sql));
        }
        let sealed_end = bytes.len().saturating_sub(SEAL_BYTES).max(end + 1);
        let (sealed, seal) = bytes.split_at(sealed_end);
        hmac::verify(key, sealed, seal).map_err(|_| {
            Status::invalid_argument("the values of this handle are not of this process; prepare the statement again")
        })?;
        let mut batches = StreamReader::try_new(&sealed[end + 1..], None).map_err(|_| invalid())?;
        let values = batches.next().ok_or_else(invalid)?.map_err(|_| invalid())?;
        Ok(Self { sql, values: Some(values) })
    }

    pub(super) fn encoded(&self, key: &hmac::Key) -> Result<Bytes, Status> {
        let mut bytes = self.sql.clone().into_bytes();
        bytes.push(END);
        if let Some(values) = &self.values {
            let written = StreamWriter::try_new(&mut bytes, &values.schema()).and_then(|mut writer| {
                writer.write(values)?;
                writer.finish()
            });
            written.map_err(|error| Status::internal(error.to_string()))?;
            let seal = hmac::sign(key, &bytes);
            bytes.extend_from_slice(seal.as_ref());
        }
        Ok(bytes.into())
    }

    /// The same with the one row of values that a client sends.
    ///
    /// # Errors
    /// They are no row of Arrow, more than one, too large, or compressed.
    pub(super) async fn with_values<S>(self, stream: S) -> Result<Self, Status>
    where
        S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
    {
        // Of its own task: the reader trusts offsets that a client made, and may panic.
        let reading = AbortOnDropHandle::new(tokio::spawn(one_row(stream)));
        let invalid = |_| Status::invalid_argument("the values are no row of Arrow");
        Ok(Self { values: reading.await.map_err(invalid)??, ..self })
    }

    /// The values in the types that the statement wants.
    pub(super) fn values(&self, planned: &Planned) -> Result<Vec<ScalarValue>, QueryFailure> {
        let Some(values) = &self.values else { return Ok(Vec::new()) };
        if values.num_rows() != 1 {
            return Err(QueryFailure::invalid(format!("a query takes one row of values, not {}", values.num_rows())));
        }
        let wanted = planned.parameters()?;
        let value = |(index, column): (usize, &arrow_array::ArrayRef)| {
            let value = ScalarValue::try_from_array(column, 0);
            let value = value.map_err(|error| QueryFailure::invalid(format!("parameter ${}: {error}", index + 1)))?;
            fitted(value, wanted.get(index).and_then(Option::as_ref), index + 1)
        };
        values.columns().iter().enumerate().map(value).collect()
    }
}

/// The row of a stream, if it has one.
async fn one_row<S>(stream: S) -> Result<Option<RecordBatch>, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let mut left = VALUES_BYTES_MAX;
    let stream = stream.and_then(move |data| std::future::ready(checked(data, &mut left)));
    let stream = stream.map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(stream);
    let mut values: Option<RecordBatch> = None;
    while let Some(batch) = batches.try_next().await.map_err(Status::from)? {
        let rows = batch.num_rows().saturating_add(values.as_ref().map_or(0, RecordBatch::num_rows));
        if rows > 1 {
            return Err(one_row_expected());
        }
        if batch.num_rows() == 1 {
            values = Some(batch);
        }
    }
    Ok(values)
}

/// Refuses a message beyond the bytes that are left, and a compressed one: it names the size of what it holds.
fn checked(data: FlightData, left: &mut usize) -> Result<FlightData, Status> {
    let size = data.data_header.len() + data.data_body.len();
    *left = left.checked_sub(size).ok_or_else(one_row_expected)?;
    // The reader refuses what is no message.
    if let Ok(message) = arrow_ipc::root_as_message(&data.data_header) {
        let dictionary = || message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        let batch = message.header_as_record_batch().or_else(dictionary);
        if batch.is_some_and(|batch| batch.compression().is_some()) {
            return Err(Status::invalid_argument("values are not compressed here; send them as they are"));
        }
    }
    Ok(data)
}

fn one_row_expected() -> Status {
    Status::invalid_argument(format!("a query takes one row of values, of at most {VALUES_BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests;
