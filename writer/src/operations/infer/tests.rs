//! Inferred columns take every record that they were inferred from, and no type is wider than its values need.

use common::TopicName;
use common::topic::TopicDefinition;
use proptest::prelude::*;

use super::*;

fn messages(lines: &[impl AsRef<str>]) -> Vec<SampledMessage> {
    let message = |(number, line): (usize, &_)| {
        let payload = Bytes::copy_from_slice(AsRef::<str>::as_ref(line).as_bytes());
        SampledMessage { place: format!("line {number}"), headers: Headers::new(), payload }
    };
    (1..).zip(lines).map(message).collect()
}

fn inferred(lines: &[&str]) -> Inference {
    infer(&messages(lines), &Reading::default())
}

/// The proposed columns in the notation of the command line.
fn columns(lines: &[&str]) -> Vec<String> {
    inferred(lines).columns.iter().map(|column| column.spec.to_string()).collect()
}

/// The type of a column of these values.
fn type_of(values: &[&str]) -> String {
    let lines: Vec<String> = values.iter().map(|value| format!("{{\"v\":{value}}}")).collect();
    let found = infer(&messages(&lines), &Reading::default());
    assert_eq!(found.refused, [], "{values:?}");
    found.columns[0].spec.column_type.to_string()
}

#[test]
fn the_narrowest_type_that_takes_all_values_is_proposed() {
    for (values, expected) in [
        (&["true", "false"][..], "bool"),
        (&["1", "-7"], "int64"),
        (&["1", "9223372036854775808"], "float64"),
        (&["1", "9223372036854775809"], "decimal(38,0)"),
        (&["1", "2.5"], "float64"),
        (&["-0"], "int64"),
        (&["-0.0"], "float64"),
        (&["9007199254740993", "2.5"], "decimal(38,1)"),
        (&["1e400"], "json"),
        (&["\"2026-01-31\""], "date"),
        (&["\"2026-01-31T12:00:00Z\""], "timestamp"),
        (&["\"2026-01-31T12:00:00.123456789Z\""], "string"),
        (&["\"2026-01-31\"", "\"2026-01-31T12:00:00Z\""], "string"),
        (&["\"01234\"", "\"\""], "string"),
        (&["1", "\"1\""], "json"),
        (&["null"], "json"),
        (&["[1,null]", "[]", "[2.5]"], "list(float64)"),
        (&["[1,\"a\"]"], "json"),
        (&["[]"], "json"),
        (&["[[true],[]]"], "list(list(bool))"),
        (&["[1]", "1"], "json"),
        (&["{\"a\":1,\"b\":null}", "{\"b\":\"x\",\"a\":null}"], "struct(a:int64, b:string)"),
        (&["{\"a\":1}", "{\"b\":1}"], "json"),
        (&["{\"a\":1,\"a\":2}"], "json"),
        (&["{}"], "json"),
        (&["[{\"a\":1},{\"a\":2}]"], "list(struct(a:int64))"),
        (&["{\"a\":{\"b\":[1]}}"], "struct(a:struct(b:list(int64)))"),
    ] {
        assert_eq!(type_of(values), expected, "{values:?}");
    }
    let deep = format!("{}1{}", "[".repeat(50), "]".repeat(50));
    assert_eq!(type_of(&[&deep]), "json", "deeper than any column");
}

