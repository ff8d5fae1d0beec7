//! The values of a message's headers in the map column `_headers`.
//!
//! Owns: the text that stands for all values of one name, its values again, and the maps of version 0.1.0 in that form.
//! Does not own: the column (`schema`), building it (crate `writer`).
//!
//! A name may occur in a message several times, but the keys of a map are unique: readers refuse a map with a doubled key, or
//! show its first value alone. So the values of one name are one text, joined by line feeds in the order sent. No header
//! holds a line feed, so nothing is lost, and a header that occurs once is its own value. In objects of version 0.1.0 a
//! doubled name is a doubled key.

use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, MapArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

/// The text between two values of one name.
pub const SEPARATOR: &str = "\n";

/// The values of a name, in the order sent.
pub fn values(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(SEPARATOR)
}

/// The maps of `map`, each with its keys once and in order, and all values of a key as one text.
///
/// # Errors
/// When keys or values are no text.
pub fn with_unique_keys(map: &MapArray) -> Result<MapArray, ArrowError> {
    let (keys, values) = (cast(map.keys(), &DataType::Utf8)?, cast(map.values(), &DataType::Utf8)?);
    let (keys, values) = (keys.as_string::<i32>(), values.as_string::<i32>());
    let (mut names, mut texts) = (StringBuilder::new(), StringBuilder::new());
    let mut lengths = Vec::with_capacity(map.len());
    for bounds in map.value_offsets().windows(2) {
        let entries = bounds[0] as usize..bounds[1] as usize;
        let mut by_name: Vec<_> = entries.map(|entry| (keys.value(entry), values.value(entry))).collect();
        by_name.sort_by_key(|(name, _)| *name);
        let before = names.len();
        for of_one_name in by_name.chunk_by(|(one, _), (two, _)| one == two) {
            names.append_value(of_one_name[0].0);
            let sent: Vec<&str> = of_one_name.iter().map(|(_, value)| *value).collect();
            texts.append_value(sent.join(SEPARATOR));
        }
        lengths.push(names.len() - before);
    }
    let DataType::Map(field, is_sorted) = map.data_type() else { unreachable!("a map array has a map type") };
    let entries: [ArrayRef; 2] = [Arc::new(names.finish()), Arc::new(texts.finish())];
    let columns = entries.iter().zip(map.entries().columns()).map(|(new, old)| cast(new, old.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let entries = StructArray::try_new(map.entries().fields().clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    MapArray::try_new(Arc::clone(field), offsets, entries, map.nulls().cloned(), *is_sorted)
}
