//! Values that are valid JSON and that some reader of the objects could not hold.

use super::run;

#[test]
fn half_a_character_is_refused_in_declared_and_in_undeclared_members() {
    let columns = r#"[{"name":"a","type":"int64"},{"name":"s","type":"string"},{"name":"j","type":"json"}]"#;
    for bad in [
        r#"{"a":1,"s":"\ud83d"}"#,
        r#"{"a":1,"j":"\ud83d"}"#,
        r#"{"a":1,"j":{"k":["\ude00"]}}"#,
        r#"{"a":1,"j":{"\ud83d":1}}"#,
        r#"{"a":1,"x":"\ud83d"}"#,
        r#"{"a":1,"x":[{"\ud83d":1}]}"#,
        r#"{"a":1,"\ud83d":1}"#,
    ] {
        let (rows, quarantined) =
            run(columns, &[bad.as_bytes(), br#"{"a":7,"x":"\ud83d\ude00\u0000","j":"\ud83d\ude00"}"#]);
        assert_eq!(rows, [(1, 0, Some(7))], "{bad}");
        assert_eq!(quarantined[0].2, bad, "it is kept whole");
    }
    let (_, quarantined) = run(columns, &[br#"{"j":"\ud83d"}"#, br#"{"x":"\ud83d"}"#]);
    let reasons: Vec<&str> = quarantined.iter().map(|(_, _, _, reason)| reason.as_str()).collect();
    assert!(reasons[0].starts_with(r#"column "j" (json): the escape \ud83d is half a character"#), "{reasons:?}");
    assert!(reasons[1].starts_with(r"undeclared members: the escape \ud83d is half a character"), "{reasons:?}");
}

#[test]
fn times_that_readers_cannot_hold_are_refused_at_every_depth() {
    let columns = r#"[{"name":"a","type":"int64"},{"name":"t","type":"timestamp"},{"name":"s","type":"timestamp_s"},
        {"name":"m","type":"timestamp_ms"},{"name":"u","type":"timestamp_us"},{"name":"d","type":"date"},
        {"name":"l","type":{"list":"timestamp_ms"}},{"name":"o","type":{"struct":[{"name":"d","type":"date"}]}}]"#;
    for bad in [
        r#"{"t":"9999-12-31T23:59:59-14:00"}"#,
        r#"{"t":"0000-01-01T00:00:00Z"}"#,
        r#"{"s":1700000000000}"#,
        r#"{"m":1700000000000000}"#,
        r#"{"m":"9999-12-31T23:59:59-00:01"}"#,
        r#"{"u":253402300800000000}"#,
        r#"{"u":-62135596800000001}"#,
        r#"{"d":"0000-12-31"}"#,
        r#"{"l":[0,null,1700000000000000]}"#,
        r#"{"o":{"d":"0000-01-01"}}"#,
    ] {
        let (rows, quarantined) = run(columns, &[bad.as_bytes(), b"{\"a\":7}"]);
        assert_eq!((rows.len(), quarantined.len()), (1, 1), "{bad}");
        assert!(quarantined[0].3.contains("outside the years 0001 to 9999"), "{quarantined:?}");
    }
    let (_, quarantined) = run(columns, &[br#"{"m":1700000000000000}"#]);
    assert!(
        quarantined[0].3.contains("as microseconds, which were probably meant, they are 2023-11-14T22:13:20Z"),
        "{quarantined:?}"
    );
    let last = br#"{"t":"9999-12-31T23:59:59.999999Z","s":253402300799,"m":-62135596800000,"d":"9999-12-31"}"#;
    assert_eq!(run(columns, &[last]).0, [(0, 0, None)]);
}
