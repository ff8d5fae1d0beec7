//! Names of tables, columns and members without regard to case, and names of the output.

use serde_json::{Value, json};

use crate::lake::Lake;

const COLUMNS: &str = r#"[{"name":"userId","type":"int64"},{"name":"Name","type":"string"},{"name":"plain","type":"int64"},
    {"name":"before","type":{"struct":[{"name":"Id","type":"int64"},{"name":"inner","type":{"struct":[
        {"name":"deepValue","type":"int64"}]}}]}}]"#;

async fn users() -> Lake {
    let lake = Lake::in_memory().await;
    let record = |n: i64| json!({"userId": n, "Name": format!("n{n}"), "plain": -n, "before": {"Id": n * 10, "inner": {"deepValue": n * 100}}});
    lake.create_with_records("Users", COLUMNS, json!([record(1), record(2)])).await;
    lake.create_with_records(
        "visits",
        r#"[{"name":"UserID","type":"int64"},{"name":"page","type":"string"}]"#,
        json!([{"UserID": 1, "page": "a"}, {"UserID": 1, "page": "b"}, {"UserID": 2, "page": "c"}]),
    )
    .await;
    lake
}

#[tokio::test]
async fn an_unquoted_column_is_found_without_regard_to_case() {
    let lake = users().await;
    for sql in [
        "SELECT userId AS n FROM Users ORDER BY 1",
        "SELECT userid AS n FROM users ORDER BY n",
        "SELECT USERID AS n FROM USERS ORDER BY USERID",
        "SELECT Users.userId AS n FROM Users ORDER BY Users.userId",
        "SELECT users.userid AS n FROM Users ORDER BY users.userid",
        "SELECT U.userId AS n FROM Users AS u ORDER BY n",
        "SELECT \"userId\" AS n FROM \"Users\" ORDER BY \"userId\"",
        "SELECT N FROM (SELECT userId AS n FROM users) ORDER BY N",
        "SELECT total AS n FROM (SELECT userId AS Total FROM users) AS x ORDER BY TOTAL",
        "WITH Found AS (SELECT userid FROM users) SELECT found.USERID AS n FROM found ORDER BY n",
        "WITH a AS (SELECT userId FROM users), B AS (SELECT * FROM A) SELECT userid AS n FROM b ORDER BY n",
        "SELECT min(userid) AS n FROM users GROUP BY USERID ORDER BY userId",
        "SELECT userid AS n FROM users GROUP BY userId HAVING count(NAME) = 1 ORDER BY n",
        "SELECT DISTINCT userId AS n FROM users WHERE NAME LIKE 'n%' AND userid > 0 ORDER BY n",
        "SELECT n FROM (SELECT userId AS n, row_number() OVER (PARTITION BY NAME ORDER BY USERID) AS r FROM users) ORDER BY n",
        "SELECT u.userid AS n FROM users u JOIN visits v ON u.USERID = v.userid GROUP BY u.userId ORDER BY n",
        "SELECT userid AS n FROM users WHERE EXISTS (SELECT 1 FROM visits v WHERE v.userid = users.USERID) ORDER BY n",
        "SELECT userid AS n FROM users WHERE userId IN (SELECT userid FROM visits) ORDER BY n",
        "SELECT before.id / 10 AS n FROM users ORDER BY n",
        "SELECT Before.ID / 10 AS n FROM users ORDER BY n",
        "SELECT users.before.id / 10 AS n FROM users ORDER BY n",
        "SELECT before.Inner.deepvalue / 100 AS n FROM users ORDER BY n",
        "SELECT (before).inner.DEEPVALUE / 100 AS n FROM users ORDER BY n",
        "SELECT COUNT(*) OVER W - 1 + userId - 1 AS n FROM users WINDOW w AS (PARTITION BY 1) ORDER BY n",
    ] {
        assert_eq!(lake.column(sql).await, [1, 2], "{sql}");
    }
    let grouped = "SELECT upper(name) AS Shown, count(*) AS c FROM users GROUP BY shown ORDER BY SHOWN";
    assert_eq!(lake.json(grouped).await, [json!({"Shown": "N1", "c": 1}), json!({"Shown": "N2", "c": 1})]);
    assert_eq!(lake.json("SELECT userid FROM users LIMIT 1").await[0], json!({"userId": 1}), "it has its own name");
    let windows = "SELECT max(r + s) FROM (SELECT row_number() OVER W AS r, sum(USERID) OVER w AS s FROM users WINDOW W AS \
                   (ORDER BY USERID))";
    assert_eq!(lake.value(windows).await, 5);
    let except = lake.json("SELECT * EXCEPT (USERID, _HEADERS) FROM visits LIMIT 1").await;
    assert!(except[0].get("UserID").is_none() && except[0].get("page").is_some(), "{except:?}");
    let using = "SELECT count(*) FROM visits a JOIN visits b USING (userid)";
    assert_eq!(lake.value(using).await, 5);
    let all = lake.json("SELECT U.* FROM visits AS u WHERE page = 'c'").await;
    assert_eq!(all[0]["page"], "c");
}

