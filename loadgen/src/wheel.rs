//! What is to happen later: a carrier's answers and receipts, a customer's next try.
//!
//! A hashed wheel: a bucket for each 65 µs, 4.3 s to a turn, and what is due in a later turn stays in its bucket. A
//! bit for each bucket says whether anything is in it, so that the next one is found by scanning words. The buckets
//! keep their memory: in a steady run nothing is allocated.

use wire::time::Instant;

use crate::limits::{WHEEL_BUCKET_SHIFT, WHEEL_BUCKETS};

/// Events by their time.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    buckets: Box<[Vec<(Instant, T)>]>,
    occupied: Box<[u64]>,
    /// Every bucket before this one (counted from the start of time) has been fired.
    cursor: u64,
    events: usize,
}

impl<T> Wheel<T> {
    /// A wheel without events.
    pub(crate) fn new() -> Self {
        Self {
            buckets: (0..WHEEL_BUCKETS).map(|_| Vec::new()).collect(),
            occupied: vec![0; WHEEL_BUCKETS / 64].into_boxed_slice(),
            cursor: 0,
            events: 0,
        }
    }

    /// How many events are to come.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.events
    }

    /// Adds an event; one whose time has passed fires with the next call of [`Wheel::fire`].
    pub(crate) fn push(&mut self, at: Instant, event: T) {
        let place = place_of(bucket_of(at).max(self.cursor));
        self.buckets[place].push((at, event));
        self.occupied[place / 64] |= 1 << (place % 64);
        self.events += 1;
    }

    /// Moves all that is due at `now` to `due`, by bucket.
    pub(crate) fn fire(&mut self, now: Instant, due: &mut Vec<T>) {
        let last = bucket_of(now);
        // The last bucket is looked at again next time: only part of it may be due.
        while self.events > 0 && self.cursor <= last {
            let Some(place) = self.next_occupied(last) else { break };
            let bucket = &mut self.buckets[place];
            let before = bucket.len();
            let mut index = 0;
            while index < bucket.len() {
                if bucket[index].0 <= now {
                    due.push(bucket.swap_remove(index).1);
                } else {
                    index += 1;
                }
            }
            self.events -= before - bucket.len();
            if bucket.is_empty() {
                self.occupied[place / 64] &= !(1 << (place % 64));
            }
            if self.cursor == last {
                return;
            }
            self.cursor += 1;
        }
        self.cursor = self.cursor.max(last);
    }

    /// When to look again: no later than the next event's time, `None` without events.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        if self.events == 0 {
            return None;
        }
        let first = self.scan(WHEEL_BUCKETS as u64)?;
        // Within its bucket the exact time: a bucket that holds only a later turn's events would else be due at once.
        let bucket = &self.buckets[place_of(first)];
        let earliest = bucket.iter().map(|&(at, _)| at).min()?;
        let end = Instant((first + 1) << WHEEL_BUCKET_SHIFT);
        Some(earliest.min(end))
    }

    /// Moves the cursor to the next bucket with events up to `last`; its place.
    fn next_occupied(&mut self, last: u64) -> Option<usize> {
        let found = self.scan((last - self.cursor + 1).min(WHEEL_BUCKETS as u64))?;
        self.cursor = found;
        Some(place_of(found))
    }

    /// The first bucket with events among the `count` from the cursor on.
    fn scan(&self, count: u64) -> Option<u64> {
        let mut bucket = self.cursor;
        let end = self.cursor + count;
        while bucket < end {
            let place = place_of(bucket);
            let word = self.occupied[place / 64] >> (place % 64);
            if word != 0 {
                let found = bucket + u64::from(word.trailing_zeros());
                return (found < end).then_some(found);
            }
            bucket += 64 - (place % 64) as u64;
        }
        None
    }
}

const fn bucket_of(at: Instant) -> u64 {
    at.0 >> WHEEL_BUCKET_SHIFT
}

fn place_of(bucket: u64) -> usize {
    usize::try_from(bucket % WHEEL_BUCKETS as u64).expect("less than the count of buckets")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn events_fire_once_when_they_are_due_and_not_before() {
        let mut random = Random::of_seed(7, 0);
        let mut wheel = Wheel::new();
        let (mut now, mut due, mut expected) = (Instant(0), Vec::new(), Vec::new());
        for round in 0..20_000_u64 {
            // From nothing to three turns ahead.
            let at = now.0 + ((random.bits() % 13_000_000_000) >> (random.bits() % 34));
            wheel.push(Instant(at), at);
            expected.push(at);
            if round % 7 == 0 {
                now = Instant(now.0 + random.bits() % 3_000_000);
                wheel.fire(now, &mut due);
                assert!(due.iter().all(|&at| at <= now.0), "an event fired early");
                expected.retain(|at| *at > now.0);
                assert_eq!(wheel.len(), expected.len());
                due.clear();
            }
        }
        wheel.fire(Instant(now.0 + 14_000_000_000), &mut due);
        due.sort_unstable();
        expected.sort_unstable();
        assert_eq!(due, expected);
        assert_eq!((wheel.len(), wheel.timeout()), (0, None));
    }

    #[test]
    fn whoever_sleeps_until_the_time_out_misses_nothing() {
        let mut wheel = Wheel::new();
        for at in [5_000_000_u64, 70_000, 9_000_000_000, 4_400_000_000] {
            wheel.push(Instant(at), at);
        }
        let (mut fired, mut due, mut wakes) = (Vec::new(), Vec::new(), 0);
        while let Some(at) = wheel.timeout() {
            wheel.fire(at, &mut due);
            assert!(due.iter().all(|&event| at.0 - event < 70_000), "an event was late");
            fired.append(&mut due);
            wakes += 1;
        }
        assert_eq!(fired, [70_000, 5_000_000, 4_400_000_000, 9_000_000_000]);
        assert!(wakes < 40, "{wakes} wakes for four events");
    }
}
