//! Consuming with the built binary: at once after publishing, alone, and in groups whose members are killed.
//!
//! Owns: publishing to a running server, and reading what consumers printed. Does not own: starting servers (`http`,
//! `binary`), the library (crate `consumer`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::http;
use support::process::Process;
use tokio::time::{Instant, sleep};

use crate::binary::{DEADLINE, POLL, Siltstone};
use crate::http::{Server, patient};

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

async fn publish(server: &Server, path: &str, body: String) {
    let answer = http::post(&format!("{}{path}", server.url), &[NDJSON], body.as_bytes()).await.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn records(server: &Server, query: &str) -> (u16, Value) {
    let url = format!("{}/v1/topics/t/partitions/0/records?{query}", server.url);
    let answer = http::get(&url).await.expect("an answer");
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

#[tokio::test]
async fn a_record_can_be_consumed_at_once_over_http() {
    let siltstone = patient().with("HOT_TAIL", "auto");
    siltstone.run(&["topic", "create", "t", "--column", "n:int64", "--keep-payload"]).await.ok();
    let server = Server::start(&siltstone).await;
    publish(&server, "/v1/topics/t/records", "{\"n\":1, \"x\":2}\n{\"n\":2}\n".to_owned()).await;
    let (status, body) = records(&server, "offset=begin&binary=text").await;
    assert_eq!((status, body["high_watermark"].clone(), body["end"].clone()), (200, json!(0), json!(2)), "{body}");
    let read = body["records"].as_array().expect("a list");
    assert_eq!(read.iter().map(|record| record["n"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
    assert_eq!(read[0]["_payload"], json!("{\"n\":1, \"x\":2}"), "the bytes as they were published");
    let next = format!("offset={}&incarnation={}", body["next"]["offset"], body["next"]["incarnation"]);
    let waiting = format!("{next}&wait_ms=30000");
    let begun = Instant::now();
    let (waited, ()) = tokio::join!(records(&server, &waiting), async {
        sleep(POLL).await;
        publish(&server, "/v1/topics/t/records?acks=committed", "{\"n\":3}".to_owned()).await;
    });
    assert_eq!(waited.1["records"][0]["n"], json!(3), "{}", waited.1);
    assert!(begun.elapsed() < Duration::from_secs(25), "the record ended the wait");
    let (status, body) = records(&server, "offset=4").await;
    assert_eq!((status, body["error"]["code"].clone()), (416, json!("out_of_range")), "{body}");
    let (status, body) = records(&server, "offset=4&out_of_range=begin&max_records=1").await;
    assert_eq!((status, body["records"][0]["n"].clone()), (200, json!(1)), "{body}");
    let (status, body) = records(&server, "offset=x").await;
    assert_eq!((status, body["error"]["code"].clone()), (400, json!("invalid_request")), "{body}");
    let url = format!("{}/v1/topics/t/partitions/1/records?offset=begin", server.url);
    assert_eq!(http::get(&url).await.expect("an answer").status, 404);
    server.stop().await;
}

#[tokio::test]
async fn committed_records_are_printed_in_every_form() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t", "--column", "n:int64", "--keep-payload"]).await.ok();
    siltstone.run(&["topic", "create", "plain", "--column", "n:int64"]).await.ok();
    siltstone.settle("t", &["{\"n\":1}", "{\"n\":2}", "{\"n\":\"x\"}"]).await;
    siltstone.settle("plain", &["{\"n\":1}"]).await;
    let consume = async |more: &[&str]| siltstone.run(&[&["consume", "--topic", "t"], more].concat()).await;
    let lines = consume(&[]).await.ok();
    let printed: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(printed.iter().map(|record| record["n"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
    assert!(lines.err.contains("2 records") && lines.err.contains("when they are committed"), "{}", lines.err);
    assert_eq!(printed[0]["_payload"], json!("eyJuIjoxfQ=="), "bytes are told apart");
    let text = consume(&["--binary", "text", "--max-records", "1"]).await.ok().json();
    assert_eq!(text["_payload"], json!("{\"n\":1}"));
    assert_eq!(consume(&["--format", "raw"]).await.ok().out, "{\"n\":1}\n{\"n\":2}\n");
    let csv = consume(&["--format", "csv", "--from", "1", "--max-records", "1"]).await.ok().out;
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows.len() == 2 && rows[0].starts_with("_partition_id,_offset,") && rows[1].starts_with("0,1,0,"), "{csv}");
    siltstone.run(&["topic", "create", "texts", "--column", "n:int64", "--column", "s:string"]).await.ok();
    siltstone.settle("texts", &["{\"n\":1,\"s\":\"\"}", "{\"n\":2}"]).await;
    let csv = siltstone.run(&["consume", "--topic", "texts", "--format", "csv"]).await.ok().out;
    let is_told = |(line, end): (&str, &str)| line.ends_with(end);
    assert!(csv.lines().zip(["n,s,_extra", ",0,1,\"\",", ",0,2,,"]).all(is_told), "{csv}");
    siltstone.run(&["topic", "update", "texts", "--column", "more:int64"]).await.ok();
    siltstone.settle("texts", &["{\"n\":3,\"more\":4}"]).await;
    let csv = siltstone.run(&["consume", "--topic", "texts", "--format", "csv"]).await.ok().out;
    assert!(csv.lines().count() == 4 && csv.lines().next().is_some_and(|line| line.contains("s,more")), "{csv}");
    let both = siltstone.run(&["consume", "--topic", "t", "--topic", "plain"]).await.ok().out;
    let topics: BTreeSet<&str> = both.lines().filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(topics, BTreeSet::from(["plain", "t"]), "{both}");
    consume(&["--from", "9"]).await.fails(1, &["offset 9", "above its end"]);
    assert_eq!(consume(&["--from", "9", "--out-of-range", "end"]).await.ok().out, "");
    consume(&["--partition", "1"]).await.fails(2, &["partitions 0 to 0"]);
    consume(&["--from", "soon"]).await.fails(2, &["begin, end, an offset"]);
    siltstone.run(&["consume", "--topic", "absent"]).await.fails(1, &["absent"]);
    let refused = siltstone.run(&["consume", "--topic", "plain", "--format", "raw"]).await;
    refused.fails(1, &["plain keeps no payloads", "--keep-payload"]);
    let refused = siltstone.run(&["topic", "create", "r", "--format", "raw", "--keep-payload"]).await;
    refused.fails(2, &["column value"]);
}

#[tokio::test]
async fn a_group_is_listed_described_reset_and_deleted() {
    let siltstone = Siltstone::new();
    siltstone.run(&["topic", "create", "t", "--column", "n:int64"]).await.ok();
    siltstone.settle("t", &["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]).await;
    let group = ["consume", "--topic", "t", "--group", "g"];
    assert_eq!(siltstone.run(&group).await.ok().out.lines().count(), 3);
    assert_eq!(siltstone.run(&group).await.ok().out, "", "it was committed");
    siltstone.run(&["groups", "list"]).await.ok().says(&["GROUP", "g "]);
    let described = siltstone.run(&["--json", "groups", "describe", "g"]).await.ok().json();
    let partition = &described["partitions"][0];
    assert_eq!((partition["committed_offset"].clone(), partition["lag"].clone()), (json!(3), json!(0)), "{described}");
    assert_eq!(described["members"], json!([]), "the member left");
    let reset = ["groups", "reset", "g", "--topic", "t", "--to", "1"];
    let mut member = Member::start(&siltstone, 0);
    let joined = async || siltstone.run(&["--json", "groups", "describe", "g"]).await.ok().json();
    while joined().await["members"] == json!([]) {
        sleep(POLL).await;
    }
    for more in [&["--dry-run"][..], &[]] {
        siltstone.run(&[&reset[..], more].concat()).await.fails(1, &["consumer group g is being read by"]);
    }
    member.process.signal("TERM").expect("sent");
    member.process.wait(DEADLINE).await.expect("it ends");
    siltstone.run(&[&reset[..], &["--dry-run"]].concat()).await.ok().says(&["3", "1", "nothing was changed"]);
    assert_eq!(siltstone.run(&group).await.ok().out, "", "nothing was changed");
    siltstone.run(&reset).await.ok().says(&["are set"]);
    assert_eq!(siltstone.run(&group).await.ok().out.lines().count(), 2);
    siltstone.run(&["groups", "reset", "g", "--topic", "t", "--to", "9"]).await.fails(1, &["above its end"]);
    siltstone.run(&["groups", "describe", "absent"]).await.fails(1, &["absent"]);
    siltstone.run(&["groups", "delete", "g"]).await.ok().says(&["deleted group g"]);
    siltstone.run(&["groups", "delete", "g"]).await.fails(1, &["not found"]);
}

/// A member of the group that prints into a file of its own.
struct Member {
    process: Process,
    printed: PathBuf,
}

impl Member {
    fn start(siltstone: &Siltstone, number: usize) -> Self {
        let printed = siltstone.path().join(format!("member-{number}.out"));
        let log = siltstone.path().join(format!("member-{number}.log"));
        let mut command = siltstone.command(&["consume", "--topic", "t", "--group", "g", "--follow", "--lease", "2"]);
        let file = |path| Stdio::from(std::fs::File::create(path).expect("a file"));
        command.stdout(file(&printed)).stderr(file(&log)).stdin(Stdio::null());
        let process = Process::spawn_as_is("consume", command).expect("it starts");
        Self { process, printed }
    }

    /// The numbers of the whole lines that it printed; a kill may leave a part of one.
    fn numbers(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(&self.printed).expect("readable");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let number = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["n"].as_u64().expect("a number");
        whole.lines().map(number).collect()
    }
}

#[tokio::test]
async fn members_that_are_killed_and_added_at_random_lose_no_record() {
    const ROUNDS: u64 = 40;
    const PER_ROUND: u64 = 50;
    let siltstone = Siltstone::new().with("LOG_FORMAT", "json").with("FLUSH_INTERVAL_SECS", "1");
    siltstone.run(&["topic", "create", "t", "--partitions", "6", "--column", "n:int64!"]).await.ok();
    let server = Server::start(&siltstone).await;
    let mut rng = fastrand::Rng::with_seed(11);
    let mut members: Vec<Member> = (0..3).map(|number| Member::start(&siltstone, number)).collect();
    let (mut ended, mut started): (Vec<(Member, bool)>, usize) = (Vec::new(), 3);
    for round in 0..ROUNDS {
        let numbers = round * PER_ROUND..(round + 1) * PER_ROUND;
        let lines: String = numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect();
        publish(&server, "/v1/topics/t/records?acks=committed", lines).await;
        if rng.u8(..) < 70 {
            let mut dead = members.remove(rng.usize(..members.len()));
            let is_killed = rng.u8(..) < 200;
            dead.process.signal(if is_killed { "KILL" } else { "TERM" }).expect("sent");
            dead.process.wait(DEADLINE).await.expect("it ends");
            ended.push((dead, is_killed));
            members.push(Member::start(&siltstone, started));
            started += 1;
        }
    }
    let all: BTreeSet<u64> = (0..ROUNDS * PER_ROUND).collect();
    let end = Instant::now() + DEADLINE;
    loop {
        let of = |member: &Member| member.numbers();
        let seen: BTreeSet<u64> =
            members.iter().flat_map(of).chain(ended.iter().flat_map(|(member, _)| member.numbers())).collect();
        if seen == all {
            break;
        }
        assert!(Instant::now() < end, "lost: {:?}", all.difference(&seen).collect::<Vec<_>>());
        sleep(POLL * 10).await;
    }
    for mut member in members {
        member.process.signal("TERM").expect("sent");
        assert_eq!(member.process.wait(DEADLINE).await.expect("it ends").code(), Some(0));
        ended.push((member, false));
    }
    // A record is repeated only if a member was killed between printing it and its commit: each kill repeats at most what
    // one poll gave.
    let mut times: BTreeMap<u64, u64> = BTreeMap::new();
    ended.iter().flat_map(|(member, _)| member.numbers()).for_each(|number| *times.entry(number).or_default() += 1);
    let kills = ended.iter().filter(|(_, is_killed)| *is_killed).count();
    let repeated = times.values().filter(|times| **times > 1).count();
    println!("{kills} kills, {repeated} of {} records twice", all.len());
    assert!(kills >= 3, "{kills} kills show nothing");
    let printers: Vec<BTreeSet<u64>> = ended
        .iter()
        .filter(|(_, is_killed)| !is_killed)
        .map(|(member, _)| member.numbers().into_iter().collect())
        .collect();
    for number in times.iter().filter(|(_, times)| **times > 1).map(|(number, _)| number) {
        let by_others = printers.iter().filter(|printed| printed.contains(number)).count();
        assert!(by_others <= 1, "{number} was printed by {by_others} members, none of which was killed");
    }
    let described = siltstone.run(&["--json", "groups", "describe", "g"]).await.ok().json();
    let lags = described["partitions"].as_array().expect("a list").iter().map(|of| of["lag"].as_u64());
    assert_eq!(lags.sum::<Option<u64>>(), Some(0), "{described}");
    server.stop().await;
}
