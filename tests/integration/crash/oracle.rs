//! The judge: compares the confirmed messages with the rows in SQL, one by one, and the catalog with itself.
//!
//! Owns: comparing. Does not own: reading the rows (`readers`), the published messages (`publisher`).

pub(super) mod readers;

use std::collections::BTreeMap;
use std::fmt;

use sqlx::{PgPool, SqlitePool};

use self::readers::{Row, with_datafusion, with_duckdb};
use super::publisher::{Plan, Published};
use super::world::{Kind, World};

/// Most violations listed one by one; the others are only counted.
const TOLD_MAX: usize = 20;

/// The violations, by kind.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    rows: u64,
    quarantined: u64,
    commits: u64,
    /// Sound messages in quarantine, because their readers were killed repeatedly.
    condemned: u64,
    gaps: u64,
    /// Messages that retention took.
    pub(super) expired: u64,
    lost: u64,
    doubled: u64,
    altered: u64,
    foreign: u64,
    broken_invariants: u64,
    is_audit_clean: bool,
    pub(super) violations: Vec<String>,
}

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        self.total() == 0
    }

    fn total(&self) -> u64 {
        self.lost + self.doubled + self.altered + self.foreign + self.broken_invariants
    }

    fn tell(&mut self, violation: String) {
        if self.violations.len() < TOLD_MAX {
            self.violations.push(violation);
        }
    }

    fn check(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.broken_invariants += 1;
            self.tell(violation());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows and {} quarantined ({} condemned) in {} commits, audit {}, {} gaps, {} expired, {} lost, {} doubled, {} altered, {} foreign, \
             {} violations",
            self.rows,
            self.quarantined,
            self.condemned,
            self.commits,
            if self.is_audit_clean { "clean" } else { "not clean" },
            self.gaps,
            self.expired,
            self.lost,
            self.doubled,
            self.altered,
            self.foreign,
            self.total(),
        )
    }
}

/// Judges a world whose writers have ended.
pub(super) async fn judge(world: &World, plan: &Plan, published: &Published) -> Verdict {
    let mut verdict = Verdict::default();
    let (commits, counts, expired) = read_catalog(world).await;
    let expected = Expected { expired, ..Expected::new(plan, published, &mut verdict) };
    let readers = [("DataFusion", with_datafusion(world).await), ("DuckDB", with_duckdb(world).await)];
    for (reader, [rows, quarantined]) in readers {
        (verdict.rows, verdict.quarantined) = (rows.len() as u64, quarantined.len() as u64);
        expected.compare(reader, &rows, &quarantined, &mut verdict);
    }
    judge_catalog(world, published, (commits, counts), &mut verdict).await;
    judge_audit(world, &mut verdict).await;
    verdict
}

/// The product's own audit of the topic.
async fn judge_audit(world: &World, verdict: &mut Verdict) {
    let audited = world.siltstone.run(&["audit", "orders"]).await;
    verdict.is_audit_clean = audited.code == 0;
    verdict.check(audited.code == 0, || format!("the audit is not clean: {audited:#?}"));
}

/// The number of the message at each confirmed offset, by partition.
struct Expected<'a> {
    plan: &'a Plan,
    numbers: Vec<Vec<Option<u64>>>,
    /// The offset below which retention took everything, by partition: the oldest messages and no others.
    expired: BTreeMap<i64, i64>,
}

impl<'a> Expected<'a> {
    fn new(plan: &'a Plan, published: &Published, verdict: &mut Verdict) -> Self {
        let mut numbers = Vec::new();
        for (partition, confirmed) in published.by_partition.iter().enumerate() {
            let length = confirmed.iter().map(|(offset, _)| *offset as usize + 1).max().unwrap_or(0);
            let mut by_offset = vec![None; length];
            for (offset, n) in confirmed {
                let other = by_offset[*offset as usize].replace(*n);
                verdict.check(other.is_none(), || format!("{partition}/{offset} was confirmed for {other:?} and {n}"));
            }
            numbers.push(by_offset);
        }
        Self { plan, numbers, expired: BTreeMap::new() }
    }

