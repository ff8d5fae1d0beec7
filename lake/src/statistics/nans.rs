//! Columns that hold NaN. Parquet leaves NaN out of its bounds, and readers order it above every number.
//!
//! Owns: finding NaN in batches before they are encoded. Does not own: the consequence for bounds, in the catalog
//! (`statistics`) and in the file (`segment::unbounded`).

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;

/// The leaves in which a NaN was seen.
#[derive(Debug, Default)]
pub(crate) struct Nans(BTreeSet<usize>);

impl Nans {
    /// Looks through the float columns of a batch.
    pub(crate) fn see(&mut self, batch: &RecordBatch) {
        let mut leaf = 0;
        for column in batch.columns() {
            self.see_array(column.as_ref(), &mut leaf);
        }
    }

    /// True when any leaf holds one.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// True when the leaf holds one.
    pub(crate) fn has(&self, leaf: usize) -> bool {
        self.0.contains(&leaf)
    }

    /// Visits the leaves below `array` in the order in which Parquet counts them.
    fn see_array(&mut self, array: &dyn Array, leaf: &mut usize) {
        match array.data_type() {
            DataType::Struct(_) => {
                for member in array.as_struct().columns() {
                    self.see_array(member.as_ref(), leaf);
                }
            }
            DataType::List(_) => self.see_array(array.as_list::<i32>().values().as_ref(), leaf),
            DataType::Map(..) => self.see_array(array.as_map().entries(), leaf),
            data_type => {
                let has_nan = match data_type {
                    DataType::Float64 => array.as_primitive::<Float64Type>().iter().flatten().any(f64::is_nan),
                    DataType::Float32 => array.as_primitive::<Float32Type>().iter().flatten().any(f32::is_nan),
                    _ => false,
                };
                if has_nan {
                    self.0.insert(*leaf);
                }
                *leaf += 1;
            }
        }
    }
}
