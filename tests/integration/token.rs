//! Tokens on the command line: created, listed, revoked; the secret is shown once.

use serde_json::json;

use crate::binary::Siltstone;

#[tokio::test]
async fn a_token_is_shown_once_listed_without_its_secret_and_revoked() {
    let siltstone = Siltstone::new();
    siltstone.run(&["token", "list"]).await.fails(1, &["no catalog at"]);
    let create = ["token", "create", "shop", "--allow", "produce:orders", "--allow", "read,admin:logs*"];
    let created = siltstone.run(&create).await.ok();
    let secret = created.out.trim_end().to_owned();
    assert!(secret.starts_with("slt_") && secret.len() == 85 && !secret.contains(char::is_whitespace), "{secret}");
    for part in ["created token shop for produce:orders read,admin:logs*; it does not expire", "shown this once"] {
        assert!(created.err.contains(part), "{}", created.err);
    }
    assert!(!created.err.contains(&secret), "standard output alone has it");
    let listed = siltstone.run(&["token", "list"]).await.ok();
    listed.says(&["shop", "produce:orders read,admin:logs*", "valid", "never"]);
    let in_json = siltstone.run(&["token", "list", "--json"]).await.ok();
    let token = &in_json.json()[0];
    assert_eq!((&token["name"], &token["state"]), (&json!("shop"), &json!("valid")));
    assert_eq!(token["grants"][1], json!({ "rights": ["read", "admin"], "topics": "logs*" }));
    let (_, last) = secret.rsplit_once('_').expect("a secret");
    for shown in [&listed.out, &in_json.out] {
        assert!(!shown.contains(last) && !shown.contains("hash"), "{shown}");
    }
    siltstone.run(&create).await.fails(1, &["token shop exists", "revoke it first"]);
    siltstone.run(&["token", "revoke", "shop"]).await.ok().says(&["revoked token shop"]);
    siltstone.run(&["token", "list"]).await.ok().says(&["revoked"]);
    siltstone.run(&["token", "revoke", "shop"]).await.fails(1, &["token not found: shop", "siltstone token list"]);
    siltstone.run(&create).await.ok();
}

#[tokio::test]
async fn a_token_in_json_and_with_an_end() {
    let siltstone = Siltstone::new();
    let create = ["token", "create", "ci", "--allow", "read:*", "--expires-in", "1ms", "--json"];
    let created = siltstone.run(&create).await.ok().json();
    assert!(created["secret"].as_str().is_some_and(|secret| secret.starts_with("slt_")), "{created}");
    assert_eq!(created["token"]["name"], "ci");
    siltstone.run(&["token", "list"]).await.ok().says(&["ci", "expired"]);
    let ended = siltstone.run(&["token", "create", "later", "--allow", "read:*", "--expires-in", "90d"]).await.ok();
    assert!(ended.err.contains("it expires at 20"), "{}", ended.err);
}

#[tokio::test]
async fn a_star_that_stands_for_itself_is_noted() {
    let siltstone = Siltstone::new();
    let inside = siltstone.run(&["token", "create", "a", "--allow", "produce:or*ders"]).await.ok();
    assert!(inside.err.contains("\"or*ders\" means the star itself"), "{}", inside.err);
    let behind = siltstone.run(&["token", "create", "b", "--allow", "produce:or*"]).await.ok();
    assert!(!behind.err.contains("star"), "{}", behind.err);
}

#[tokio::test]
async fn wrong_grants_and_names_are_refused_before_anything_is_made() {
    let siltstone = Siltstone::new();
    let create = async |rest: &[&str]| siltstone.run(&[&["token", "create"][..], rest].concat()).await;
    create(&["ci"]).await.fails(2, &["--allow <RIGHTS:TOPICS>"]);
    create(&["ci", "--allow", "orders"]).await.fails(2, &["RIGHTS:TOPICS", "produce:orders"]);
    create(&["ci", "--allow", "write:orders"]).await.fails(2, &["\"write\" is no right", "produce, read and admin"]);
    create(&["ci", "--allow", "read:"]).await.fails(2, &["it is empty"]);
    create(&["", "--allow", "read:x"]).await.fails(2, &["1 to 100 printable characters"]);
    create(&["ci", "--allow", "read:x", "--expires-in", "0s"]).await.fails(2, &["--expires-in", "more than 0"]);
    create(&["ci", "--allow", "read:x", "--expires-in", "soon"]).await.fails(2, &["\"soon\" is not a duration"]);
    assert!(!siltstone.data().exists(), "no catalog was made");
}
