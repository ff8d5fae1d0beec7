//! The token of a request.
//!
//! Owns: reading `Authorization`, and the answer to a caller who is not served. Does not own: the tokens
//! (`catalog::Callers`), which right a route demands (`access`).

use axum::http::{HeaderMap, header};
use catalog::{NotServed, Presented};

use super::error::{ApiError, Code};

/// The token of the header `Authorization`. What was sent is in no text: it may be a secret of another service.
pub(super) fn presented(headers: &HeaderMap) -> Presented {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Presented::Nothing };
    if values.next().is_some() {
        return Presented::Other("the header Authorization is given twice");
    }
    let (scheme, token) = value.to_str().unwrap_or_default().split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Other("the header Authorization is not `Bearer TOKEN`");
    }
    match Presented::text(token) {
        Presented::Other(_) => Presented::Other("what follows `Bearer` is no token of this service"),
        presented => presented,
    }
}

impl From<NotServed> for ApiError {
    fn from(refusal: NotServed) -> Self {
        match refusal {
            NotServed::NoToken => {
                let text = "a token is needed: send `Authorization: Bearer TOKEN`; `siltstone token create` makes one";
                Self::new(Code::Unauthenticated, text)
            }
            NotServed::InvalidToken(text) => Self::new(Code::InvalidToken, text),
            NotServed::Forbidden(text) => Self::new(Code::Forbidden, text),
            NotServed::Catalog(error) => error.into(),
            NotServed::Silent => Self::new(Code::Unavailable, refusal.to_string()),
        }
    }
}
