//! Which functions of a session are bounded, and sizes by hand.

use std::collections::BTreeSet;

use datafusion::arrow::array::{
    ArrayRef, FixedSizeBinaryArray, Int64Array, ListArray, StringArray, StringViewArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{Field, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::growth::{Bound, Growth};
use super::work::Work;
use super::*;
use crate::query::{QueryOptions, session};

/// Functions whose results are less than a small multiple of their operands. One that a new version of DataFusion brings
/// belongs here, or into [`Growth::of`].
const SMALL: &str = "abs acos acosh array_any_value array_compact array_dims array_distance array_distinct array_element array_except \
    array_has array_intersect array_length array_max array_min array_ndims \
    array_normalize array_pop_back array_pop_front array_position array_positions array_remove array_remove_all \
    array_remove_n array_reverse array_slice array_sort arrow_field arrow_metadata arrow_typeof ascii asin asinh \
    atan atan2 atanh bit_length btrim cardinality cast_to_type cbrt ceil character_length chr coalesce contains cos \
    cosh cosine_distance cot current_date current_time date_bin date_part date_trunc decode degrees digest empty \
    encode ends_with exp factorial find_in_set flatten floor from_unixtime gcd get_field greatest initcap \
    inner_product isnan iszero json_contains json_get json_get_bool json_get_float json_get_int json_get_str \
    json_get_text json_length lcm least left ln log log10 log2 lower ltrim make_date make_time \
    map_entries map_extract map_keys map_values md5 nanvl now null_within nullif nvl nvl2 octet_length pi plain_value power radians random \
    regexp_count regexp_instr regexp_like regexp_match reverse right round rtrim sha224 sha256 sha384 sha512 signum \
    sin sinh split_part sqrt starts_with substr substr_index tan tanh to_date to_hex \
    to_local_time to_time to_timestamp to_timestamp_micros to_timestamp_millis to_timestamp_nanos \
    to_timestamp_seconds to_unixtime translate trunc try_cast_to_type union_extract union_tag upper uuid version \
    with_metadata";

fn bounds() -> Bounds {
    Bounds::new(64 << 20, 1, 1024)
}

#[test]
fn every_function_is_bounded_or_known_to_give_little() {
    let options = QueryOptions::default();
    let runtime = Arc::new(session::runtime(options, None).expect("a runtime"));
    let state = session::template(options, runtime).expect("a session");
    let functions = state.scalar_functions().values();
    let unbounded = functions.filter(|function| Bounded::of(function, bounds()).is_none());
    let unbounded: BTreeSet<&str> = unbounded.map(|function| function.name()).collect();
    let small: BTreeSet<&str> = SMALL.split_whitespace().collect();
    let unknown: Vec<_> = unbounded.symmetric_difference(&small).collect();
    assert!(unknown.is_empty(), "neither bounded nor known, or known and absent: {unknown:?}");
}

#[test]
fn bounds_follow_the_budget() {
    assert_eq!(bounds(), Bounds { result_bytes: 64 << 20, literal_bytes: 8192 });
    let half = Bounds::new(64 << 20, 2, 8192);
    assert_eq!(half, Bounds { result_bytes: 32 << 20, literal_bytes: LITERAL_BYTES_MIN });
    assert_eq!(Bounds::new(1 << 40, 4, 8192).result_bytes, i32::MAX as usize);
}

#[test]
fn sizes_are_those_of_the_rows_and_not_of_the_whole_array() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("abc"), None, Some("defgh")]));
    assert_eq!(size::range_bytes(&texts, 0, 3), 8 + 3 * 4);
    assert_eq!(size::range_bytes(&texts.slice(2, 1), 0, 1), 5 + 4);
    let views: ArrayRef = Arc::new(StringViewArray::from(vec!["abc", "a text that lies elsewhere"]));
    assert_eq!(size::range_bytes(&views, 1, 1), 26 + 16);
    let numbers = |count: i64| Some((0..count).map(Some).collect::<Vec<_>>());
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([numbers(3), None, numbers(100)]);
    let lists: ArrayRef = Arc::new(lists);
    assert_eq!((size::range_bytes(&lists, 0, 1), size::range_elements(&lists, 0, 1)), (3 * 8 + 4, 3));
    assert_eq!((size::range_bytes(&lists, 1, 2), size::range_elements(&lists, 1, 2)), (100 * 8 + 2 * 4, 100));
    let member = Arc::new(Field::new("m", DataType::Int64, true));
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let structs: ArrayRef = Arc::new(StructArray::from(vec![(member, whole)]));
    assert_eq!((size::range_bytes(&structs, 1, 2), size::range_elements(&structs, 1, 2)), (16, 0));
}

