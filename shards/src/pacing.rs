//! A token bucket: so many segments a second, with a little burst.

use core::time::Duration;

use wire::time::Instant;

/// How many seconds' worth of segments may be saved up: a twentieth, so that a carrier sees its rate and no waves.
const BURST_PARTS: u32 = 20;
const NANOS: i64 = 1_000_000_000;

/// Tokens for one rate. In any time *t* at most rate × *t* + burst segments pass, and a long message that began it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// `None`: no limit.
    per_second: Option<u32>,
    /// Tokens times 10⁹, so that nothing is lost to rounding. Below zero: what a long message still owes.
    level: i64,
    filled_at: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: Option<u32>, now: Instant) -> Self {
        Self { per_second, level: per_second.map_or(0, Self::full), filled_at: now }
    }

    /// Goes on at another rate. What was saved up beyond the new one's burst is lost, and a debt stays; a bucket that begins
    /// begins empty.
    pub(crate) fn set(&mut self, now: Instant, per_second: Option<u32>) {
        self.admits(now, 1);
        self.level = match (self.per_second, per_second) {
            (Some(_), Some(rate)) => self.level.min(Self::full(rate)),
            _ => 0,
        };
        (self.per_second, self.filled_at) = (per_second, self.filled_at.max(now));
    }

    fn full(per_second: u32) -> i64 {
        i64::from((per_second / BURST_PARTS).max(1)) * NANOS
    }

    /// Whether a message of this many segments may go now. More segments than the bucket holds go when it is full, and
    /// are paid off afterwards.
    pub(crate) fn admits(&mut self, now: Instant, segments: u8) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let nanos = i64::try_from(now.since(self.filled_at).as_nanos()).unwrap_or(i64::MAX);
        let filled = self.level.saturating_add(nanos.saturating_mul(i64::from(per_second)));
        self.level = filled.min(Self::full(per_second));
        self.filled_at = self.filled_at.max(now);
        self.level >= Self::needed(per_second, segments)
    }

    fn needed(per_second: u32, segments: u8) -> i64 {
        (i64::from(segments) * NANOS).min(Self::full(per_second))
    }

    /// Takes the tokens of a message that [`Bucket::admits`].
    pub(crate) fn take(&mut self, segments: u8) {
        if self.per_second.is_some() {
            self.level -= i64::from(segments) * NANOS;
        }
    }

    /// Takes the tokens of at least `need` segments and of as many more as there are, `want` at most. How many were taken: 0
    /// when a message of `need` segments may not go.
    pub(crate) fn draw(&mut self, now: Instant, need: u8, want: u32) -> u32 {
        if !self.admits(now, need) {
            return 0;
        }
        self.take(need);
        let more = u32::try_from(self.level.max(0) / NANOS).unwrap_or(u32::MAX);
        let more = more.min(want.saturating_sub(u32::from(need)));
        self.level -= i64::from(more) * NANOS;
        u32::from(need) + more
    }

    /// Tokens that were taken and not used. A debt is paid with them first.
    pub(crate) fn give_back(&mut self, segments: u32) {
        if let Some(per_second) = self.per_second {
            self.level = self.level.saturating_add(i64::from(segments) * NANOS).min(Self::full(per_second));
        }
    }

    /// When a message of so many segments may go, if that is later than now.
    pub(crate) fn ready_at(&self, segments: u8) -> Option<Instant> {
        let per_second = self.per_second?;
        let missing = u64::try_from(Self::needed(per_second, segments) - self.level).ok()?;
        let wait = Duration::from_nanos(missing.div_ceil(u64::from(per_second)));
        (missing > 0).then(|| self.filled_at.plus(wait))
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
                bucket.take(1);
                sent += 1;
            }
        }
        assert!((100..=105).contains(&sent), "{sent}");
    }

    #[test]
    fn a_long_message_is_paid_off_afterwards() {
        let mut bucket = Bucket::new(Some(10), Instant(0));
        assert!(bucket.admits(Instant(0), 20));
        bucket.take(20);
        assert!(!bucket.admits(Instant(1_800_000_000), 1));
        assert!(bucket.admits(Instant(2_100_000_000), 1));
    }

    #[test]
    fn what_is_drawn_and_given_back_is_there_again_and_no_more() {
        let mut bucket = Bucket::new(Some(100), Instant(0));
        assert_eq!(bucket.draw(Instant(0), 1, 3), 3);
        assert_eq!(bucket.draw(Instant(0), 1, 100), 2);
        assert_eq!(bucket.draw(Instant(0), 1, 1), 0);
        bucket.give_back(2);
        assert_eq!(bucket.draw(Instant(0), 1, 100), 2);
        bucket.give_back(100);
        assert_eq!(bucket.draw(Instant(0), 9, 9), 9);
        assert!(!bucket.admits(Instant(39_000_000), 1));
    }

    #[test]
    fn another_rate_takes_effect_at_once_and_grants_no_burst() {
        let mut bucket = Bucket::new(None, Instant(0));
        let second = 1_000_000_000;
        bucket.set(Instant(second), Some(10));
        assert!(!bucket.admits(Instant(second), 1) && bucket.admits(Instant(second + second / 10), 1));
        bucket.set(Instant(9 * second), Some(1_000));
        assert_eq!(
            bucket.draw(Instant(9 * second), 1, 1_000),
            1,
            "no more than the slower rate had saved up"
        );
        bucket.set(Instant(9 * second), None);
        assert!(bucket.admits(Instant(9 * second), 32));
    }

    #[test]
    fn it_says_when_the_next_may_go() {
        let mut bucket = Bucket::new(Some(10), Instant(0));
        bucket.take(1);
        let at = bucket.ready_at(1).unwrap();
        assert!(!bucket.admits(Instant(at.0 - 1), 1));
        assert!(bucket.admits(at, 1));
        assert_eq!(Bucket::new(None, Instant(0)).ready_at(1), None);
    }

    /// What comes back while a long message is still owed pays a part of it, and does not open the bucket.
    #[test]
    fn what_comes_back_pays_a_debt_first() {
        let mut bucket = Bucket::new(Some(10), Instant(0));
        assert_eq!(bucket.draw(Instant(0), 5, 5), 5);
        bucket.give_back(1);
        assert!(!bucket.admits(Instant(390_000_000), 1));
        assert!(bucket.admits(Instant(400_000_000), 1));
    }
}
