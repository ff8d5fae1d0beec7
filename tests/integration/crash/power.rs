//! The order of writes that power loss requires: a listed segment is on the disk before the commit is written.
//!
//! Owns: reading the order of system calls of a real writer. Does not own: a disk that loses its power
//! (`power_cuts`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::publisher::{self, Plan};
use super::world::{Kind, World};
use crate::binary::{DEADLINE, POLL};

/// A listed segment, in the form of `siltstone segments --json`.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    key: String,
}

/// A relevant step, in order of execution.
#[derive(Debug, PartialEq)]
enum Step {
    /// A file or directory was synced, successfully.
    Synced(PathBuf),
    /// A file was renamed to its final name.
    Named(PathBuf),
    /// These bytes, in the form of strace, were written to the catalog's log.
    Logged(String),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_and_its_directories_are_synced_before_the_commit_that_lists_it_is_written() {
    let mut world = World::start_servers(Kind::SqliteLocal, 2, 1, &[]).await;
    let trace = world.siltstone.path().join("trace");
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,pwrite64,exit_group";
    // A page of the log with its header is 4,120 bytes; strace truncates none.
    let words = ["strace", "-D", "-f", "-y", "-s", "5000", "-e", calls, "-o", trace.to_str().expect("UTF-8")];
    world.wrapper = words.map(str::to_owned).to_vec();
    world.start_writer(0);
    let plan = Plan { seed: 1, messages: 1_500, partitions: 2 };
    let (allowed, permits) = watch::channel(0);
    let publishing = tokio::spawn(publisher::publish(world.nats.url(), plan, permits));
    for share in 1..=3 {
        let commits = world.commits();
        allowed.send_replace(plan.messages * share / 3);
        world.pass_commit(commits, DEADLINE).await;
    }
    let published = world.confirmed(publishing).await;
    world.settle(&published).await;
    world.stop_writers().await;

    let data = world.siltstone.data().canonicalize().expect("a folder");
    let steps = steps(&traced(&trace).await);
    let listed: Vec<Listed> =
        serde_json::from_value(world.siltstone.run(&["segments", "--json"]).await.ok().json()).expect("segments");
    assert!(listed.len() >= 3, "{listed:?}");
    for segment in &listed {
        check(&steps, &data, segment);
    }
}

/// The trace of a writer that has ended; its tracer may end a little later.
async fn traced(trace: &Path) -> String {
    let end = Instant::now() + DEADLINE;
    loop {
        let text = std::fs::read(trace).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        // Without the closing parenthesis: where another thread interrupts the call, strace splits its line in two.
        if text.contains("exit_group(0") {
            return text;
        }
        assert!(Instant::now() < end, "no end of the trace");
        sleep(POLL).await;
    }
}

/// Parses the calls; one that another thread interrupts is split over two lines, and counts at its end.
fn steps(trace: &str) -> Vec<Step> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut steps = Vec::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ').map(|(pid, call)| (pid, call.trim_start())) else { continue };
        // A write counts from its start: from then on its bytes may be on the disk.
        if call.starts_with("pwrite64(") && call.contains("catalog.db-wal>") {
            steps.push(Step::Logged(call.to_owned()));
        }
        let whole = match call.strip_suffix("<unfinished ...>") {
            Some(start) => {
                begun.insert(pid, start);
                continue;
            }
            None if call.starts_with("<... ") => format!("{}{call}", begun.remove(pid).unwrap_or_default()),
            None => call.to_owned(),
        };
        if !whole.ends_with("= 0") {
            continue;
        }
        if whole.starts_with("fsync(") || whole.starts_with("fdatasync(") {
            steps.extend(between(&whole, '<', '>').map(|path| Step::Synced(path.into())));
        } else if whole.starts_with("rename") || whole.starts_with("link") {
            let target = whole.rsplit('"').nth(1);
            steps.extend(target.map(|path| Step::Named(path.into())));
        }
    }
    steps
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(close).map(|(inner, _)| inner)
}

/// Named, synced, entered durably in every directory up to the root, all before its row is written; the row is synced
/// too.
fn check(steps: &[Step], data: &Path, segment: &Listed) {
    let file = data.join(&segment.key);
    let first = |wanted: &dyn Fn(&Step) -> bool| steps.iter().position(wanted);
    let named = first(&|step| *step == Step::Named(file.clone())).unwrap_or_else(|| panic!("{segment:?} has no name"));
    let row = first(&|step| matches!(step, Step::Logged(bytes) if bytes.contains(&segment.id)));
    let row = row.unwrap_or_else(|| panic!("{segment:?} is not in the log"));
    let before = &steps[named..row.max(named)];
    let mut path = file.as_path();
    loop {
        assert!(
            before.contains(&Step::Synced(path.to_owned())),
            "{} was not synced before {segment:?}",
            path.display()
        );
        if path == data {
            break;
        }
        path = path.parent().expect("it is below the root");
    }
    let log = data.join("catalog.db-wal");
    assert!(steps[row..].contains(&Step::Synced(log)), "the commit of {segment:?} was not synced");
}
