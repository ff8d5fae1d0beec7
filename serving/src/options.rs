//! Options of one statement: headers of its request, at the doors where a statement is by itself.
//!
//! Owns: which header is which setting. Does not own: the settings (`lake::query`).

use axum::http::HeaderMap;
use lake::query::SessionSettings;

use crate::error::QueryFailure;

/// The beginning of the headers, each of them a setting of the hot tail.
const PREFIX: &str = "siltstone-hot-tail";

/// Said where a statement sets what no later statement would have.
const REFUSAL: &str = "SET has no effect here, where each statement is by itself; send the headers siltstone-hot-tail, \
                       siltstone-hot-tail-bytes and siltstone-hot-tail-timeout with a statement";

/// The settings of a statement whose request has these headers.
///
/// # Errors
/// A header that is no setting, or has a value that is not allowed.
pub(crate) fn of_headers(settings: SessionSettings, headers: &HeaderMap) -> Result<SessionSettings, QueryFailure> {
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let variable = name.replacen('-', ".", 1).replace('-', "_");
        let set = match value.to_str() {
            Ok(value) => settings.set(&variable, value.trim()).map_err(|error| error.message().into_owned()),
            Err(_) => Err("its value is no text".to_owned()),
        };
        set.map_err(|reason| QueryFailure::invalid(format!("header {name}: {reason}")))?;
    }
    Ok(settings.fixed(REFUSAL))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{HeaderName, HeaderValue};
    use lake::query::{HotTailMode, HotTailSettings};

    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Result<HotTailSettings, QueryFailure> {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        of_headers(SessionSettings::default(), &headers.iter().map(header).collect()).map(|of| of.hot_tail())
    }

    #[test]
    fn headers_are_settings_of_one_statement() {
        let all = [
            ("siltstone-hot-tail", "off"),
            ("siltstone-hot-tail-bytes", " 1024"),
            ("siltstone-hot-tail-timeout", "2s"),
            ("siltstone-query-id", "of a proxy"),
        ];
        let expected = HotTailSettings { mode: HotTailMode::Off, bytes_max: 1024, timeout: Duration::from_secs(2) };
        assert_eq!(of(&all).expect("allowed"), expected);
        assert_eq!(of(&[]).expect("none"), HotTailSettings::default());
    }

    #[test]
    fn wrong_headers_are_refused_with_what_is_allowed() {
        for (header, said) in [
            (("siltstone-hot-tail", "maybe"), "auto, on or off"),
            (("siltstone-hot-tail-bytes", "many"), "a number of bytes"),
            (("siltstone-hot-tail-age", "1"), "what can be set is siltstone.hot_tail"),
        ] {
            let refused = of(&[header]).expect_err("wrong").to_string();
            assert!(refused.contains(header.0) && refused.contains(said), "{refused}");
        }
        let settings = of_headers(SessionSettings::default(), &HeaderMap::new()).expect("none");
        let refused = settings.set("siltstone.hot_tail", "off").expect_err("no session").to_string();
        assert!(refused.contains("send the headers siltstone-hot-tail"), "{refused}");
    }
}
