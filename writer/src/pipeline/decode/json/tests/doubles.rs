//! Which numbers a double takes, of every size and in every notation.

use arrow_array::types::Float64Type;

use super::*;

fn doubles(payloads: &[String]) -> (Vec<f64>, usize) {
    let columns = r#"[{"name":"f","type":"float64"},{"name":"l","type":{"list":"float64"}}]"#;
    let slices: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
    let decoded = table(columns).decode(Source::default(), &messages(&slices));
    let values = decoded.rows.map_or_else(Vec::new, |batch| {
        batch.column_by_name("f").expect("declared").as_primitive::<Float64Type>().values().to_vec()
    });
    (values, decoded.quarantine.map_or(0, |batch| batch.num_rows()))
}

#[test]
fn a_double_is_an_integer_that_it_is_equal_to_or_the_nearest_of_another_number() {
    let taken =
        ["0.1", "9007199254740994", "18446744073709551616", "-36893488147419103232", "1e300", "-0", "1e19", "4.9e-324"];
    let (values, refused) = doubles(&taken.map(|number| format!("{{\"f\":{number}}}")));
    assert_eq!((values, refused), (taken.map(|number| number.parse().expect("a number")).to_vec(), 0));
    for number in ["9007199254740993", "18446744073709551615", "18446744073709551617", "-36893488147419103233", "1e400"]
    {
        let inside = format!("{{\"l\":[1e300,{number}]}}");
        assert_eq!(doubles(&[format!("{{\"f\":{number}}}"), inside]), (vec![], 2), "{number}");
    }
    assert_eq!(doubles(&["[{\"f\":1e300},{\"l\":[null,1e300]},{\"f\":true}]".to_owned()]).1, 1);
}

proptest! {
    #[test]
    fn an_integer_of_any_size_is_a_double_only_if_it_stays_the_same(digits in any::<u128>(), zeros in 0..100_u32, is_negative: bool) {
        let integer = digits >> zeros << zeros;
        let text = format!("{}{integer}", if is_negative { "-" } else { "" });
        let nearest: f64 = text.parse().expect("a number");
        let is_exact = nearest.abs() as u128 == integer && integer != u128::MAX;
        let expected = if is_exact { (vec![nearest], 0) } else { (vec![], 1) };
        prop_assert_eq!(doubles(&[format!("{{\"f\":{text}}}")]), expected);
    }

    #[test]
    fn every_double_is_read_back_as_it_was_written(value in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO) {
        prop_assert_eq!(doubles(&[format!("{{\"f\":{value:e}}}")]).0, vec![value]);
        prop_assert_eq!(doubles(&[format!("{{\"f\":{value:?}}}")]).0, vec![value]);
    }
}

#[test]
fn an_integer_is_an_integer_also_with_the_sign_of_zero() {
    let columns = r#"[{"name":"a","type":"int64"},{"name":"i","type":"int32"},{"name":"t","type":"timestamp_ms"},
        {"name":"l","type":{"list":"int64"}}]"#;
    let (rows, refused) = run(columns, &[br#"{"a":-0,"i":-0,"t":-0,"l":[1,-0]}"#]);
    assert_eq!((rows, refused), (vec![(0, 0, Some(0))], vec![]));
    for (payload, reason) in [
        (&br#"{"a":-0.0}"#[..], "-0.0 is not an integer of 64 bits"),
        (br#"{"a":-0e1}"#, "-0e1 is not an integer of 64 bits"),
        (br#"{"a":-1e-400}"#, "-1e-400 is not an integer of 64 bits"),
        (br#"{"i":-2147483649}"#, "integer `-2147483649` is not an integer of 32 bits"),
        (br#"{"a":9223372036854775808}"#, "integer `9223372036854775808` is not an integer of 64 bits"),
        (br#"{"a":1e999}"#, "1e999 is not an integer of 64 bits"),
        (br#"{"l":[1,2.5]}"#, "2.5 is not an integer of 64 bits"),
        (br#"{"a":"x"}"#, "the string \"x\" is not an integer of 64 bits"),
        (br#"{"a":[1]}"#, "an array is not an integer of 64 bits"),
        (br#"{"t":false}"#, "boolean `false` is not milliseconds since 1970, or a string in RFC 3339"),
    ] {
        let (rows, refused) = run(columns, &[payload]);
        assert_eq!((rows.len(), refused.len()), (0, 1), "{reason}");
        assert!(refused[0].3.contains(reason), "{} instead of {reason}", refused[0].3);
    }
}
