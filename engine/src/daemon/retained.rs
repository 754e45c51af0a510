//! Aged segments: which of them go, and when.
//!
//! A segment that no start needs is kept so that messages in it can be asked for, for a time and within a size. Then the oldest
//! goes first: it becomes the next segment of the log, or is removed. On a full disk they give way to what is new, those of other shards
//! too: shards have one disk.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::time::WallMs;

use crate::runtime::AgedFile;

use super::limits::SPARE_SEGMENTS;

/// How long and how many, as configured.
#[derive(Clone, Debug)]
pub(super) struct Retention {
    /// Since a segment was last written to.
    pub(super) time: Duration,
    /// What all of a shard may take.
    pub(super) bytes: u64,
    /// How often a shard of the node called for room. Shared by all of them.
    pub(super) calls: Arc<AtomicU64>,
}

/// The aged segments of a shard's log. One per shard.
#[derive(Debug)]
pub(super) struct Retained {
    retention: Retention,
    segment_bytes: u64,
    /// The oldest first.
    segments: VecDeque<AgedFile>,
    /// So many of them go whatever their age: the disk is full.
    condemned: u64,
    /// The calls for room that were heard.
    heard: u64,
}

impl Retained {
    /// Those that an earlier process left, by number.
    pub(super) fn new(retention: Retention, segment_bytes: u64, found: Vec<AgedFile>) -> Self {
        assert!(found.is_sorted_by_key(|segment| segment.seq), "the oldest goes first");
        let heard = retention.calls.load(Ordering::Relaxed);
        Self { retention, segment_bytes, segments: found.into(), condemned: 0, heard }
    }

    /// One more, the newest.
    pub(super) fn push(&mut self, segment: AgedFile) {
        assert!(self.segments.back().is_none_or(|last| last.seq < segment.seq), "segments age in order");
        self.segments.push_back(segment);
    }

    /// The oldest, if its time is over: it is used again.
    pub(super) fn take_expired(&mut self, now: WallMs) -> Option<u64> {
        if self.expired(now) == 0 {
            return None;
        }
        self.condemned = self.condemned.saturating_sub(1);
        self.segments.pop_front().map(|segment| segment.seq)
    }

    /// The oldest, if more are expired than will be used again soon: it is removed.
    pub(super) fn take_excess(&mut self, now: WallMs) -> Option<u64> {
        let is_excess = self.condemned > 0 || self.expired(now) > SPARE_SEGMENTS;
        if is_excess { self.take_expired(now) } else { None }
    }

    /// There is no room for the log: one gives way. `false` when there is none.
    pub(super) fn make_room(&mut self) -> bool {
        self.condemned = self.condemned.max(1).min(self.count());
        self.condemned > 0
    }

    /// There is no room for something: half of what each shard keeps gives way, so that there is after a few calls, and for a
    /// while.
    pub(super) fn call_for_room(&self) {
        self.retention.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Hears such calls; `true` when there was one, and segments that give way.
    pub(super) fn hear(&mut self) -> bool {
        let calls = self.retention.calls.load(Ordering::Relaxed);
        if core::mem::replace(&mut self.heard, calls) == calls {
            return false;
        }
        self.condemned = self.condemned.max(self.count().div_ceil(2));
        self.condemned > 0
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.segments.len()).expect("a length fits")
    }

    /// What they take.
    pub(super) fn bytes(&self) -> u64 {
        self.count() * self.segment_bytes
    }

    /// How many of the oldest may go; not more than one beyond those that are kept to be used again are counted by age.
    fn expired(&self, now: WallMs) -> u64 {
        let time = self.retention.time;
        let too_many = self.count().saturating_sub(self.retention.bytes / self.segment_bytes);
        let oldest = self.segments.iter().zip(0..=SPARE_SEGMENTS);
        let too_old = oldest.take_while(|(segment, _)| now.since(segment.written) >= time).count();
        too_many.max(u64::try_from(too_old).expect("a count fits")).max(self.condemned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_BYTES: u64 = 1 << 20;

    fn retained(time_ms: u64, segments: u64, written: &[u64]) -> Retained {
        let (time, bytes) = (Duration::from_millis(time_ms), segments * SEGMENT_BYTES);
        let retention = Retention { time, bytes, calls: Arc::default() };
        let found = (5..).zip(written).map(|(seq, &at)| AgedFile { seq, written: WallMs(at) });
        Retained::new(retention, SEGMENT_BYTES, found.collect())
    }

    #[test]
    fn the_oldest_go_first_by_age_and_by_size() {
        let mut kept = retained(1000, 3, &[100, 200, 300]);
        assert_eq!((kept.take_expired(WallMs(1099)), kept.count()), (None, 3));
        assert_eq!(kept.take_expired(WallMs(1100)), Some(5));
        kept.push(AgedFile { seq: 8, written: WallMs(400) });
        assert_eq!((kept.take_expired(WallMs(1100)), kept.bytes()), (None, 3 << 20));
        kept.push(AgedFile { seq: 9, written: WallMs(500) });
        assert_eq!((kept.take_expired(WallMs(1100)), kept.take_expired(WallMs(1100))), (Some(6), None));
        // A clock that was set back keeps them longer, and nothing else.
        assert_eq!(kept.take_expired(WallMs(0)), None);
    }

    #[test]
    fn a_few_expired_ones_wait_to_be_used_again_and_the_rest_is_removed() {
        let mut kept = retained(0, 100, &[1, 2, 3, 4]);
        let removed: Vec<u64> = std::iter::from_fn(|| kept.take_excess(WallMs(9))).collect();
        assert_eq!((removed, kept.count()), (vec![5, 6], SPARE_SEGMENTS));
        assert_eq!(kept.take_expired(WallMs(9)), Some(7));
    }

    #[test]
    fn on_a_full_disk_they_give_way_whatever_their_age() {
        let mut kept = retained(1_000_000, 100, &[1, 2, 3, 4, 5]);
        assert_eq!(kept.take_expired(WallMs(9)), None);
        assert!(kept.make_room());
        assert_eq!((kept.take_expired(WallMs(9)), kept.take_expired(WallMs(9))), (Some(5), None));
        assert!(!kept.hear());
        kept.call_for_room();
        assert!(kept.hear() && !kept.hear());
        let removed: Vec<u64> = std::iter::from_fn(|| kept.take_excess(WallMs(9))).collect();
        assert_eq!(removed, [6, 7]);
        assert!(!retained(1, 1, &[]).make_room());
    }
}