#[tokio::test]
async fn the_name_that_is_spelled_so_wins_and_others_must_be_certain() {
    let lake = Lake::in_memory().await;
    let columns = r#"[{"name":"id","type":"int64"},{"name":"userId","type":"int64"}]"#;
    lake.create_with_records("orders", columns, json!([{"id": 1, "userId": 3}])).await;
    let two = "(SELECT id AS \"id\", id + 1 AS \"ID\", 3 AS \"userId\", 4 AS \"UserId\" FROM orders)";
    let of_two = |column: &str| format!("SELECT {column} FROM {two}");
    for (sql, value) in [
        ("SELECT id FROM orders", 1),
        ("SELECT ID FROM orders", 1),
        ("SELECT userid FROM Orders", 3),
        ("SELECT \"id\" FROM ORDERS", 1),
        (of_two("ID").as_str(), 2),
        (of_two("id").as_str(), 1),
        (of_two("UserId").as_str(), 4),
        ("WITH orders AS (SELECT 9 AS id) SELECT id FROM Orders", 9),
        ("WITH rows AS (SELECT id + 4 AS id FROM Orders) SELECT ID FROM Rows", 5),
    ] {
        assert_eq!(lake.value(sql).await, value, "{sql}");
    }
    let error = lake.error(&of_two("userid")).await;
    assert_eq!(error, r#"userid may be "userId" or "UserId"; quote the one that is meant"#);
    let error = lake.error("SELECT \"USERID\" FROM orders").await;
    assert!(error.contains("no column USERID; columns are ") && error.contains("\"userId\""), "{error}");
    let error = lake.error("SELECT nothing FROM orders").await;
    assert!(error.contains("no column nothing; columns are ") && error.contains("\"userId\""), "{error}");
    assert!(!error.contains("datafusion"), "{error}");
    assert!(lake.error("SELECT \"Id\" FROM orders").await.contains("no column Id"));
    assert!(lake.error("SELECT * FROM \"ORDERS\"").await.contains("no table \"ORDERS\""));
}

#[tokio::test]
async fn the_names_of_the_system_are_found_too() {
    let lake = users().await;
    assert_eq!(lake.value("SELECT count(*) FROM Siltstone.Topics WHERE TOPIC = 'Users'").await, 1);
    assert_eq!(lake.value("SELECT count(*) FROM siltstone.SILTSTONE.Segments").await, 2);
    assert_eq!(lake.value("SELECT count(*) FROM Quarantine.USERS").await, 0);
    let tables = "SELECT count(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'Users'";
    assert_eq!(lake.value(tables).await, 2);
    assert_eq!(lake.json("SHOW TABLES").await.len(), lake.json("SELECT * FROM information_schema.tables").await.len());
    let columns = lake.json("SHOW COLUMNS FROM users").await;
    assert!(columns.iter().any(|row| row["column_name"] == "userId"), "{columns:?}");
    assert!(!lake.json("DESCRIBE USERS").await.is_empty());
    assert!(!lake.json("EXPLAIN SELECT USERID FROM users").await.is_empty());
}

#[tokio::test]
async fn no_column_of_the_output_hides_another() {
    let lake = users().await;
    for (sql, row) in [
        ("SELECT 1, 1", json!({"Int64(1)": 1, "1": 1})),
        ("SELECT 1 AS a, 2 AS a, 3 AS a_1", json!({"a": 1, "a_2": 2, "a_1": 3})),
        ("SELECT plain, plain FROM users WHERE userid = 1", json!({"plain": -1, "plain_1": -1})),
        ("SELECT users.plain, plain FROM users WHERE userid = 1", json!({"plain": -1, "plain_1": -1})),
        (
            "SELECT a.page, b.page FROM visits a JOIN visits b ON a.userid = b.userid WHERE b.page = 'c'",
            json!({"page": "c", "page_1": "c"}),
        ),
        (
            "SELECT plain, CAST(plain AS varchar), CAST(plain AS int) FROM users WHERE userid = 1",
            json!({"plain": -1, "CAST(plain AS VARCHAR)": "-1", "CAST(plain AS INT)": -1}),
        ),
        (
            "SELECT CAST(max(plain) AS int), max(plain) FROM users",
            json!({"CAST(max(plain) AS INT)": -1, "max(plain)": -1}),
        ),
        ("SELECT count(*), (SELECT count(*) FROM visits) AS count FROM users", json!({"count(*)": 2, "count": 3})),
        (
            "SELECT count(*), (SELECT count(*) FROM visits) FROM users",
            json!({"count(*)": 2, "(SELECT count(*) FROM \"visits\")": 3}),
        ),
    ] {
        assert_eq!(lake.json(sql).await, [row], "{sql}");
    }
    let rows = lake.rows("SELECT _offset, * FROM visits ORDER BY _offset DESC").await;
    let names: Vec<_> = rows[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names[0], "_offset");
    assert!(names[1..].contains(&"_offset_1".to_owned()) && names[1..].contains(&"page".to_owned()), "{names:?}");
    let rows = lake.json("SELECT userid, * FROM users WHERE userid = 2").await;
    assert_eq!((&rows[0]["userId"], &rows[0]["userId_1"]), (&json!(2), &json!(2)));
    let inner = "SELECT count(*) FROM (SELECT _offset, * FROM visits) x WHERE page = 'c'";
    assert_eq!(lake.value(inner).await, 1);
    let rows = lake.rows("SELECT a.*, b.* FROM visits a JOIN visits b USING (userid)").await;
    let names: Vec<_> = rows[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len(), "{names:?}");
}

#[tokio::test]
async fn nulls_are_members_of_json_rows() {
    let lake = users().await;
    assert_eq!(lake.json("SELECT max(userid) AS m FROM users WHERE userid > 5").await, [json!({"m": null})]);
    let rows =
        lake.json("SELECT before, NULL AS x FROM (SELECT nullif(userid, 1) AS b, before FROM users) ORDER BY b").await;
    assert_eq!(rows[1]["x"], Value::Null);
    assert!(rows[1].as_object().expect("an object").contains_key("x"));
}
