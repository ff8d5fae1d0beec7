//! Records of a json topic: arrays, marks, numbers, names, and the notations that a topic takes when it is asked to.

use serde_json::{Value, json};

use crate::binary::Siltstone;

/// Publishes each line as one message and says how many records became rows and how many are in quarantine.
async fn settle(lake: &Siltstone, lines: &[&str]) -> (u64, u64) {
    let input = lines.join("\n");
    let fed = lake.run_with_input(&["up", "--stdin", "t", "--no-check", "--json"], input.as_bytes()).await.ok();
    let report = fed.json();
    let count = |name: &str| report["committed"][name].as_u64().unwrap_or_else(|| panic!("{name} is not in {report}"));
    (count("records"), count("quarantined"))
}

async fn rows(lake: &Siltstone, sql: &str) -> Vec<Value> {
    let answer = lake.run(&["query", "--json", sql]).await.ok().out;
    answer.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn create(arguments: &[&str]) -> Siltstone {
    let lake = Siltstone::new();
    lake.run(&[&["topic", "create", "t"], arguments].concat()).await.ok();
    lake
}

async fn reasons(lake: &Siltstone) -> String {
    lake.run(&["quarantine", "show", "t", "--limit", "100"]).await.ok().out
}

#[tokio::test]
async fn an_array_is_as_many_records_as_it_has_elements() {
    let lake = create(&["--column", "name:string"]).await;
    let array = r#"[{"name":"ann"},{"name":5},{"name":"bob"}]"#;
    assert_eq!(settle(&lake, &[array, "[]", r#"[[{"name":"x"}]]"#, r#"[{"name":"y"},"#]).await, (2, 4));
    let found = rows(&lake, "SELECT _offset AS o, _row AS r, name FROM t ORDER BY 1, 2").await;
    assert_eq!(found, [json!({"o":0,"r":0,"name":"ann"}), json!({"o":0,"r":2,"name":"bob"})]);
    let reasons = reasons(&lake).await;
    for part in ["t/0 offset 0 row 1", "the array is empty", "an array inside of an array", "EOF while parsing"] {
        assert!(reasons.contains(part), "{part}: {reasons}");
    }
    lake.run(&["audit", "t", "--deep"]).await.ok();
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_record() {
    let lake = create(&["--column", "n:int64"]).await;
    assert_eq!(settle(&lake, &["\u{feff}{\"n\":1}", "\u{feff}[{\"n\":2}]", "{\"n\":3}\u{feff}"]).await, (3, 1));
    assert!(reasons(&lake).await.contains("offset 2 row 1"), "only at the beginning");
}

#[tokio::test]
async fn system_names_are_taken_and_others_with_an_underscore_are_not() {
    let lake = Siltstone::new();
    for (column, part) in [
        ("_offset:int64", "_partition_id, _offset, _row"),
        ("_Offset:int64", "source_Offset:int64=_Offset"),
        ("_siltstone_a:int64", "names that begin with _siltstone_"),
    ] {
        lake.run(&["topic", "create", "t", "--column", column]).await.fails(2, &[part]);
    }
    let columns = ["--column", "_id:string", "--column", "source:int64=_offset", "--column", "key:string!=@key"];
    lake.run(&[&["topic", "create", "t"][..], &columns].concat()).await.ok();
    assert_eq!(settle(&lake, &[r#"{"_id":"a","_offset":7,"@key":"k","_row":9}"#]).await, (1, 0));
    let found = rows(&lake, "SELECT _id, source, key, _offset, _extra FROM t").await;
    assert_eq!(found, [json!({"_id":"a","source":7,"key":"k","_offset":0,"_extra":"{\"_row\":9}"})]);
    let views = lake.run(&["duckdb-sql", "--views"]).await.ok().out;
    let there = support::duckdb::query(&format!("{views}SELECT _id, source, key FROM t")).await.expect("DuckDB");
    assert_eq!(there, [["a", "7", "k"]]);
}

#[tokio::test]
async fn a_topic_takes_other_notations_when_it_is_asked_to() {
    let columns =
        ["--column", "n:int64", "--column", "moment:timestamp", "--column", "b:binary", "--column", "d:decimal(4,4)"];
    let lake = create(&columns).await;
    let lines = [
        r#"{"n":"1544712660000000000"}"#,
        r#"{"n":""}"#,
        r#"{"moment":"2024-01-15T10:30:00.123456789Z"}"#,
        r#"{"moment":"2025-08-08T12:30:00.047170+0000"}"#,
        r#"{"moment":"2021-03-16 19:09:21"}"#,
        r#"{"b":"-_8"}"#,
        r#"{"d":"BAg="}"#,
    ];
    assert_eq!(settle(&lake, &lines).await, (0, 7));
    let told = reasons(&lake).await;
    for part in [
        "column \"n\" (int64): the string \"1544712660000000000\" is not an integer of 64 bits; topic update --quoted-numbers",
        "topic update --empty-as-null",
        "topic update --truncate-times",
        "topic update --time-format",
        "topic update --base64 any",
        "topic update --decimals base64",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let options =
        ["--quoted-numbers", "--empty-as-null", "--truncate-times", "--base64", "any", "--decimals", "base64"];
    let formats = ["--time-format", "rfc3339", "--time-format", "%Y-%m-%dT%H:%M:%S%.f%z", "--time-format", "%F %T"];
    let update = [&["topic", "update", "t"], &options[..], &formats, &["--time-zone", "+00:00"]].concat();
    lake.run(&update).await.ok().says(&["schema version 2", "--quoted-numbers", "--time-zone +00:00"]);
    lake.run(&["topic", "describe", "t"]).await.ok().says(&["notations", "--time-format '%F %T'"]);
    assert_eq!(settle(&lake, &lines).await, (7, 0));
    let found = rows(
        &lake,
        "SELECT n, moment, d FROM t WHERE n IS NOT NULL OR moment IS NOT NULL OR d IS NOT NULL ORDER BY _offset",
    )
    .await;
    let expected = [
        json!({"n": 1_544_712_660_000_000_000_i64}),
        json!({"moment": "2024-01-15T10:30:00.123456Z"}),
        json!({"moment": "2025-08-08T12:30:00.047170Z"}),
        json!({"moment": "2021-03-16T19:09:21Z"}),
    ];
    for (row, wanted) in found.iter().zip(&expected) {
        let (name, value) = wanted.as_object().expect("an object").iter().next().expect("one member");
        assert_eq!(&row[name], value);
    }
    assert_eq!(found.len(), 5);
    assert_eq!(rows(&lake, "SELECT CAST(d AS string) AS d FROM t WHERE d IS NOT NULL").await, [json!({"d": "0.1032"})]);
    let plain =
        [&["topic", "update", "t", "--time-format", "rfc3339", "--time-zone", ""][..], &["--quoted-numbers=false"]];
    lake.run(&plain.concat()).await.ok();
    assert_eq!(settle(&lake, &lines[..1]).await, (0, 1));
}

#[tokio::test]
async fn options_that_contradict_are_refused_with_the_way_out() {
    let lake = Siltstone::new();
    for (arguments, part) in [
        (&["--time-format", "%F %T"][..], "--time-zone +00:00"),
        (&["--time-zone", "+01:00"], "no effect"),
        (&["--time-format", "%Q"], "not a pattern"),
        (&["--time-format", "%F %T %Z", "--time-zone", "Z"], "names of zones are not read"),
    ] {
        let created = lake.run(&[&["topic", "create", "t", "--column", "moment:timestamp"], arguments].concat()).await;
        created.fails(2, &[part]);
    }
    lake.run(&["topic", "create", "t", "--quoted-numbers"]).await.fails(2, &["format raw takes no options of reading"]);
}

#[tokio::test]
async fn a_payload_that_is_no_text_is_named() {
    let lake = create(&["--column", "n:int64"]).await;
    let fed = lake.run_with_input(&["up", "--stdin", "t", "--no-check"], b"\x1f\x8b\x08\x00packed").await.ok();
    fed.says(&["1 quarantined"]);
    assert!(reasons(&lake).await.contains("the payload is compressed with gzip"));
}
