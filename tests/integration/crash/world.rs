//! Servers, proxies in front of them, and writer processes that are restarted.
//!
//! Owns: starting, signalling and reviving them. Does not own: the order of the faults, the progress (`progress`).

mod progress;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use support::nats::{NatsOptions, NatsServer};
use support::postgres::PostgresServer;
use support::process::{Process, log_tail};
use support::proxy::Proxy;
use support::s3::S3;
use tokio::time::{Instant, sleep};

use crate::binary::Siltstone;

/// The lease of the writers: the shortest allowed.
pub(super) const LEASE: Duration = Duration::from_secs(2);
/// For a debug build on a busy machine; a longer wait means a hang.
const DEADLINE: Duration = Duration::from_secs(600);
/// Pause of a supervisor before it restarts a process that ended by itself.
const REVIVAL_PAUSE: Duration = Duration::from_millis(300);

/// The kind of catalog and store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// PostgreSQL and S3, both behind proxies.
    PostgresS3,
    /// One SQLite file and a directory, shared by all writers.
    SqliteLocal,
}

/// A writer process, or the lack of one.
enum Slot {
    Running(Process),
    /// Stopped until SIGCONT at this time.
    Stopped(Process, Instant),
    /// Down until its restart at this time.
    Down(Instant),
    /// Not to be started.
    Off,
}

pub(super) struct World {
    pub(super) kind: Kind,
    pub(super) nats: NatsServer,
    pub(super) postgres: Option<PostgresServer>,
    pub(super) s3: Option<S3>,
    /// Settings with the servers' own addresses.
    pub(super) siltstone: Siltstone,
    /// In front of queue, catalog and store, where these are servers.
    pub(super) proxies: Vec<Arc<Proxy>>,
    /// Settings of the writers with the proxies' addresses instead.
    detours: Vec<(&'static str, String)>,
    writers: Vec<Slot>,
    /// Length of each writer's log at its last start.
    starts: Vec<usize>,
    /// Words before the writer's name on its command line.
    pub(super) wrapper: Vec<String>,
    /// Writers that ended without a request.
    pub(super) ended_by_themselves: u64,
}

impl World {
    /// Starts servers and writers and creates the topic `orders`.
    pub(super) async fn start(kind: Kind, partitions: u32, writers: usize) -> Self {
        let mut world = Self::start_servers(kind, partitions, writers, &[]).await;
        for index in 0..writers {
            world.start_writer(index);
        }
        world
    }

    /// Like [`World::start`] without starting the writers, and with further settings.
    pub(super) async fn start_servers(kind: Kind, partitions: u32, writers: usize, settings: &[(&str, &str)]) -> Self {
        let nats = NatsServer::start_with(synced()).await.expect("a NATS server");
        Self::start_around(nats, kind, partitions, writers, settings).await
    }

    /// Like [`World::start_servers`] with a running NATS server.
    pub(super) async fn start_around(
        nats: NatsServer,
        kind: Kind,
        partitions: u32,
        writers: usize,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut siltstone = Siltstone::new()
            .with("QUEUE_TYPE", "nats")
            .with("NATS_URL", &nats.url())
            .with("FLUSH_INTERVAL_SECS", "1")
            .with("COMPACTION_MIN_OBJECTS", "4")
            .with("MAX_SEGMENT_RECORDS", "1000")
            .with("LEASE_SECS", &LEASE.as_secs().to_string());
        for (name, value) in settings {
            siltstone = siltstone.with(name, value);
        }
        let queue = proxy(nats.address()).await;
        let detour = format!("nats://{}", queue.address());
        let (mut proxies, mut detours) = (vec![queue], vec![("NATS_URL", detour)]);
        let (mut postgres, mut s3) = (None, None);
        if kind == Kind::PostgresS3 {
            let server = PostgresServer::start().await.expect("a Postgres server");
            let objects = S3::shared().expect("an S3 server");
            let catalog = proxy(server.address()).await;
            let store = proxy(objects.authority().parse().expect("an address and a port")).await;
            detours.push((
                "CATALOG_URL",
                server.url().replace(&server.address().to_string(), &catalog.address().to_string()),
            ));
            detours.push(("AWS_ENDPOINT_URL", format!("http://{}", store.address())));
            siltstone = siltstone.with("CATALOG_URL", &server.url()).on_s3(&objects);
            proxies.extend([catalog, store]);
            (postgres, s3) = (Some(server), Some(objects));
        }
        let (count, columns) = (partitions.to_string(), ["--column", "n:int64", "--column", "text:string"]);
        let create = [&["topic", "create", "orders", "--partitions", &count][..], &columns].concat();
        siltstone.run(&create).await.ok();
        let starts = vec![0; writers];
        let writers = std::iter::repeat_with(|| Slot::Off).take(writers).collect();
        Self {
            kind,
            nats,
            postgres,
            s3,
            siltstone,
            proxies,
            detours,
            writers,
            starts,
            wrapper: Vec::new(),
            ended_by_themselves: 0,
        }
    }

