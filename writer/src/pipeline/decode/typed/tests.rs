//! The values that each type takes and refuses, independent of a format.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Fields};
use lake::schema::timestamp_type;

use super::*;

fn column(data_type: &DataType) -> Column {
    Column::new(data_type, true, 0)
}

/// The column after an accepted `push`.
fn pushed(data_type: &DataType, push: impl FnOnce(&mut Column) -> Pushed) -> ArrayRef {
    let mut column = column(data_type);
    push(&mut column).expect("taken");
    assert_eq!(column.len(), 1, "one value was added");
    column.finish(&Field::new("c", data_type.clone(), true))
}

/// The column's reason for refusing the value of `push`.
fn refusal(data_type: &DataType, push: impl FnOnce(&mut Column) -> Pushed) -> Refusal {
    push(&mut column(data_type)).expect_err("refused")
}

#[test]
fn an_integer_is_taken_where_it_stays_the_same_number() {
    let integer = |data_type: &DataType, column_type: ColumnType, value: i64| {
        pushed(data_type, |column| column.push_integer(&column_type, value))
    };
    let as_int64 = integer(&DataType::Int64, ColumnType::Int64, i64::MIN);
    assert_eq!(as_int64.as_primitive::<Int64Type>().value(0), i64::MIN);
    let as_int32 = integer(&DataType::Int32, ColumnType::Int32, i64::from(i32::MIN));
    assert_eq!(as_int32.as_primitive::<Int32Type>().value(0), i32::MIN);
    let as_double = integer(&DataType::Float64, ColumnType::Float64, -(1 << 53));
    assert_eq!(as_double.as_primitive::<Float64Type>().value(0), -9_007_199_254_740_992.0);

    let large = pushed(&DataType::Float64, |column| column.push_unsigned(&ColumnType::Float64, 3 << 62));
    assert_eq!(large.as_primitive::<Float64Type>().value(0), 13_835_058_055_282_163_712.0);

    let refused = |data_type: DataType, column_type: ColumnType, value: i64| {
        refusal(&data_type, |column| column.push_integer(&column_type, value))
    };
    assert_eq!(refused(DataType::Int32, ColumnType::Int32, i64::from(i32::MAX) + 1), Refusal::Value);
    assert_eq!(refused(DataType::Float64, ColumnType::Float64, (1 << 53) + 1), Refusal::Value);
    assert_eq!(refused(DataType::Float64, ColumnType::Float64, i64::MAX), Refusal::Value);
    assert_eq!(refused(DataType::Utf8, ColumnType::String, 1), Refusal::Kind);
    assert_eq!(refused(DataType::Date32, ColumnType::Date, 1), Refusal::Kind);
    assert_eq!(refused(timestamp_type(), ColumnType::Timestamp, 1), Refusal::Kind);
    let too_large = |column: &mut Column| column.push_unsigned(&ColumnType::Int64, 1 << 63);
    assert_eq!(refusal(&DataType::Int64, too_large), Refusal::Value);
}

#[test]
fn an_integer_time_is_scaled_exactly_or_refused() {
    for (column_type, unit_us) in
        [(ColumnType::TimestampS, 1_000_000), (ColumnType::TimestampMs, 1000), (ColumnType::TimestampUs, 1)]
    {
        let time = pushed(&timestamp_type(), |column| column.push_integer(&column_type, -3));
        assert_eq!(time.as_primitive::<TimestampMicrosecondType>().value(0), -3 * unit_us);
        // The last moment of the year 9999 is the largest.
        let last = 253_402_300_799_999_999 / unit_us;
        assert_eq!(pushed(&timestamp_type(), |column| column.push_integer(&column_type, last)).len(), 1);
        for beyond in [last + 1, i64::MAX] {
            let refused = refusal(&timestamp_type(), |column| column.push_integer(&column_type, beyond));
            assert!(matches!(refused, Refusal::Reason(_)), "{column_type}: {beyond}");
        }
    }
}

#[test]
fn a_double_is_taken_by_doubles_alone() {
    let double = pushed(&DataType::Float64, |column| column.push_float(0.1));
    assert_eq!(double.as_primitive::<Float64Type>().value(0), 0.1);
    for data_type in [DataType::Int32, DataType::Int64, DataType::Decimal128(10, 2), DataType::Utf8, timestamp_type()] {
        assert_eq!(refusal(&data_type, |column| column.push_float(1.0)), Refusal::Kind, "{data_type}");
    }
}

