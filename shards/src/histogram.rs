//! How long things take, counted by fixed bounds: a few additions for each, and whoever reads it can add up many shards.

use core::time::Duration;

/// How many bounds a histogram has; one more bucket holds what is beyond the last.
pub const BOUNDS: usize = 18;

const MS: u64 = 1000;
const SECOND: u64 = 1000 * MS;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Bounds in microseconds for what a machine or a carrier does: a sync, an answer, a response.
pub const FAST_US: [u64; BOUNDS] = [
    50,
    100,
    200,
    500,
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
];

/// Bounds in microseconds for what a handset does: it may be switched off for a day.
pub const SLOW_US: [u64; BOUNDS] = [
    10 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
];

/// A histogram of durations. Written by one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds_us: &'static [u64; BOUNDS],
    /// How many were at most the bound of the same place and above the one before; the last: above all.
    counts: [u64; BOUNDS + 1],
    sum_us: u64,
    last_us: u64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub const fn new(bounds_us: &'static [u64; BOUNDS]) -> Self {
        Self { bounds_us, counts: [0; BOUNDS + 1], sum_us: 0, last_us: 0 }
    }

    /// Counts a duration.
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds_us.partition_point(|&bound| bound < us);
        self.counts[place] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
        self.last_us = us;
    }

    /// The upper bounds of all buckets but the last, in microseconds.
    #[must_use]
    pub const fn bounds_us(&self) -> &'static [u64; BOUNDS] {
        self.bounds_us
    }

    /// How many fell into each bucket; the last is beyond all bounds.
    #[must_use]
    pub const fn counts(&self) -> &[u64; BOUNDS + 1] {
        &self.counts
    }

    /// All durations together, in microseconds.
    #[must_use]
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// The last duration, in microseconds.
    #[must_use]
    pub const fn last_us(&self) -> u64 {
        self.last_us
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The bound, in microseconds, that at least so many of a thousand did not exceed; `None` while nothing was counted.
    /// What is beyond all bounds reads as the last of them.
    #[must_use]
    pub fn at_most_us(&self, per_mille: u64) -> Option<u64> {
        let wanted = (self.count() * per_mille).div_ceil(1000);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted && wanted > 0
        })?;
        Some(self.bounds_us[place.min(BOUNDS - 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(&FAST_US);
        for us in [0, 50, 51, 100, 40_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        assert_eq!((histogram.counts()[0], histogram.counts()[1], histogram.counts()[BOUNDS]), (2, 2, 1));
        assert_eq!((histogram.count(), histogram.sum_us(), histogram.last_us()), (5, 40_000_201, 40_000_000));
        assert_eq!((histogram.at_most_us(400), histogram.at_most_us(500)), (Some(50), Some(100)));
        assert_eq!(histogram.at_most_us(1000), Some(30_000_000));
        assert_eq!(Histogram::new(&SLOW_US).at_most_us(500), None);
    }

    #[test]
    fn bounds_grow() {
        assert!(FAST_US.is_sorted() && SLOW_US.is_sorted());
    }
}