    /// Gives a command the folder, and the settings with the proxies' addresses.
    pub(super) fn set_environment(&self, command: &mut Command) {
        let like = self.siltstone.command(&[]);
        command.env_clear().current_dir(self.siltstone.path());
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.envs(self.detours.iter().cloned());
    }

    pub(super) fn start_writer(&mut self, writer: usize) {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_siltstone")).with_file_name("writer");
        let mut command = match self.wrapper.as_slice() {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        self.set_environment(&mut command);
        self.starts[writer] = self.logs()[writer].len();
        let process = Process::spawn("writer", command, &self.log(writer)).expect("the writer starts");
        self.writers[writer] = Slot::Running(process);
    }

    /// Starts a writer of this number, which may be one more than the present ones.
    pub(super) fn add_writer(&mut self, writer: usize) {
        while self.writers.len() <= writer {
            self.writers.push(Slot::Off);
            self.starts.push(0);
        }
        self.start_writer(writer);
    }

    /// A running writer, chosen by `choice`.
    pub(super) fn running(&self, choice: usize) -> Option<usize> {
        let running: Vec<usize> =
            (0..self.writers.len()).filter(|index| matches!(self.writers[*index], Slot::Running(_))).collect();
        (!running.is_empty()).then(|| running[choice % running.len()])
    }

    fn take(&mut self, writer: usize) -> Process {
        match std::mem::replace(&mut self.writers[writer], Slot::Off) {
            Slot::Running(process) | Slot::Stopped(process, _) => process,
            Slot::Down(_) | Slot::Off => panic!("writer {writer} does not run"),
        }
    }

    /// Sends SIGKILL; the writer is restarted after `pause`.
    pub(super) async fn kill_writer(&mut self, writer: usize, pause: Duration) {
        self.take(writer).kill().await.expect("killed");
        self.writers[writer] = Slot::Down(Instant::now() + pause);
    }

    /// Sends SIGKILL to every running writer; they stay off.
    pub(super) async fn kill_writers(&mut self) {
        for writer in 0..self.writers.len() {
            if matches!(self.writers[writer], Slot::Running(_)) {
                self.take(writer).kill().await.expect("killed");
            }
            self.writers[writer] = Slot::Off;
        }
    }

    /// Sends SIGSTOP, and SIGCONT after `pause`.
    pub(super) fn stop_writer(&mut self, writer: usize, pause: Duration) {
        let process = self.take(writer);
        process.signal("STOP").expect("sent");
        self.writers[writer] = Slot::Stopped(process, Instant::now() + pause);
    }

    /// Sends SIGTERM `times` times and returns the exit code; the writer stays off.
    pub(super) async fn terminate_writer(&mut self, writer: usize, times: u32) -> Option<i32> {
        let mut process = self.take(writer);
        for _ in 0..times {
            // It may have ended after the first.
            let _ = process.signal("TERM");
            sleep(Duration::from_millis(20)).await;
        }
        let ended = process.wait(DEADLINE).await;
        let status = ended.unwrap_or_else(|error| panic!("{error}: {}", log_tail(&self.log(writer))));
        status.code()
    }

    /// Performs the steps that are due: continues stopped writers, restarts those that are down, and counts those
    /// that ended.
    pub(super) fn tend(&mut self) {
        let now = Instant::now();
        for index in 0..self.writers.len() {
            match &mut self.writers[index] {
                Slot::Running(process) => {
                    if process.exited().expect("its status").is_some() {
                        self.ended_by_themselves += 1;
                        self.writers[index] = Slot::Down(now + REVIVAL_PAUSE);
                    }
                }
                Slot::Stopped(_, until) if *until <= now => {
                    let process = self.take(index);
                    process.signal("CONT").expect("sent");
                    self.writers[index] = Slot::Running(process);
                }
                Slot::Down(until) if *until <= now => self.start_writer(index),
                Slot::Stopped(..) | Slot::Down(_) | Slot::Off => {}
            }
        }
    }

    /// Ends every writer in good order.
    pub(super) async fn stop_writers(&mut self) {
        for index in 0..self.writers.len() {
            if matches!(self.writers[index], Slot::Running(_) | Slot::Down(_)) {
                self.wait_started(index).await;
            }
            match &self.writers[index] {
                Slot::Running(_) => {
                    let code = self.terminate_writer(index, 1).await;
                    assert_eq!(code, Some(0), "{}", log_tail(&self.log(index)));
                }
                Slot::Stopped(..) => panic!("writer {index} is stopped"),
                Slot::Down(_) | Slot::Off => self.writers[index] = Slot::Off,
            }
        }
    }
}

/// A NATS server that confirms only synced messages.
pub(super) fn synced() -> NatsOptions {
    NatsOptions { jetstream_lines: vec!["sync_interval: always".to_owned()], ..NatsOptions::default() }
}

async fn proxy(target: std::net::SocketAddr) -> Arc<Proxy> {
    Arc::new(Proxy::start(target).await.expect("a proxy"))
}
