//! The door of the HTTP service: who may come in, the id of each request, and its line in the log.
//!
//! Owns: the hosts and the origins that are served, the headers that let pages of this machine read answers.
//! Does not own: tokens (`access`), the handlers behind it.
//!
//! Browsers carry requests of any page to the machine that they run on. So an `Origin` of another machine is refused (a
//! foreign page), and where no token is asked for, a `Host` that is not this machine (a foreign name that was made to
//! point here): such a page has no token.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::access::Seen;
use super::error::{ApiError, Code};
use super::metrics::Measured;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Time for which a browser need not ask again.
const PREFLIGHT_SECS: &str = "3600";

/// Lets a request in or refuses it; every answer carries the request's id.
pub(super) async fn guard(mut request: Request, next: Next) -> Response {
    let seen = request.extensions_mut().get_or_insert_default::<Seen>().clone();
    let measured = Measured::begin(seen.clone(), request.method());
    let id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match check_origin(request.headers()) {
        Err(error) => error.into_response(),
        Ok(()) if origin.is_some() && is_preflight(&request) => preflight(request.headers()),
        Ok(()) => next.run(request).await,
    };
    if let Some(origin) = origin.filter(is_local_origin) {
        share(response.headers_mut(), origin);
    }
    let status = response.status();
    response.headers_mut().insert(REQUEST_ID, id.clone());
    let (id, ms) = (id.to_str().unwrap_or_default(), measured.ms());
    let (status_code, token) = (status.as_u16(), seen.caller());
    if status.is_server_error() {
        tracing::warn!(request_id = id, %method, path, status = status_code, ms, token, "request failed");
    } else {
        tracing::debug!(request_id = id, %method, path, status = status_code, ms, token, "request answered");
    }
    measured.answered(status);
    response
}

/// The client's id if it is plain text, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= REQUEST_ID_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic)
    };
    headers
        .get(REQUEST_ID)
        .filter(is_plain)
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).expect("a uuid is printable"))
}

/// Refuses a request whose `Host` is not this machine.
///
/// # Errors
/// `HostNotAllowed`.
pub(super) fn check_host(headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let in_headers = headers.get_all(header::HOST).into_iter().map(|host| host.to_str().unwrap_or("?").to_owned());
    let in_uri = uri.authority().map(ToString::to_string);
    match in_headers.chain(in_uri).find(|host| !is_local_host(host)) {
        Some(host) => Err(ApiError::new(
            Code::HostNotAllowed,
            format!("Host {host:?} is not served without a token; allowed is localhost, 127.0.0.1 or [::1]"),
        )),
        None => Ok(()),
    }
}

fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::ORIGIN) {
        Some(origin) if !is_local_origin(origin) => Err(ApiError::new(
            Code::OriginNotAllowed,
            format!("pages of {origin:?} are not served; allowed are those of localhost, 127.0.0.1 and [::1]"),
        )),
        _ => Ok(()),
    }
}

/// True for `localhost`, `127.…` and `[::1]`, with any port.
fn is_local_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_local_address = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (is_local_address || name.eq_ignore_ascii_case("localhost")) && !host.contains('@')
}

/// The same for the origin of a page.
fn is_local_origin(origin: &HeaderValue) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme).is_some_and(is_local_host))
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Any header may follow: those of records have names of the client's choice.
fn preflight(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answer = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST, PATCH, DELETE");
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECS));
    if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

/// Lets the page read the answer.
fn share(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers
        .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-request-id, retry-after, location"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_served() {
        for host in ["localhost", "LocalHost:8081", "127.0.0.1", "127.8.0.1:1", "[::1]:8081", "[::1]"] {
            assert!(is_local_host(host), "{host}");
        }
        for host in
            ["example.com", "localhost.example.com", "127.0.0.1.nip.io", "10.0.0.1", "[::2]", "", "x@localhost", "a b"]
        {
            assert!(!is_local_host(host), "{host}");
        }
    }

    #[test]
    fn only_pages_of_this_machine_are_served() {
        let origin = |text: &'static str| is_local_origin(&HeaderValue::from_static(text));
        assert!(origin("http://localhost:3000") && origin("https://127.0.0.1") && origin("http://[::1]:5173"));
        assert!(!origin("http://evil.example") && !origin("null") && !origin("file://") && !origin("localhost"));
        assert!(!origin("http://localhost.evil.example") && !origin("http://localhost@evil.example"));
    }

    #[test]
    fn an_id_of_the_client_is_kept_if_it_is_plain() {
        let id = |text: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(text).expect("a value"))]);
            request_id(&headers).to_str().expect("text").to_owned()
        };
        assert_eq!(id("abc-1"), "abc-1");
        for strange in ["a b", "", &"x".repeat(129)] {
            assert_eq!(id(strange).len(), 36, "a uuid instead of {strange:?}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
