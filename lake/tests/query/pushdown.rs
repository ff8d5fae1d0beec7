//! Filters that are pushed to scans hide no rows.

use catalog::TopicStore;

use crate::lake::{Lake, name};

/// Two topics of ten rows each: `id` is the offset, `later` is null in the first four, which are in an object of their own.
async fn lake() -> Lake {
    let lake = Lake::in_memory().await;
    for (topic, later) in [("a", r#""int64""#), ("b", r#""float64""#)] {
        lake.create(topic, 1, r#"{"format":"json","columns":[{"name":"id","type":"int64"}]}"#).await;
        lake.settle(topic, 0, 0..=3).await;
        let more = format!(
            r#"{{"format":"json","columns":[{{"name":"id","type":"int64"}},{{"name":"later","type":{later}}}]}}"#
        );
        let more = serde_json::from_str(&more).expect("options");
        lake.catalog.update_topic_config(&name(topic), 1, None, more).await.expect("updated");
        lake.settle(topic, 0, 4..=9).await;
    }
    lake
}

#[tokio::test]
async fn null_meets_null_where_sql_says_so() {
    let lake = lake().await;
    let intersect = "SELECT count(*) AS n FROM (SELECT later FROM a INTERSECT SELECT later FROM a WHERE id >= 0)";
    assert_eq!(lake.number(intersect).await, 7);
    let join = "SELECT count(*) AS n FROM a AS x JOIN a AS y ON x.later IS NOT DISTINCT FROM y.later";
    assert_eq!(lake.number(join).await, 4 * 4 + 6);
    let chain = format!("{join} JOIN a AS z ON x.id = z.id");
    assert_eq!(lake.number(&chain).await, 4 * 4 + 6, "the join above it matches no nulls");
    let equal = "SELECT count(*) AS n FROM a AS x JOIN a AS y ON x.later = y.later";
    assert_eq!(lake.number(equal).await, 6);
    let not_in = "SELECT count(*) AS n FROM a AS x WHERE x.id NOT IN (SELECT y.later FROM a AS y)";
    assert_eq!(lake.number(not_in).await, 0, "one null on the other side is enough");
}

#[tokio::test]
async fn a_filter_is_of_the_table_it_names_where_both_sides_have_the_column() {
    let lake = lake().await;
    for join in ["RIGHT", "LEFT", "FULL"] {
        let sql = format!(
            "SELECT count(*) AS n FROM b AS x {join} JOIN a AS y ON x.id = y.id
             WHERE (CAST('1.5' AS double) IS NOT DISTINCT FROM x.later) IS NOT TRUE AND (y.later = 5) IS NOT TRUE"
        );
        assert_eq!(lake.number(&sql).await, 9, "{join}");
    }
}

#[tokio::test]
async fn what_one_aggregate_has_seen_hides_no_row_from_another() {
    let lake = lake().await;
    // After the first object, `min(id)` needs no row of the second.
    assert_eq!(lake.number("SELECT max(id + 0) - min(id) AS n FROM a").await, 9);
}

#[tokio::test]
async fn the_same_time_can_be_grouped_twice() {
    let lake = lake().await;
    let sql = "SELECT count(*) AS n FROM (SELECT CAST(_timestamp AS DATE) AS day, _timestamp, max(id) FROM a
               WHERE id = 1 GROUP BY CAST(_timestamp AS DATE), _timestamp HAVING count(*) = 1)";
    assert_eq!(lake.number(sql).await, 1);
}
