//! A range of offsets.
//!
//! Owns: the invariant that a range is never empty nor reversed, and arithmetic on its ends.
//! Does not own: the ranges of a partition (`catalog`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Offsets `base..=end`: both ends belong to it, so it holds at least one offset. As JSON `base_offset` and
/// `end_offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "Ends", try_from = "Ends")]
pub struct OffsetRange {
    base: u64,
    end: u64,
}

/// The ends of a range as they are written down.
#[derive(Serialize, Deserialize)]
struct Ends {
    base_offset: u64,
    end_offset: u64,
}

/// Ends that are not those of a range.
#[derive(Debug, thiserror::Error)]
#[error("{base}..={end} is not a range of offsets")]
struct NotARange {
    base: u64,
    end: u64,
}

impl From<OffsetRange> for Ends {
    fn from(range: OffsetRange) -> Self {
        Self { base_offset: range.base, end_offset: range.end }
    }
}

impl TryFrom<Ends> for OffsetRange {
    type Error = NotARange;
    fn try_from(ends: Ends) -> Result<Self, NotARange> {
        let (base, end) = (ends.base_offset, ends.end_offset);
        Self::new(base, end).ok_or(NotARange { base, end })
    }
}

impl OffsetRange {
    /// The range from `base` to `end`, both included.
    ///
    /// `None` if it is reversed, or if no offset follows it: a watermark must fit after each range.
    pub fn new(base: u64, end: u64) -> Option<Self> {
        (base <= end && end < u64::MAX).then_some(Self { base, end })
    }

    /// The range that begins at `base` and ends before `next`; `None` when it would be empty.
    pub fn until(base: u64, next: u64) -> Option<Self> {
        Self::new(base, next.checked_sub(1)?)
    }

    /// The first offset.
    pub fn base(self) -> u64 {
        self.base
    }

    /// The last offset.
    pub fn end(self) -> u64 {
        self.end
    }

    /// The offset after the last: the watermark once the range is committed.
    pub fn next(self) -> u64 {
        self.end + 1
    }

    /// Number of offsets it covers, held by the queue or not. Never 0.
    pub fn count(self) -> u64 {
        (self.end - self.base).saturating_add(1)
    }

    /// True if `offset` lies in it.
    pub fn contains(self, offset: u64) -> bool {
        (self.base..=self.end).contains(&offset)
    }

    /// True if all of `other` lies in it.
    pub fn encloses(self, other: Self) -> bool {
        self.base <= other.base && other.end <= self.end
    }

    /// True if some offset lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.base <= other.end && other.base <= self.end
    }

    /// Both as one range, if `next` begins right after this one.
    pub fn joined(self, next: Self) -> Option<Self> {
        (self.next() == next.base).then_some(Self { base: self.base, end: next.end })
    }
}

impl fmt::Display for OffsetRange {
    /// `<base>..=<end>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.base, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(base: u64, end: u64) -> OffsetRange {
        OffsetRange::new(base, end).expect("in order")
    }

    #[test]
    fn no_range_is_empty_or_reversed() {
        assert_eq!(OffsetRange::new(5, 4), None);
        assert_eq!(OffsetRange::until(5, 5), None);
        assert_eq!(OffsetRange::until(0, 0), None);
        assert_eq!(OffsetRange::new(0, u64::MAX), None, "no watermark could follow");
        let whole = range(0, u64::MAX - 1);
        assert_eq!((whole.count(), whole.next()), (u64::MAX, u64::MAX));
        assert_eq!(OffsetRange::until(5, 6), Some(range(5, 5)));
    }

    #[test]
    fn a_range_that_is_read_is_checked() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Gap {
            #[serde(flatten)]
            range: OffsetRange,
            reason: String,
        }
        let gap = Gap { range: range(5, 9), reason: "gone".to_owned() };
        let text = serde_json::to_string(&gap).expect("plain fields");
        assert_eq!(text, r#"{"base_offset":5,"end_offset":9,"reason":"gone"}"#);
        assert_eq!(serde_json::from_str::<Gap>(&text).expect("as written"), gap);
        let error = serde_json::from_str::<Gap>(&text.replace('5', "10")).expect_err("reversed");
        assert!(error.to_string().contains("10..=9 is not a range of offsets"), "{error}");
    }

    #[test]
    fn ends_belong_to_a_range() {
        let five = range(5, 9);
        assert_eq!((five.base(), five.end(), five.next(), five.count()), (5, 9, 10, 5));
        assert!(five.contains(5) && five.contains(9) && !five.contains(4) && !five.contains(10));
        assert!(five.encloses(range(5, 9)) && five.encloses(range(6, 6)) && !five.encloses(range(5, 10)));
        assert!(five.overlaps(range(9, 20)) && five.overlaps(range(0, 5)) && !five.overlaps(range(10, 20)));
        assert_eq!(five.joined(range(10, 12)), Some(range(5, 12)));
        assert_eq!((five.joined(range(11, 12)), five.joined(five)), (None, None));
        assert_eq!(five.to_string(), "5..=9");
    }
}
