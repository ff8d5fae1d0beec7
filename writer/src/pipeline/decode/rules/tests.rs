//! Each option takes its notation, and nothing that would be altered without a word.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field};
use lake::schema::timestamp_type;

use super::*;

fn rules(options: &str) -> Rules {
    let reading: Reading = serde_json::from_str(options).expect("valid");
    reading.times().expect("valid");
    Rules::of(&reading).expect("an option is on")
}

fn taken(options: &str, (data_type, column_type): (DataType, ColumnType), text: &str) -> Result<ArrayRef, String> {
    let mut column = Column::new(&data_type, true, 0);
    let rules = rules(options);
    let pushed = match column_type {
        ColumnType::Decimal { .. } => rules.push_decimal_text(&mut column, &column_type, text),
        _ => rules.push_text(&mut column, &column_type, text),
    };
    pushed.map_err(|refusal| refusal.to_string())?;
    assert_eq!(column.len(), 1, "one value was added");
    Ok(column.finish(&Field::new("c", data_type, true)))
}

fn time(options: &str, text: &str) -> Result<i64, String> {
    let array = taken(options, (timestamp_type(), ColumnType::Timestamp), text)?;
    Ok(array.as_primitive::<TimestampMicrosecondType>().value(0))
}

#[test]
fn nothing_is_ready_for_a_topic_without_options() {
    assert!(Rules::of(&Reading::default()).is_none());
}

#[test]
fn numbers_in_quotes_are_numbers_and_nothing_else() {
    let on = r#"{"quoted_numbers":true}"#;
    let int64 = || (DataType::Int64, ColumnType::Int64);
    let number = taken(on, int64(), "1544712660000000000").expect("a number");
    assert_eq!(number.as_primitive::<Int64Type>().value(0), 1_544_712_660_000_000_000);
    let number = taken(on, (DataType::Int32, ColumnType::Int32), "-7").expect("a number");
    assert_eq!(number.as_primitive::<Int32Type>().value(0), -7);
    let zero = taken(on, int64(), "-0").expect("a number");
    assert_eq!(zero.as_primitive::<Int64Type>().value(0), 0);
    let number = taken(on, (DataType::Float64, ColumnType::Float64), "0.1").expect("a number");
    assert_eq!(number.as_primitive::<Float64Type>().value(0), 0.1);
    let milliseconds = taken(on, (timestamp_type(), ColumnType::TimestampMs), "1500").expect("a number");
    assert_eq!(milliseconds.as_primitive::<TimestampMicrosecondType>().value(0), 1_500_000);
    let text = taken(on, (timestamp_type(), ColumnType::TimestampMs), "1970-01-01T00:00:01Z").expect("still a time");
    assert_eq!(text.as_primitive::<TimestampMicrosecondType>().value(0), 1_000_000);
    for text in ["", " 1", "1 ", "+1", "01", "1.5", "1e3", "0x1", "9223372036854775808", "NaN", "one"] {
        assert!(taken(on, int64(), text).is_err(), "{text:?}");
    }
    for text in ["", "NaN", "Infinity", "1e999", "9007199254740993", ".5", "1."] {
        assert!(taken(on, (DataType::Float64, ColumnType::Float64), text).is_err(), "{text:?}");
    }
}

#[test]
fn an_empty_string_is_null_but_in_texts() {
    let on = r#"{"empty_as_null":true}"#;
    for typed in [
        (DataType::Int64, ColumnType::Int64),
        (DataType::Binary, ColumnType::Binary),
        (timestamp_type(), ColumnType::Timestamp),
        (DataType::Decimal128(4, 2), ColumnType::Decimal { precision: 4, scale: 2 }),
    ] {
        assert!(taken(on, typed, "").expect("null").is_null(0));
    }
    let text = taken(on, (DataType::Utf8, ColumnType::String), "").expect("a text");
    assert!(text.is_valid(0) && text.as_string::<i32>().value(0).is_empty());
    assert!(taken(on, (DataType::Int64, ColumnType::Int64), " ").is_err());
}