#[test]
fn the_size_of_a_result_is_known_before() {
    let text = |text: &str| ColumnarValue::Scalar(ScalarValue::from(text));
    let number = |number: i64| ColumnarValue::Scalar(ScalarValue::from(number));
    let column = |numbers: Vec<i64>| ColumnarValue::Array(Arc::new(Int64Array::from(numbers)));
    let exact = |bytes| Bound { bytes, is_exact: true };
    for (name, operands, rows, expected) in [
        ("repeat", vec![text("ab"), number(1000)], 5, exact(2000)),
        ("repeat", vec![text("ab"), column(vec![1, -1, 10])], 3, exact(22)),
        ("lpad", vec![text("ab"), number(1000)], 1, exact(1000)),
        ("rpad", vec![text("ab"), number(1000), text("é")], 1, exact(4000)),
        ("range", vec![number(7)], 1, exact(64)),
        ("range", vec![number(7), number(0)], 1, exact(0)),
        ("generate_series", vec![number(i64::MIN), number(i64::MAX), number(1)], 1, exact(u64::MAX)),
        ("generate_series", vec![number(10), number(1), number(-3)], 1, exact(32)),
        ("array_repeat", vec![number(7), number(100)], 1, exact(800)),
        ("replace", vec![text("aXbX"), text("X"), text(&"y".repeat(10_000))], 1, exact(20_004)),
        ("concat", vec![text("abc"), column(vec![1, 2])], 2, exact(2 * 7 + 16)),
        ("string_to_array", vec![text("a,b,c"), text(",")], 1, exact(5 + 3 * 16)),
        ("string_to_array", vec![text("a,b,c"), ColumnarValue::Scalar(ScalarValue::Utf8(None))], 1, exact(5 + 5 * 16)),
        ("to_char", vec![number(0), text("%+")], 1, Bound { bytes: 20 * (2 + 4), is_exact: false }),
    ] {
        let growth = Growth::of(name).expect(name);
        assert_eq!(growth.bound(&operands, rows).expect(name), expected, "{name}");
    }
}

#[test]
fn nulls_of_a_fixed_size_are_counted_as_well() {
    let wide = |rows: i32| -> ArrayRef { Arc::new(FixedSizeBinaryArray::from(vec![&[0_u8; 1000][..]; rows as usize])) };
    let list = |values: ArrayRef| ColumnarValue::Array(Arc::new(list_of(values)));
    let numbers = list(Arc::new(Int64Array::from_iter_values(0..1000)));
    let zipped = Growth::of("arrays_zip").expect("it grows").bound(&[numbers, list(wide(1))], 1).expect("a size");
    assert!(zipped.bytes > 1_000_000, "{zipped:?}");
    let count = ColumnarValue::Scalar(ScalarValue::from(1000_i64));
    let resized = Growth::of("array_resize").expect("it grows").bound(&[list(wide(1)), count], 1).expect("a size");
    assert!(resized.bytes > 1_000_000, "{resized:?}");
}

#[test]
fn work_is_bounded_for_a_row_and_for_a_batch() {
    let texts = |length: usize| ColumnarValue::Scalar(ScalarValue::from("é".repeat(length)));
    let of = Work::of("levenshtein").expect("it compares all");
    assert!(of.check("levenshtein", &[texts(30_000), texts(30_000)], 1).is_ok());
    let error = of.check("levenshtein", &[texts(40_000), texts(30_000)], 1).expect_err("too much").to_string();
    assert!(error.contains("the work of levenshtein is 1200000000 comparisons, of which 1000000000"), "{error}");
    let column = ColumnarValue::Array(Arc::new(StringArray::from(vec!["x".repeat(30_000); 12])));
    let error = of.check("levenshtein", &[column, texts(30_000)], 12).expect_err("too much").to_string();
    assert!(error.contains("is 10800000000 comparisons"), "{error}");
    let list = |elements: ArrayRef| ColumnarValue::Scalar(ScalarValue::List(Arc::new(list_of(elements))));
    let numbers = || list(Arc::new(Int64Array::from_iter_values(0..40_000)));
    let words = || list(Arc::new(StringArray::from(vec!["x"; 40_000])));
    let of = Work::of("array_has_all").expect("it compares all");
    assert!(of.check("array_has_all", &[numbers(), numbers()], 1).is_err());
    assert!(of.check("array_has_all", &[words(), words()], 1).is_ok());
}

fn list_of(elements: ArrayRef) -> ListArray {
    let element = Arc::new(Field::new_list_field(elements.data_type().clone(), true));
    ListArray::new(element, OffsetBuffer::from_lengths([elements.len()]), elements, None)
}