#[test]
fn a_decimal_keeps_every_digit() {
    let money = ColumnType::Decimal { precision: 4, scale: 2 };
    let decimal = DataType::Decimal128(4, 2);
    let taken = pushed(&decimal, |column| column.push_decimal(&money, "-1.20"));
    assert_eq!(taken.as_primitive::<Decimal128Type>().value(0), -120);
    for text in ["1.234", "100", "x", ""] {
        let refused = refusal(&decimal, |column| column.push_decimal(&money, text));
        assert!(refused.to_string().contains("decimal(4,2)"), "{refused}");
    }
    assert_eq!(refusal(&DataType::Float64, |column| column.push_decimal(&money, "1")), Refusal::Kind);
}

#[test]
fn a_text_is_kept_or_stands_for_bytes_a_date_or_a_time() {
    let text = |data_type: &DataType, column_type: ColumnType, text: &str| {
        pushed(data_type, |column| column.push_text(&column_type, text))
    };
    assert_eq!(text(&DataType::Utf8, ColumnType::String, "ä").as_string::<i32>().value(0), "ä");
    assert_eq!(text(&DataType::Binary, ColumnType::Binary, "AAE=").as_binary::<i32>().value(0), [0, 1]);
    assert_eq!(text(&DataType::Date32, ColumnType::Date, "1970-01-02").len(), 1);
    for column_type in [ColumnType::Timestamp, ColumnType::TimestampS, ColumnType::TimestampMs, ColumnType::TimestampUs]
    {
        let time = text(&timestamp_type(), column_type, "1970-01-01T00:00:01Z");
        assert_eq!(time.as_primitive::<TimestampMicrosecondType>().value(0), 1_000_000);
    }
    for (data_type, column_type) in [
        (DataType::Int64, ColumnType::Int64),
        (DataType::Int32, ColumnType::Int32),
        (DataType::Boolean, ColumnType::Bool),
    ] {
        assert_eq!(refusal(&data_type, |column| column.push_text(&column_type, "1")), Refusal::Kind);
    }
    let no_base64 = refusal(&DataType::Binary, |column| column.push_text(&ColumnType::Binary, "*"));
    assert!(no_base64.to_string().contains("not base64 of the standard alphabet"), "{no_base64}");
}

#[test]
fn null_is_taken_where_the_column_takes_one() {
    assert!(pushed(&DataType::Int64, Column::push_null).is_null(0));
    let refused = Column::new(&DataType::Int64, false, 0).push_null().expect_err("refused");
    assert_eq!(refused.to_string(), "null, but the column takes none (its mark is !)");
}

#[test]
fn a_list_and_a_struct_take_their_parts_and_no_others() {
    let list_type = ColumnType::List(Box::new(ColumnType::Int32));
    let list = DataType::List(Field::new("element", DataType::Int32, true).into());
    let taken = pushed(&list, |column| {
        let (element, element_type) = column.elements(&list_type).expect("a list");
        element.push_integer(element_type, 7)?;
        element.push_null()?;
        column.end_list()
    });
    assert_eq!(taken.as_list::<i32>().value(0).len(), 2);
    assert!(column(&DataType::Int32).elements(&ColumnType::Int32).is_none());

    let member = |name: &str, nullable| ColumnSpec { nullable, ..ColumnSpec::new(name, ColumnType::Bool) };
    let specs = vec![member("x", false), member("y", true)];
    let struct_type = ColumnType::Struct(specs.clone());
    let fields: Fields = specs.iter().map(|spec| Field::new(&spec.name, DataType::Boolean, spec.nullable)).collect();
    let data_type = DataType::Struct(fields);
    let taken = pushed(&data_type, |column| {
        column.members(&struct_type).expect("a struct").0[0].push_bool(true)?;
        column.end_struct(&specs, 0)
    });
    assert!(taken.as_struct().column(1).is_null(0), "a member that is left out is null");
    let incomplete = refusal(&data_type, |column| column.end_struct(&specs, 0));
    assert_eq!(incomplete.to_string(), "member \"x\" is missing and takes no null");
    assert!(column(&DataType::Boolean).members(&ColumnType::Bool).is_none());
}
