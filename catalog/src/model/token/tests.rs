//! Grants as text, and what follows from them.

use super::*;
use crate::model::TokenSecret;

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("valid")
}

fn grant(text: &str) -> Grant {
    text.parse().expect(text)
}

fn token(grants: &[&str]) -> Token {
    let secret = TokenSecret::generate();
    Token {
        id: secret.id().to_owned(),
        name: "ci".to_owned(),
        hash: secret.hash(),
        grants: grants.iter().map(|text| grant(text)).collect(),
        created_at: 1,
        expires_at: None,
        revoked_at: None,
    }
}

#[test]
fn a_grant_is_rights_and_topics() {
    for text in ["produce:orders", "produce,read:logs*", "admin:*", "read:a:b", "produce:a*b"] {
        assert_eq!(grant(text).to_string(), text);
        let json = serde_json::to_string(&grant(text)).expect("serializes");
        assert_eq!(serde_json::from_str::<Grant>(&json).expect("parses"), grant(text));
    }
    assert_eq!(grant("read, produce,read:x").to_string(), "produce,read:x");
    for (text, part) in [
        ("orders", "RIGHTS:TOPICS"),
        ("write:orders", "\"write\" is no right; allowed are produce, read and admin"),
        (":orders", "\"\" is no right"),
        ("read:", "it is empty"),
        ("read:a\u{7}*", "control character"),
    ] {
        let error = text.parse::<Grant>().expect_err(text);
        assert!(error.contains(part), "{error}");
    }
    assert!(serde_json::from_str::<Grant>(r#"{"rights":["read"],"topics":""}"#).is_err());
}

#[test]
fn a_right_counts_on_the_topics_of_its_own_grant_alone() {
    let token = token(&["produce:orders", "read:logs*", "admin:a*b"]);
    assert!(token.may(Right::Produce, &topic("orders")));
    for other in ["orders2", "order", "Orders", "logs"] {
        assert!(!token.may(Right::Produce, &topic(other)), "{other}");
    }
    assert!(token.may(Right::Read, &topic("logs")) && token.may(Right::Read, &topic("logs.eu")));
    assert!(!token.may(Right::Read, &topic("log")) && !token.may(Right::Read, &topic("orders")));
    assert!(
        token.may(Right::Admin, &topic("a*b")) && !token.may(Right::Admin, &topic("aXb")),
        "only a last star counts"
    );
    assert!(Right::ALL.iter().all(|right| token.may_somewhere(*right)));
    let everything = super::tests::token(&["admin:*"]);
    assert!(everything.may(Right::Admin, &topic("x")) && !everything.may(Right::Read, &topic("x")));
    assert!(!everything.may_somewhere(Right::Produce));
}

#[test]
fn a_token_ends_with_its_time_or_its_revocation() {
    let token = Token { expires_at: Some(100), ..token(&["read:x"]) };
    assert_eq!([99, 100].map(|now| token.state(now)), [TokenState::Valid, TokenState::Expired]);
    let revoked = Token { revoked_at: Some(5), ..token };
    assert_eq!(revoked.state(0), TokenState::Revoked);
}

#[test]
fn the_hash_is_never_shown() {
    let secret = TokenSecret::generate();
    let token = Token { hash: secret.hash(), ..token(&["read:x"]) };
    let (json, debug) = (serde_json::to_string(&token).expect("serializes"), format!("{token:?} {secret:?}"));
    for text in [json, debug] {
        assert!(!text.contains(&secret.hash().to_hex()) && !text.contains(secret.expose()), "{text}");
    }
}
