//! Sorted inputs that are merged: the smallest row of all comes next.
//!
//! Owns: the rows at which each input stands, and the order among inputs. Does not own: decoding (`rows`), the columns that
//! rows are sorted by (`order`).

use arrow_array::RecordBatch;
use arrow_row::{OwnedRow, Row, Rows};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::interleave::interleave_record_batch;

use super::MergeError;
use super::order::RowOrder;
use super::rows::{BATCH_BYTES, BATCH_ROWS_MAX, InputRows, Next};
use crate::storage::Storage;

/// One sorted input.
struct Source {
    input: InputRows,
    /// Its rows that are decoded.
    rows: RecordBatch,
    /// Their keys.
    keys: Rows,
    /// The first row that is not merged yet.
    at: usize,
    /// The key of the last row before these.
    last: Option<OwnedRow>,
    row_bytes: usize,
}

/// All sorted inputs.
pub(super) struct Sources {
    order: RowOrder,
    table: SchemaRef,
    sources: Vec<Source>,
    /// Those that stand at a row: a heap, the smallest row first.
    heap: Vec<usize>,
    /// Those that must be decoded or read before anything can be merged.
    missing: Vec<usize>,
}

/// The outcome of one step.
pub(super) enum Merged {
    /// The next rows of all.
    Rows(RecordBatch),
    /// An input is to be fetched first.
    NeedsBytes,
    /// There are no more rows.
    End,
}

impl Sources {
    /// No inputs yet.
    pub(super) fn new(table: SchemaRef, order: RowOrder) -> Self {
        Self { order, table, sources: Vec::new(), heap: Vec::new(), missing: Vec::new() }
    }

    /// The order.
    pub(super) fn order(&self) -> &RowOrder {
        &self.order
    }

    /// Adds an input.
    pub(super) fn push(&mut self, input: InputRows) {
        let rows = RecordBatch::new_empty(self.table.clone());
        self.missing.push(self.sources.len());
        self.sources.push(Source { input, rows, keys: self.order.no_keys(), at: 0, last: None, row_bytes: 0 });
    }

    /// The next rows of all inputs in order.
    pub(super) fn next(&mut self) -> Result<Merged, MergeError> {
        while let Some(at) = self.missing.pop() {
            match self.sources[at].load(&self.order)? {
                Loaded::Rows => self.raise(at),
                Loaded::End => {}
                Loaded::NeedsBytes => {
                    self.missing.push(at);
                    return Ok(Merged::NeedsBytes);
                }
            }
        }
        let chosen = self.choose();
        if chosen.is_empty() {
            return Ok(Merged::End);
        }
        let batches: Vec<&RecordBatch> = self.sources.iter().map(|source| &source.rows).collect();
        Ok(Merged::Rows(interleave_record_batch(&batches, &chosen)?))
    }

    /// Fetches the bytes that [`Self::next`] asked for.
    pub(super) async fn fetch(&mut self, storage: &Storage) -> Result<(), MergeError> {
        match self.missing.last() {
            Some(at) => self.sources[*at].input.fetch(storage).await,
            None => Ok(()),
        }
    }

    /// Bytes that all inputs hold.
    pub(super) fn memory_bytes(&self) -> usize {
        self.sources.iter().map(Source::memory_bytes).sum()
    }

    /// The smallest rows of all, as input and row, until a batch is full or an input has no more in memory.
    fn choose(&mut self) -> Vec<(usize, usize)> {
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        while let Some(top) = self.heap.first().copied() {
            let source = &mut self.sources[top];
            chosen.push((top, source.at));
            bytes += source.row_bytes;
            source.at += 1;
            if source.at == source.rows.num_rows() {
                self.heap.swap_remove(0);
                self.sink();
                self.missing.push(top);
                break;
            }
            self.sink();
            if chosen.len() == BATCH_ROWS_MAX || bytes >= BATCH_BYTES {
                break;
            }
        }
        chosen
    }

    /// Moves the first of the heap down to its place.
    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let below = [2 * at + 1, 2 * at + 2].into_iter().filter(|child| *child < self.heap.len());
            let smallest = below.fold(at, |one, other| if self.is_less(other, one) { other } else { one });
            if smallest == at {
                return;
            }
            self.heap.swap(at, smallest);
            at = smallest;
        }
    }

    /// Adds an input to the heap.
    fn raise(&mut self, source: usize) {
        let mut at = self.heap.len();
        self.heap.push(source);
        while at > 0 && self.is_less(at, (at - 1) / 2) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    /// True if the input at this place of the heap comes before the other.
    fn is_less(&self, one: usize, other: usize) -> bool {
        let of = |place: usize| (self.sources[self.heap[place]].key(), self.heap[place]);
        of(one) < of(other)
    }
}

/// The outcome of decoding.
enum Loaded {
    Rows,
    NeedsBytes,
    End,
}

impl Source {
    fn key(&self) -> Row<'_> {
        self.keys.row(self.at)
    }

    /// Decodes the next rows, when all before are merged.
    fn load(&mut self, order: &RowOrder) -> Result<Loaded, MergeError> {
        let rows = match self.input.next()? {
            Next::Rows(rows) => rows,
            Next::NeedsBytes => return Ok(Loaded::NeedsBytes),
            Next::End => return Ok(Loaded::End),
        };
        let keys = order.keys(&rows)?;
        let first = self.last.as_ref().is_none_or(|last| last.row() <= keys.row(0));
        // A merge of rows that are not sorted would lose none, but its output would claim an order that it has not.
        if !first || (1..keys.num_rows()).any(|at| keys.row(at) < keys.row(at - 1)) {
            return Err(MergeError::altered(self.input.key(), &"its rows are not in the order that its footer says"));
        }
        self.last = Some(keys.row(keys.num_rows() - 1).owned());
        self.row_bytes = rows.get_array_memory_size() / rows.num_rows();
        (self.rows, self.keys, self.at) = (rows, keys, 0);
        Ok(Loaded::Rows)
    }

    fn memory_bytes(&self) -> usize {
        self.input.memory_bytes() + self.rows.get_array_memory_size() + self.keys.size()
    }
}

impl From<ArrowError> for MergeError {
    fn from(error: ArrowError) -> Self {
        Self::Encoding(error.into())
    }
}
