//! All tables of a statement are of one moment, in our own sessions and in a program's own context.

use std::sync::Arc;

use catalog::{ConsumerOffset, ConsumerStore, SegmentStore, TopicStore};
use common::{Incarnation, TopicPartition};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::QueryPlanner;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use lake::query::{self, Parameters, QueryError, QueryStore};
use serde_json::json;

use crate::lake::{Lake, name};

/// The same lake in a context of the program's own.
async fn registered(lake: &Lake, context: &SessionContext) {
    let store = QueryStore { url: "siltstone://data".parse().expect("a URL"), store: Arc::clone(&lake.store) as _ };
    let registered = query::Lake::new(Arc::clone(&lake.catalog) as _, store);
    registered.register(context, "lake").await.expect("registered");
}

async fn rows(context: &SessionContext, sql: &str) -> Vec<serde_json::Value> {
    rows_of(context.sql(sql).await.expect(sql)).await
}

async fn rows_of(frame: DataFrame) -> Vec<serde_json::Value> {
    let batches = frame.collect().await.expect("read");
    let mut lines = Vec::new();
    query::write_json_lines(&mut lines, &batches).expect("JSON");
    let lines = String::from_utf8(lines).expect("UTF-8");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const LEAD: &str = "(SELECT count(*) FROM b) AS b, (SELECT count(*) FROM a) AS a";

/// A segment of `a` is listed before one of `b`: at no moment `b` has more rows, or `a` more than those of one segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_topics_of_a_statement_are_of_one_moment() {
    let lake = Arc::new(Lake::in_memory().await);
    lake.create("a", 1, "{}").await;
    lake.create("b", 1, "{}").await;
    let context = SessionContext::new();
    registered(&lake, &context).await;
    let writer = Arc::clone(&lake);
    let writing = tokio::spawn(async move {
        for base in (0..600).step_by(10) {
            writer.settle("a", 0, base..=base + 9).await;
            writer.settle("b", 0, base..=base + 9).await;
        }
    });
    let mut moments = 0;
    while !writing.is_finished() {
        let own = lake.json(&format!("SELECT {LEAD}")).await;
        let there = rows(&context, &format!("SELECT {}", LEAD.replace("FROM ", "FROM lake.public."))).await;
        for row in own.iter().chain(&there) {
            let (a, b) = (row["a"].as_i64().expect("a number"), row["b"].as_i64().expect("a number"));
            assert!(a == b || a == b + 10, "{row}");
        }
        moments += 1;
    }
    writing.await.expect("written");
    assert!(moments > 3, "{moments} moments");
    assert_eq!(lake.json(&format!("SELECT {LEAD}")).await, [json!({"a": 600, "b": 600})]);
}

