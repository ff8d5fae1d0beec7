//! Statistics of a file against the values in it, for every type of column.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema};
use chrono::{DateTime, NaiveDate};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;

fn with_id(field: Field, id: i32) -> Field {
    field.with_metadata(HashMap::from([("PARQUET:field_id".to_owned(), id.to_string())]))
}

/// The statistics of a file with these columns, each part a row group; column number n has id 100 + n.
fn written(parts: &[Vec<ArrayRef>]) -> Vec<ColumnStatistics> {
    let fields = parts[0].iter().enumerate().map(|(number, column)| {
        with_id(Field::new(format!("c{number}"), column.data_type().clone(), true), 100 + number as i32)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), None).expect("a valid schema");
    let mut nans = Nans::default();
    for part in parts {
        let batch = RecordBatch::try_new(Arc::clone(&schema), part.clone()).expect("matches");
        nans.see(&batch);
        writer.write(&batch).expect("fits");
        writer.flush().expect("a row group ends");
    }
    of_file(&writer.finish().expect("finishes"), &nans)
}

/// Writes `values` in two row groups; checks counts; gives the bounds.
fn bounds_of<T: Clone>(
    values: &[Option<T>],
    array: impl Fn(Vec<Option<T>>) -> ArrayRef,
) -> (Option<String>, Option<String>) {
    let (first, second) = values.split_at(values.len() / 2);
    let found = written(&[vec![array(first.to_vec())], vec![array(second.to_vec())]]).remove(0);
    assert_eq!(found.field_id, 100);
    assert_eq!(found.value_count, values.iter().flatten().count() as u64);
    assert_eq!(found.null_count, values.iter().filter(|value| value.is_none()).count() as u64);
    assert!(found.compressed_bytes > 0);
    if found.value_count == 0 {
        assert_eq!((&found.min, &found.max), (&None, &None));
    }
    (found.min, found.max)
}

/// Asserts that every value lies within the parsed bounds. Only values for which `may_lack` is true excuse their
/// absence.
fn assert_within<T: Clone + PartialOrd + Debug>(
    values: &[Option<T>],
    array: impl Fn(Vec<Option<T>>) -> ArrayRef,
    parse: impl Fn(&str) -> T,
    may_lack: impl Fn(&T) -> bool,
) {
    let (min, max) = bounds_of(values, array);
    for value in values.iter().flatten() {
        if let Some(min) = &min {
            assert!(parse(min) <= *value, "{min} is no lower bound of {value:?}");
        }
        if let Some(max) = &max {
            assert!(*value <= parse(max), "{max} is no upper bound of {value:?}");
        }
    }
    let is_plain = values.iter().flatten().next().is_some() && !values.iter().flatten().any(may_lack);
    assert!(!is_plain || (min.is_some() && max.is_some()), "bounds {min:?} and {max:?} of plain values");
}

fn column<T: Debug + Clone>(values: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<Option<T>>> {
    proptest::collection::vec(proptest::option::of(values), 2..24)
}

fn timestamps() -> impl Strategy<Value = i64> {
    let plain = -62_135_596_800_000_000..=253_402_300_799_999_999_i64;
    prop_oneof![4 => plain, 1 => any::<i64>(), 1 => (-2_000_000_000..2_000_000_000_i64).prop_map(|s| s * 1_000_000)]
}

fn micros(text: &str) -> i64 {
    DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").expect("a timestamp").timestamp_micros()
}

fn days(text: &str) -> i32 {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").expect("a date");
    i32::try_from((date - epoch).num_days()).expect("near")
}

fn unscaled(text: &str, scale: usize) -> i128 {
    assert_eq!(text.split_once('.').map_or(0, |(_, fraction)| fraction.len()), scale, "{text}");
    text.replace('.', "").parse().expect("digits")
}

fn bytes(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    assert_eq!(text, text.to_uppercase());
    (0..text.len()).step_by(2).map(digit).collect()
}

fn decimals(precision: u8, scale: i8) -> impl Fn(Vec<Option<i128>>) -> ArrayRef {
    move |values| Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("fits"))
}

