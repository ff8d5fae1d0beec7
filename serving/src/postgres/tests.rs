//! Conversations, message by message.

mod types;

use catalog::MetadataStore;
use common::clock::system_clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::testing;

/// Rows without an end.
const ENDLESS: &str = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r";

/// A client of a service of its own, without a password.
struct Raw {
    stream: TcpStream,
    /// By which another connection cancels its statements.
    key: Vec<u8>,
    listener: TcpListener,
    catalog: Arc<dyn MetadataStore>,
    service: Arc<Postgres>,
    served: JoinSet<()>,
}

impl Raw {
    async fn connect() -> Self {
        let (executor, catalog) = testing::executor(testing::limits()).await;
        let callers = Arc::new(Callers::new(Arc::clone(&catalog), system_clock(), true));
        let service = Postgres::new(executor, callers).expect("a service");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let stream = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("connected");
        let mut raw = Self { stream, key: Vec::new(), listener, catalog, service, served: JoinSet::new() };
        raw.accept().await;
        let names = b"user\0any\0database\0siltstone\0\0";
        let mut start = (names.len() as u32 + 8).to_be_bytes().to_vec();
        start.extend(196_608_u32.to_be_bytes());
        start.extend(names);
        raw.stream.write_all(&start).await.expect("sent");
        for (kind, body) in raw.until(b'Z').await {
            if kind == b'K' {
                raw.key = body;
            }
        }
        raw
    }

    async fn accept(&mut self) {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        self.served.spawn(Arc::clone(&self.service).converse(stream, None));
    }

    /// Cancels what is under way.
    async fn cancel(&mut self) {
        let mut other = TcpStream::connect(self.listener.local_addr().expect("its address")).await.expect("connected");
        self.accept().await;
        let mut request = (self.key.len() as u32 + 8).to_be_bytes().to_vec();
        request.extend(80_877_102_u32.to_be_bytes());
        request.extend(&self.key);
        other.write_all(&request).await.expect("sent");
        other.read_to_end(&mut Vec::new()).await.ok();
    }

    async fn send(&mut self, messages: &[(u8, Vec<u8>)]) {
        let mut bytes = Vec::new();
        for (kind, body) in messages {
            bytes.push(*kind);
            bytes.extend((body.len() as u32 + 4).to_be_bytes());
            bytes.extend(body);
        }
        self.stream.write_all(&bytes).await.expect("sent");
    }

    async fn until(&mut self, last: u8) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        loop {
            let kind = self.stream.read_u8().await.expect("the connection lives");
            let length = self.stream.read_u32().await.expect("a length") as usize;
            let mut body = vec![0; length - 4];
            self.stream.read_exact(&mut body).await.expect("a body");
            messages.push((kind, body));
            if kind == last {
                return messages;
            }
        }
    }

    /// The kinds of the messages of an answer and the texts of its errors and ends.
    async fn asked(&mut self, messages: &[(u8, Vec<u8>)]) -> (String, String) {
        self.send(messages).await;
        let answer = self.until(b'Z').await;
        let kinds = answer.iter().map(|(kind, _)| char::from(*kind)).collect();
        let texts = answer.iter().filter(|(kind, _)| matches!(*kind, b'E' | b'C')).map(|(_, body)| &body[..]);
        (kinds, String::from_utf8_lossy(&texts.collect::<Vec<_>>().concat()).into_owned())
    }

    async fn query(&mut self, sql: &str) -> (String, String) {
        self.asked(&[(b'Q', format!("{sql}\0").into_bytes())]).await
    }

    /// The messages of one kind in the answer to a statement, which must not fail.
    async fn answer(&mut self, sql: &str, wanted: u8) -> Vec<Vec<u8>> {
        self.send(&[(b'Q', format!("{sql}\0").into_bytes())]).await;
        let answer = self.until(b'Z').await;
        let failed = answer.iter().find(|(kind, _)| *kind == b'E').map(|(_, body)| String::from_utf8_lossy(body));
        assert_eq!(failed, None, "{sql}");
        answer.into_iter().filter(|(kind, _)| *kind == wanted).map(|(_, body)| body).collect()
    }

    /// The names of the columns of an answer, and the numbers of their types.
    async fn columns(&mut self, sql: &str) -> Vec<(String, u32)> {
        let described = self.answer(sql, b'T').await.pop().expect("columns");
        let (count, mut rest) = described.split_at(2);
        let column = |_| {
            let end = rest.iter().position(|byte| *byte == 0).expect("an end");
            let name = String::from_utf8(rest[..end].to_vec()).expect("text");
            let number = rest[end + 7..end + 11].try_into().expect("four bytes");
            rest = &rest[end + 19..];
            (name, u32::from_be_bytes(number))
        };
        (0..u16::from_be_bytes([count[0], count[1]])).map(column).collect()
    }

    /// The rows of an answer in text, with `NULL` for null.
    async fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let row = |body: Vec<u8>| {
            let (count, mut rest) = body.split_at(2);
            let value = |_| {
                let length = i32::from_be_bytes(rest[..4].try_into().expect("four bytes"));
                let (value, behind) = rest[4..].split_at(length.max(0) as usize);
                rest = behind;
                if length < 0 { "NULL".to_owned() } else { String::from_utf8_lossy(value).into_owned() }
            };
            (0..u16::from_be_bytes([count[0], count[1]])).map(value).collect()
        };
        self.answer(sql, b'D').await.into_iter().map(row).collect()
    }
}

