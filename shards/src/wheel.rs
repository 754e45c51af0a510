//! A timer for every message of a partition, each in eight bytes of links.
//!
//! ```text
//!   level 0   64 buckets of 16 ms       next second
//!   level 1   64 buckets of 1 s         next minute
//!   level 2   64 buckets of 65 s        next hour
//!   level 3   64 buckets of 70 min      next three days
//! ```
//!
//! A hashed hierarchical timing wheel (Varghese and Lauck, 1987), intrusive: the buckets are doubly linked lists through
//! an array that runs beside the messages' slots, so that setting, moving and cancelling a timer touches two
//! neighbours and allocates nothing. A slot has one timer: the next thing that is due for its message. When a bucket of
//! a higher level comes up, its timers are dealt to the levels below.

use wire::time::WallMs;

use crate::limits::TICK;

const LEVELS: usize = 4;
const BUCKETS: usize = 64;
const BITS: u32 = 6;
const NONE: u32 = u32::MAX;
/// `Node::bucket` of a slot without a timer.
const IDLE: u16 = u16::MAX;
const TICK_MS: u64 = 16;

const _: () = assert!(TICK_MS as u128 == TICK.as_millis());

#[derive(Clone, Copy, Debug)]
struct Node {
    due: u64,
    next: u32,
    previous: u32,
    bucket: u16,
}

/// The timers of one partition, by slot.
#[derive(Debug)]
pub(crate) struct Wheel {
    nodes: Vec<Node>,
    heads: [[u32; BUCKETS]; LEVELS],
    /// One bit for each bucket that is not empty.
    occupied: [u64; LEVELS],
    /// The next tick that has not been handled.
    tick: u64,
    armed: usize,
}

impl Wheel {
    pub(crate) fn new(now: WallMs) -> Self {
        Self {
            nodes: Vec::new(),
            heads: [[NONE; BUCKETS]; LEVELS],
            occupied: [0; LEVELS],
            tick: now.0 / TICK_MS,
            armed: 0,
        }
    }

    /// Sets the timer of `slot`, in place of one that it had. A time that is past is due at the next look.
    pub(crate) fn set(&mut self, slot: u32, due: WallMs) {
        let place = slot as usize;
        if place >= self.nodes.len() {
            self.nodes.resize(place + 1, Node { due: 0, next: NONE, previous: NONE, bucket: IDLE });
        }
        self.cancel(slot);
        // Rounded up: a timer is late by less than a tick, and never early.
        self.nodes[place].due = due.0.div_ceil(TICK_MS).max(self.tick);
        self.link(slot);
        self.armed += 1;
    }

    /// Takes the timer of `slot` away, if it has one.
    pub(crate) fn cancel(&mut self, slot: u32) {
        if self.nodes.get(slot as usize).is_some_and(|node| node.bucket != IDLE) {
            self.unlink(slot);
            self.armed -= 1;
        }
    }

    /// When to look again; it may be early (a higher level comes up), never late.
    pub(crate) fn next_due(&self) -> Option<WallMs> {
        (0..LEVELS)
            .filter(|&level| self.occupied[level] != 0)
            .map(|level| {
                let shift = BITS * u32::try_from(level).unwrap_or(0);
                let current = self.tick >> shift;
                let here = u32::try_from(bucket_of(current)).unwrap_or(0);
                let ahead = u64::from(self.occupied[level].rotate_right(here).trailing_zeros());
                // At a higher level the current bucket was dealt when it came up: what is in it is a whole turn away.
                let ahead = if ahead == 0 && level > 0 { BUCKETS as u64 } else { ahead };
                (current + ahead) << shift
            })
            .min()
            .map(|tick| WallMs(tick.max(self.tick) * TICK_MS))
    }

    /// Takes one slot whose time has come, or `None`: then time is at `now`.
    pub(crate) fn pop(&mut self, now: WallMs) -> Option<u32> {
        let last = now.0 / TICK_MS;
        while self.tick <= last {
            let bucket = bucket_of(self.tick);
            let slot = self.heads[0][bucket];
            if slot != NONE {
                self.unlink(slot);
                self.armed -= 1;
                return Some(slot);
            }
            self.advance(last);
        }
        None
    }

    /// How many timers are set.
    #[cfg(test)]
    pub(crate) const fn armed(&self) -> usize {
        self.armed
    }