    fn is_expired(&self, partition: usize, offset: u64) -> bool {
        self.expired.get(&(partition as i64)).is_some_and(|before| (offset as i64) < *before)
    }

    fn compare(&self, reader: &str, rows: &[Row], quarantined: &[Row], verdict: &mut Verdict) {
        (verdict.condemned, verdict.expired) = (0, 0);
        let mut seen: Vec<Vec<u32>> = self.numbers.iter().map(|numbers| vec![0; numbers.len()]).collect();
        let rows = rows.iter().map(|row| (row, false)).chain(quarantined.iter().map(|row| (row, true)));
        for (row, is_quarantined) in rows {
            let place = format_args!("{}/{}", row.p, row.o);
            let number = self.numbers.get(row.p as usize).and_then(|numbers| *numbers.get(row.o as usize)?);
            let Some(n) = number else {
                verdict.foreign += 1;
                verdict.tell(format!("{reader}: {place} was never confirmed: {row:?}"));
                continue;
            };
            if self.is_expired(row.p as usize, row.o) {
                verdict.foreign += 1;
                verdict.tell(format!("{reader}: {place} (message {n}) was expired and is there"));
            }
            let times = &mut seen[row.p as usize][row.o as usize];
            *times += 1;
            if *times > 1 {
                verdict.doubled += 1;
                verdict.tell(format!("{reader}: {place} (message {n}) is there {times} times"));
            }
            if is_quarantined && self.is_condemned(row, n) {
                verdict.condemned += 1;
            } else if !self.is_unaltered(row, n, is_quarantined) {
                verdict.altered += 1;
                verdict.tell(format!("{reader}: {place} is not message {n}: {row:?}"));
            }
        }
        for (partition, numbers) in self.numbers.iter().enumerate() {
            for (offset, n) in numbers.iter().enumerate().filter_map(|(offset, n)| Some((offset, (*n)?))) {
                if seen[partition][offset] == 0 && self.is_expired(partition, offset as u64) {
                    verdict.expired += 1;
                } else if seen[partition][offset] == 0 {
                    verdict.lost += 1;
                    verdict.tell(format!("{reader}: {partition}/{offset} (message {n}) is lost"));
                }
            }
        }
    }

    /// True if a sound message was quarantined whole because it was being decoded when its readers died.
    fn is_condemned(&self, row: &Row, n: u64) -> bool {
        let is_told = row.reason.as_ref().is_some_and(|reason| reason.starts_with("not decoded: the writer died"));
        is_told && !self.plan.is_broken(n) && row.r == 0 && row.text == self.plan.payload(n)
    }

    fn is_unaltered(&self, row: &Row, n: u64, is_quarantined: bool) -> bool {
        let is_broken = self.plan.is_broken(n);
        let content = match is_broken {
            true => row.n.is_none() && row.text == self.plan.payload(n),
            false => row.n == Some(n) && row.text == self.plan.text(n),
        };
        is_quarantined == is_broken && row.r == 0 && content
    }
}

/// A row of `commits`.
#[derive(Debug)]
struct Commit {
    partition_id: i64,
    commit_no: i64,
    base_offset: i64,
    end_offset: i64,
    epoch: i64,
    owner: String,
    message_count: i64,
}

/// The columns that `COMMITS` selects, in its order.
type CommitRow = (i64, i64, i64, i64, i64, String, i64);

impl From<CommitRow> for Commit {
    fn from(row: CommitRow) -> Self {
        let (partition_id, commit_no, base_offset, end_offset, epoch, owner, message_count) = row;
        Self { partition_id, commit_no, base_offset, end_offset, epoch, owner, message_count }
    }
}

const COMMITS: &str = "SELECT partition_id, commit_no, base_offset, end_offset, epoch, owner, message_count
    FROM commits WHERE topic = 'orders' ORDER BY partition_id, commit_no";
const GAPS: &str = "SELECT count(*) FROM gaps";
/// Intents that nobody would give up. Those of a killed writer's merges are given up by the next janitor that finds its
/// heartbeats missing, which may be a minute later; a writer that ends in good order leaves no row among the agents.
const PENDING: &str = "SELECT count(*) FROM uploads WHERE state = 'pending' AND (partition_id IS NOT NULL
    OR NOT EXISTS (SELECT 1 FROM agents WHERE agents.owner = uploads.owner))";
