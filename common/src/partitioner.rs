//! Partitioners: the choice of a message's partition.
//!
//! Owns: the stable hash of a key, the same in every process and version, with its test vectors.
//! Does not own: the number of partitions, a partition that the caller names.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// The function that spreads keys over the partitions of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partitioner {
    /// SipHash-2-4 of the key bytes with a key of zeros, modulo the partitions.
    #[default]
    Siphash,
    /// FNV-1a of 32 bits modulo the partitions: the same as the NATS server's `{{partition(n,…)}}` mapping.
    Nats,
}

impl Partitioner {
    /// Its name in options and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Siphash => "siphash",
            Self::Nats => "nats",
        }
    }

    /// The partition of `key` among `partition_count`, which must not be 0.
    pub fn partition_of(self, key: &[u8], partition_count: u32) -> u32 {
        assert!(partition_count > 0, "a topic has at least one partition");
        let hash = match self {
            Self::Siphash => {
                let mut hasher = SipHasher24::new_with_keys(0, 0);
                hasher.write(key);
                hasher.finish()
            }
            Self::Nats => u64::from(fnv1a_32(key)),
        };
        u32::try_from(hash % u64::from(partition_count)).expect("smaller than a u32")
    }
}

/// FNV-1a, 32 bits: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Spreads messages without a key evenly, in turn.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicU32,
}

impl RoundRobin {
    /// The next partition among `partition_count`, which must not be 0.
    pub fn next(&self, partition_count: u32) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed) % partition_count
    }

    /// Passes over `turns` turns, as if so many messages had taken them.
    pub fn pass(&self, turns: u64) {
        // Turns are counted modulo 2^32.
        self.next.fetch_add(turns as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_matches_the_published_vectors() {
        // The reference value of SipHash-2-4 with a zero key for no input, then this project's vectors for tests in
        // other languages: (key, partition of 1,000).
        let mut hasher = SipHasher24::new_with_keys(0, 0);
        hasher.write(b"");
        assert_eq!(hasher.finish(), 0x1e92_4b9d_7377_00d7);
        for (key, partition) in [(&b""[..], 367), (b"user-123", 8), (b"\xff\x00", 706)] {
            assert_eq!(Partitioner::Siphash.partition_of(key, 1000), partition, "{key:?}");
        }
    }

    #[test]
    fn fnv_matches_the_published_vectors() {
        // From the FNV draft's test vectors.
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn names_are_those_of_the_stored_options() {
        for partitioner in [Partitioner::Siphash, Partitioner::Nats] {
            assert_eq!(serde_json::to_value(partitioner).expect("a name"), partitioner.as_str());
        }
    }

    #[test]
    fn every_partition_gets_its_share_of_keys() {
        for partitioner in [Partitioner::Siphash, Partitioner::Nats] {
            let mut counts = [0_u32; 8];
            for i in 0..80_000 {
                counts[partitioner.partition_of(format!("user-{i}").as_bytes(), 8) as usize] += 1;
            }
            assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{partitioner:?}: {counts:?}");
        }
    }

    #[test]
    fn round_robin_takes_turns() {
        let turns = RoundRobin::default();
        let taken: Vec<u32> = (0..6).map(|_| turns.next(3)).collect();
        assert_eq!(taken, [0, 1, 2, 0, 1, 2]);
        turns.pass(4);
        assert_eq!(turns.next(3), 1);
    }
}
