//! The processes behind the clients: ingesters, a server of everything, a writer; each is restarted after its end.
//!
//! Owns: starting, killing and reviving them at addresses that stay. Does not own: the time of the faults (`faults`).

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::process::{Process, log_tail};
use tokio::time::{Instant, sleep};

use super::{DEADLINE, POLL};
use crate::crash::world::World;

/// Pause of a supervisor before it restarts a process that ended by itself.
const REVIVAL_PAUSE: Duration = Duration::from_millis(300);

/// The programs: the binary, its arguments, and true if it takes records.
const PROGRAMS: [(&str, &[&str], bool); 4] =
    [("ingester", &[], true), ("ingester", &[], true), ("siltstone", &["up"], true), ("writer", &[], false)];

enum State {
    Running(Process),
    /// Restarted at this time.
    Down(Instant),
}

struct Member {
    /// Index into `PROGRAMS`.
    program: usize,
    port: u16,
    log: PathBuf,
    /// Length of the log at the last start.
    started_at: usize,
    state: State,
}

/// The processes.
pub(super) struct Fleet {
    members: Vec<Member>,
    /// Ends that nobody asked for.
    pub(super) ended_by_themselves: u64,
}

impl Member {
    fn start(&mut self, world: &World) {
        let (name, arguments, _) = PROGRAMS[self.program];
        let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_siltstone")).with_file_name(name));
        world.set_environment(&mut command);
        command.args(arguments).env("INGEST_ADDR", format!("127.0.0.1:{}", self.port));
        self.started_at = self.text().len();
        self.state = State::Running(Process::spawn(name, command, &self.log).expect("it starts"));
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// True once the process runs and has told that it works.
    fn has_started(&self) -> bool {
        if matches!(self.state, State::Down(_)) {
            return false;
        }
        let text = self.text();
        let now = &text[self.started_at.min(text.len())..];
        now.contains("writer started") || now.contains("ingester started")
    }
}

impl Fleet {
    /// Starts every program.
    pub(super) fn start(world: &World) -> Self {
        let member = |program| Member {
            program,
            port: support::port::free().expect("a port"),
            log: world.siltstone.path().join(format!("fleet-{program}.log")),
            started_at: 0,
            state: State::Down(Instant::now()),
        };
        let mut fleet = Self { members: (0..PROGRAMS.len()).map(member).collect(), ended_by_themselves: 0 };
        fleet.tend(world);
        fleet
    }

    /// Base URLs of those that take records.
    pub(super) fn addresses(&self) -> Vec<String> {
        let takers = self.members.iter().filter(|member| PROGRAMS[member.program].2);
        takers.map(|member| format!("http://127.0.0.1:{}", member.port)).collect()
    }

    /// Restarts what is due, and notes what ended by itself.
    pub(super) fn tend(&mut self, world: &World) {
        let now = Instant::now();
        for member in &mut self.members {
            match &mut member.state {
                State::Running(process) => {
                    if process.exited().expect("its status").is_some() {
                        self.ended_by_themselves += 1;
                        member.state = State::Down(now + REVIVAL_PAUSE);
                    }
                }
                State::Down(until) if *until <= now => member.start(world),
                State::Down(_) => {}
            }
        }
    }

    /// Tends them for a while.
    pub(super) async fn pass_time(&mut self, world: &World, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tend(world);
            sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now()))).await;
        }
        self.tend(world);
    }

    /// Sends SIGKILL to a running process, chosen by `choice`; it is restarted after `pause`. True if it takes records.
    pub(super) async fn kill(&mut self, choice: usize, pause: Duration) -> Option<bool> {
        let running: Vec<usize> =
            (0..self.members.len()).filter(|at| matches!(self.members[*at].state, State::Running(_))).collect();
        let member = &mut self.members[*running.get(choice % running.len().max(1))?];
        let State::Running(process) = &mut member.state else { return None };
        process.kill().await.expect("killed");
        member.state = State::Down(Instant::now() + pause);
        Some(PROGRAMS[member.program].2)
    }

    /// Waits until every process works, restarting it if necessary.
    pub(super) async fn wait_started(&mut self, world: &World) {
        let end = Instant::now() + DEADLINE;
        while !self.members.iter().all(Member::has_started) {
            assert!(Instant::now() < end, "not all of them start: {}", self.log_tails());
            self.pass_time(world, POLL).await;
        }
    }

    /// Ends every process in good order.
    pub(super) async fn stop(&mut self, world: &World) {
        self.wait_started(world).await;
        for member in &mut self.members {
            let State::Running(process) = &mut member.state else { panic!("{} is down", member.log.display()) };
            process.signal("TERM").expect("sent");
        }
        for member in &mut self.members {
            let State::Running(process) = &mut member.state else { unreachable!("it was just running") };
            let ended =
                process.wait(DEADLINE).await.unwrap_or_else(|error| panic!("{error}: {}", log_tail(&member.log)));
            assert_eq!(ended.code(), Some(0), "{}", log_tail(&member.log));
        }
    }

    /// The ends of all logs, for the message of a failure.
    pub(super) fn log_tails(&self) -> String {
        self.members.iter().map(|member| log_tail(&member.log)).collect::<Vec<_>>().join("\n\n")
    }
}
