//! Each setting of the manual is given wrong values of its kind, and values at the ends of what it allows.
//!
//! A new setting is covered by its entry in the manual.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::read;
use crate::config::{Kind, SETTINGS, SettingDoc, Settings};

/// Values that no setting of the kind may take.
fn wrong(doc: &SettingDoc) -> Vec<String> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    match doc.kind {
        Kind::Choice(words) => {
            let first = words[0];
            vec!["no such thing".to_owned(), first.to_uppercase(), format!("{first}s"), format!("{first},{first}")]
        }
        Kind::Number(min, max) => {
            let outside = [format!("{}", max + 1), "99999999999999999999999999".to_owned(), format!("-{max}")];
            let below = min.checked_sub(1).map(|below| below.to_string());
            let written =
                ["5s", "64MB", "1_000", "1,000", "1.5", "1e3", "0x10", "soon", "--1", "٣", "5 5", "NaN", "true"];
            outside.into_iter().chain(below).chain(texts(&written)).collect()
        }
        Kind::Path => texts(&["~/data", "~", "~user/data", "a\0b"]),
        Kind::Url => texts(&[
            "no such thing",
            "127.0.0.1:x",
            "ftp://h",
            "//h",
            "http:/h",
            "://",
            "nats:/h",
            "postgres:/u@h",
            "s3:/bucket",
            "nats://h:99999",
            "postgres://u:a@b@h/d",
            "postgres://u:a/b@h/d",
            "s3://b/a?b",
            "s3://b/a#b",
            "sqlite:~/x",
            "a\nb",
        ]),
        Kind::Text => texts(&["a\nb", "a\u{7f}", "a\0b", "a\u{1b}[31m"]),
        Kind::AgentGroup => texts(&["a b", "a/b", "ü", "a\nb", "a,b", "*"]),
        Kind::AgentUrl => texts(&[
            "host:1",
            "ftp://h",
            "http://u:p@h",
            "http://h?x",
            "http://h#x",
            "http://h:99999",
            "http:/",
            "a\nb",
        ]),
        Kind::SubjectToken => texts(&["a.b", "*", ">", "a b", "ü", "a\nb"]),
        Kind::Topics => texts(&["a,,b", ",", "a,", "a\nb", "a, ,b"]),
        Kind::Address => {
            texts(&["here", ":8080", "127.0.0.1", "127.0.0.1:99999", "localhost:8080", "http://127.0.0.1:1"])
        }
        Kind::LogLevel => {
            texts(&["warning", "err", "information", "info,", "writer=", "nobody=info", "5", "info debug"])
        }
    }
}

#[test]
fn every_setting_refuses_wrong_values_by_its_name() {
    for doc in SETTINGS {
        for value in wrong(doc) {
            let result = read(&[(doc.name, &value)]);
            let error = result.expect_err(&format!("{}={value:?} is wrong", doc.name));
            assert!(error.contains(doc.name), "{}={value:?}: {error}", doc.name);
            assert!(!error.chars().any(char::is_control), "{error:?}");
            let is_short = value.chars().count() < 4;
            assert!(!doc.secret || is_short || !error.contains(&value), "{error}");
            assert!(error.starts_with("invalid setting: "), "{error}");
        }
    }
}

#[test]
fn every_setting_refuses_what_is_no_text() {
    for doc in SETTINGS {
        let value = OsString::from_vec(vec![b'a', 0xff, b'b']);
        let error = Settings::from_vars([(doc.name.into(), value)]).expect_err(doc.name).to_string();
        assert!(error.contains(&format!("{}=", doc.name)) && error.contains("not UTF-8"), "{error}");
        assert!(!doc.secret || !error.contains("a\u{fffd}b"), "{error}");
    }
}

#[test]
fn every_number_takes_the_ends_of_its_range_and_its_manual_states_them() {
    let mut numbers = 0;
    for doc in SETTINGS {
        let Kind::Number(min, max) = doc.kind else { continue };
        for value in [min, max] {
            read(&[(doc.name, &value.to_string())]).expect(doc.name);
            read(&[(doc.name, &format!("  {value} "))]).expect("blanks around a number");
        }
        let stated: Vec<u64> = doc.allowed.split(" to ").map(stated_number).collect();
        assert_eq!(stated, [min, max], "{}", doc.name);
        let error = read(&[(doc.name, "5s")]).expect_err("a unit");
        assert!(error.contains(doc.allowed) && error.contains("without a unit"), "{error}");
        numbers += 1;
    }
    assert!(numbers > 5, "{numbers}");
}

/// A number of the manual: digits, or a power such as 2^40.
fn stated_number(text: &str) -> u64 {
    match text.split_once('^') {
        Some((base, exponent)) => base.parse::<u64>().expect("a base").pow(exponent.parse().expect("an exponent")),
        None => text.parse().expect("digits"),
    }
}

#[test]
fn every_choice_takes_each_of_its_words_and_its_manual_states_them() {
    for doc in SETTINGS {
        let Kind::Choice(words) = doc.kind else { continue };
        let stated: Vec<&str> = doc.allowed.split(", ").flat_map(|part| part.split(" or ")).collect();
        assert_eq!(stated, words, "{}", doc.name);
        for word in words.iter().filter(|word| doc.name != "STORAGE_TYPE" || ["local", "memory"].contains(word)) {
            read(&[(doc.name, word)]).expect(word);
        }
    }
}

#[test]
fn unset_is_the_same_as_empty_or_blank() {
    for doc in SETTINGS {
        for value in ["", " ", " \t\n"] {
            assert_eq!(read(&[(doc.name, value)]).expect(doc.name), Settings::default(), "{}", doc.name);
        }
    }
}

#[test]
fn paths_and_secrets_are_taken_as_they_are_written() {
    for path in ["./quest?ion", "./per%20cent", "./a#b", " leading", "a b", "a\nb", "ü*[;\"'", "./~"] {
        let settings = read(&[("STORAGE_PATH", path)]).expect(path);
        assert_eq!(settings.storage_path.to_str(), Some(path));
        let catalog = settings.catalog_place();
        assert_eq!(catalog, crate::config::CatalogPlace::File(settings.storage_path.join("catalog.db")), "{path}");
    }
    let settings = read(&[("NATS_TOKEN", " a b ")]).expect("valid");
    assert_eq!(settings.nats_token.expect("set").expose(), " a b ");
}