#[tokio::test]
async fn a_frame_keeps_its_moment_and_the_next_statement_sees_what_came() {
    let lake = Lake::in_memory().await;
    lake.create("a", 2, "{}").await;
    lake.settle("a", 0, 0..=9).await;
    let before = lake.session.sql("SELECT * FROM a").await.expect("planned");
    lake.settle("a", 1, 0..=4).await;
    let count = |batches: Vec<datafusion::arrow::array::RecordBatch>| -> usize {
        batches.iter().map(|batch| batch.num_rows()).sum()
    };
    assert_eq!(count(before.collect().await.expect("read")), 10);
    assert_eq!(count(lake.rows("SELECT * FROM a").await), 15);
    lake.catalog.delete_segments_before(&TopicPartition::new(name("a"), 0), 10).await.expect("expired");
    assert_eq!(count(lake.rows("SELECT * FROM a").await), 5);
    lake.settle("a", 0, 10..=19).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM a x JOIN a y ON x._offset = y._offset").await, 15);
    lake.catalog.delete_topic(&name("a")).await.expect("deleted");
    lake.create("a", 1, r#"{"format":"text"}"#).await;
    assert_eq!(lake.number("SELECT count(*) AS n FROM a").await, 0, "another topic of the same name");
}

#[tokio::test]
async fn a_programs_own_context_reads_every_table_beside_its_own() {
    let lake = Lake::in_memory().await;
    lake.create("orders", 1, r#"{"format":"json","columns":[{"name":"id","type":"int64"}]}"#).await;
    lake.settle("orders", 0, 0..=9).await;
    lake.quarantine("orders", 0, 3..=3).await;
    let context = SessionContext::new();
    rows(&context, "CREATE TABLE mine AS SELECT 7 AS id").await;
    registered(&lake, &context).await;
    let joined = "SELECT o.id AS n FROM lake.public.orders o JOIN mine ON mine.id = o.id";
    assert_eq!(rows(&context, joined).await, [json!({"n": 7})]);
    let inside = "SELECT count(*) AS n FROM mine WHERE id IN (SELECT id FROM lake.public.orders WHERE _offset > 5)";
    assert_eq!(rows(&context, inside).await, [json!({"n": 1})]);
    let set_aside = "SELECT count(*) AS n FROM lake.quarantine.orders";
    assert_eq!(rows(&context, set_aside).await, [json!({"n": 1})]);
    let kinds = "SELECT kind FROM lake.siltstone.segments ORDER BY kind";
    assert_eq!(rows(&context, kinds).await, [json!({"kind": "data"}), json!({"kind": "quarantine"})]);
    rows(&context, "CREATE VIEW late AS SELECT * FROM lake.public.orders WHERE _offset >= 8").await;
    assert_eq!(rows(&context, "SELECT count(*) AS n FROM late").await, [json!({"n": 2})]);
    lake.store.take_opened();
    rows(&context, "EXPLAIN SELECT count(*) FROM lake.public.orders WHERE _offset = 4").await;
    assert!(lake.store.take_opened().is_empty(), "planning opens nothing");

    // Topics and segments that come later are found.
    lake.create("clicks", 1, "{}").await;
    lake.settle("clicks", 0, 0..=4).await;
    lake.settle("orders", 0, 10..=11).await;
    assert_eq!(rows(&context, "SELECT count(*) AS n FROM lake.public.clicks").await, [json!({"n": 5})]);
    assert_eq!(rows(&context, "SELECT count(*) AS n FROM late").await, [json!({"n": 4})]);
    let frame = context.table("lake.public.orders").await.expect("a table");
    assert_eq!(frame.count().await.expect("counted"), 12);
}

#[tokio::test]
async fn a_planner_that_takes_the_place_of_ours_is_named_by_the_error() {
    #[derive(Debug)]
    struct Other;
    #[async_trait::async_trait]
    impl QueryPlanner for Other {
        async fn create_physical_plan(
            &self,
            plan: &datafusion::logical_expr::LogicalPlan,
            state: &datafusion::execution::SessionState,
        ) -> datafusion::error::Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>> {
            use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
            DefaultPhysicalPlanner::default().create_physical_plan(plan, state).await
        }
    }
    let lake = Lake::in_memory().await;
    lake.create("a", 1, "{}").await;
    lake.settle("a", 0, 0..=9).await;
    let context = SessionContext::new();
    registered(&lake, &context).await;
    let state = SessionStateBuilder::new_from_existing(context.state()).with_query_planner(Arc::new(Other)).build();
    let replaced = SessionContext::new_with_state(state);
    let error =
        replaced.sql("SELECT * FROM lake.public.a").await.expect("planned").collect().await.expect_err("refused");
    assert!(error.to_string().contains("register the lake after"), "{error}");
}

#[tokio::test]
async fn an_exact_context_answers_like_a_session() {
    let lake = Lake::in_memory().await;
    let columns = r#"{"format":"json","columns":[{"name":"i","type":"int64"},{"name":"o","type":"string"}]}"#;
    lake.create("t", 1, columns).await;
    lake.settle("t", 0, 0..=9).await;
    let context = query::exact_context(SessionConfig::new(), Arc::default()).expect("a context");
    registered(&lake, &context).await;
    let sum = "SELECT sum(i + 9223372036854775000) AS s FROM";
    let expected = lake.json(&format!("{sum} t")).await;
    assert_eq!(rows(&context, &format!("{sum} lake.public.t")).await, expected);
}

#[tokio::test]
async fn the_history_of_the_catalog_can_be_queried() {
    let lake = Lake::in_memory().await;
    let held = crate::extremes::owned(&lake, "orders", 1).await;
    crate::extremes::commit(&lake, &held, (0..=9, 4..=9), &[0..=3]).await;
    let commits = "SELECT topic, partition, commit_no, base_offset, end_offset, message_count, record_count \
                   FROM siltstone.commits";
    let commit = json!({"topic": "orders", "partition": 0, "commit_no": 1, "base_offset": 0, "end_offset": 9,
                        "message_count": 6, "record_count": 6});
    assert_eq!(lake.json(commits).await, [commit]);
    let gaps = "SELECT base_offset, end_offset, kind, reason FROM siltstone.gaps";
    assert_eq!(
        lake.json(gaps).await,
        [json!({"base_offset": 0, "end_offset": 3, "kind": "lost", "reason": "for the test"})]
    );
    let agents = "SELECT role, name, agent_group, partition_count FROM siltstone.agents";
    assert_eq!(lake.json(agents).await.len(), 1);
    let join = "SELECT count(*) AS n FROM siltstone.agents a JOIN siltstone.partitions p ON p.owner = a.id";
    assert_eq!(lake.number(join).await, 1);
    assert_eq!(lake.number("SELECT count(*) AS n FROM siltstone.uploads").await, 0);
    let columns =
        "SELECT count(DISTINCT table_name) AS n FROM information_schema.columns WHERE table_schema = 'siltstone'";
    assert_eq!(lake.number(columns).await, 9);
}

#[tokio::test]
async fn groups_and_their_offsets_can_be_queried_by_those_who_see_their_topics() {
    let lake = Lake::in_memory().await;
    for topic in ["orders", "clicks"] {
        let held = crate::extremes::owned(&lake, topic, 1).await;
        crate::extremes::commit(&lake, &held, (0..=9, 0..=9), &[]).await;
        let offset = ConsumerOffset {
            group_id: format!("of {topic}"),
            topic: name(topic),
            partition_id: 0,
            incarnation: Incarnation(0),
            committed_offset: 4,
            metadata: None,
        };
        lake.catalog.commit_offset(offset).await.expect("committed");
    }
    lake.catalog.ensure_consumer_group("idle").await.expect("made");
    let groups = "SELECT group_id, member_count FROM siltstone.consumer_groups ORDER BY group_id";
    let offsets = "SELECT group_id, topic, partition, incarnation, committed_offset, high_watermark, lag \
                   FROM siltstone.consumer_offsets ORDER BY topic";
    let of = |topic: &str| {
        json!({"group_id": format!("of {topic}"), "topic": topic, "partition": 0, "incarnation": 0, "committed_offset": 4,
               "high_watermark": 10, "lag": 6})
    };
    assert_eq!(lake.json(groups).await.len(), 3);
    assert_eq!(lake.json(offsets).await, [of("clicks"), of("orders")]);
    let scope = query::Scope::default().with_topics(|topic| topic.as_str() == "orders");
    let seen = async |sql: &str| {
        rows_of(lake.session.sql_within(sql, lake.session.settings(), &scope).await.expect(sql)).await
    };
    assert_eq!(seen(groups).await, [json!({"group_id": "of orders", "member_count": 0})]);
    assert_eq!(seen(offsets).await, [of("orders")]);
}

#[tokio::test]
async fn placeholders_take_values_of_the_type_of_their_place() {
    let lake = Lake::in_memory().await;
    let columns = r#"{"format":"json","columns":[{"name":"i","type":"int64"},{"name":"s","type":"string"}]}"#;
    lake.create("t", 1, columns).await;
    lake.settle("t", 0, 0..=9).await;
    let values = |given: &[(&str, &str)]| -> Parameters {
        given.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
    };
    let count = async |sql: &str, given: &[(&str, &str)]| -> Result<usize, QueryError> {
        let frame = lake.session.sql_with_parameters(sql, &values(given)).await?;
        Ok(frame.collect().await?.iter().map(|batch| batch.num_rows()).sum())
    };
    for (sql, given, rows) in [
        ("SELECT * FROM t WHERE i > $1", &[("1", "6")][..], 3),
        ("SELECT * FROM t WHERE s = $name", &[("name", "s7")], 1),
        ("SELECT * FROM t WHERE s = $name", &[("name", "' OR true --")], 0),
        ("SELECT * FROM t WHERE i BETWEEN $low AND $high", &[("low", "2"), ("high", "4")], 3),
        ("SELECT * FROM t WHERE _timestamp < $t", &[("t", "2026-01-01T00:00:03Z")], 3),
        ("SELECT * FROM t WHERE i IN (SELECT i FROM t WHERE _offset = $1)", &[("1", "4")], 1),
        ("SELECT * FROM t LIMIT $1", &[("1", "4")], 4),
        ("SELECT * FROM t", &[], 10),
    ] {
        assert_eq!(count(sql, given).await.expect(sql), rows, "{sql}");
    }
    let null = Parameters::from([("1".to_owned(), None)]);
    for (sql, rows) in [("SELECT * FROM t WHERE i > $1", 0), ("SELECT * FROM t WHERE i > $1 OR $1 IS NULL", 10)] {
        let frame = lake.session.sql_with_parameters(sql, &null).await.expect(sql);
        assert_eq!(frame.count().await.expect(sql), rows, "{sql}");
    }
    for (sql, given, part) in [
        ("SELECT * FROM t WHERE i > $1", &[("1", "many")][..], "\"many\" of $1 is not a value of its type, Int64"),
        ("SELECT * FROM t WHERE i > $1", &[], "$1 has no value"),
        ("SELECT * FROM t WHERE i > $1", &[("1", "1"), ("n", "1")], "no placeholder $n; it has $1"),
        ("SELECT * FROM t", &[("n", "1")], "no placeholder $n; it has none"),
    ] {
        let error = count(sql, given).await.expect_err(sql);
        assert!(matches!(error, QueryError::Parameter(_)) && error.to_string().contains(part), "{sql}: {error}");
    }
}