#[test]
fn a_member_that_every_record_has_takes_no_null() {
    let lines = [r#"{"id":1,"n":null,"s":"x"}"#, r#"{"id":2,"n":5}"#];
    assert_eq!(columns(&lines), ["id:int64!", "n:int64", "s:string"]);
    let found = inferred(&lines);
    let shares: Vec<_> = found.columns.iter().map(|column| (column.present, column.nulls)).collect();
    assert_eq!((found.records, shares), (2, vec![(2, 0), (2, 1), (1, 0)]));
}

#[test]
fn a_wider_type_comes_with_the_first_value_that_needs_it() {
    let found = inferred(&[r#"{"v":1}"#, r#"[{"v":2},{"v":"a\nb"}]"#, r#"{"v":3}"#]);
    let column = &found.columns[0];
    assert_eq!(column.spec.column_type, ColumnType::Json);
    let shown: Vec<_> = column.narrower.iter().map(|it| (it.column_type.to_string(), it.fits, it.values)).collect();
    assert_eq!(shown, [("int64".to_owned(), 3, 4), ("float64".to_owned(), 3, 4), ("string".to_owned(), 1, 4)]);
    assert_eq!(
        (column.narrower[0].value.as_str(), column.narrower[0].place.as_str()),
        (r#""a\nb""#, "line 2, record 2")
    );
    assert_eq!(column.narrower[2].place, "line 1");
    let objects = inferred(&[r#"{"o":{"a":1}}"#, r#"{"o":{"a":1,"b":2}}"#]);
    let note = objects.columns[0].note.as_deref().expect("a reason");
    assert_eq!(note, "objects differ in their members: \"b\" is not in all (line 2)");
}

#[test]
fn what_no_column_can_take_is_said() {
    let found = inferred(&[r#"{"a":1,"b":2,"b":3,"":4}"#, "nonsense", r#"{"a":"\ud83d"}"#, "[]", r#"{"a":2}"#]);
    assert_eq!(found.columns.iter().map(|column| column.spec.to_string()).collect::<Vec<_>>(), ["a:int64!"]);
    let left: Vec<_> = found.left_out.iter().map(|left| left.member.as_str()).collect();
    assert_eq!(left, ["b", ""]);
    assert!(found.left_out[0].reason.contains("occurs twice in one record (line 1)"), "{:?}", found.left_out);
    let places: Vec<_> = found.refused.iter().map(|refused| refused.place.as_str()).collect();
    assert_eq!((found.records, places), (2, vec!["line 2", "line 3", "line 4"]));
    assert!(found.refused[1].reason.contains("half a character"), "{:?}", found.refused);
}

#[test]
fn the_notations_of_the_topic_count() {
    let reading: Reading = serde_json::from_str(r#"{"quoted_numbers":true,"empty_as_null":true}"#).expect("valid");
    let found = infer(&messages(&[r#"{"n":"1"}"#, r#"{"n":""}"#]), &reading);
    assert_eq!(found.columns[0].spec.to_string(), "n:int64", "an empty string is null there");
    assert_eq!((found.refused.len(), columns(&[r#"{"n":"1"}"#])), (0, vec!["n:string!".to_owned()]));
}

#[test]
fn members_beyond_the_most_columns_are_left_out() {
    let members: Vec<String> = (0..2_100).map(|number| format!("\"m{number}\":1")).collect();
    let found = inferred(&[&format!("{{{}}}", members.join(","))]);
    assert_eq!((found.columns.len(), found.left_out[0].member.as_str()), (2_000, "m2000"));
    assert!(found.left_out[0].reason.contains("at most 2000 columns") && found.refused.is_empty());
}

/// Any JSON that readers take, as text, so that numbers have every form.
fn value() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?";
    let text = prop_oneof![
        Just("2026-01-31".to_owned()),
        Just("2026-01-31T12:00:00.5+01:00".to_owned()),
        Just("2016-12-31T23:59:60Z".to_owned()),
        "[0-9]{1,4}",
        "[ -~äß\u{1f600}]{0,8}",
    ];
    let text = text.prop_map(|text| serde_json::to_string(&text).expect("JSON"));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        number,
        any::<i64>().prop_map(|n| n.to_string()),
        text
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let member = ("[a-cA_]{0,2}", inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

fn record() -> impl Strategy<Value = String> {
    let name =
        prop_oneof!["[a-cA-C]", Just("_offset".to_owned()), Just("_Siltstone_x".to_owned()), Just(String::new())];
    let member = (name, value()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

proptest! {
    #[test]
    fn no_record_of_the_sample_is_refused_by_the_columns(
        lines in prop::collection::vec(record(), 1..12),
        like in prop::collection::vec(value(), 1..6),
    ) {
        // Values of one member that have no other members beside them reach the narrow types more often.
        let lines: Vec<String> = lines.into_iter().chain(like.into_iter().map(|value| format!("{{\"only\":{value}}}"))).collect();
        let sample = messages(&lines);
        let found = infer(&sample, &Reading::default());
        let options = found.options(&Reading::default());
        let decoded = sample::decode(&sample, &options.columns, &Reading::default());
        prop_assert!(decoded.quarantine.is_none(), "{:?} refuse some of {:?}", options.columns, lines);
        prop_assert_eq!(decoded.rows.map(|rows| rows.num_rows()), Some(lines.len()));
        prop_assert_eq!((found.refused.len(), found.records), (0, lines.len() as u64));
        let name = TopicName::new("t").expect("valid");
        let definition = TopicDefinition { name, partition_count: 1, options };
        prop_assert!(definition.validate().is_ok(), "{:?}", definition.validate());
    }
}
