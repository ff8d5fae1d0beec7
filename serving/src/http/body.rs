//! Rows as the body of an answer, written batch by batch.
//!
//! Owns: the writers, and the end of a body. A failure after the first byte cuts the body off, so that its chunks have no
//! end: no client can take it for whole, whatever the form. The reason is in the log, under the id of the query.
//! Does not own: the choice of the form (`form`), the text of values and the Parquet file (`lake::query`).

use std::io::{self, Write};
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use lake::query::{ParquetRows, write_csv, write_csv_header};

use super::form::Form;
use crate::error::{FailureKind, QueryFailure};
use crate::executor::Rows;

/// Writes rows into a buffer.
enum Writer {
    Json { is_first: bool },
    JsonLines,
    Csv,
    Arrow(Box<StreamWriter<Buffer>>),
    Parquet(Box<ParquetRows<Buffer>>),
}

/// Bytes that are written and not sent. A lock, because the writers keep it; never held across an await.
#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

/// A body on its way.
struct Writing {
    rows: Rows,
    writer: Option<Writer>,
    buffer: Buffer,
}

/// The body with all rows.
///
/// # Errors
/// The form has no place for a type among the columns.
pub(super) fn of_rows(form: Form, rows: Rows) -> Result<Body, QueryFailure> {
    let buffer = Buffer::default();
    let writer = Writer::begin(form, &rows, &buffer)?;
    let writing = Writing { rows, writer: Some(writer), buffer };
    Ok(Body::from_stream(stream::try_unfold(writing, async |mut writing| {
        let bytes = writing.next().await?;
        Ok::<_, QueryFailure>(bytes.map(|bytes| (bytes, writing)))
    })))
}

impl Writing {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, QueryFailure> {
        loop {
            let Some(writer) = self.writer.as_mut() else { return Ok(None) };
            match self.rows.next().await.transpose()? {
                Some(batch) => writer.write(&batch, &self.buffer)?,
                None => take(&mut self.writer).expect("it was there").end(&self.buffer)?,
            }
            let bytes = self.buffer.take();
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Writer {
    fn begin(form: Form, rows: &Rows, buffer: &Buffer) -> Result<Self, QueryFailure> {
        let (schema, buffer) = (rows.schema(), buffer.clone());
        Ok(match form {
            Form::Json => {
                buffer.clone().write_all(b"[").map_err(unwritable)?;
                Self::Json { is_first: true }
            }
            Form::JsonLines => Self::JsonLines,
            Form::Csv => {
                write_csv_header(buffer, &schema).map_err(unwritable)?;
                Self::Csv
            }
            Form::Arrow => Self::Arrow(Box::new(StreamWriter::try_new(buffer, &schema).map_err(unwritable)?)),
            Form::Parquet => {
                let writer = ParquetRows::new(buffer, schema);
                Self::Parquet(Box::new(writer.map_err(|error| QueryFailure::invalid(error.to_string()))?))
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch, buffer: &Buffer) -> Result<(), QueryFailure> {
        match self {
            Self::JsonLines => lines(batch, buffer.clone()),
            Self::Json { is_first } => {
                let mut text = Vec::new();
                lines(batch, &mut text)?;
                let mut buffer = buffer.clone();
                for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let before: &[u8] = if take(is_first) { b"\n" } else { b",\n" };
                    buffer.write_all(before).and_then(|()| buffer.write_all(line)).map_err(unwritable)?;
                }
                Ok(())
            }
            Self::Csv => write_csv(buffer.clone(), batch).map_err(unwritable),
            Self::Arrow(writer) => writer.write(batch).map_err(unwritable),
            Self::Parquet(writer) => writer.write(batch).map_err(unwritable),
        }
    }

    fn end(self, buffer: &Buffer) -> Result<(), QueryFailure> {
        match self {
            Self::Json { is_first } => {
                let end: &[u8] = if is_first { b"]\n" } else { b"\n]\n" };
                buffer.clone().write_all(end).map_err(unwritable)
            }
            Self::JsonLines | Self::Csv => Ok(()),
            Self::Arrow(mut writer) => writer.finish().map_err(unwritable),
            Self::Parquet(writer) => writer.finish().map_err(unwritable),
        }
    }
}

fn lines(batch: &RecordBatch, output: impl Write) -> Result<(), QueryFailure> {
    lake::query::write_json_lines(output, std::slice::from_ref(batch)).map_err(unwritable)
}

fn unwritable(error: impl std::error::Error) -> QueryFailure {
    let failure = QueryFailure::new(FailureKind::Invalid, format!("the rows have no such form: {error}"));
    tracing::info!(error = %failure, "an answer over HTTP was not written");
    failure
}

impl Buffer {
    fn take(&self) -> Bytes {
        // Only whole writes happen under the lock: a poisoned one is still valid.
        take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
