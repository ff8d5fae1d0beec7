//! A client over HTTP that costs little: one connection, one request at a time, no look at the answer beyond its status.
//!
//! Owns: writing a request, and reading the answer to its end. Does not own: the load (`http`).

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The end of the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A connection that stays.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A request as it is sent, head and body.
pub(super) fn request(addr: SocketAddr, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Type: {content_type}\r\nContent-Length: {length}");
    [head.as_bytes(), HEAD_END, body].concat()
}

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let connected = TcpStream::connect(addr).await;
        let stream = connected.context(
            "a client cannot connect; each takes two open files of this process, and `ulimit -n` shows how many there may be",
        )?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads its answer, which must be a success.
    pub(super) async fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let mut whole = None;
        while whole.is_none_or(|length| self.received.len() < length) {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the server ended the connection in the middle of an answer");
            }
            if whole.is_none() {
                whole = whole_length(&self.received)?;
            }
        }
        if !self.received.starts_with(b"HTTP/1.1 200 ") {
            bail!("a request was not answered with success: {}", String::from_utf8_lossy(&self.received));
        }
        Ok(())
    }
}

/// Length of head and body, once the head has arrived.
fn whole_length(received: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = received.windows(HEAD_END.len()).position(|window| window == HEAD_END) else { return Ok(None) };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("an answer without Content-Length")?.trim().parse()?;
    Ok(Some(end + HEAD_END.len() + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_head_and_body_have_arrived() {
        assert_eq!(whole_length(b"HTTP/1.1 200 OK\r\nContent-Le").expect("no error"), None);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab";
        assert_eq!(whole_length(head).expect("a length"), Some(head.len() + 3));
        assert!(whole_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
