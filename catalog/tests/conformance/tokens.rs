//! Cases: tokens of the HTTP service.

use catalog::{CatalogError, MetadataStore, NewToken, TokenSecret};

/// A token that is to be created, with a secret of its own.
pub(crate) fn token(name: &str, grants: &[&str]) -> NewToken {
    let secret = TokenSecret::generate();
    NewToken {
        id: secret.id().to_owned(),
        name: name.to_owned(),
        hash: secret.hash(),
        grants: grants.iter().map(|grant| grant.parse().expect("a grant")).collect(),
        expires_at: None,
    }
}

pub(crate) async fn a_token_is_listed_as_it_was_created(store: &dyn MetadataStore) {
    assert_eq!(store.list_tokens().await.expect("listed"), []);
    let wanted =
        NewToken { expires_at: Some(2_000_000_000_000), ..token("ci", &["produce:a*", "read,admin:it's \"b\""]) };
    let created = store.create_token(wanted.clone()).await.expect("created");
    assert_eq!((&created.id, &created.name, &created.grants), (&wanted.id, &wanted.name, &wanted.grants));
    assert_eq!((created.hash, created.expires_at, created.revoked_at), (wanted.hash, wanted.expires_at, None));
    assert!(created.created_at > 0, "the database's time");
    let other = store.create_token(token("Admin é", &["admin:*"])).await.expect("created");
    assert_eq!(store.list_tokens().await.expect("listed"), [other, created], "by the bytes of the names");
}

pub(crate) async fn a_name_belongs_to_one_token_until_that_is_revoked(store: &dyn MetadataStore) {
    let first = store.create_token(token("ci", &["read:*"])).await.expect("created");
    let error = store.create_token(token("ci", &["read:*"])).await.expect_err("the name is taken");
    assert!(matches!(&error, CatalogError::TokenExists(name) if name == "ci"), "{error}");
    let same_id = NewToken { id: first.id.clone(), ..token("other", &["read:*"]) };
    assert!(matches!(store.create_token(same_id).await, Err(CatalogError::TokenExists(_))));
    let revoked = store.revoke_token("ci").await.expect("revoked");
    assert_eq!((&revoked.id, revoked.revoked_at.is_some()), (&first.id, true));
    let error = store.revoke_token("ci").await.expect_err("no other is left");
    assert!(matches!(&error, CatalogError::TokenNotFound(name) if name == "ci"), "{error}");
    let second = store.create_token(token("ci", &["read:*"])).await.expect("the name is free again");
    let listed = store.list_tokens().await.expect("listed");
    assert_eq!(listed.len(), 2, "a revoked token stays");
    assert!(listed.contains(&revoked) && listed.contains(&second));
    assert_eq!(store.revoke_token("ci").await.expect("revoked").id, second.id);
    assert!(store.list_tokens().await.expect("listed").iter().all(|token| token.revoked_at.is_some()));
}

pub(crate) async fn a_token_that_is_of_no_use_is_refused(store: &dyn MetadataStore) {
    let no_right = NewToken { grants: vec![], ..token("ci", &[]) };
    for (wrong, part) in [
        (token("", &["read:*"]), "1 to 100 printable characters"),
        (token(&"x".repeat(101), &["read:*"]), "1 to 100 printable characters"),
        (token("a\0", &["read:*"]), "printable"),
        (no_right, "1 to 100 grants"),
        (token("ci", &["read:*"; 101]), "1 to 100 grants"),
    ] {
        let error = store.create_token(wrong).await.expect_err(part);
        assert!(matches!(error, CatalogError::Refused(_)) && error.to_string().contains(part), "{error}");
    }
    assert!(store.revoke_token("a\0").await.is_err());
    store.create_token(token(&"é".repeat(100), &["read:*"])).await.expect("the longest name");
    assert_eq!(store.list_tokens().await.expect("listed").len(), 1);
}
