//! The faulty network: the effect of each of its faults on a connection.

use std::time::Duration;

use anyhow::Result;
use support::proxy::{Direction, Mode, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
/// Time without an event that counts as never.
const QUIET: Duration = Duration::from_millis(100);

/// A server that echoes its input, and a proxy in front of it.
struct Echo {
    proxy: Proxy,
    /// The bytes that the server received in each connection, sent when it ended.
    received: mpsc::Receiver<Vec<u8>>,
    _tasks: JoinSet<()>,
}

impl Echo {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let target = listener.local_addr()?;
        // More than the connections of any test.
        let (ended, received) = mpsc::channel(100);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut echoes = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                echoes.spawn(echo(stream, ended.clone()));
            }
        });
        Ok(Self { proxy: Proxy::start(target).await?, received, _tasks: tasks })
    }

    async fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(self.proxy.address()).await?)
    }

    /// A connection through which a byte has passed both ways.
    async fn connected(&self) -> Result<TcpStream> {
        let mut stream = self.connect().await?;
        stream.write_u8(1).await?;
        assert_eq!(byte_from(&mut stream).await, Some(1));
        Ok(stream)
    }

    /// The bytes that the server received in an ended connection.
    async fn received(&mut self) -> Vec<u8> {
        timeout(PATIENCE, self.received.recv()).await.expect("an end in time").expect("the server runs")
    }
}

async fn echo(mut stream: TcpStream, ended: mpsc::Sender<Vec<u8>>) {
    let (mut received, mut buffer) = (Vec::new(), vec![0; 1024]);
    loop {
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        received.extend(&buffer[..length]);
        if length == 0 || stream.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    // The test may have ended without asking for them.
    let _ = ended.send(received).await;
}

async fn byte_from(stream: &mut TcpStream) -> Option<u8> {
    timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").ok()
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(QUIET, stream.read_u8()).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_passes_stalls_and_passes_again() -> Result<()> {
    let echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    echo.proxy.set(Mode::Stall);
    stream.write_u8(2).await?;
    assert!(is_silent(&mut stream).await, "a byte passed a stalled proxy");
    echo.proxy.set(Mode::Pass);
    assert_eq!(byte_from(&mut stream).await, Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_cuts_refuses_and_drops_replies() -> Result<()> {
    let echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    echo.proxy.cut();
    assert_eq!(byte_from(&mut stream).await, None, "a cut connection is open");

    echo.proxy.set(Mode::Refuse);
    let mut refused = echo.connect().await?;
    assert_eq!(byte_from(&mut refused).await, None, "a refused connection is open");

    echo.proxy.set(Mode::DropReplies);
    let mut deaf = echo.connect().await?;
    deaf.write_u8(3).await?;
    timeout(PATIENCE, echo.proxy.lost_at_least(1)).await.expect("the reply is lost in time");
    echo.proxy.set(Mode::Pass);
    deaf.write_u8(4).await?;
    assert_eq!(byte_from(&mut deaf).await, Some(4), "the dropped reply came back");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_byte_comes_later() -> Result<()> {
    let echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    echo.proxy.set(Mode::Delay(QUIET));
    stream.write_u8(2).await?;
    assert!(is_silent(&mut stream).await, "a byte passed twice without delay");
    assert_eq!(byte_from(&mut stream).await, Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_happens_after_exactly_so_many_bytes_to_the_server() -> Result<()> {
    let mut echo = Echo::start().await?;
    for bytes in 0..20 {
        let mut stream = echo.connected().await?;
        let happened = echo.proxy.cut_after(Direction::ToServer, bytes as u64);
        stream.write_all(&[7; 20]).await?;
        timeout(PATIENCE, happened).await.expect("in time").expect("it happened");
        assert_eq!(echo.received().await.len(), 1 + bytes);
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time")?;
        assert!(answer.len() <= bytes, "more came back than arrived");
    }
    echo.connected().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_happens_after_exactly_so_many_bytes_to_the_client() -> Result<()> {
    let echo = Echo::start().await?;
    for bytes in 0..20 {
        let mut stream = echo.connected().await?;
        let before = echo.proxy.passed(Direction::ToClient);
        let happened = echo.proxy.cut_after(Direction::ToClient, bytes as u64);
        stream.write_all(&[7; 20]).await?;
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time")?;
        assert_eq!(answer.len(), bytes);
        timeout(PATIENCE, happened).await.expect("in time").expect("it happened");
        assert_eq!(echo.proxy.passed(Direction::ToClient) - before, bytes as u64);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_was_disarmed_does_not_happen() -> Result<()> {
    let echo = Echo::start().await?;
    let happened = echo.proxy.cut_after(Direction::ToServer, 2);
    echo.connected().await?;
    echo.proxy.disarm();
    assert!(happened.await.is_err());
    let mut stream = echo.connected().await?;
    stream.write_u8(5).await?;
    assert_eq!(byte_from(&mut stream).await, Some(5));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_an_error_and_not_an_end() -> Result<()> {
    let echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    echo.proxy.reset();
    let error = timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect_err("it is broken");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranded_connection_hears_nothing_and_new_ones_work() -> Result<()> {
    let mut echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    echo.proxy.strand();
    // The connection's task follows the order when it runs next; bytes that pass before are not stranded.
    loop {
        stream.write_u8(9).await?;
        if is_silent(&mut stream).await {
            break;
        }
    }
    drop(stream);
    assert!(timeout(QUIET, echo.received.recv()).await.is_err(), "the server heard of the end");
    echo.proxy.cut();
    echo.received().await;
    drop(echo.connected().await?);
    assert_eq!(echo.received().await, [1]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_stranded_after_exactly_so_many_bytes() -> Result<()> {
    let echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    let happened = echo.proxy.strand_after(Direction::ToClient, 2);
    stream.write_all(&[1, 2, 3]).await?;
    timeout(PATIENCE, happened).await.expect("in time").expect("it happened");
    assert_eq!((byte_from(&mut stream).await, byte_from(&mut stream).await), (Some(1), Some(2)));
    assert!(is_silent(&mut stream).await, "a byte passed, or the end was told");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_proxy_cuts_and_passes_in_the_end() -> Result<()> {
    let echo = Echo::start().await?;
    let mut stream = echo.connected().await?;
    echo.proxy.flap(3, Duration::from_millis(5), Duration::from_millis(5)).await;
    assert_eq!(byte_from(&mut stream).await, None, "a cut connection is open");
    echo.connected().await?;
    Ok(())
}
