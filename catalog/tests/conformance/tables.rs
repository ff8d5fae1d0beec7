//! Cases: topics as tables for readers of DuckLake.

use catalog::{MetadataStore, ObjectsPlace, OpenTables, TableColumn, TableId, quarantine_columns, table_columns};
use common::topic::TopicOptions;

use super::fixture::*;

fn options(columns: &str) -> TopicOptions {
    serde_json::from_str(&format!(r#"{{"format":"json","columns":[{columns}]}}"#)).expect("parses")
}

async fn open_tables(store: &dyn MetadataStore) -> OpenTables {
    store.open_tables(None).await.expect("read")
}

fn columns_of(tables: &OpenTables, table: TableId) -> Vec<TableColumn> {
    tables.columns.iter().filter(|(of, _)| *of == table).map(|(_, column)| column.clone()).collect()
}

pub(crate) async fn each_topic_is_two_tables_whose_columns_follow_its_options(store: &dyn MetadataStore) {
    create_topic(store, "others", 1).await;
    let mut config = topic_config("orders", 1);
    config.config = options(r#"{"name":"a","type":"int32"},{"name":"b","type":{"list":"string"}}"#);
    let created = store.create_topic(config).await.expect("created");
    let opened = open_tables(store).await;
    let names: Vec<&str> = opened.topics.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["orders", "others"]);
    let tables = opened.topics[0].1;
    assert_eq!(columns_of(&opened, tables.data), table_columns(&created.config));
    assert_eq!(columns_of(&opened, tables.quarantine), quarantine_columns());

    // Wider, renamed, dropped, added.
    let next = options(
        r#"{"name":"a2","type":"int64","id":100,"from":"a"},{"name":"c","type":"bool","id":103}],"next_column_id":104,"streams":["#,
    );
    let updated = store.update_topic_config(&name("orders"), 1, None, next).await.expect("updated");
    let opened = open_tables(store).await;
    let columns = columns_of(&opened, tables.data);
    assert_eq!(columns, table_columns(&updated.config));
    let told: Vec<_> =
        columns.iter().filter(|column| column.id >= 100).map(|column| (column.id, &column.name)).collect();
    assert_eq!(told, [(100, &"a2".to_owned()), (103, &"c".to_owned())]);

    store.delete_topic(&name("orders")).await.expect("deleted");
    let opened = open_tables(store).await;
    assert_eq!(opened.topics.len(), 1);
    assert!(columns_of(&opened, tables.data).is_empty() && columns_of(&opened, tables.quarantine).is_empty());
    assert_eq!(columns_of(&opened, opened.topics[0].1.data).len(), 11);
}

pub(crate) async fn live_objects_have_the_address_of_their_store(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    commit_range(store, &held, 0, 9).await;
    commit_range(store, &held, 10, 19).await;
    let object = store.get_segments(&held.partition).await.expect("read")[0].object.clone();
    let files = |tables: &OpenTables| tables.files.clone().expect("the views are readable");
    let address = |tables: &OpenTables| {
        files(tables).iter().find_map(|file| Some(file.path.strip_suffix(object.key.as_str())?.to_owned()))
    };
    let opened = open_tables(store).await;
    assert_eq!((files(&opened).len(), address(&opened).as_deref()), (2, Some("/unknown/")));
    assert_eq!((files(&opened)[0].table_id, files(&opened)[0].record_count), (opened.topics[0].1.data, 10));
    for root in ["s3://old/", "s3://new/"] {
        store.record_root(&object.bucket, root).await.expect("recorded");
        let opened = open_tables(store).await;
        assert_eq!(opened.roots, [(object.bucket.clone(), root.to_owned())]);
        assert_eq!(address(&opened).as_deref(), Some(root));
    }
    assert_eq!(store.delete_segments_before(&held.partition, 15).await.expect("expired"), 1);
    let opened = open_tables(store).await;
    let rows: Vec<u64> = files(&opened).iter().map(|file| file.record_count).collect();
    assert_eq!(rows, [10], "retired objects are not live");
}

pub(crate) async fn the_place_of_the_objects_is_that_of_live_ones(store: &dyn MetadataStore) {
    let held = owned(store, "orders").await;
    assert_eq!(store.objects_place("lake").await.expect("read"), ObjectsPlace::default(), "there is nothing yet");
    commit_range(store, &held, 0, 9).await;
    commit_range(store, &held, 10, 19).await;
    store.record_root("lake", "s3://lake/").await.expect("recorded");
    store.record_root("", "/data/").await.expect("recorded");
    let keys: Vec<String> =
        store.get_segments(&held.partition).await.expect("read").iter().map(|of| of.object.key.clone()).collect();
    let (own, other) = (Some("s3://lake/".to_owned()), Some("/data/".to_owned()));
    let place = store.objects_place("lake").await.expect("read");
    let object = keys.iter().min().cloned();
    assert_eq!(place, ObjectsPlace { root: own.clone(), object, ..ObjectsPlace::default() });
    let seen = store.objects_place("").await.expect("read");
    let other_bucket = Some("lake".to_owned());
    assert_eq!(seen, ObjectsPlace { root: other, object: None, other_bucket, other_root: own });
    store.delete_topic(&name("orders")).await.expect("deleted");
    assert_eq!(store.objects_place("").await.expect("read").other_bucket, None, "retired objects do not count");
}
