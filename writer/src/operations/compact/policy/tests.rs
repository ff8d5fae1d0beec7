//! The figures of a day of objects, and the edges of the choice.

use super::*;

const MIB: u64 = 1 << 20;
const DAY_MS: i64 = 86_400_000;

fn policy() -> Policy {
    Policy { target_bytes: 256 * MIB, level_0_objects: 64, memory_bytes: u64::MAX, has_order: false, schema_version: 1 }
}

/// An object of this number, whose rows came in this second of the first day.
fn object(number: u64, level: u32, size_bytes: u64, second: i64) -> Candidate {
    Candidate {
        file_id: FileId(number),
        level,
        size_bytes,
        min_timestamp_us: second * 1_000_000,
        max_timestamp_us: second * 1_000_000,
        schema_version: 1,
        listed_at: second * 1_000,
    }
}

/// The table of a topic during one day.
struct Day {
    policy: Policy,
    live: Vec<Candidate>,
    /// Live objects that no job takes before the day is over, apart to save time.
    settled: Vec<Candidate>,
    next: u64,
    written: u64,
    merged: u64,
    peak: usize,
}

impl Day {
    /// Does every job that is due now.
    fn compact(&mut self, now: i64) {
        while let Some(job) = self.policy.jobs(&self.live, now).into_iter().next() {
            let is_input = |object: &Candidate| job.inputs.contains(&object.file_id);
            let (inputs, others): (Vec<Candidate>, Vec<Candidate>) =
                self.live.iter().partition(|object| is_input(object));
            assert_eq!(inputs.iter().map(|input| input.size_bytes).sum::<u64>(), job.bytes);
            assert_eq!(inputs.len(), job.inputs.len());
            assert!(inputs.len() > 1, "a job of one object would never end");
            let first = inputs.iter().map(|input| input.min_timestamp_us).min().expect("at least two");
            self.next += 1;
            self.live = others;
            let place = if job.level < MERGES_MAX { &mut self.live } else { &mut self.settled };
            place.push(Candidate {
                file_id: FileId(self.next),
                level: job.level,
                size_bytes: job.bytes,
                min_timestamp_us: first,
                max_timestamp_us: first,
                ..inputs[0]
            });
            self.merged += job.bytes;
        }
    }
}

/// A day of `partitions` that get so many bytes a second each, flushed every 5 seconds, and the hour after it. Objects are
/// those of one partition each, of at most 64 MiB. Returns the most live objects, those in the end, and the write
/// amplification.
fn simulate(policy: Policy, partitions: u64, bytes_per_second: u64) -> (usize, usize, f64) {
    let every_ms = (64 * MIB * 1_000 / bytes_per_second).min(5_000) as i64;
    let size = bytes_per_second * every_ms as u64 / 1_000;
    let mut day = Day { policy, live: Vec::new(), settled: Vec::new(), next: 0, written: 0, merged: 0, peak: 0 };
    let mut waiting = (0, 0);
    for flush in 1..=DAY_MS / every_ms {
        let now = flush * every_ms;
        for _ in 0..partitions {
            day.next += 1;
            // The last millisecond belongs to the next day.
            day.live.push(Candidate { listed_at: now, ..object(day.next, 0, size, (now - 1) / 1_000) });
            day.written += size;
            waiting = (waiting.0 + 1, waiting.1 + size);
            day.peak = day.peak.max(day.live.len() + day.settled.len());
            // No job is due before: it saves asking.
            if waiting.0 >= day.policy.level_0_objects || waiting.1 >= day.policy.target_bytes {
                day.compact(now);
                waiting = (0, 0);
            }
        }
    }
    let peak = day.peak;
    day.live.append(&mut day.settled);
    day.compact(DAY_MS + DAY_OVER_MS);
    (peak, day.live.len() + day.settled.len(), 1.0 + day.merged as f64 / day.written as f64)
}

#[track_caller]
fn check(found: (usize, usize, f64), peak: usize, after: usize, amplification: f64) {
    let (found_peak, found_after, found_amplification) = found;
    // One object more may be there while the one that completes a job is counted.
    assert!(found_peak.abs_diff(peak) <= 1 + peak / 100, "{found_peak} objects at most, not {peak}");
    assert_eq!(found_after, after);
    assert!((found_amplification - amplification).abs() < 0.05, "bytes are written {found_amplification} times");
}

#[test]
fn a_day_of_slow_partitions_leaves_few_objects() {
    check(simulate(policy(), 100, 100), 135, 4, 6.0);
}

