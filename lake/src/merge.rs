//! Merge: the rows of some objects become one object, sorted, in bounded memory.
//!
//! Owns: the steps of a merge, and the memory that it takes. Does not own: the choice of objects, the moment of each step and
//! the thread of the work (`writer`), putting and listing the result.
//!
//! Each input is read once, a row group at a time, and compared with its listing; the output is only given after all of
//! them were found equal. Inputs that an earlier merge sorted in the same way are merged as they are; the rows of others
//! are sorted first, a few at a time, into runs that stay in memory. A merge is driven by its owner: [`Merge::work`] is
//! CPU alone, [`Merge::fetch`] is waiting for the store alone.

mod order;
mod rows;
mod runs;
mod sources;
mod window;

use std::collections::VecDeque;
use std::fmt;

use arrow_schema::SchemaRef;
use common::mutation;
use object_store::path::Path;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use self::order::RowOrder;
use self::rows::{InputRows, Next};
use self::runs::Unsorted;
use self::sources::{Merged, Sources};
use self::window::StoredObject;
use crate::object::ListedObject;
use crate::projection::Projection;
use crate::segment::{EncodedSegment, Layout, Pages, SegmentEncoder};
use crate::storage::Storage;

/// Encoded bytes of a row group of a merged object: a merge of merged objects holds one of each input.
pub const MERGED_GROUP_BYTES: usize = 8 * 1024 * 1024;
/// Higher than when segments are first written: the bytes stay for long, and nobody waits for them.
const ZSTD_LEVEL: i32 = 6;

/// One object to be merged.
#[derive(Clone, Debug)]
pub struct MergeInput {
    /// The object as the catalog lists it.
    pub listed: ListedObject,
    /// The incarnation of all its rows, for an object of layout 1.
    pub unsaid_incarnation: Option<i32>,
}

/// The form of the merged object.
#[derive(Clone, Debug)]
pub struct MergedForm {
    /// Its columns: those of today's table.
    pub table: SchemaRef,
    /// Columns that rows are sorted by before time and place in the queue.
    pub sort: Vec<String>,
    /// Columns with bloom filters.
    pub bloom: Vec<String>,
    /// Its data pages.
    pub pages: Pages,
    /// Decoded bytes that are sorted at a time.
    pub sort_bytes: usize,
}

/// The reason why a merge cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The store does not give an input now.
    #[error("{key}: {source}")]
    Unreadable {
        /// Its key.
        key: String,
        /// The store's error.
        source: object_store::Error,
    },
    /// An input is not what the catalog lists.
    #[error("{key}: {reason}")]
    Altered {
        /// Its key.
        key: String,
        /// The difference.
        reason: String,
    },
    /// The output cannot be written.
    #[error("the merged object cannot be encoded: {0}")]
    Encoding(#[from] ParquetError),
}

impl MergeError {
    fn altered(key: &Path, reason: &dyn fmt::Display) -> Self {
        Self::Altered { key: key.to_string(), reason: reason.to_string() }
    }
}

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call [`Merge::work`] again.
    Work,
    /// Call [`Merge::fetch`].
    Fetch,
    /// Call [`Merge::finish`].
    Finish,
}

/// A merge under way.
pub struct Merge {
    table: SchemaRef,
    sort_bytes: usize,
    /// Inputs whose rows are still to be sorted; the first one is being read.
    unsorted: VecDeque<InputRows>,
    waiting: Unsorted,
    sources: Sources,
    encoder: SegmentEncoder,
    is_complete: bool,
}