/// Objects that retention took before their age, as far as their snapshots are kept.
const EARLY: &str = "SELECT count(*) FROM retired_objects AS r
    JOIN lake_snapshots AS s ON s.snapshot_id = r.end_snapshot AND s.changes LIKE 'deleted_from_table:%'
    JOIN topics AS t ON t.table_id = r.table_id OR t.quarantine_table_id = r.table_id
    WHERE r.max_timestamp_us / 1000 > r.retired_at - t.retention_ms";
const EXPIRED: &str = "SELECT partition_id, before_offset FROM expirations WHERE topic = 'orders'";
const OWNED: &str = "SELECT count(*) FROM partitions WHERE owner IS NOT NULL";

/// Ranges chain, the watermark is their end, each epoch has one owner, no intent is pending and no partition is
/// owned.
async fn judge_catalog(
    world: &World,
    published: &Published,
    (commits, [gaps, pending, owned, early]): (Vec<Commit>, [i64; 4]),
    verdict: &mut Verdict,
) {
    (verdict.commits, verdict.gaps) = (commits.len() as u64, gaps as u64);
    verdict.check(gaps == 0, || format!("{gaps} gaps: the queue lost what it had confirmed, or it was not seen"));
    verdict.check(pending == 0, || format!("{pending} intents are pending after the last writer ended"));
    verdict.check(owned == 0, || format!("{owned} partitions are owned after the last writer ended"));
    verdict.check(early == 0, || format!("retention took {early} objects before their age"));
    for partition in world.partitions().await {
        let id = partition["partition_id"].as_i64().expect("a number");
        let (mut next, mut number, mut epoch, mut owner) = (0, 0, 0, "");
        let mut messages = 0;
        for commit in commits.iter().filter(|commit| commit.partition_id == id) {
            number += 1;
            verdict.check(commit.base_offset == next && commit.commit_no == number, || format!("no chain: {commit:?}"));
            let same_epoch = commit.epoch == epoch && commit.owner == owner;
            verdict.check(commit.epoch > epoch || same_epoch, || format!("after {epoch} of {owner}: {commit:?}"));
            next = commit.end_offset + 1;
            messages += commit.message_count;
            (epoch, owner) = (commit.epoch, &commit.owner);
        }
        let watermark = partition["high_watermark"].as_i64();
        verdict.check(watermark == Some(next), || format!("partition {id} ends at {next}: {partition}"));
        let confirmed = published.by_partition[id as usize].len() as i64;
        verdict.check(messages == confirmed, || format!("partition {id}: {messages} committed, {confirmed} confirmed"));
        verdict.check(partition["state"] == "active", || format!("partition {id} is not active: {partition}"));
    }
}

/// Commits, counts, and the offsets up to which retention came.
async fn read_catalog(world: &World) -> (Vec<Commit>, [i64; 4], BTreeMap<i64, i64>) {
    let counts = [GAPS, PENDING, OWNED, EARLY];
    let mut numbers = [0; 4];
    let (commits, expired): (Vec<CommitRow>, Vec<(i64, i64)>) = match (&world.postgres, world.kind) {
        (Some(server), _) => {
            let pool = PgPool::connect(&server.url()).await.expect("connects");
            for (number, sql) in numbers.iter_mut().zip(counts) {
                *number = sqlx::query_scalar(sql).fetch_one(&pool).await.expect(sql);
            }
            let commits = sqlx::query_as(COMMITS).fetch_all(&pool).await.expect(COMMITS);
            let expired = sqlx::query_as(EXPIRED).fetch_all(&pool).await.expect(EXPIRED);
            pool.close().await;
            (commits, expired)
        }
        (None, Kind::PostgresS3) => panic!("no PostgreSQL"),
        (None, Kind::SqliteLocal) => {
            let file = world.siltstone.data().join("catalog.db");
            let pool = SqlitePool::connect(&format!("sqlite:{}", file.display())).await.expect("opens");
            for (number, sql) in numbers.iter_mut().zip(counts) {
                *number = sqlx::query_scalar(sql).fetch_one(&pool).await.expect(sql);
            }
            let commits = sqlx::query_as(COMMITS).fetch_all(&pool).await.expect(COMMITS);
            let expired = sqlx::query_as(EXPIRED).fetch_all(&pool).await.expect(EXPIRED);
            let intact: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&pool).await.expect("checked");
            assert_eq!(intact, "ok", "the file is damaged");
            pool.close().await;
            (commits, expired)
        }
    };
    (commits.into_iter().map(Commit::from).collect(), numbers, expired.into_iter().collect())
}

