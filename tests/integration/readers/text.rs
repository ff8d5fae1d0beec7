//! Text that is well formed for every reader: characters, JSON that is passed on, NUL.

use serde_json::json;

use super::{all_read, create, duckdb, settle};
use crate::binary::Siltstone;

#[tokio::test]
async fn one_record_never_keeps_duckdb_from_the_json_of_the_others() {
    let lake = Siltstone::new();
    create(&lake, "t", &["id:int64", "doc:json"]).await;
    let deep = format!(r#"{{"id":9,"city":{}1{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    let lines = [
        r#"{"id":1,"city":"Oslo","doc":{"a":"\ud83d\ude00"}}"#,
        r#"{"id":2,"city":"\ud83d"}"#,
        r#"{"id":3,"city":"Rome","doc":{"a":1e999,"b":123456789012345678901234567890}}"#,
        r#"{"id":4,"\ude00":1}"#,
        r#"{"id":5,"x":[{"\ud83d":1}]}"#,
        r#"{"id":6,"doc":{"a":"\ude00\ud83d"}}"#,
        r#"{"id":7,"city":"a\u0000b","a\u0000":0,"doc":"\u0000"}"#,
        r#"{"id":8,"city":"twice","city":"Twice"}"#,
        &deep,
    ];
    settle(&lake, "t", &lines).await;
    let count = async |condition: &str| duckdb(&lake, &format!("SELECT count(*) FROM t WHERE {condition}")).await;
    assert_eq!(count("true").await, [["4"]], "the others are in quarantine");
    assert_eq!(count("_extra->>'city' = 'Oslo'").await, [["1"]]);
    assert_eq!(count("_extra->>'city' = 'a' || chr(0) || 'b'").await, [["1"]]);
    assert_eq!(count("doc->>'a' = '\u{1f600}'").await, [["1"]]);
    assert_eq!(count("json_valid(_extra) AND coalesce(json_valid(doc), true)").await, [["4"]]);
    let structures =
        "SELECT id, json_structure(_extra), json_structure(doc) IS NULL, json_keys(_extra) FROM t ORDER BY 1";
    assert_eq!(duckdb(&lake, structures).await.len(), 4);
    let set_aside = "SELECT _offset, reason FROM quarantine.t ORDER BY 1";
    let reasons = duckdb(&lake, set_aside).await;
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    for (row, part) in reasons.iter().zip(["is half", "surrogate", "is half", "is half", "100 levels"]) {
        assert!(row[1].contains(part), "{part}: {row:?}");
    }
}

#[tokio::test]
async fn nul_is_a_character_like_any_other() {
    let lake = Siltstone::new();
    create(&lake, "t", &["id:int64", "s:string"]).await;
    settle(&lake, "t", &[r#"{"id":1,"s":"a\u0000b"}"#, r#"{"id":2,"s":"\u0000"}"#, r#"{"id":3,"s":"\ud83d"}"#]).await;
    all_read(&lake.data().join("t"), "id,s", &json!([[1, "a\u{0}b"], [2, "\u{0}"]])).await;
    let found = duckdb(&lake, "SELECT id, length(s) FROM t WHERE s = 'a' || chr(0) || 'b'").await;
    assert_eq!(found, [["1", "3"]]);
    let reason = duckdb(&lake, "SELECT reason FROM quarantine.t").await.concat().concat();
    assert!(reason.contains(r#"column "s" (string)"#) && reason.contains("hex escape"), "{reason}");
}
