//! Subqueries that are values, their names, and where ANY and ALL stand; SHOW of one table.

use serde_json::json;

use crate::lake::Lake;

async fn two_topics() -> Lake {
    let lake = Lake::in_memory().await;
    for topic in ["t", "u"] {
        lake.create(topic, 1, r#"{"format":"json","columns":[{"name":"n","type":"int64"}]}"#).await;
        lake.settle(topic, 0, 0..=4).await;
    }
    lake
}

#[tokio::test]
async fn a_value_without_a_row_is_null() {
    let lake = two_topics().await;
    for (expression, expected) in [
        ("(SELECT _offset FROM t WHERE n = -1)", json!(null)),
        ("(SELECT _offset FROM t WHERE n = 3)", json!(3)),
        ("coalesce((SELECT _offset FROM t WHERE n = -1), 0)", json!(0)),
        ("(SELECT _offset FROM t WHERE n = -1) IS NULL", json!(true)),
        ("(SELECT 1 WHERE false)", json!(null)),
        ("(SELECT 1 WHERE false) IS NULL", json!(true)),
        ("(SELECT 1 FROM t WHERE n = -1) IS NULL", json!(true)),
        ("(SELECT 1)", json!(1)),
        ("(SELECT count(*) FROM t WHERE n = -1)", json!(0)),
        ("(SELECT count(*) FROM t WHERE n = -1 GROUP BY n)", json!(null)),
    ] {
        assert_eq!(lake.value(&format!("SELECT {expression} AS v")).await, expected, "{expression}");
        let sql = format!("SELECT DISTINCT {expression} AS v FROM u");
        assert_eq!(lake.value(&sql).await, expected, "{sql}");
    }
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE (SELECT 1 WHERE false) IS NULL").await, 5);
    let counted = "SELECT (SELECT count(*) FROM u WHERE u.n = t.n + 3) AS v FROM t ORDER BY n";
    assert_eq!(json!(lake.column(counted).await), json!([1, 1, 0, 0, 0]));
    let greatest = "SELECT coalesce((SELECT max(_offset) FROM u WHERE u.n = t.n + 3), -1) AS v FROM t ORDER BY n";
    assert_eq!(json!(lake.column(greatest).await), json!([3, 4, -1, -1, -1]));
}

#[tokio::test]
async fn a_subquery_among_columns_has_a_name_of_its_own() {
    let lake = two_topics().await;
    for (sql, expected) in [
        ("SELECT n, (SELECT n FROM u WHERE n = 3) FROM t WHERE n = 1", json!({"n": 1, "n_1": 3})),
        ("SELECT (SELECT n FROM u WHERE n = 3), n FROM t WHERE n = 1", json!({"n": 3, "n_1": 1})),
        ("SELECT n, (SELECT n FROM u WHERE n = 3) AS m FROM t WHERE n = 1", json!({"n": 1, "m": 3})),
    ] {
        assert_eq!(lake.json(sql).await, [expected], "{sql}");
    }
}

#[tokio::test]
async fn any_and_all_of_a_subquery_choose_rows() {
    let lake = two_topics().await;
    for sql in [
        "SELECT n, n = ANY (SELECT n FROM u) FROM t",
        "SELECT 2 > ALL (SELECT n FROM t)",
        "SELECT CASE WHEN 2 > ALL (SELECT n FROM t) THEN 1 END",
        "SELECT n FROM t ORDER BY n = ANY (SELECT n FROM u)",
    ] {
        let error = lake.error(sql).await;
        assert!(error.contains("ANY (SELECT …) and ALL (SELECT …) stand in WHERE and HAVING alone"), "{sql}: {error}");
    }
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE n = ANY (SELECT n FROM u WHERE n > 2)").await, 2);
    assert_eq!(lake.value("SELECT count(*) FROM t WHERE n >= ALL (SELECT n FROM u)").await, 1);
}

#[tokio::test]
async fn a_recursion_goes_over_the_columns_of_a_topic() {
    let lake = two_topics().await;
    let tree = "WITH RECURSIVE tree(id, parent) AS (SELECT n, NULL::bigint FROM t WHERE n = 0 UNION ALL \
                SELECT t.n, tree.id FROM t JOIN tree ON t.n = tree.id + 1 WHERE t.n < 4) SELECT id, parent FROM tree ORDER BY id";
    let rows: Vec<_> = lake.json(tree).await.into_iter().map(|row| json!([row["id"], row["parent"]])).collect();
    assert_eq!(rows, [json!([0, null]), json!([1, 0]), json!([2, 1]), json!([3, 2])]);
    let ends = "WITH RECURSIVE w AS (SELECT n, _offset FROM t WHERE n = 4 UNION ALL SELECT t.n, w._offset FROM t JOIN w \
                ON t.n = w.n - 1) SELECT sum(n) AS n FROM w";
    assert_eq!(lake.number(ends).await, 10);
}

#[tokio::test]
async fn columns_are_shown_of_one_table() {
    let lake = two_topics().await;
    let described = lake.json("DESCRIBE t").await.len();
    for sql in ["SHOW COLUMNS FROM t", "SHOW COLUMNS FROM T", "SHOW COLUMNS FROM public.t"] {
        let shown = lake.json(sql).await;
        assert!(shown.iter().all(|row| row["table_schema"] == "public"), "{sql}: {shown:?}");
        assert_eq!(shown.len(), described, "{sql}");
    }
    assert!(!lake.json("SHOW COLUMNS FROM quarantine.t").await.is_empty());
    assert!(lake.error("SHOW COLUMNS FROM nosuch").await.contains("no table \"nosuch\""));
    assert!(lake.error("SHOW CREATE TABLE t").await.contains("write DESCRIBE t"));
}

#[tokio::test]
async fn a_number_in_order_by_is_a_column_whatever_its_expression() {
    let lake = Lake::in_memory().await;
    let rows = "(VALUES ('a', 1), ('a', 4), ('b', 2)) t(g, k)";
    for (select, order, expected) in [
        ("g, round(avg(k), 2) FROM @ GROUP BY g", "2 DESC", json!(["a", "b"])),
        ("g, sum(k) / 2 FROM @ GROUP BY g", "2", json!(["b", "a"])),
        ("g, count(*)::int FROM @ GROUP BY g", "2, 1", json!(["b", "a"])),
        ("upper(g) FROM @ GROUP BY g", "1 DESC", json!(["B", "A"])),
        ("g, rank() OVER (ORDER BY sum(k)) FROM @ GROUP BY g", "2", json!(["b", "a"])),
        ("coalesce(max(g), '') FROM @", "1", json!(["b"])),
        ("DISTINCT g::text FROM @", "g::text DESC", json!(["b", "a"])),
        ("DISTINCT k % 2 = 0, g FROM @", "g, k % 2 = 0", json!(["a", "a", "b"])),
    ] {
        let sql = format!("SELECT {} ORDER BY {order}", select.replace('@', rows));
        let rows = lake.json(&sql).await;
        let first: Vec<_> =
            rows.iter().map(|row| row.as_object().expect("an object").values().next().cloned()).collect();
        let name_of_first = select.split([',', ' ']).next();
        let found: Vec<_> = match name_of_first {
            Some("g") => rows.iter().map(|row| Some(row["g"].clone())).collect(),
            _ => first,
        };
        assert_eq!(json!(found), expected, "{sql}: {rows:?}");
    }
}