    /// Moves on by one tick, or over a stretch in which nothing is set, and deals the buckets that come up.
    fn advance(&mut self, last: u64) {
        if self.armed == 0 {
            self.tick = last + 1;
            return;
        }
        // With an empty level 0 nothing is due before the next turn of level 1.
        self.tick = if self.occupied[0] == 0 {
            ((self.tick | (BUCKETS as u64 - 1)) + 1).min(last + 1)
        } else {
            self.tick + 1
        };
        for level in 1..LEVELS {
            let shift = BITS * u32::try_from(level).unwrap_or(0);
            if self.tick & ((1 << shift) - 1) != 0 {
                break;
            }
            self.deal(level, bucket_of(self.tick >> shift));
        }
    }

    fn deal(&mut self, level: usize, bucket: usize) {
        let mut slot = core::mem::replace(&mut self.heads[level][bucket], NONE);
        self.occupied[level] &= !(1 << bucket);
        while slot != NONE {
            let next = self.nodes[slot as usize].next;
            self.link(slot);
            slot = next;
        }
    }

    fn link(&mut self, slot: u32) {
        let due = self.nodes[slot as usize].due;
        assert!(due >= self.tick, "a timer in the past was linked");
        let ahead = due - self.tick;
        // The lowest level whose turn reaches so far; beyond the last level the timer is dealt again and again.
        let level = (0..LEVELS - 1)
            .find(|&level| ahead < 1 << (BITS * (u32::try_from(level).unwrap_or(0) + 1)))
            .unwrap_or(LEVELS - 1);
        let shift = BITS * u32::try_from(level).unwrap_or(0);
        let furthest = self.tick + ((BUCKETS as u64 - 1) << shift);
        let bucket = bucket_of(due.min(furthest) >> shift);
        let head = self.heads[level][bucket];
        if head != NONE {
            self.nodes[head as usize].previous = slot;
        }
        self.heads[level][bucket] = slot;
        self.occupied[level] |= 1 << bucket;
        let node = &mut self.nodes[slot as usize];
        node.next = head;
        node.previous = NONE;
        node.bucket = u16::try_from(level * BUCKETS + bucket).expect("256 buckets");
    }

    fn unlink(&mut self, slot: u32) {
        let node = self.nodes[slot as usize];
        let (level, bucket) = (usize::from(node.bucket) / BUCKETS, usize::from(node.bucket) % BUCKETS);
        if node.previous == NONE {
            self.heads[level][bucket] = node.next;
            if node.next == NONE {
                self.occupied[level] &= !(1 << bucket);
            }
        } else {
            self.nodes[node.previous as usize].next = node.next;
        }
        if node.next != NONE {
            self.nodes[node.next as usize].previous = node.previous;
        }
        self.nodes[slot as usize].bucket = IDLE;
    }
}

/// The place of a tick among the buckets of its level.
fn bucket_of(tick: u64) -> usize {
    usize::try_from(tick & (BUCKETS as u64 - 1)).expect("six bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_timer_is_late_by_less_than_a_tick_and_never_early() {
        for due in [1, 15, 16, 17, 1_000, 1_024, 65_536, 4_194_304, 200_000_000, 400_000_000] {
            let mut wheel = Wheel::new(WallMs(0));
            wheel.set(0, WallMs(due));
            let mut now = WallMs(0);
            while wheel.pop(now).is_none() {
                assert!(now.0 < due + TICK_MS, "a timer for {due} did not fire at {now:?}");
                now = wheel.next_due().expect("it is set").max(WallMs(now.0 + 1));
            }
            assert!(now.0 >= due, "a timer for {due} fired at {now:?}");
        }
    }

    proptest! {
        #[test]
        fn timers_fire_once_each_in_their_tick_whatever_is_set_and_cancelled(
            operations in prop::collection::vec((0_u32..40, 0_u64..500_000, 0_u64..3_000, any::<bool>()), 1..200),
        ) {
            let mut wheel = Wheel::new(WallMs(1_000));
            let mut model = std::collections::BTreeMap::new();
            let mut now = 1_000_u64;
            for (slot, ahead, step, cancels) in operations {
                if cancels {
                    wheel.cancel(slot);
                    model.remove(&slot);
                } else {
                    wheel.set(slot, WallMs(now + ahead));
                    model.insert(slot, now + ahead);
                }
                now += step;
                while let Some(slot) = wheel.pop(WallMs(now)) {
                    let due = model.remove(&slot);
                    prop_assert!(due.is_some_and(|due| due <= now), "{slot} fired at {now}, set for {due:?}");
                }
                prop_assert!(model.values().all(|&due| due + 2 * TICK_MS > now), "{model:?} at {now}");
                prop_assert_eq!(wheel.armed(), model.len());
            }
        }
    }
}
