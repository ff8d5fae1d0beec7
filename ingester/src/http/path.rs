//! The topic in a path.
//!
//! Owns: reading its name. Does not own: which names are valid (`common::ids`), which topics exist (the catalog).

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use common::TopicName;

use super::error::ApiError;

/// The name of the topic in the path of a request.
pub(super) struct TopicPath(pub(super) TopicName);

impl<S: Send + Sync> FromRequestParts<S> for TopicPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
            ApiError::invalid(format!("the topic in the path cannot be read: {}", error.body_text()))
        })?;
        TopicName::new(name).map(Self).map_err(|error| ApiError::invalid(error.to_string()))
    }
}
