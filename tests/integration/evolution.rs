//! Columns that are added, renamed, dropped or take another member: both readers show rows of every age.

use serde_json::{Value, json};

use crate::binary::Siltstone;

async fn settle(lake: &Siltstone, topic: &str, lines: &[&str]) {
    lake.run_with_input(&["up", "--stdin", topic, "--no-check"], lines.join("\n").as_bytes()).await.ok();
}

async fn update(lake: &Siltstone, arguments: &[&str]) -> String {
    lake.run(&[&["topic", "update"], arguments].concat()).await.ok().out
}

/// The rows of a query, which DataFusion and DuckDB over views and over the attached catalog give alike, as texts.
async fn rows(lake: &Siltstone, sql: &str) -> Vec<Vec<String>> {
    let answer = lake.run(&["query", "--json", sql]).await.ok().out;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    };
    // The members of a JSON line that are null may be left out: queries name their columns a, b, c.
    let cells = |line: &str| -> Vec<String> {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let names = ["a", "b", "c"].iter().take(sql.matches(" AS ").count());
        names.map(|name| text(&row[name])).collect()
    };
    let here: Vec<Vec<String>> = answer.lines().map(cells).collect();
    let views = lake.run(&["duckdb-sql", "--views"]).await.ok().out;
    let there = support::duckdb::query(&format!("{views}{sql}")).await.expect("DuckDB");
    assert_eq!(here, there, "{sql}");
    let attach = lake.run(&["duckdb-sql"]).await.ok().out;
    let attached = support::duckdb::query_with(&["ducklake", "sqlite_scanner"], &[], &format!("{attach}{sql}")).await;
    assert_eq!(here, attached.expect("DuckDB"), "attached: {sql}");
    here
}

