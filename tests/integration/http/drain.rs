//! SIGTERM while requests are on their way: those that began are answered, and nothing that was confirmed is lost.

use support::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::{Server, count, patient};
use crate::binary::{DEADLINE, POLL};

/// Waits until nothing listens at the address any more.
async fn refused(process: &mut Process, address: &str) {
    let end = Instant::now() + DEADLINE;
    while TcpStream::connect(address).await.is_ok() {
        assert!(process.exited().expect("its status").is_none(), "a request is still on its way");
        assert!(Instant::now() < end, "it still listens");
        sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_request_that_began_before_the_stop_is_answered_and_committed() {
    let siltstone = patient();
    siltstone.run(&["topic", "create", "orders", "--column", "id:int64!"]).await.ok();
    let mut server = Server::start(&siltstone).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut client = TcpStream::connect(&address).await.expect("connected");
    let head = "POST /v1/topics/orders/records?acks=committed HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\n\
                Content-Type: application/x-ndjson\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).await.expect("sent");
    // The server asks for the body: the request has begun.
    let mut asked = [0; 25];
    client.read_exact(&mut asked).await.expect("100 Continue");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"{\"id\":1}\n").await.expect("sent");
    server.process.signal("TERM").expect("sent");
    refused(&mut server.process, &address).await;
    client.write_all(b"{\"id\":2}\n").await.expect("the connection is still served");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}: {}", server.log_text());
    let status = server.process.wait(DEADLINE).await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", server.log_text());
    assert_eq!(count(&siltstone, "SELECT count(*) AS c FROM orders").await, 2);
}
