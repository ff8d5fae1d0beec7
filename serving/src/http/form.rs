//! The form of an answer: what `Accept` asks for.
//!
//! Owns: the media types, and the choice among those that a client names. Does not own: writing (`body`).

use axum::http::{HeaderMap, header};

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
        // The first of those that are wanted most.
        let mut best: Option<(f32, Self)> = None;
        for (quality, wanted) in ranges {
            if let Some(form) = Self::ALL.into_iter().find(|form| form.is_in(wanted))
                && best.is_none_or(|(most, _)| quality > most)
            {
                best = Some((quality, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            let known = Self::ALL.map(Self::essence).join(", ");
            Refusal::media_type(format!(
                "Accept {:?} names no form of an answer; allowed are {known}",
                values.join(", ")
            ))
        })
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

/// A media range with its quality; `None` if it is empty or not wanted.
fn range(text: &str) -> Option<(f32, &str)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    (quality > 0.0).then_some((quality, range))
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
        ] {
            assert_eq!(accepted(accept).expect("a form"), form, "{accept}");
        }
        let Err(Refusal::Wrong(code, status, text)) = accepted("text/html, text/csv;q=0") else {
            panic!("nothing that is wanted can be made")
        };
        assert_eq!((code, status.as_u16()), ("unsupported_media_type", 415));
        assert!(text.contains("text/html") && text.contains("application/x-ndjson"), "{text}");
    }
}
