//! The views of `duckdb-sql`: the topic's columns as they are now, and one view for each name.

use super::{create, duckdb, settle};
use crate::binary::Siltstone;
use crate::operations::sql;

async fn described(lake: &Siltstone, view: &str) -> Vec<String> {
    let columns = duckdb(lake, &format!("SELECT column_name, column_type FROM (DESCRIBE {view})")).await;
    columns.iter().filter(|column| !column[0].starts_with('_')).map(|column| column.join(" ")).collect()
}

#[tokio::test]
async fn a_view_has_the_columns_of_now_before_any_object_has_them() {
    let lake = Siltstone::new();
    create(&lake, "a", &["n:int32", "s:string"]).await;
    let of_now = ["n BIGINT", "s VARCHAR", "note VARCHAR", "price DECIMAL(10,2)", "tags VARCHAR[]"];
    assert_eq!(described(&lake, "a").await, ["n INTEGER", "s VARCHAR"]);
    settle(&lake, "a", &[r#"{"n":1,"s":"x"}"#, r#"{"n":"wrong"}"#]).await;
    assert_eq!(described(&lake, "a").await, ["n INTEGER", "s VARCHAR"]);
    let more = ["note:string", "n:int64", "price:decimal(10,2)", "tags:list(string)"];
    let more = more.iter().flat_map(|column| ["--column", column]);
    lake.run(&["topic", "update", "a"].into_iter().chain(more).collect::<Vec<_>>()).await.ok();

    assert_eq!(described(&lake, "a").await, of_now);
    assert_eq!(duckdb(&lake, "SELECT n, s, price FROM a WHERE note IS NULL").await, [["1", "x", "NULL"]]);
    assert_eq!(duckdb(&lake, "SELECT n + 9000000000 FROM a").await, [["9000000001"]]);
    assert_eq!(duckdb(&lake, "SELECT _offset, reason LIKE '%n%' FROM quarantine.a").await, [["1", "True"]]);
    settle(&lake, "a", &[r#"{"n":9000000000,"note":"n","price":1.25,"tags":["t"]}"#]).await;
    assert_eq!(described(&lake, "a").await, of_now);
    let rows = duckdb(&lake, "SELECT n, s, note, price, tags FROM a ORDER BY n").await;
    assert_eq!(rows, [["1", "x", "NULL", "NULL", "NULL"], ["9000000000", "NULL", "n", "1.25", "['t']"]]);
}

#[tokio::test]
async fn an_empty_topic_that_was_changed_has_the_columns_of_now() {
    let lake = Siltstone::new();
    create(&lake, "e", &["id:int32"]).await;
    lake.run(&["topic", "update", "e", "--column", "id:int64", "--column", "at:timestamp"]).await.ok();
    assert_eq!(described(&lake, "e").await, ["id BIGINT", "at TIMESTAMP WITH TIME ZONE"]);
    assert_eq!(described(&lake, "quarantine.e").await, ["reason VARCHAR", "payload BLOB"]);
    assert_eq!(duckdb(&lake, "SELECT count(*) FROM e WHERE \"at\" IS NULL").await, [["0"]]);
}

#[tokio::test]
async fn the_views_of_topics_and_of_quarantines_do_not_take_each_others_names() {
    let lake = Siltstone::new();
    let topics = ["orders", "quarantine_orders", "QUARANTINE_quarantine_orders", "quarantine", "select", "main", "a.b"];
    for (number, topic) in topics.iter().enumerate() {
        create(&lake, topic, &["id:int64!"]).await;
        settle(&lake, topic, &[&format!(r#"{{"id":{number}}}"#), &format!(r#"{{"bad":{number}}}"#)]).await;
    }
    for (number, topic) in topics.iter().enumerate() {
        let row = duckdb(&lake, &format!("SELECT id FROM \"{topic}\"")).await;
        assert_eq!(row, [[number.to_string()]], "{topic}");
        let row = duckdb(&lake, &format!("SELECT decode(payload) FROM quarantine.\"{topic}\"")).await;
        assert_eq!(row, [[format!(r#"{{"bad":{number}}}"#)]], "{topic}");
    }
    // The short name of a quarantine is left to the topic that has it, also where that topic is not asked for.
    let alone = lake.run(&["duckdb-sql", "--views", "orders"]).await.ok().out;
    assert!(!alone.contains("\"quarantine_orders\""), "{alone}");
    let short = duckdb(&lake, "SELECT decode(payload) FROM \"quarantine_select\"").await;
    assert_eq!(short, [[r#"{"bad":4}"#]]);
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_refused_or_said() {
    let lake = Siltstone::new();
    create(&lake, "Orders", &["id:int64"]).await;
    let again = lake.run(&["topic", "create", "orders", "--column", "id:int64"]).await;
    again.fails(1, &["orders", "Orders", "case"]);
    for columns in [["id:int64", "ID:int64"], ["o:string", "O:int64"]] {
        let arguments = ["topic", "create", "c", "--column", columns[0], "--column", columns[1]];
        lake.run(&arguments).await.fails(2, &["declared twice", "without case"]);
    }
    let members =
        r#"[{"name":"o","type":{"list":{"struct":[{"name":"x","type":"bool"},{"name":"X","type":"bool"}]}}}]"#;
    lake.run(&["topic", "create", "c", "--schema", members]).await.fails(2, &["\"X\"", "declared twice"]);
    lake.run(&["topic", "update", "Orders", "--column", "ID:int64"]).await.fails(2, &["\"ID\"", "without case"]);

    // A lake of an older version may have both.
    create(&lake, "second", &["id:int64"]).await;
    settle(&lake, "Orders", &[r#"{"id":1}"#]).await;
    settle(&lake, "second", &[r#"{"id":2}"#, r#"{"id":3}"#]).await;
    let renamed = "UPDATE topics SET name = 'orders' WHERE name = 'second';
        UPDATE partitions SET topic = 'orders' WHERE topic = 'second';
        UPDATE segments SET topic = 'orders' WHERE topic = 'second'";
    sql(&lake, renamed).await;
    lake.run(&["duckdb-sql", "--views"])
        .await
        .fails(2, &["\"Orders\"", "\"orders\"", "differ only in case", "name the topics"]);
    for (topic, rows) in [("Orders", "1"), ("orders", "2")] {
        let views = lake.run(&["duckdb-sql", "--views", topic]).await.ok().out;
        let counted = support::duckdb::query(&format!("{views}SELECT count(*) FROM \"{topic}\"")).await;
        assert_eq!(counted.expect("DuckDB"), [[rows]]);
    }
}
