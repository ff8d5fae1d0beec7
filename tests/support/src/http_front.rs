//! An HTTP server in front of the real S3 store, which spoils chosen requests: realistic faults for a store's client.
//!
//! Owns: passing whole requests and answers, and spoiling them as scripted. Does not own: the store.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The fault of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// It does not reach the store, and is answered with this status and body.
    AnswerInstead(u16, &'static str),
    /// The store performs it, and the client gets this status.
    AnswerAfterwards(u16),
    /// The store performs it, and the connection ends without an answer.
    LoseReply,
    /// The connection ends in the middle of the body; no byte of it reaches the store.
    CutBody,
    /// The store performs it, and the answer arrives late.
    Delay(Duration),
}

/// A server that listens until it is dropped.
#[derive(Debug)]
pub struct HttpFront {
    address: SocketAddr,
    script: Arc<Mutex<VecDeque<(&'static str, Spoil)>>>,
    accepting: JoinHandle<()>,
}

impl HttpFront {
    /// Listens on a free loopback port for requests to `target`, as `host:port`.
    pub async fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let script = Arc::default();
        let accepting = tokio::spawn(accept(listener, target.to_owned(), Arc::clone(&script)));
        Ok(Self { address, script, accepting })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests of `method` to keys with a segment's ending meet these, one each.
    pub fn spoil(&self, method: &'static str, spoils: impl IntoIterator<Item = Spoil>) {
        let mut script = self.script.lock().expect("no holder panics");
        script.extend(spoils.into_iter().map(|spoil| (method, spoil)));
    }

    /// Number of spoils that no request has met yet.
    pub fn left(&self) -> usize {
        self.script.lock().expect("no holder panics").len()
    }
}

impl Drop for HttpFront {
    fn drop(&mut self) {
        // The connections are in the task's JoinSet and end with it.
        self.accepting.abort();
    }
}

type Script = Arc<Mutex<VecDeque<(&'static str, Spoil)>>>;

async fn accept(listener: TcpListener, target: String, script: Script) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let (target, script) = (target.clone(), Arc::clone(&script));
                // Some tests need a client that disconnects midway.
                connections.spawn(async move { exchange(client, &target, &script).await.ok(); });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request, one answer, and the end of the connection.
async fn exchange(mut client: TcpStream, target: &str, script: &Script) -> Result<()> {
    let mut received = Vec::new();
    let head_length = loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8(received[..head_length].to_vec()).context("a request in ASCII")?;
    let spoil = next_spoil(&head, script);
    if spoil == Some(Spoil::CutBody) {
        return Ok(());
    }
    while received.len() < head_length + body_length(&head) {
        if client.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
    if let Some(Spoil::AnswerInstead(status, body)) = spoil {
        return Ok(client.write_all(plain(status, body).as_bytes()).await?);
    }
    let answer = ask(target, &head, &received[head_length..]).await?;
    match spoil {
        Some(Spoil::LoseReply) => return Ok(()),
        Some(Spoil::AnswerAfterwards(status)) => client.write_all(plain(status, "").as_bytes()).await?,
        Some(Spoil::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            client.write_all(&answer).await?;
        }
        _ => client.write_all(&answer).await?,
    }
    Ok(())
}

/// The first entry of the script, if this request matches it.
fn next_spoil(head: &str, script: &Script) -> Option<Spoil> {
    let mut words = head.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let mut script = script.lock().expect("no holder panics");
    let (wanted, _) = script.front()?;
    if *wanted != method || !path.split('?').next()?.ends_with(".parquet") {
        return None;
    }
    script.pop_front().map(|(_, spoil)| spoil)
}

/// The store's whole answer.
async fn ask(target: &str, head: &str, body: &[u8]) -> Result<Vec<u8>> {
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    lines.retain(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    lines.push("Connection: close");
    let mut store = TcpStream::connect(target).await?;
    store.write_all((lines.join("\r\n") + "\r\n\r\n").as_bytes()).await?;
    store.write_all(body).await?;
    let mut answer = Vec::new();
    store.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn body_length(head: &str) -> usize {
    let value = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    value.unwrap_or(0)
}

fn plain(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Spoiled\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