fn parse(name: &str, sql: &str) -> (u8, Vec<u8>) {
    (b'P', [name.as_bytes(), b"\0", sql.as_bytes(), b"\0", &[0; 2]].concat())
}

/// With parameters as text, and these numbers of formats of them and of columns.
fn bind(portal: &str, formats: u16, values: &[&str], columns: u16) -> (u8, Vec<u8>) {
    let codes = |count: u16| [count.to_be_bytes().to_vec(), vec![0; 2 * usize::from(count)]].concat();
    let mut body = [portal.as_bytes(), b"\0\0", &codes(formats)].concat();
    body.extend((values.len() as u16).to_be_bytes());
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend(codes(columns));
    (b'B', body)
}

fn execute(portal: &str, rows: u32) -> (u8, Vec<u8>) {
    (b'E', [portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

fn sync() -> (u8, Vec<u8>) {
    (b'S', Vec::new())
}

#[tokio::test]
async fn wrong_numbers_of_formats_are_refused_and_the_connection_lives() {
    let mut raw = Raw::connect().await;
    let statement = || parse("", "SELECT $1::bigint AS a, $2::bigint AS b, $3::bigint AS c");
    for (formats, columns) in [(2, 0), (0, 2)] {
        let bind = bind("", formats, &["1", "2", "3"], columns);
        let (kinds, text) = raw.asked(&[statement(), bind, execute("", 0), sync()]).await;
        assert_eq!(kinds, "1EZ", "{text}");
        assert!(text.contains("08P01") && text.contains("2 formats are given for 3"), "{text}");
    }
    let (kinds, text) = raw.asked(&[statement(), bind("", 3, &["1", "2", "3"], 3), execute("", 0), sync()]).await;
    assert_eq!(kinds, "12DCZ", "{text}");
}

#[tokio::test]
async fn a_failed_transaction_answers_nothing_until_it_ends() {
    let mut raw = Raw::connect().await;
    raw.query("BEGIN; SAVEPOINT a").await;
    raw.query("SELECT nothing").await;
    let (kinds, text) = raw.query("SELECT 1").await;
    assert!(kinds == "EZ" && text.contains("25P02"), "{kinds} {text}");
    let (kinds, text) = raw.asked(&[parse("", "SELECT 1"), sync()]).await;
    assert!(kinds == "EZ" && text.contains("25P02"), "{kinds} {text}");
    raw.query("ROLLBACK TO SAVEPOINT a").await;
    assert_eq!(raw.query("SELECT 1").await.0, "TDCZ");
    raw.query("SELECT nothing").await;
    assert_eq!(raw.query("COMMIT").await, ("CZ".to_owned(), "ROLLBACK\0".to_owned()));
    assert_eq!(raw.query("SELECT 1").await.0, "TDCZ");
}

#[tokio::test]
async fn a_cancelled_portal_does_not_go_on_short_of_rows() {
    let mut raw = Raw::connect().await;
    raw.query("BEGIN; SAVEPOINT a").await;
    raw.send(&[parse("", ENDLESS), bind("p", 0, &[], 0), execute("p", 0)]).await;
    raw.until(b'D').await;
    raw.cancel().await;
    let ended = raw.until(b'E').await.pop().expect("an error").1;
    assert!(String::from_utf8_lossy(&ended).contains("57014"), "{ended:?}");
    assert_eq!(raw.asked(&[sync()]).await.0, "Z");
    raw.query("ROLLBACK TO SAVEPOINT a").await;
    let (kinds, text) = raw.asked(&[execute("p", 1), sync()]).await;
    assert!(kinds == "EZ" && text.contains("ortal"), "{kinds} {text}");
}

#[tokio::test]
async fn a_connection_keeps_a_bounded_number_of_statements_and_portals() {
    let mut raw = Raw::connect().await;
    raw.query("BEGIN").await;
    let mut messages = vec![parse("", "SELECT 1")];
    messages.extend((0..65).map(|number| bind(&format!("p{number}"), 0, &[], 0)));
    messages.push(sync());
    let (kinds, text) = raw.asked(&messages).await;
    assert_eq!(kinds, format!("1{}EZ", "2".repeat(64)), "{text}");
    assert!(text.contains("53400"), "{text}");
    raw.query("ROLLBACK").await;
    let long = format!("SELECT '{}'", "x".repeat(1_048_000));
    for number in 0..16 {
        let (kinds, text) = raw.asked(&[parse(&format!("s{number}"), &long), sync()]).await;
        assert_eq!(kinds, "1Z", "{number}: {text}");
    }
    let (kinds, text) = raw.asked(&[parse("s16", &long), sync()]).await;
    assert!(kinds == "EZ" && text.contains("53400"), "{kinds} {text}");
    let closed = (b'C', b"Ss3\0".to_vec());
    assert_eq!(raw.asked(&[closed, parse("s16", &long), sync()]).await.0, "31Z");
}

#[tokio::test]
async fn a_text_of_an_error_has_no_zero_byte() {
    let mut raw = Raw::connect().await;
    let messages = [parse("", "SELECT $1::bigint AS a"), bind("", 0, &["\0x"], 0), execute("", 0), sync()];
    raw.send(&messages).await;
    let failed = raw.until(b'E').await.pop().expect("an error").1;
    let fields: Vec<&[u8]> = failed.split(|byte| *byte == 0).collect();
    let message = fields.iter().find(|field| field.starts_with(b"M")).expect("a text");
    assert!(String::from_utf8_lossy(message).contains("\u{FFFD}x"), "{fields:?}");
    assert!(fields.iter().all(|field| field.is_empty() || field[0].is_ascii_uppercase()), "{fields:?}");
}

#[tokio::test]
async fn a_statement_that_is_too_large_is_refused_before_it_is_parsed() {
    let mut raw = Raw::connect().await;
    for sql in [testing::too_large(), format!("SELECT current_schema{}", "+1".repeat(500_000))] {
        let (kinds, text) = raw.query(&sql).await;
        assert!(kinds == "EZ" && text.contains("allowed are 100000"), "{kinds} {text}");
    }
    assert_eq!(raw.query("SELECT 1").await.0, "TDCZ");
}

#[tokio::test]
async fn times_have_microseconds_and_described_columns_are_those_of_the_answer() {
    let mut raw = Raw::connect().await;
    for sql in [
        "SELECT TIMESTAMP '1500-02-03'",
        "SELECT count(*) FROM (VALUES (DATE '0001-01-01')) v(d) WHERE d > TIMESTAMP '2000-01-01'",
        "SELECT '9999-12-31'::timestamp, now() < '9999-12-31'::timestamptz",
    ] {
        assert_eq!(raw.query(sql).await.0, "TDCZ", "{sql}");
    }
    for sql in [
        "SELECT d * 1.5 FROM (VALUES (1.25::decimal(12,2), 1)) v(d, k) WHERE k < $1::bigint",
        "SELECT sum(d * 1.5), round(sum(d) * 1.19, 2) FROM (VALUES (1.25::decimal(12,2), 1)) v(d, k) WHERE k < $1::bigint",
        "SELECT coalesce(d, t) FROM (VALUES (DATE '0001-01-01', TIMESTAMP '2000-01-01', 1)) v(d, t, k) WHERE k < $1::bigint",
    ] {
        let messages = [parse("", sql), bind("", 0, &["50"], 0), execute("", 0), sync()];
        let (kinds, text) = raw.asked(&messages).await;
        assert_eq!(kinds, "12DCZ", "{sql}: {text}");
    }
    for (kind, value, sql) in [
        (1083_u32, 3_600_000_000_i64.to_be_bytes().to_vec(), "SELECT 1 WHERE TIME '01:00:00' = $1"),
        (
            1186,
            [&0_i64.to_be_bytes()[..], &1_i32.to_be_bytes(), &0_i32.to_be_bytes()].concat(),
            "SELECT 1 WHERE now() - TIMESTAMPTZ '2020-01-01T00:00:00Z' > $1",
        ),
    ] {
        let parse = [b"\0", sql.as_bytes(), b"\0\0\x01", &kind.to_be_bytes()].concat();
        let bind = [&b"\0\0\0\x01\0\x01\0\x01\0\0\0"[..], &[value.len() as u8], &value, b"\0\0"].concat();
        let (kinds, text) = raw.asked(&[(b'P', parse), (b'B', bind), execute("", 0), sync()]).await;
        assert_eq!(kinds, "12DCZ", "{sql}: {text}");
    }
}