#[test]
fn a_day_of_a_thousand_partitions_leaves_few_objects() {
    check(simulate(policy(), 1_000, 1024), 610, 535, 5.0);
}

#[test]
fn a_day_of_partitions_of_a_megabyte_leaves_objects_of_the_target() {
    check(simulate(policy(), 8, 64 * 1024), 205, 135, 4.0);
    check(simulate(policy(), 8, MIB), 2_708, 2_659, 2.0);
}

#[test]
fn large_objects_stay_as_they_were_written_unless_the_topic_has_an_order() {
    let (peak, after, amplification) = simulate(policy(), 1, 20 * MIB);
    assert_eq!((peak, after, amplification), (27_000, 27_000, 1.0));
    check(simulate(Policy { has_order: true, ..policy() }, 1, 20 * MIB), 6_752, 6_750, 2.0);
}

#[test]
fn less_memory_makes_smaller_objects_and_no_endless_work() {
    let tight = Policy { memory_bytes: 64 * MIB, ..policy() };
    let (_, after, amplification) = simulate(tight.clone(), 8, MIB);
    let least = (8 * 86_400) / 64;
    assert!((least..4 * least).contains(&after), "{after} objects");
    assert!(amplification <= 4.0, "bytes are written {amplification} times");
    // Two objects that do not fit together wait for no third.
    let objects = [object(1, 1, 40 * MIB, 0), object(2, 1, 40 * MIB, 1), object(3, 1, 24 * MIB, 2)];
    let jobs = tight.jobs(&objects, 0);
    assert_eq!(jobs.iter().map(|job| job.inputs.clone()).collect::<Vec<_>>(), [[FileId(2), FileId(3)]]);
}

#[test]
fn few_objects_are_merged_for_their_age() {
    let objects: Vec<_> = (0..8).map(|n| object(n, 0, 1_000, n as i64)).collect();
    assert_eq!(policy().jobs(&objects, AGE_MAX_MS - 1), []);
    let jobs = policy().jobs(&objects, AGE_MAX_MS);
    assert_eq!((jobs.len(), jobs[0].inputs.len(), jobs[0].level), (1, 8, 1));
    assert_eq!(policy().jobs(&objects[..7], AGE_MAX_MS), []);
}

#[test]
fn days_are_kept_apart_and_inputs_are_in_the_order_of_time() {
    let small = Policy { level_0_objects: 2, ..policy() };
    let mut objects =
        vec![object(1, 0, 10, 7), object(2, 0, 10, 3), object(3, 0, 10, 86_400), object(4, 0, 10, 86_401)];
    let spanning = Candidate { max_timestamp_us: DAY_US, ..object(5, 0, 10, 8) };
    objects.push(spanning);
    let inputs = |objects: &[Candidate]| -> Vec<Vec<FileId>> {
        small.jobs(objects, 0).into_iter().map(|job| job.inputs).collect()
    };
    assert_eq!(inputs(&objects), [[FileId(2), FileId(1)], [FileId(3), FileId(4)]]);
    objects.push(Candidate { file_id: FileId(6), ..spanning });
    assert!(inputs(&objects).contains(&vec![FileId(5), FileId(6)]), "objects that span the same days are merged");
}

#[test]
fn the_last_pass_writes_no_large_object_again_for_a_late_message() {
    let over = DAY_MS + DAY_OVER_MS;
    let objects = [object(1, 4, 100 * MIB, 0), object(2, 0, 1_000, 5)];
    assert_eq!(policy().jobs(&objects, over), []);
    let objects = [object(1, 4, 100 * MIB, 0), object(2, 4, 90 * MIB, 1), object(3, 1, 20 * MIB, 2)];
    assert_eq!(policy().jobs(&objects, over - 1), [], "the day is not over for an hour");
    let jobs = policy().jobs(&objects, over);
    assert_eq!(jobs[0].inputs, [FileId(1), FileId(2), FileId(3)]);
}

#[test]
fn times_outside_of_any_calendar_are_days_like_others() {
    let at = |n, us| Candidate { min_timestamp_us: us, max_timestamp_us: us, ..object(n, 0, 10, 0) };
    let objects = [at(1, i64::MIN), at(2, i64::MIN), at(3, i64::MAX), at(4, i64::MAX)];
    let jobs = Policy { level_0_objects: 2, ..policy() }.jobs(&objects, i64::MAX);
    assert_eq!(jobs.len(), 2);
}