proptest! {
    #[test]
    fn integers_lie_within_their_bounds(small in column(any::<i32>()), large in column(any::<i64>())) {
        let parse = |text: &str| text.parse::<i32>().expect("an integer");
        assert_within(&small, |values| Arc::new(Int32Array::from(values)), parse, |_| false);
        let parse = |text: &str| text.parse::<i64>().expect("an integer");
        assert_within(&large, |values| Arc::new(Int64Array::from(values)), parse, |_| false);
    }

    #[test]
    fn booleans_lie_within_their_bounds(values in column(any::<bool>())) {
        assert_within(&values, |values| Arc::new(BooleanArray::from(values)), |text| text == "1", |_| false);
    }

    #[test]
    fn floats_lie_within_their_bounds(values in column(any::<f64>())) {
        let parse = |text: &str| text.parse::<f64>().expect("a float");
        assert_within(&values, |values| Arc::new(Float64Array::from(values)), parse, |_| false);
    }

    #[test]
    fn a_nan_leaves_no_bound(mut values in column(any::<f64>()), at in any::<prop::sample::Index>()) {
        let at = at.index(values.len());
        values[at] = Some(f64::NAN);
        assert_eq!(bounds_of(&values, |values| Arc::new(Float64Array::from(values))), (None, None));
    }

    #[test]
    fn strings_lie_within_their_bounds(values in column(prop_oneof![".{0,8}", ".{60,90}", "[a-c\u{0}]{0,4}", "\u{10ffff}{60,70}"])) {
        let array = |values: Vec<Option<String>>| Arc::new(StringArray::from(values)) as ArrayRef;
        assert_within(&values, array, |text| { assert!(!text.contains('\0')); text.to_owned() }, |text| text.contains('\0'));
    }

    #[test]
    fn bytes_lie_within_their_bounds(values in column(prop_oneof![proptest::collection::vec(any::<u8>(), 0..90), Just(vec![0xff; 80])])) {
        let array = |values: Vec<Option<Vec<u8>>>| Arc::new(values.into_iter().collect::<BinaryArray>()) as ArrayRef;
        assert_within(&values, array, bytes, |_| false);
    }

    #[test]
    fn times_lie_within_their_bounds(values in column(timestamps())) {
        let array = |values| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef;
        let is_far = |micros: &i64| !(-62_135_596_800_000_000..=253_402_300_799_999_999).contains(micros);
        assert_within(&values, array, micros, is_far);
    }

    #[test]
    fn dates_lie_within_their_bounds(values in column(prop_oneof![4 => -719_162..2_932_896_i32, 1 => any::<i32>()])) {
        let is_far = |days: &i32| !(-719_162..=2_932_896).contains(days);
        assert_within(&values, |values| Arc::new(Date32Array::from(values)), days, is_far);
    }

    #[test]
    fn decimals_lie_within_their_bounds(
        short in column(-99_999..=99_999_i128),
        middle in column(-10_i128.pow(18) + 1..10_i128.pow(18)),
        long in column(-10_i128.pow(38) + 1..10_i128.pow(38)),
    ) {
        assert_within(&short, decimals(5, 2), |text| unscaled(text, 2), |_| false);
        assert_within(&middle, decimals(18, 0), |text| unscaled(text, 0), |_| false);
        assert_within(&long, decimals(38, 10), |text| unscaled(text, 10), |_| false);
        let nineteen: Vec<_> = middle.iter().map(|value| value.map(|value| value * 9)).collect();
        assert_within(&nineteen, decimals(19, 19), |text| unscaled(text, 19), |_| false);
    }

    #[test]
    fn elements_of_lists_lie_within_their_bounds(lists in column(proptest::collection::vec(proptest::option::of(any::<i64>()), 0..4))) {
        let array = ListArray::from_iter_primitive::<Int64Type, _, _>(lists.clone());
        let (_, offsets, values, nulls) = array.into_parts();
        let element = Arc::new(with_id(Field::new("element", DataType::Int64, true), 7));
        let found = written(&[vec![Arc::new(ListArray::new(element, offsets, values, nulls))]]).remove(0);
        let elements: Vec<i64> = lists.iter().flatten().flatten().copied().flatten().collect();
        assert_eq!((found.field_id, found.value_count), (7, elements.len() as u64));
        let expected = |value: Option<&i64>| value.map(ToString::to_string);
        assert_eq!((found.min, found.max), (expected(elements.iter().min()), expected(elements.iter().max())));
    }
}

#[test]
fn a_nan_in_a_list_is_found_at_its_leaf() {
    let list = |value| {
        let lists = [Some(vec![Some(value), None]), None];
        ListArray::from_iter_primitive::<arrow_array::types::Float64Type, _, _>(lists)
    };
    let with_ids = |list: ListArray, id| {
        let (_, offsets, values, nulls) = list.into_parts();
        let element = Arc::new(with_id(Field::new("element", DataType::Float64, true), id));
        Arc::new(ListArray::new(element, offsets, values, nulls)) as ArrayRef
    };
    let found = written(&[vec![with_ids(list(1.5), 7), with_ids(list(f64::NAN), 8), with_ids(list(2.5), 9)]]);
    let bounds: Vec<_> = found.into_iter().map(|column| (column.field_id, column.min, column.max)).collect();
    let half = |number: &str| Some(number.to_owned());
    assert_eq!(bounds, [(7, half("1.5"), half("1.5")), (8, None, None), (9, half("2.5"), half("2.5"))]);
}

#[test]
fn only_the_first_leaves_count_and_only_those_with_an_id() {
    let columns: Vec<ArrayRef> = (0..40).map(|n| Arc::new(Int64Array::from(vec![n])) as ArrayRef).collect();
    let found = written(&[columns]);
    assert_eq!(found.len(), LEAVES_MAX);
    assert_eq!((found[31].field_id, found[31].min.as_deref()), (131, Some("31")));
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a valid schema");
    assert_eq!(of_file(&writer.close().expect("finishes"), &Nans::default()), []);
}
