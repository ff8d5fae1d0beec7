//! Time, CPU and memory of this process while a phase runs, and the machine it runs on.
//!
//! Owns: reading /proc; a figure is missing where /proc is absent or refuses. Does not own: the measured phases.

use std::fs;

use serde::Serialize;
use tokio::time::Instant;

/// Linux counts CPU time for /proc in hundredths of a second on every platform it supports.
const CLOCK_TICKS_PER_SEC: f64 = 100.0;

/// A running measurement.
#[derive(Debug)]
pub(super) struct Measurement {
    started: Instant,
    cpu_seconds: Option<f64>,
    rss_was_reset: bool,
}

/// Figures of a phase.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Phase {
    /// Messages it handled.
    pub(super) messages: u64,
    /// Bytes of their payloads.
    pub(super) bytes: u64,
    /// Wall time.
    pub(super) seconds: f64,
    /// User and system time of this process, all threads.
    pub(super) cpu_seconds: Option<f64>,
    /// Messages by wall time.
    pub(super) messages_per_s: f64,
    /// 10^6 bytes of payload by wall time.
    pub(super) mb_per_s: f64,
    /// Messages by CPU time.
    pub(super) messages_per_cpu_s: Option<f64>,
    /// The most memory resident during the phase, bytes.
    pub(super) rss_peak_bytes: Option<u64>,
    /// False when the system refused to reset the peak, which is then that of the whole process so far.
    pub(super) rss_peak_is_of_phase: bool,
}

/// The value below or at which so many thousandths of the sorted values are; `None` of none.
pub(super) fn per_mille<T: Copy>(sorted: &[T], thousandths: usize) -> Option<T> {
    let index = (sorted.len() * thousandths).div_ceil(1_000).saturating_sub(1);
    sorted.get(index).copied()
}

impl Measurement {
    /// Starts now.
    pub(super) fn start() -> Self {
        let rss_was_reset = fs::write("/proc/self/clear_refs", "5").is_ok();
        Self { started: Instant::now(), cpu_seconds: cpu_seconds(), rss_was_reset }
    }

    /// Seconds so far.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Ends now.
    pub(super) fn finish(self, messages: u64, bytes: u64) -> Phase {
        let seconds = self.seconds();
        self.finish_after(seconds, messages, bytes)
    }

    /// The same for a phase whose wall time was taken earlier.
    #[expect(clippy::cast_precision_loss, reason = "rates are approximate")]
    pub(super) fn finish_after(self, seconds: f64, messages: u64, bytes: u64) -> Phase {
        let cpu = cpu_seconds().zip(self.cpu_seconds).map(|(now, before)| now - before);
        Phase {
            messages,
            bytes,
            seconds,
            cpu_seconds: cpu,
            messages_per_s: messages as f64 / seconds,
            mb_per_s: bytes as f64 / 1e6 / seconds,
            // Less than one tick counts as not measured.
            messages_per_cpu_s: cpu.filter(|cpu| *cpu > 0.0).map(|cpu| messages as f64 / cpu),
            rss_peak_bytes: rss_peak_bytes(),
            rss_peak_is_of_phase: self.rss_was_reset,
        }
    }
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Hardware {
    /// Model name of the CPU.
    pub(super) cpu: String,
    /// Threads that this process may use.
    pub(super) cores: usize,
    /// Memory of the machine, bytes.
    pub(super) memory_bytes: Option<u64>,
}

impl Hardware {
    /// Reads the figures of the system.
    pub(super) fn read() -> Self {
        let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cpu, cores, memory_bytes: kib_field("/proc/meminfo", "MemTotal") }
    }
}

fn cpu_seconds() -> Option<f64> {
    cpu_seconds_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 of proc(5)'s `/proc/pid/stat`; the second field, in parentheses, may hold spaces.
fn cpu_seconds_of(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / CLOCK_TICKS_PER_SEC)
}

fn rss_peak_bytes() -> Option<u64> {
    kib_field("/proc/self/status", "VmHWM")
}

fn kib_field(path: &str, name: &str) -> Option<u64> {
    let kib: u64 = field(path, name)?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "1 (a b) c) S 0 0 0 0 0 0 0 0 0 0 150 50 9 9";
        assert_eq!(cpu_seconds_of(stat), Some(2.0));
        assert_eq!(cpu_seconds_of("nonsense"), None);
    }
}
