//! The answers of readers if an object that the catalog lists was deleted or altered by hand.

use super::{copy_of, numbers, object, orders, publish, settle};

#[tokio::test]
async fn readers_of_a_deleted_or_altered_object_get_an_error_that_names_it() {
    let (nats, lake) = orders().await;
    publish(&nats, 0, numbers(0..1000)).await;
    settle(&lake).await;
    let select = ["query", "--json", "SELECT count(n) AS count, sum(n) AS sum FROM orders"];
    let whole = lake.run(&select).await.ok().json();
    assert_eq!((&whole["count"], &whole["sum"]), (&1000.into(), &499_500.into()));
    let name = |path: &std::path::Path| path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();

    let gone = copy_of(&lake, &nats);
    let path = object(&gone, "data", 0).await;
    std::fs::remove_file(&path).expect("removed");
    gone.run(&select).await.fails(1, &[&name(&path), "siltstone audit"]);

    let cut = copy_of(&lake, &nats);
    let path = object(&cut, "data", 0).await;
    std::fs::File::options().write(true).open(&path).expect("opened").set_len(100).expect("cut");
    cut.run(&select).await.fails(1, &[&name(&path), "siltstone audit"]);

    // Parquet's pages have no checksums: a reader without verification may return another value, or an error that
    // names the object; one with verification never returns another value.
    let length = std::fs::metadata(object(&lake, "data", 0).await).expect("there").len();
    let verified = ["query", "--json", "--verify", select[2]];
    assert_eq!(lake.run(&verified).await.ok().json(), whole);
    for step in 0..24 {
        let flipped = copy_of(&lake, &nats);
        let path = object(&flipped, "data", 0).await;
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[usize::try_from(length * step / 24).expect("small")] ^= 0x10;
        std::fs::write(&path, bytes).expect("written");
        let answer = flipped.run(&select).await;
        assert!(!answer.err.contains("panicked"), "{answer:?}");
        if answer.code != 0 {
            answer.fails(1, &[&name(&path), "siltstone audit"]);
        }
        let refused = flipped.run(&verified).await;
        refused.fails(1, &[&name(&path), "its CRC-32C is", "siltstone audit"]);
        assert_eq!(flipped.run(&["audit", "orders"]).await.code, 1, "the audit finds every one");
    }
}
