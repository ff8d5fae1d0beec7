//! Which version counts, which refusals are doubted, and how often the catalog is asked.

use catalog::{SqliteMetadataStore, TopicConfig, TopicStore};
use common::topic::{ColumnChange, ColumnSpec, ColumnType, Format, TopicOptions};

use super::*;
use crate::pipeline::decode::Source;

fn topic(schema_version: u32, created_at: i64) -> Topic {
    let columns = vec![ColumnSpec::new("a", ColumnType::Int64)];
    Topic {
        name: TopicName::new("t").expect("valid"),
        partition_count: 1,
        retention_ms: None,
        config: TopicOptions { format: Format::Json, columns, ..TopicOptions::default() },
        schema_version,
        created_at,
        updated_at: 0,
    }
}

fn message(payload: &'static str, headers: &[&str]) -> Message {
    Message {
        offset: 0,
        timestamp_us: 0,
        key: None,
        headers: headers.iter().map(|name| ((*name).to_owned(), "0/0/0/0".to_owned())).collect(),
        subject: "t.0".into(),
        payload: payload.into(),
        is_awaited: false,
    }
}

#[test]
fn only_a_later_version_of_the_same_topic_is_taken() {
    let tables = TopicTables::new(&topic(2, 7));
    let mut versions = tables.subscribe();
    for other in [topic(1, 7), topic(2, 7), topic(3, 8)] {
        tables.update(&other);
        assert!(!versions.has_changed().expect("open"), "version {} of {}", other.schema_version, other.created_at);
    }
    tables.update(&topic(4, 7));
    assert_eq!(versions.borrow_and_update().schema_version(), 4);
}

#[test]
fn refusals_and_unknown_members_are_doubted_and_other_rows_are_not() {
    let table = TopicTable::new(&topic(1, 0));
    let is_doubted = |doubt: Doubt, message: Message| {
        let messages = [message];
        let decoded = table.decode(Source::default(), &messages);
        doubt.concerns(&messages) && (decoded.quarantine.is_some() || decoded.has_undeclared())
    };
    for (doubt, bad, replayed_bad) in
        [(Doubt::None, false, false), (Doubt::Replayed, false, true), (Doubt::All, true, true)]
    {
        assert!(!is_doubted(doubt, message("{\"a\":1}", &[REPLAY_OF])));
        assert_eq!(is_doubted(doubt, message("bad", &["Other"])), bad);
        assert_eq!(is_doubted(doubt, message("{\"a\":1,\"b\":2}", &["Other"])), bad, "a new column may be b");
        assert_eq!(is_doubted(doubt, message("bad", &["Other", REPLAY_OF])), replayed_bad);
    }
}

#[tokio::test]
async fn a_look_takes_what_the_catalog_has_and_serves_all_who_asked_before_it() {
    let catalog = SqliteMetadataStore::new_in_memory().await.expect("a catalog");
    let Topic { name, partition_count, retention_ms, config, .. } = topic(0, 0);
    let created = catalog.create_topic(TopicConfig { name: name.clone(), partition_count, retention_ms, config });
    let created = created.await.expect("created");
    let tables = TopicTables::new(&created);
    assert_eq!(tables.doubt(), Doubt::All);
    let update = async |seen: &Topic, column: &str| {
        let declare = vec![ColumnSpec::new(column, ColumnType::String)];
        let options = seen.config.evolve(&ColumnChange { declare, ..ColumnChange::default() }).expect("added");
        catalog.update_topic_config(&name, seen.schema_version, None, options).await.expect("updated")
    };
    let version = || tables.subscribe().borrow().schema_version();
    let second = update(&created, "b").await;
    let asked = Instant::now();
    tables.look(&catalog, asked).await.expect("answered");
    assert_eq!(version(), second.schema_version);
    // However long the answer took.
    *tables.last_look.lock().expect("no holder panics") = Some(Instant::now());
    assert_eq!(tables.doubt(), Doubt::Replayed);
    let third = update(&second, "c").await;
    tables.look(&catalog, asked).await.expect("no question");
    assert_eq!(version(), second.schema_version, "the last look began after this was asked");
    *tables.last_look.lock().expect("no holder panics") = Instant::now().checked_sub(LOOK_INTERVAL);
    assert_eq!(tables.doubt(), Doubt::All);
    tables.look(&catalog, Instant::now()).await.expect("answered");
    assert_eq!(version(), third.schema_version);
}
