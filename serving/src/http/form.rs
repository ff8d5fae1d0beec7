//! The form of an answer: what `Accept` asks for.
//!
//! Owns: the media types, and the choice among those that a client names. Does not own: writing (`body`).

use axum::http::{HeaderMap, Version, header};

use super::answer::Refusal;

/// A form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An array of objects.
    Json,
    /// An object in each line.
    JsonLines,
    /// A line of names, then a line for each row.
    Csv,
    /// The stream of Arrow IPC.
    Arrow,
    /// A Parquet file.
    Parquet,
}

impl Form {
    /// In the order of preference, where a client leaves the choice.
    const ALL: [Self; 5] = [Self::Json, Self::JsonLines, Self::Csv, Self::Arrow, Self::Parquet];

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The form that the headers ask for.
    pub(super) fn accepted(headers: &HeaderMap) -> Result<Self, Refusal> {
        let values: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let ranges: Vec<(f32, &str)> = values.iter().flat_map(|value| value.split(',')).filter_map(range).collect();
        if ranges.is_empty() {
            return Ok(Self::Json);
        }
        // The first of those that are wanted most. A form has the quality of the range that names it most closely.
        let mut best: Option<(f32, Self)> = None;
        for (place, (quality, _)) in ranges.iter().enumerate() {
            let named = |form: &Self| form.closest(&ranges) == Some(place);
            if let Some(form) = Self::ALL.into_iter().find(named)
                && *quality > best.map_or(0.0, |(most, _)| most)
            {
                best = Some((*quality, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            let known = Self::ALL.map(Self::essence).join(", ");
            Refusal::not_acceptable(format!(
                "Accept {:?} names no form of an answer; allowed are {known}",
                values.join(", ")
            ))
        })
    }

    /// Refuses a version of HTTP in which a client could not see that rows are missing: its bodies end with the connection, and
    /// these forms have no end of their own.
    pub(super) fn check_end(self, version: Version) -> Result<(), Refusal> {
        match self {
            Self::Csv | Self::JsonLines if version < Version::HTTP_11 => Err(Refusal::http_version(format!(
                "{} needs HTTP/1.1, where an answer that is cut off is seen; for a proxy such as nginx, proxy_http_version 1.1; \
                 application/json is sent in any version",
                self.essence()
            ))),
            _ => Ok(()),
        }
    }

    /// The place of the range that names the form most closely.
    fn closest(self, ranges: &[(f32, &str)]) -> Option<usize> {
        let names = |test: &dyn Fn(&str) -> bool| ranges.iter().position(|(_, range)| self.is_in(range) && test(range));
        names(&|range| !range.ends_with("/*")).or_else(|| names(&|range| range != "*/*")).or_else(|| names(&|_| true))
    }

    fn essence(self) -> &'static str {
        self.media_type().split(';').next().unwrap_or_default()
    }

    fn is_in(self, range: &str) -> bool {
        let essence = self.essence();
        let kind = range.strip_suffix("/*");
        range == "*/*" || range.eq_ignore_ascii_case(essence) || kind.is_some_and(|kind| essence.starts_with(kind))
    }
}

/// A media range with its quality, 0 if it is not wanted; `None` if it is empty.
fn range(text: &str) -> Option<(f32, &str)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0)), range))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accepted(accept: &str) -> Result<Form, Refusal> {
        Form::accepted(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_str(accept).expect("a value"))]))
    }

    #[test]
    fn the_form_is_the_first_of_those_that_are_wanted_most() {
        assert_eq!(Form::accepted(&HeaderMap::new()).expect("any"), Form::Json);
        for (accept, form) in [
            ("*/*", Form::Json),
            ("text/csv", Form::Csv),
            ("text/*", Form::Csv),
            ("image/png, application/vnd.apache.arrow.stream", Form::Arrow),
            ("text/csv;q=0.5, application/x-ndjson", Form::JsonLines),
            ("application/vnd.apache.parquet, */*;q=0.1", Form::Parquet),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Form::Json),
            ("application/json;q=0, */*", Form::JsonLines),
            ("*/*, application/*;Q=0", Form::Csv),
            ("*/*;q=0.9, application/json;q=0.1", Form::JsonLines),
        ] {
            assert_eq!(accepted(accept).expect("a form"), form, "{accept}");
        }
        for accept in ["text/html, text/csv;q=0", "application/json;q=0", "*/*;q=0"] {
            let Err(Refusal::Wrong(code, status, text)) = accepted(accept) else {
                panic!("nothing that is wanted can be made: {accept}")
            };
            assert_eq!((code, status.as_u16()), ("not_acceptable", 406), "{accept}");
            assert!(text.contains(accept) && text.contains("application/x-ndjson"), "{text}");
        }
    }

    #[test]
    fn a_form_without_an_end_needs_a_body_with_one() {
        for form in Form::ALL {
            let old = form.check_end(Version::HTTP_10);
            assert_eq!(old.is_err(), [Form::Csv, Form::JsonLines].contains(&form), "{form:?}");
            if let Err(Refusal::Wrong(code, status, text)) = old {
                assert_eq!((code, status.as_u16()), ("http_version", 505));
                assert!(text.contains("proxy_http_version 1.1"), "{text}");
            }
            form.check_end(Version::HTTP_11).expect("its chunks have an end");
            form.check_end(Version::HTTP_2).expect("its frames have an end");
        }
    }
}
