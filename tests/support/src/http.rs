//! A small HTTP client for tests: one request per connection, with the whole answer visible.
//!
//! Owns: sending a request and reading the whole answer. Does not own: TLS (`https`), redirects, retries.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text, with invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// `GET http://host:port/path`.
pub async fn get(url: &str) -> Result<Response> {
    request("GET", url, &[], b"").await
}

/// `POST` with a body; the caller gives the headers, this function adds the length.
pub async fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
    request("POST", url, headers, body).await
}

/// Any request. With HTTP/1.0 the answer ends with the connection, so no chunks need decoding.
pub async fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response> {
    exchange("http://", (method, url), headers, body, async |authority| Ok(TcpStream::connect(authority).await?)).await
}

/// A request on a connection that `connect` opens to the authority of the URL.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    scheme: &str,
    (method, url): (&str, &str),
    headers: &[(&str, &str)],
    body: &[u8],
    connect: impl AsyncFnOnce(&str) -> Result<S>,
) -> Result<Response> {
    let rest = url.strip_prefix(scheme).with_context(|| format!("not an {scheme} URL: {url:?}"))?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = (&rest[..slash], if slash == rest.len() { "/" } else { &rest[slash..] });
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {authority}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let exchange = async {
        let mut stream = connect(authority).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = timeout(DEADLINE, exchange).await.with_context(|| format!("no answer from {url} in {DEADLINE:?}"))?;
    parse(&answer.with_context(|| format!("{method} {url}"))?).with_context(|| format!("{method} {url}"))
}

fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no end of headers")?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("the answer has no status")?.parse()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Ok(Response { status, headers, body: answer[end + 4..].to_vec() })
}
