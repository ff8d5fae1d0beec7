//! Cases: topics and partitions.

use catalog::{CatalogError, ConsumerOffset, MetadataStore, PartitionState};
use common::topic::TopicOptions;
use common::{ErrorKind, Incarnation};

use super::fixture::*;

pub(crate) async fn test_create_and_get_topic(store: &dyn MetadataStore) {
    let mut config = topic_config("orders", 3);
    config.retention_ms = Some(7 * 24 * 3600 * 1000);
    let created = store.create_topic(config.clone()).await.expect("created");
    let topic = store.get_topic(&name("orders")).await.expect("read").expect("exists");
    assert_eq!(topic, created);
    assert_eq!((topic.partition_count, topic.retention_ms, topic.schema_version), (3, Some(604_800_000), 1));
    assert_eq!(topic.config, config.config);
    // Milliseconds, by the database: after 2020 and before 2100.
    assert!((1_577_836_800_000..4_102_444_800_000).contains(&topic.created_at), "{}", topic.created_at);
    assert_eq!(topic.created_at, topic.updated_at);
    let partitions = store.list_partitions(&name("orders")).await.expect("listed");
    assert_eq!(partitions.iter().map(|partition| partition.partition_id).collect::<Vec<_>>(), [0, 1, 2]);
    for partition in partitions {
        assert_eq!((partition.high_watermark, partition.commit_no, partition.epoch.0), (0, 0, 0));
        assert_eq!((partition.owner, partition.anchor, partition.state), (None, None, PartitionState::Active));
        assert_eq!((partition.incarnation, partition.created_at), (Incarnation(0), topic.created_at));
    }
}

