//! A token bucket: so many segments a second, with a little burst.

use wire::time::Instant;

/// How many seconds' worth of segments may be saved up: a twentieth, so that a carrier sees its rate and no waves.
const BURST_PARTS: u64 = 20;
const NANOS: u64 = 1_000_000_000;

/// Tokens for one link's or carrier's rate. In any time *t* at most rate × *t* + burst segments pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// `None`: no limit.
    per_second: Option<u32>,
    /// Tokens times 10⁹, so that nothing is lost to rounding.
    level: u64,
    filled_at: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: Option<u32>, now: Instant) -> Self {
        Self { per_second, level: per_second.map_or(0, Self::full), filled_at: now }
    }

    /// The rate; `None`: no limit.
    pub(crate) const fn per_second(&self) -> Option<u32> {
        self.per_second
    }

    fn full(per_second: u32) -> u64 {
        (u64::from(per_second) / BURST_PARTS).max(1) * NANOS
    }

    /// Whether a message of this many segments may go now. More segments than the bucket holds go when it is full, and
    /// are paid off afterwards.
    pub(crate) fn admits(&mut self, now: Instant, segments: u8) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let nanos = u64::try_from(now.since(self.filled_at).as_nanos()).unwrap_or(u64::MAX);
        self.level = self
            .level
            .saturating_add(nanos.saturating_mul(u64::from(per_second)))
            .min(Self::full(per_second));
        self.filled_at = self.filled_at.max(now);
        self.level >= (u64::from(segments) * NANOS).min(Self::full(per_second))
    }

    /// Takes the tokens of a message that [`Bucket::admits`].
    pub(crate) fn take(&mut self, now: Instant, segments: u8) {
        if let Some(per_second) = self.per_second {
            let cost = u64::from(segments) * NANOS;
            let debt = cost.saturating_sub(self.level);
            self.level = self.level.saturating_sub(cost);
            // A debt is paid by time: the bucket stays empty until then.
            self.filled_at = now.plus(core::time::Duration::from_nanos(debt / u64::from(per_second)));
        }
    }

    /// When a message of one segment may go, if that is later than now.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        let per_second = u64::from(self.per_second?);
        let missing = NANOS.saturating_sub(self.level);
        (missing > 0)
            .then(|| self.filled_at.plus(core::time::Duration::from_nanos(missing.div_ceil(per_second))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_the_rate_and_the_burst() {
        let mut bucket = Bucket::new(Some(100), Instant(0));
        let mut sent = 0;
        for ms in 0..1_000 {
            let now = Instant(ms * 1_000_000);
            while bucket.admits(now, 1) {
                bucket.take(now, 1);
                sent += 1;
            }
        }
        assert!((100..=105).contains(&sent), "{sent}");
    }

    #[test]
    fn a_long_message_is_paid_off_afterwards() {
        let mut bucket = Bucket::new(Some(10), Instant(0));
        assert!(bucket.admits(Instant(0), 20));
        bucket.take(Instant(0), 20);
        assert!(!bucket.admits(Instant(1_800_000_000), 1));
        assert!(bucket.admits(Instant(2_100_000_000), 1));
    }

    #[test]
    fn it_says_when_the_next_may_go() {
        let mut bucket = Bucket::new(Some(10), Instant(0));
        bucket.take(Instant(0), 1);
        let at = bucket.ready_at().unwrap();
        assert!(!bucket.admits(Instant(at.0 - 1), 1));
        assert!(bucket.admits(at, 1));
        assert_eq!(Bucket::new(None, Instant(0)).ready_at(), None);
    }
}
