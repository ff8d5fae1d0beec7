//! Subjects: names made of tokens with dots between, and patterns of them, as NATS has them.
//!
//! Owns: which patterns are valid, and which subjects they match. Does not own: who publishes where (crate `nats`).

use std::fmt;

/// A pattern of subjects: `*` stands for one token, `>` at the end for one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPattern {
    text: String,
}

/// A text that is not a pattern of subjects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no pattern of subjects: allowed are tokens with dots between, without blanks; * stands for a token, and > \
     at the end for the rest"
)]
pub struct InvalidSubjectPattern {
    text: String,
}

impl SubjectPattern {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// A token is empty, or holds a blank, a control character, or a wildcard beside other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidSubjectPattern> {
        let text = text.into();
        let is_plain = |token: &str| {
            !token.is_empty() && !token.chars().any(|c| c.is_whitespace() || c.is_control() || c == '*' || c == '>')
        };
        let last = text.split('.').count() - 1;
        let mut tokens = text.split('.').enumerate();
        match tokens.all(|(place, token)| is_plain(token) || token == "*" || (token == ">" && place == last)) {
            true => Ok(Self { text }),
            false => Err(InvalidSubjectPattern { text }),
        }
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of its wildcards.
    pub fn wildcards(&self) -> usize {
        self.text.split('.').filter(|token| is_wildcard(token)).count()
    }

    /// What each wildcard stands for in `subject`, in order; `None` if the subject does not match.
    pub fn parts<'s>(&self, subject: &'s str) -> Option<Vec<&'s str>> {
        let mut parts = Vec::new();
        let mut rest = Some(subject);
        for wanted in self.text.split('.') {
            let left = rest?;
            if wanted == ">" {
                parts.push(left);
                return Some(parts);
            }
            let token = match left.split_once('.') {
                Some((token, behind)) => {
                    rest = Some(behind);
                    token
                }
                None => {
                    rest = None;
                    left
                }
            };
            match wanted {
                "*" => parts.push(token),
                wanted if wanted == token => {}
                _ => return None,
            }
        }
        rest.is_none().then_some(parts)
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_wildcard(token: &str) -> bool {
    token == "*" || token == ">"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_subjects_that_nats_says() {
        let parts = |pattern: &str, subject| {
            let pattern = SubjectPattern::new(pattern).expect("valid");
            pattern.parts(subject).map(|parts| parts.join("|"))
        };
        for (pattern, subject, expected) in [
            ("logs.*", "logs.web", Some("web")),
            ("logs.*", "logs", None),
            ("logs.*", "logs.web.eu", None),
            ("logs.*.eu", "logs.web.eu", Some("web")),
            ("logs.*.eu", "logs.web.us", None),
            ("logs.>", "logs.web.eu", Some("web.eu")),
            ("logs.>", "logs", None),
            ("*.*", "a.b", Some("a|b")),
            ("*.>", "a.b.c", Some("a|b.c")),
            (">", "a.b", Some("a.b")),
            ("logs", "logs", Some("")),
            ("logs", "LOGS", None),
        ] {
            assert_eq!(parts(pattern, subject).as_deref(), expected, "{pattern} {subject}");
        }
        let wildcards = |pattern: &str| SubjectPattern::new(pattern).expect("valid").wildcards();
        assert_eq!((wildcards("a"), wildcards("a.*.b.>")), (0, 2));
    }

    #[test]
    fn a_text_that_is_no_pattern_is_refused() {
        for text in ["", ".", "a.", "a..b", "a b", "a.>.b", "a.b*", "a>", "\u{7}"] {
            let error = SubjectPattern::new(text).expect_err(text).to_string();
            assert!(error.contains("* stands for a token"), "{error}");
        }
    }
}
