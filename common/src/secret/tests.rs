//! No rendering of a URL shows its password, and whatever else it says stays readable.

use proptest::prelude::*;

use super::*;

#[test]
fn the_password_is_masked_up_to_the_last_at() {
    for (url, shown) in [
        ("postgres://lake:top@secret/word@127.0.0.1:1/db", "postgres://lake:********@127.0.0.1:1/db"),
        ("postgres://lake:a?b#c&d@h/db", "postgres://lake:********@h/db"),
        ("postgres://lake@h/db?sslmode=require", "postgres://lake@h/db?sslmode=require"),
        (
            "postgres://h/db?user=u&password=se&cret&sslmode=require",
            "postgres://h/db?user=u&password=********&********&sslmode=require",
        ),
        ("postgres://h/db?user=u&password=se@cret", "postgres://********"),
        ("mysql://u:hush@h/d", "mysql://u:********@h/d"),
        ("nats://u:pa,ss@h:4222", "nats://u:********@h:4222"),
        ("nats://a:1,b:2", "nats://a:1,b:2"),
        ("nats://me:x@one:4222,nats://me:x@two", "nats://me:********@one:4222,nats://me:********@two"),
        ("nats://t0ken@h", "nats://********@h"),
        ("me:x@h:4222", "me:********@h:4222"),
        ("s3://key:secret@lake/x", "s3://key:********@lake/x"),
        ("s3://lake/a@b", "s3://lake/a@b"),
        ("abfss://container@account/x", "abfss://container@account/x"),
        ("az://c/x?sv=1&sig=abc", "az://c/x?sv=1&sig=********"),
        ("sqlite:./a@b:c.db", "sqlite:./a@b:c.db"),
        ("host=h user=u password=x", "********"),
        ("http://[::1]:8222", "http://[::1]:8222"),
    ] {
        assert_eq!(masked_url(url), shown);
        let (display, debug) = (SecretUrl::from(url).to_string(), format!("{:?}", SecretUrl::from(url)));
        assert_eq!((display, debug), (shown.to_owned(), format!("{shown:?}")));
        assert_eq!(serde_json::to_value(SecretUrl::from(url)).expect("JSON"), shown);
    }
    assert_eq!(format!("{} {:?}", Secret::from("s3cret"), Secret::from("s3cret")), "******** ********");
}

#[test]
fn texts_of_libraries_are_scrubbed_in_every_form() {
    remember_url("postgres://lake:only%40here%22x@h/db");
    for text in [
        "bad URL postgres://lake:only%40here%22x@h/db",
        "no login with only@here\"x",
        r#"{"error":"only@here\"x"}"#,
        r#"Some("only@here\"x")"#,
    ] {
        let clean = scrubbed(text);
        assert!(clean.contains(HIDDEN) && !clean.contains("here"), "{clean}");
    }
    remember("abc12");
    assert_eq!(scrubbed("abc12 and xabc12"), "******** and xabc12");
    for text in [
        "nothing to hide",
        "cannot connect to nats://127.0.0.1:4222: refused",
        "error for url (http://127.0.0.1:9000), which is http://[::1]:9000.",
        r#"{"a":"b \"http://h:1\""}"#,
        "nothing behind ://",
    ] {
        assert_eq!(scrubbed(text), text);
    }
    assert_eq!(scrubbed("(at x://u:p@h:1): bad"), "(at x://u:********@h:1): bad");
}

#[test]
fn our_own_texts_stay_whole_and_values_like_them_are_masked() {
    for doc in crate::config::SETTINGS {
        for text in [doc.allowed, doc.about, doc.default] {
            assert_eq!(scrubbed(text), text, "{}", doc.name);
        }
    }
    let refused = crate::AgentUrl::new("ftp://x").expect_err("no HTTP").to_string();
    assert_eq!(scrubbed(&refused), refused);
    for (value, shown) in [
        ("nats://host:port1", "nats://host:********"),
        ("postgres://user:password@host/lake", "postgres://user:********@host/lake"),
    ] {
        assert_eq!(scrubbed(value), shown);
    }
    assert_eq!(masked_url("nats://host:port"), "nats://host:********", "a value may be any word");
}

/// Characters of passwords that people take unencoded into URLs.
fn password() -> impl Strategy<Value = String> {
    "[A-Z0-9@:/?#&=%+,; !$'\"\\[\\]\\\\-]{4,24}"
}

/// The parts of a password that somebody could recognise.
fn pieces(password: &str) -> Vec<&str> {
    password.split(|c: char| !c.is_ascii_uppercase()).filter(|piece| piece.len() >= 3).collect()
}

proptest! {
    #[test]
    fn no_piece_of_a_password_is_ever_shown(password in password(), scheme in 0..6_usize, at_end in any::<bool>()) {
        let scheme = ["postgres", "postgresql", "nats", "tls", "s3", "mysql"][scheme];
        let url = if at_end && !password.contains("://") {
            format!("{scheme}://host/db?user=me&password={password}")
        } else {
            format!("{scheme}://me:{password}@host:1/db")
        };
        let masked = SecretUrl::from(url.as_str());
        for shown in [masked.to_string(), format!("{masked:?}"), serde_json::to_string(&masked).expect("JSON")] {
            prop_assert!(!shown.contains(password.as_str()), "{} shows {}", shown, password);
            for piece in pieces(&password) {
                prop_assert!(!shown.contains(piece), "{} shows {} of {}", shown, piece, password);
            }
        }
    }
}
