//! Sizes of values in memory.
//!
//! Owns: how many bytes a range of an array's rows takes, also below lists and structs; the size of values of a type.
//! Does not own: how sizes grow (`growth`).

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::DataType;

/// Bytes of a view into text that lies elsewhere.
pub(super) const VIEW_BYTES: u64 = 16;

/// Bytes of `rows` rows of the array, from row `from` on; text that several rows share counts in each.
pub(super) fn range_bytes(array: &dyn Array, from: usize, rows: usize) -> u64 {
    let to = from + rows;
    let texts = |bytes: u64, width: usize| bytes.saturating_add((rows * width) as u64);
    match array.data_type() {
        DataType::Utf8 => texts(span(array.as_string::<i32>().value_offsets(), from, to), 4),
        DataType::LargeUtf8 => texts(span(array.as_string::<i64>().value_offsets(), from, to), 8),
        DataType::Binary => texts(span(array.as_binary::<i32>().value_offsets(), from, to), 4),
        DataType::LargeBinary => texts(span(array.as_binary::<i64>().value_offsets(), from, to), 8),
        DataType::Utf8View => viewed(&array.as_string_view().views()[from..to]),
        DataType::BinaryView => viewed(&array.as_binary_view().views()[from..to]),
        _ => match elements(array, from, rows) {
            Some((values, from, count)) => texts(range_bytes(values, from, count), 4),
            None => match array.data_type() {
                DataType::Struct(_) => {
                    let members = array.as_struct().columns().iter();
                    members.map(|member| range_bytes(member, from, rows)).fold(0, u64::saturating_add)
                }
                other => fixed_bytes(other).saturating_mul(rows as u64),
            },
        },
    }
}

/// Elements of the lists in a range of rows, those of lists in lists too; none where the rows are no lists.
pub(super) fn range_elements(array: &dyn Array, from: usize, rows: usize) -> u64 {
    match elements(array, from, rows) {
        Some((values, from, count)) => (count as u64).saturating_add(range_elements(values, from, count)),
        None => 0,
    }
}

/// The elements of the lists in a range of rows: their array, the first of them, and their number.
fn elements(array: &dyn Array, from: usize, rows: usize) -> Option<(&dyn Array, usize, usize)> {
    let to = from + rows;
    Some(match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.value_offsets();
            (list.values().as_ref(), ends[from] as usize, (ends[to] - ends[from]) as usize)
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.value_offsets();
            (list.values().as_ref(), ends[from] as usize, (ends[to] - ends[from]) as usize)
        }
        DataType::FixedSizeList(_, _) => {
            let list = array.as_fixed_size_list();
            let length = list.value_length() as usize;
            (list.values().as_ref(), from * length, rows * length)
        }
        DataType::Map(_, _) => {
            let map = array.as_map();
            let ends = map.value_offsets();
            (map.entries() as &dyn Array, ends[from] as usize, (ends[to] - ends[from]) as usize)
        }
        _ => return None,
    })
}

/// Bytes that every value of a type takes, whatever it is.
pub(super) fn fixed_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::FixedSizeBinary(bytes) => u64::try_from(*bytes).unwrap_or_default(),
        DataType::FixedSizeList(element, length) => {
            // A bit tells which elements are null, also where the elements themselves take no memory.
            fixed_bytes(element.data_type()).max(1).saturating_mul(u64::try_from(*length).unwrap_or_default())
        }
        DataType::Struct(members) => {
            members.iter().map(|member| fixed_bytes(member.data_type())).fold(0, u64::saturating_add)
        }
        // A list of one, as large as the elements are.
        DataType::List(element) | DataType::LargeList(element) | DataType::Map(element, _) => {
            fixed_bytes(element.data_type())
        }
        DataType::Utf8View | DataType::BinaryView => VIEW_BYTES,
        other => other.primitive_width().unwrap_or(1) as u64,
    }
}

fn span<N: Copy + TryInto<u64>>(ends: &[N], from: usize, to: usize) -> u64 {
    let end = |at: usize| ends[at].try_into().unwrap_or_default();
    end(to) - end(from)
}

fn viewed(views: &[u128]) -> u64 {
    // The lowest 32 bits of a view are the length of its text.
    views.iter().map(|view| u64::from(*view as u32) + VIEW_BYTES).sum()
}