/// A judge that detects no violation would find every run clean.
#[test]
fn the_judge_finds_what_is_lost_doubled_altered_foreign_or_in_the_wrong_table() {
    let plan = Plan { seed: 5, messages: 300, partitions: 1 };
    let broken = (0..300).find(|n| plan.is_broken(*n)).expect("there is one");
    let confirmed: Vec<(u64, u64)> = (0..300).map(|n| (n + 1, n)).collect();
    let published = Published { by_partition: vec![confirmed], repeated: 0, recognised: 0 };
    let row = |n: u64| Row { p: 0, o: n + 1, r: 0, n: Some(n), text: plan.text(n), reason: None };
    let set_aside =
        |n: u64, reason: &str| Row { n: None, text: plan.payload(n), reason: Some(reason.to_owned()), ..row(n) };
    let sound = || (0..300).filter(|n| *n != broken).map(row).collect::<Vec<_>>();
    let judged_behind = |before: i64, rows: &[Row], quarantined: &[Row]| {
        let mut verdict = Verdict::default();
        let expired = BTreeMap::from([(0, before)]);
        let expected = Expected { expired, ..Expected::new(&plan, &published, &mut verdict) };
        expected.compare("test", rows, quarantined, &mut verdict);
        let found = [verdict.lost, verdict.doubled, verdict.altered, verdict.foreign, verdict.condemned];
        (verdict.expired, found)
    };
    let judged = |rows: &[Row], quarantined: &[Row]| judged_behind(0, rows, quarantined).1;
    let quarantined = [set_aside(broken, "not a number")];
    assert_eq!(judged(&sound(), &quarantined), [0, 0, 0, 0, 0]);
    assert_eq!(judged(&sound(), &[]), [1, 0, 0, 0, 0], "lost from quarantine");
    assert_eq!(judged(&sound()[1..], &quarantined), [1, 0, 0, 0, 0], "lost");
    let doubled: Vec<Row> = sound().into_iter().chain([row(7)]).collect();
    assert_eq!(judged(&doubled, &quarantined), [0, 1, 0, 0, 0], "doubled");
    let foreign: Vec<Row> = sound().into_iter().chain([row(300)]).collect();
    assert_eq!(judged(&foreign, &quarantined), [0, 0, 0, 1, 0], "never confirmed");
    let mut altered = sound();
    altered[3].text.push('x');
    altered[4].n = Some(1);
    assert_eq!(judged(&altered, &quarantined), [0, 0, 2, 0, 0], "altered");
    let wrong_table = [set_aside(broken, "not a number"), set_aside(0, "not a number")];
    assert_eq!(judged(&sound()[1..], &wrong_table), [0, 0, 1, 0, 0], "a sound message is in quarantine");
    let condemned = [set_aside(broken, "not a number"), set_aside(0, "not decoded: the writer died 2 times")];
    assert_eq!(judged(&sound()[1..], &condemned), [0, 0, 0, 0, 1], "set aside for its readers' deaths");
    // Message n has offset n + 1: of the first two, retention took both.
    assert_eq!(judged_behind(3, &sound()[2..], &quarantined), (2, [0; 5]), "expired");
    assert_eq!(judged_behind(3, &sound()[3..], &quarantined), (2, [1, 0, 0, 0, 0]), "lost behind what expired");
    assert_eq!(judged_behind(3, &sound()[1..], &quarantined), (1, [0, 0, 0, 1, 0]), "expired and still there");
}