#[tokio::test]
async fn a_column_that_reads_the_member_of_another_takes_what_that_one_refused() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "c", "--column", "id:int64!", "--column", "amount:int64!"]).await.ok();
    settle(&lake, "c", &[r#"{"id":1,"amount":10}"#]).await;
    let refused = lake.run(&["topic", "update", "c", "--column", "amount:decimal(12,2)"]).await;
    refused.fails(2, &["stored as int64", "--column 'amount2:decimal(12,2)=amount'"]);
    let updated = update(&lake, &["c", "--column", "amount2:decimal(12,2)=amount"]).await;
    assert!(updated.contains("schema version 2: id:int64!, amount:int64=, amount2:decimal(12,2)=amount"), "{updated}");
    assert!(updated.contains("column amount reads no member any more"), "{updated}");
    settle(&lake, "c", &[r#"{"id":2,"amount":12.5}"#]).await;
    let all = "SELECT id AS a, amount AS b, CAST(amount2 AS VARCHAR) AS c FROM c ORDER BY id";
    assert_eq!(rows(&lake, all).await, [["1", "10", "NULL"], ["2", "NULL", "12.50"]]);
    assert_eq!(lake.run(&["quarantine", "list", "c", "--json"]).await.ok().json(), json!([]));
    lake.run(&["audit", "c", "--deep"]).await.ok();
}

#[tokio::test]
async fn dropped_and_renamed_columns_are_so_in_older_segments_too() {
    let lake = Siltstone::new();
    let columns = ["--column", "id:int32", "--column", "gone:string", "--column", "name:string"];
    lake.run(&[&["topic", "create", "t"][..], &columns].concat()).await.ok();
    settle(&lake, "t", &[r#"{"id":1,"gone":"g1","name":"n1"}"#]).await;
    let updated = update(&lake, &["t", "--drop-column", "gone", "--rename-column", "name=title"]).await;
    assert!(updated.contains("schema version 2: id:int32, title:string=name"), "{updated}");
    settle(&lake, "t", &[r#"{"id":2,"gone":"g2","name":"n2"}"#]).await;
    let all = "SELECT id AS a, title AS b, _extra AS c FROM t ORDER BY id";
    assert_eq!(rows(&lake, all).await, [["1", "n1", "NULL"], ["2", "n2", r#"{"gone":"g2"}"#]]);
    assert_eq!(rows(&lake, "SELECT id AS a FROM t WHERE title = 'n1'").await, [["1"]]);
    lake.run(&["query", "SELECT gone FROM t"]).await.fails(2, &["gone"]);

    // The name is free for another column, of another type; older values are not shown under it.
    update(&lake, &["t", "--column", "gone:int64", "--column", "id:int64"]).await;
    settle(&lake, "t", &[r#"{"id":5000000000,"gone":7,"name":"n3"}"#]).await;
    let all = "SELECT id AS a, gone AS b, title AS c FROM t ORDER BY id";
    assert_eq!(rows(&lake, all).await, [["1", "NULL", "n1"], ["2", "NULL", "n2"], ["5000000000", "7", "n3"]]);
    assert_eq!(rows(&lake, "SELECT count(*) AS a FROM t WHERE gone IS NULL").await, [["2"]]);
    assert_eq!(rows(&lake, "SELECT id AS a FROM t WHERE gone >= 7").await, [["5000000000"]]);
    let described = lake.run(&["topic", "describe", "t", "--json"]).await.ok().json();
    let ids: Vec<&Value> =
        described["topic"]["config"]["columns"].as_array().expect("a list").iter().map(|c| &c["id"]).collect();
    assert_eq!(ids, [&json!(100), &json!(102), &json!(103)], "no id is used again");
    lake.run(&["audit", "t", "--deep"]).await.ok();
}

#[tokio::test]
async fn a_name_goes_from_one_column_to_another() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--column", "id:int64", "--column", "v:int64", "--column", "w:int64"])
        .await
        .ok();
    settle(&lake, "t", &[r#"{"id":1,"v":10,"w":20}"#]).await;
    update(&lake, &["t", "--rename-column", "v=x", "--rename-column", "w=v", "--rename-column", "x=w"]).await;
    settle(&lake, "t", &[r#"{"id":2,"v":30,"w":40}"#]).await;
    let all = "SELECT id AS a, v AS b, w AS c FROM t ORDER BY id";
    assert_eq!(rows(&lake, all).await, [["1", "20", "10"], ["2", "40", "30"]]);
    assert_eq!(rows(&lake, "SELECT id AS a FROM t WHERE v = 20").await, [["1"]]);
}

#[tokio::test]
async fn members_are_added_inside_objects_and_null_in_older_ones() {
    let lake = Siltstone::new();
    let columns =
        ["--column", "id:int64", "--column", "place:struct(city:string)", "--column", "l:list(struct(n:int32))"];
    lake.run(&[&["topic", "create", "t"][..], &columns].concat()).await.ok();
    settle(&lake, "t", &[r#"{"id":1,"place":{"city":"X"},"l":[{"n":1},null]}"#, r#"{"id":2}"#]).await;
    let refused =
        lake.run_with_input(&["up", "--stdin", "t", "--no-check"], br#"{"id":3,"place":{"city":"Y","zip":"9"}}"#);
    refused.await.ok().says(&["1 quarantined"]);
    let shown = lake.run(&["quarantine", "show", "t"]).await.ok();
    shown.says(&["unknown member \"zip\"; declared are city; topic update --column adds members to a struct"]);
    std::fs::write(
        lake.path().join("wider.json"),
        r#"[{"name":"place","type":{"struct":[{"name":"city","type":"string"},{"name":"zip","type":"string"}]}}]"#,
    )
    .expect("written");
    update(&lake, &["t", "--schema", "wider.json"]).await;
    update(&lake, &["t", "--column", "l:list(struct(n:int64, m:string=mm))"]).await;
    settle(&lake, "t", &[r#"{"id":4,"place":{"zip":"99","city":"Z"},"l":[{"n":5000000000,"mm":"x"}]}"#]).await;
    let all = "SELECT id AS a, place['city'] AS b, place['zip'] AS c FROM t ORDER BY id";
    assert_eq!(rows(&lake, all).await, [["1", "X", "NULL"], ["2", "NULL", "NULL"], ["4", "Z", "99"]]);
    assert_eq!(rows(&lake, "SELECT id AS a FROM t WHERE place['zip'] = '99'").await, [["4"]]);
    let lists = "SELECT id AS a, l[1]['n'] AS b, l[1]['m'] AS c FROM t ORDER BY id";
    assert_eq!(rows(&lake, lists).await, [["1", "1", "NULL"], ["2", "NULL", "NULL"], ["4", "5000000000", "x"]]);
    lake.run(&["audit", "t", "--deep"]).await.ok();
}

#[tokio::test]
async fn a_column_just_added_is_there_before_its_first_row() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--column", "id:int32"]).await.ok();
    settle(&lake, "t", &[r#"{"id":1}"#]).await;
    update(&lake, &["t", "--column", "note:string", "--column", "id:int64"]).await;
    assert_eq!(rows(&lake, "SELECT id + 5000000000 AS a FROM t WHERE note IS NULL").await, [["5000000001"]]);
}

#[tokio::test]
async fn mistakes_of_a_change_say_what_there_is() {
    let lake = Siltstone::new();
    lake.run(&["topic", "create", "t", "--column", "id:int64", "--column", "o:struct(a:int64)"]).await.ok();
    for (arguments, part) in [
        (&["--drop-column", "nme"][..], "there is no column \"nme\"; the columns are id, o"),
        (&["--rename-column", "id=o"], "which is a column then"),
        (&["--rename-column", "id=_offset"], "Siltstone's own columns are _partition_id, _offset"),
        (&["--rename-column", "id"], "not of the form name=new"),
        (&["--column", "o:struct(b:int64)"], "\"a\" is left out"),
        (&["--column", "o:struct(a:int64, b:int64!)"], "must take null"),
        (&["--drop-column", "id", "--drop-column", "o"], "at least one column"),
        (&["--schema", "{}"], "a JSON array of columns"),
        (&[], "nothing to change"),
    ] {
        let refused = lake.run(&[&["topic", "update", "t"], arguments].concat()).await;
        refused.fails(2, &[part]);
    }
    lake.run(&["topic", "describe", "t"]).await.ok().says(&["version 1"]);
}
