//! The last guard against a client that panics over a setting.
//!
//! Owns: turning the panic of a store's client into an error, at its building and at its first requests.
//! Does not own: refusing settings before a client sees them (`common::config`).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;

/// Runs `build`; its panic is an error that quotes it.
pub(super) fn contained<T>(build: impl FnOnce() -> T) -> Result<T, String> {
    // Whatever a panic left half built is dropped with it.
    catch_unwind(AssertUnwindSafe(build)).map_err(|panic| quoted(panic.as_ref()))
}

/// The same for a request.
pub(super) async fn contained_request<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    let answered = AssertUnwindSafe(request).catch_unwind().await;
    answered.unwrap_or_else(|panic| {
        Err(object_store::Error::Generic { store: "client", source: quoted(panic.as_ref()).into() })
    })
}

fn quoted(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the store's client cannot work with its settings ({})", text.unwrap_or("it does not say why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let error = contained(|| -> u8 { panic!("no {}", "scheme") }).expect_err("panics");
        assert!(error.contains("(no scheme)"), "{error}");
        let error = contained_request(async { panic!("no host") }).await.map(|(): ()| ()).expect_err("panics");
        assert!(error.to_string().contains("(no host)"), "{error}");
        assert_eq!(contained(|| 7), Ok(7));
    }
}
