//! The server's monitoring page, if it has one: settings that the JetStream API does not report.
//!
//! Owns: one request over plain HTTP, and parsing the relevant fields. Does not own: their judgement (`diagnose`).
//! Source: <https://docs.nats.io/running-a-nats-service/nats_admin/monitoring#general-information-varz>.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use common::secret::SecretUrl;

const PORT_DEFAULT: u16 = 8222;
const DEADLINE: Duration = Duration::from_secs(3);
/// The page has some kilobytes; a longer answer is not from a NATS server.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The syncing of JetStream's store, according to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sync {
    /// Every write is synced before it is confirmed.
    pub(super) always: bool,
    /// Interval between syncs otherwise.
    pub(super) interval: Duration,
}

#[derive(Deserialize)]
struct Varz {
    server_id: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

/// The page's address: `told` if set, else that of the server at the first of `nats_urls`.
pub(super) fn page(told: Option<&SecretUrl>, nats_urls: &str) -> Result<String, String> {
    if let Some(told) = told {
        let url = Url::parse(told.expose()).map_err(|error| format!("NATS_MONITOR_URL={told}: {error}"))?;
        if url.scheme() != "http" {
            return Err(format!("NATS_MONITOR_URL={told}: only http:// can be read"));
        }
        let port = url.port().unwrap_or(80);
        return Ok(format!("{}:{port}", url.host_str().unwrap_or_default()));
    }
    let first = nats_urls.split(',').next().unwrap_or_default().trim();
    let with_scheme = if first.contains("://") { first.to_owned() } else { format!("nats://{first}") };
    let url = Url::parse(&with_scheme).map_err(|error| error.to_string())?;
    Ok(format!("{}:{PORT_DEFAULT}", url.host_str().unwrap_or("127.0.0.1")))
}

/// The syncing of the store of the server `server_id`, according to the page at `authority`.
pub(super) async fn sync_of(authority: &str, server_id: &str) -> Result<Sync, String> {
    let read = tokio::time::timeout(DEADLINE, get(authority)).await;
    let answer = read.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    read_page(&answer, server_id)
}

/// HTTP/1.0, so that the answer ends with the connection.
async fn get(authority: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(format!("GET /varz HTTP/1.0\r\nHost: {authority}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read_page(answer: &[u8], server_id: &str) -> Result<Sync, String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no HTTP answer")?;
    let status = String::from_utf8_lossy(&answer[..end]).lines().next().unwrap_or_default().to_owned();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("it answered {status:?}"));
    }
    let page: Varz = serde_json::from_slice(&answer[end + 4..]).map_err(|error| error.to_string())?;
    if page.server_id != server_id {
        return Err("another server answers there".to_owned());
    }
    let config = page.jetstream.config.ok_or("the page says nothing of JetStream")?;
    Ok(Sync { always: config.sync_always, interval: Duration::from_nanos(config.sync_interval) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_on_the_usual_port_of_the_first_server() {
        assert_eq!(page(None, "nats://me:s3cret@one:4333,two"), Ok("one:8222".to_owned()));
        assert_eq!(page(None, "one"), Ok("one:8222".to_owned()));
        assert_eq!(page(Some(&"http://one:9000/".into()), "two"), Ok("one:9000".to_owned()));
        assert!(page(Some(&"https://one".into()), "two").expect_err("TLS").contains("http://"));
        assert!(page(Some(&"one".into()), "two").expect_err("no URL").contains("NATS_MONITOR_URL"));
    }

    #[test]
    fn the_page_is_believed_when_it_is_the_servers_own() {
        let body = r#"{"server_id":"A","jetstream":{"config":{"sync_interval":120000000000}}}"#;
        let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
        let lazily = Sync { always: false, interval: Duration::from_secs(120) };
        assert_eq!(read_page(answer.as_bytes(), "A"), Ok(lazily));
        assert!(read_page(answer.as_bytes(), "B").expect_err("another").contains("another server"));
        let always = answer.replace("120000000000", "120000000000,\"sync_always\":true");
        assert!(read_page(always.as_bytes(), "A").expect("readable").always);
        for answer in ["", "HTTP/1.0 404 Not Found\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n<html>"] {
            read_page(answer.as_bytes(), "A").expect_err(answer);
        }
    }
}