#[test]
fn times_are_read_in_the_notations_of_the_topic_alone() {
    let suricata = r#"{"time_formats":["%Y-%m-%dT%H:%M:%S%.f%z","%Y-%m-%d %H:%M:%S"],"time_zone":"+01:00"}"#;
    assert_eq!(time(suricata, "1970-01-01T00:00:00.047170+0000"), Ok(47_170));
    assert_eq!(time(suricata, "1970-01-01 01:00:02"), Ok(2_000_000));
    let refused = time(suricata, "1970-01-01").expect_err("no time of day");
    assert!(refused.contains("%Y-%m-%dT%H:%M:%S%.f%z or %Y-%m-%d %H:%M:%S"), "{refused}");
    let nanoseconds = "1970-01-01T00:00:00.123456789Z";
    assert_eq!(time(r#"{"truncate_times":true}"#, nanoseconds), Ok(123_456));
    assert_eq!(time(r#"{"truncate_times":true}"#, "1969-12-31T23:59:59.9999999Z"), Ok(-1), "towards the past");
    let refused = time(r#"{"time_formats":["rfc3339","%s"]}"#, nanoseconds).expect_err("nine digits");
    assert!(refused.contains("--truncate-times"), "{refused}");
    assert_eq!(time(r#"{"quoted_numbers":true}"#, "1970-01-01T00:00:01Z"), Ok(1_000_000));
    let finer = "1970-01-01T00:00:00.1234560001Z";
    assert_eq!(time(r#"{"truncate_times":true}"#, finer), Ok(123_456));
    for other in
        [r#"{"time_formats":["rfc3339","%s"]}"#, r#"{"time_formats":["%Y-%m-%dT%H:%M:%S%.fZ"],"time_zone":"+00:00"}"#]
    {
        assert!(time(other, finer).expect_err(other).contains("--truncate-times"), "{other}");
    }
}

#[test]
fn a_reason_names_the_option_that_would_help() {
    let with = |options: &str, column_type: &ColumnType, text: &str| match options {
        "" => option_for(None, column_type, text),
        _ => option_for(Some(&rules(options)), column_type, text),
    };
    let (int64, float64) = (ColumnType::Int64, ColumnType::Float64);
    let decimal = ColumnType::Decimal { precision: 10, scale: 2 };
    for (column_type, text, expected) in [
        (&int64, "7", QUOTED_NUMBERS),
        (&int64, "-0", QUOTED_NUMBERS),
        (&float64, "1.5", QUOTED_NUMBERS),
        (&decimal, "BAg=", DECIMALS_IN_BASE64),
        (&int64, "", EMPTY_AS_NULL),
    ] {
        assert_eq!(with("", column_type, text), expected, "{text:?}");
        let all = r#"{"quoted_numbers":true,"decimals_in_base64":true,"empty_as_null":true}"#;
        assert_eq!(with(all, column_type, text), "", "{text:?}");
    }
    for (column_type, texts) in [
        (&int64, &["1.0", "9223372036854775808", "+1", "x"][..]),
        (&ColumnType::Int32, &["2147483648"]),
        (&float64, &["1e999", "NaN", "9007199254740993"]),
        (&decimal, &["1,000", "NaN", "1.239", "12345678901234567890"]),
        (&ColumnType::String, &[""]),
    ] {
        for text in texts {
            assert_eq!(with("", column_type, text), "", "{text:?}");
        }
    }
}

#[test]
fn any_base64_is_that_of_either_alphabet_padded_or_not() {
    let on = r#"{"base64":"any"}"#;
    let bytes = |text: &str| {
        let array = taken(on, (DataType::Binary, ColumnType::Binary), text)?;
        Ok::<_, String>(array.as_binary::<i32>().value(0).to_vec())
    };
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(bytes(text), Ok(vec![0xfb, 0xff]), "{text}");
    }
    assert_eq!(bytes(""), Ok(vec![]));
    for text in ["+_8=", "*", "A", "+/8==", "+/9"] {
        assert!(bytes(text).is_err(), "{text}");
    }
}

#[test]
fn a_decimal_in_base64_is_its_unscaled_number() {
    let on = r#"{"decimals_in_base64":true}"#;
    let decimal = |text: &str| {
        let column_type = ColumnType::Decimal { precision: 4, scale: 4 };
        let array = taken(on, (DataType::Decimal128(4, 4), column_type), text)?;
        Ok::<_, String>(array.as_primitive::<Decimal128Type>().value(0))
    };
    assert_eq!(decimal("BAg="), Ok(1032));
    assert_eq!(decimal("/w=="), Ok(-1));
    assert_eq!(decimal("AA=="), Ok(0));
    assert_eq!(decimal("//////////////////////////8="), Ok(-1), "more bytes than needed");
    for text in ["", "Jxc=", "fwAAAAAAAAAAAAAAAAAAAAA=", "0.5"] {
        assert!(decimal(text).is_err(), "{text}");
    }
    let plain = taken(
        r#"{"quoted_numbers":true}"#,
        (DataType::Decimal128(4, 2), ColumnType::Decimal { precision: 4, scale: 2 }),
        "1.5",
    );
    assert_eq!(plain.expect("as ever").as_primitive::<Decimal128Type>().value(0), 150);
}