pub(crate) async fn test_duplicate_topic_fails(store: &dyn MetadataStore) {
    create_topic(store, "orders", 3).await;
    let error = store.create_topic(topic_config("orders", 5)).await.expect_err("exists");
    assert!(matches!(&error, CatalogError::TopicAlreadyExists(name) if name == "orders"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(store.list_partitions(&name("orders")).await.expect("listed").len(), 3);
}

pub(crate) async fn topics_are_listed_by_name(store: &dyn MetadataStore) {
    assert!(store.list_topics().await.expect("listed").is_empty());
    for topic in ["b", "a", "C", "é", "a-b", "ab"] {
        create_topic(store, topic, 1).await;
    }
    let names: Vec<String> = store.list_topics().await.expect("listed").iter().map(|t| t.name.to_string()).collect();
    assert_eq!(names, ["C", "a", "a-b", "ab", "b", "é"]);
}

pub(crate) async fn an_invalid_definition_is_refused(store: &dyn MetadataStore) {
    let error = store.create_topic(topic_config("orders", 0)).await.expect_err("no partition");
    assert!(matches!(&error, CatalogError::Refused(reason) if reason.contains("partition_count")), "{error}");
    let mut config = topic_config("orders", 1);
    config.retention_ms = Some(u64::MAX);
    let error = store.create_topic(config).await.expect_err("too long");
    assert!(matches!(&error, CatalogError::Refused(reason) if reason.contains("retention_ms")), "{error}");
    assert!(store.get_topic(&name("orders")).await.expect("read").is_none());
    create_topic(store, "orders", 1).await;
    let wrong: TopicOptions = serde_json::from_str(r#"{"format":"json"}"#).expect("parses");
    let error = store.update_topic_config(&name("orders"), 1, None, wrong).await.expect_err("no columns");
    assert!(matches!(error, CatalogError::Refused(_)), "{error}");
}

pub(crate) async fn changed_options_raise_the_schema_version_and_equal_ones_do_not(store: &dyn MetadataStore) {
    let created = create_topic(store, "orders", 2).await;
    let kept = store.update_topic_config(&created.name, 1, Some(5), created.config.clone()).await.expect("updated");
    assert_eq!((kept.schema_version, kept.retention_ms), (1, Some(5)));
    let columns = r#"{"format":"json","columns":[{"name":"it's \"x\" %","type":"string"}]}"#;
    let options: TopicOptions = serde_json::from_str(columns).expect("parses");
    let changed = store.update_topic_config(&created.name, 1, None, options.clone()).await.expect("updated");
    assert_eq!((changed.schema_version, changed.retention_ms), (2, None));
    assert_eq!((&changed.config, changed.partition_count), (&options, 2));
    assert_eq!(store.get_topic(&created.name).await.expect("read"), Some(changed));
    let error = store.update_topic_config(&name("absent"), 1, None, options).await.expect_err("absent");
    assert!(matches!(error, CatalogError::TopicNotFound(_)), "{error}");
}

pub(crate) async fn a_change_of_options_leaves_the_retention_alone(store: &dyn MetadataStore) {
    let created = create_topic(store, "orders", 1).await;
    store.update_topic_config(&created.name, 1, Some(7), created.config.clone()).await.expect("updated");
    let columns = r#"{"format":"json","columns":[{"name":"x","type":"string"}]}"#;
    let options: TopicOptions = serde_json::from_str(columns).expect("parses");
    let changed = store.update_topic_options(&created.name, 1, options.clone()).await.expect("updated");
    assert_eq!((changed.schema_version, changed.retention_ms, &changed.config), (2, Some(7), &options));
    let refused = store.update_topic_options(&created.name, 1, created.config).await.expect_err("an old version");
    assert!(matches!(refused, CatalogError::TopicChanged { seen: 1, now: 2, .. }), "{refused}");
    let absent = store.update_topic_options(&name("absent"), 1, options).await.expect_err("absent");
    assert!(matches!(absent, CatalogError::TopicNotFound(_)), "{absent}");
}

pub(crate) async fn of_two_changes_of_one_version_the_second_is_refused(store: &dyn MetadataStore) {
    let created = create_topic(store, "orders", 1).await;
    let with = |column: &str| -> TopicOptions {
        let text = format!(r#"{{"format":"json","columns":[{{"name":"{column}","type":"string"}}]}}"#);
        serde_json::from_str(&text).expect("parses")
    };
    let change = |column| store.update_topic_config(&created.name, created.schema_version, None, with(column));
    let (one, other) = tokio::join!(change("a"), change("b"));
    let (changed, refused) = match (one, other) {
        (Ok(changed), Err(refused)) | (Err(refused), Ok(changed)) => (changed, refused),
        both => panic!("exactly one of them is refused: {both:?}"),
    };
    assert!(matches!(&refused, CatalogError::TopicChanged { topic, seen: 1, now: 2 } if topic == &created.name));
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("its schema version is 2, not 1"), "{refused}");
    assert_eq!(store.get_topic(&created.name).await.expect("read"), Some(changed.clone()), "nothing is overwritten");
    let again = store.update_topic_config(&created.name, changed.schema_version, None, with("c")).await;
    assert_eq!(again.expect("its version was looked at").schema_version, 3);
}

pub(crate) async fn a_deleted_topic_takes_everything_along_and_may_be_made_again(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    assert_done(&commit(store, &gap_request(&held, 10, 19)).await, 20);
    let offset = ConsumerOffset {
        group_id: "g".to_owned(),
        topic: name("orders"),
        partition_id: 0,
        incarnation: Incarnation(0),
        committed_offset: 5,
        metadata: None,
    };
    store.commit_offset(offset).await.expect("committed");
    store.delete_topic(&name("orders")).await.expect("deleted");
    let gone = &held.partition;
    assert!(store.get_topic(&name("orders")).await.expect("read").is_none());
    assert!(store.get_partition(gone).await.expect("read").is_none());
    assert!(store.get_segments(gone).await.expect("read").is_empty());
    assert!(store.list_gaps(gone).await.expect("read").is_empty());
    assert!(store.get_consumer_offsets("g").await.expect("read").is_empty());
    assert_fenced(commit(store, &gap_request(&held, 20, 29)).await);
    assert!(matches!(store.delete_topic(&name("orders")).await, Err(CatalogError::TopicNotFound(_))));
    create_topic(store, "orders", 1).await;
    assert_eq!(get_partition(store, gone).await.high_watermark, 0);
    assert!(store.get_segments(gone).await.expect("read").is_empty());
}

pub(crate) async fn nothing_meant_for_a_deleted_topic_fits_one_made_again(store: &dyn MetadataStore) {
    let mut held = owned(store, "orders").await;
    for _ in 0..3 {
        store.delete_topic(&name("orders")).await.expect("deleted");
        create_topic(store, "orders", 2).await;
        // The same owner at the same watermark: only the epoch differs.
        let again = take(store, held.owner, &held.partition).await;
        assert!(again.epoch > held.epoch, "{again:?} after {held:?}");
        assert_fenced(commit(store, &gap_request(&held, 0, 9)).await);
        let late = store.record_intents(&intents(&request(&held, 0, 9))).await;
        assert!(matches!(late[..], [Err(CatalogError::Fenced { .. })]), "{late:?}");
        assert_eq!(get_partition(store, &held.partition).await.high_watermark, 0);
        let other = take(store, held.owner, &partition("orders", 1)).await;
        assert_eq!(other.epoch, again.epoch, "new partitions too");
        // Partitions of different epochs: the highest counts.
        held = take(store, held.owner, &held.partition).await;
    }
}

pub(crate) async fn names_with_quotes_unicode_and_percent_are_only_names(store: &dyn MetadataStore) {
    let names = ["o'brien", "\"quoted\"", "100%", "日志", "a'; DROP TABLE topics; --", "$1", "?", "a b"];
    for topic in names {
        let held = owned(store, topic).await;
        commit_range(store, &held, 0, 9).await;
        assert_eq!(store.snapshot(&name(topic)).await.expect("read").segments.len(), 1, "{topic}");
        let offset = ConsumerOffset {
            group_id: topic.to_owned(),
            topic: name(topic),
            partition_id: 0,
            incarnation: Incarnation(0),
            committed_offset: 7,
            metadata: Some(topic.to_owned()),
        };
        store.commit_offset(offset.clone()).await.expect("committed");
        assert_eq!(store.get_consumer_offsets(topic).await.expect("read"), [offset]);
    }
    assert_eq!(store.list_topics().await.expect("listed").len(), names.len());
    store.delete_topic(&name("100%")).await.expect("deleted");
    assert_eq!(store.list_topics().await.expect("listed").len(), names.len() - 1, "a name is not a pattern");
}

pub(crate) async fn an_absent_topic_is_told_apart_from_an_empty_one(store: &dyn MetadataStore) {
    create_topic(store, "empty", 1).await;
    assert!(store.snapshot(&name("empty")).await.expect("exists").segments.is_empty());
    assert!(
        matches!(store.snapshot(&name("absent")).await, Err(CatalogError::TopicNotFound(name)) if name == "absent")
    );
    assert!(store.get_topic(&name("absent")).await.expect("read").is_none());
    assert!(store.list_partitions(&name("absent")).await.expect("read").is_empty());
    assert!(store.get_partition(&partition("empty", 1)).await.expect("read").is_none());
    store.check().await.expect("answers");
}

pub(crate) async fn a_topic_of_thousands_of_partitions_is_created_at_once(store: &dyn MetadataStore) {
    create_topic(store, "wide", 20_000).await;
    let partitions = store.list_partitions(&name("wide")).await.expect("listed");
    assert!(partitions.iter().map(|partition| partition.partition_id).eq(0..20_000));
}

pub(crate) async fn a_watermark_moves_forward_only_while_nobody_owns_the_partition(store: &dyn MetadataStore) {
    create_topic(store, "orders", 1).await;
    let orders = partition("orders", 0);
    store.update_high_watermark(&orders, 100).await.expect("moved");
    store.update_high_watermark(&orders, 100).await.expect("stays");
    assert_eq!(get_partition(store, &orders).await.high_watermark, 100);
    let error = store.update_high_watermark(&orders, 99).await.expect_err("back");
    assert!(matches!(error, CatalogError::InvalidOffset { offset: 99, .. }), "{error}");
    let error = store.update_high_watermark(&partition("orders", 1), 1).await.expect_err("absent");
    assert!(matches!(error, CatalogError::PartitionNotFound { partition: 1, .. }), "{error}");
    let held = take(store, agent(store).await, &orders).await;
    assert_eq!(held.high_watermark, 100);
    let error = store.update_high_watermark(&orders, 200).await.expect_err("owned");
    assert!(matches!(error, CatalogError::Fenced { .. }), "{error}");
    commit_range(store, &held, 100, 149).await;
    store.release(&[held]).await.expect("released");
    store.update_high_watermark(&orders, 200).await.expect("moved");
    let now = get_partition(store, &orders).await;
    assert_eq!((now.high_watermark, now.anchor), (200, None), "nobody knows the message before it");
}

pub(crate) async fn the_worked_example_answers_every_question(store: &dyn MetadataStore) {
    create_topic(store, "orders", 3).await;
    let ranges = [(0, 0, 99_999), (0, 100_000, 199_999), (1, 0, 149_999)];
    for (partition_id, base, end) in ranges {
        store.add_segment(imported(&partition("orders", partition_id), base, end)).await.expect("listed");
        store.update_high_watermark(&partition("orders", partition_id), end + 1).await.expect("moved");
    }
    for (partition_id, committed_offset) in [(0, 180_000), (1, 140_000)] {
        let (group_id, topic, incarnation) = ("analytics".to_owned(), name("orders"), Incarnation(0));
        let offset = ConsumerOffset { group_id, topic, partition_id, incarnation, committed_offset, metadata: None };
        store.commit_offset(offset).await.expect("committed");
    }
    let first = partition("orders", 0);
    let found = store.find_segment_for_offset(&first, 150_000).await.expect("read").expect("found");
    assert_eq!((found.range, found.record_count), (range(100_000, 199_999), 100_000));
    assert_eq!(store.list_topics().await.expect("listed")[0].name, name("orders"));
    assert_eq!(store.get_topic(&name("orders")).await.expect("read").expect("exists").partition_count, 3);
    assert_eq!(get_partition(store, &partition("orders", 1)).await.high_watermark, 150_000);
    assert_eq!(get_partition(store, &partition("orders", 2)).await.high_watermark, 0);
    let read_to = store.get_committed_offset("analytics", &first).await.expect("read").expect("committed");
    assert_eq!((read_to.incarnation, read_to.offset), (Incarnation(0), 180_000));
    assert_eq!(store.get_consumer_offsets("analytics").await.expect("read")[1].committed_offset, 140_000);
    assert_eq!(store.snapshot(&name("orders")).await.expect("read").segments.len(), 3);
}