impl Merge {
    /// Opens the inputs: reads their footers.
    ///
    /// # Errors
    /// [`MergeError`], also when the form is not that of a table.
    pub async fn open(storage: &Storage, inputs: &[MergeInput], form: &MergedForm) -> Result<Self, MergeError> {
        let order = RowOrder::new(&form.table, &form.sort)?;
        let layout = Layout {
            pages: form.pages,
            zstd_level: ZSTD_LEVEL,
            row_group_bytes: MERGED_GROUP_BYTES,
            sorting: Some(order.leaves()),
            bloom: form.bloom.clone(),
        };
        let encoder = SegmentEncoder::with_layout(&form.table, &layout)?;
        let mut merge = Self {
            table: form.table.clone(),
            sort_bytes: form.sort_bytes,
            unsorted: VecDeque::new(),
            waiting: Unsorted::default(),
            sources: Sources::new(form.table.clone(), order),
            encoder,
            is_complete: false,
        };
        for input in inputs {
            let object = StoredObject::open(storage, input.listed.clone()).await?;
            let is_sorted = merge.sources.order().is_that_of(object.metadata());
            let projection = Projection { table: form.table.clone(), unsaid_incarnation: input.unsaid_incarnation };
            let rows = InputRows::stored(input.listed.key.clone(), object, projection);
            if is_sorted { merge.sources.push(rows) } else { merge.unsorted.push_back(rows) }
        }
        Ok(merge)
    }

    /// Decodes, sorts, merges and encodes some rows: CPU work of a few milliseconds, and of some hundred for a run.
    ///
    /// # Errors
    /// [`MergeError`]; the merge is over then.
    pub fn work(&mut self) -> Result<Step, MergeError> {
        if let Some(input) = self.unsorted.front_mut() {
            match input.next()? {
                Next::NeedsBytes => return Ok(Step::Fetch),
                Next::Rows(rows) => self.waiting.push(rows),
                Next::End => drop(self.unsorted.pop_front()),
            }
            if self.waiting.memory_bytes() >= self.sort_bytes {
                self.sort_waiting()?;
            }
            return Ok(Step::Work);
        }
        if !self.waiting.is_empty() {
            self.sort_waiting()?;
            return Ok(Step::Work);
        }
        match self.sources.next()? {
            Merged::NeedsBytes => Ok(Step::Fetch),
            Merged::Rows(rows) => {
                let first = usize::from(mutation::is_off("merge.every_row"));
                self.encoder.write(&rows.slice(first, rows.num_rows() - first))?;
                Ok(Step::Work)
            }
            Merged::End => {
                self.is_complete = true;
                Ok(Step::Finish)
            }
        }
    }

    /// Reads the bytes that the work asked for.
    ///
    /// # Errors
    /// [`MergeError`]; the merge is over then.
    pub async fn fetch(&mut self, storage: &Storage) -> Result<(), MergeError> {
        match self.unsorted.front_mut() {
            Some(input) => input.fetch(storage).await,
            None => self.sources.fetch(storage).await,
        }
    }

    /// The merged object, with `footer` in its metadata.
    ///
    /// # Errors
    /// When Parquet refuses.
    pub fn finish(self, footer: Vec<KeyValue>) -> Result<EncodedSegment, MergeError> {
        assert!(self.is_complete, "every input was read to its end, and compared");
        Ok(self.encoder.finish(footer)?)
    }

    /// Bytes that it holds now, about.
    pub fn memory_bytes(&self) -> usize {
        let unsorted = self.unsorted.front().map_or(0, InputRows::memory_bytes);
        unsorted + self.waiting.memory_bytes() + self.sources.memory_bytes() + self.encoder.memory_bytes()
    }

    /// Makes a run of the rows that wait.
    fn sort_waiting(&mut self) -> Result<(), MergeError> {
        let run = self.waiting.sorted(&self.table, self.sources.order())?;
        self.sources.push(InputRows::in_memory(run)?);
        Ok(())
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Merge({} bytes)", self.memory_bytes())
    }
}

/// Bytes in memory that an input of this size takes in a merge: its rows in the output, and a sorted copy of them or a row
/// group.
pub fn memory_of_input(size_bytes: u64, is_sorted: bool) -> u64 {
    let group = MERGED_GROUP_BYTES as u64;
    size_bytes.saturating_add(if is_sorted { size_bytes.min(group * 3 / 2) } else { size_bytes })
}

#[cfg(test)]
mod tests;
