//! How fast a carrier takes messages, learnt from its answers: additive increase, multiplicative decrease.
//!
//! ```text
//!   all shards ── what was felt, ten times a second ──▶ the owner of the carrier's rate
//!              ◀── a ceiling of segments a second, a share of each window ──
//! ```
//!
//! A carrier says that we are too fast (`ESME_RTHROTTLED`, `ESME_RMSGQFUL`), tells how busy it is (`congestion_state`, SMPP 5.0
//! §4.8.4.18), or takes ever longer to answer. What it took in the second before is then the best guess at what it can take; from
//! there the ceiling climbs, a little first and faster as long as nothing is heard, until it is heard again or the configured
//! rate is reached. All binds of a carrier's account share what is learnt, since the carrier counts them together.

use core::time::Duration;

use wire::time::Instant;

use crate::limits::{PACE_HOLD, PACE_RECOVERED, PACE_SLOW, PACE_STEP, PACE_WINDOW_LEAST};

/// The whole of a window, in the parts in which shares of it are told.
pub(crate) const WHOLE: u16 = 256;

/// `congestion_state` at which nothing is increased: 80 to 89 is the carrier's optimum.
const OPTIMUM: u8 = 80;
/// At which windows shrink: it nears congestion.
const NEAR: u8 = 90;
/// At which it is congested.
const CONGESTED: u8 = 99;

/// What the links of one shard have felt of a carrier since it was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Felt {
    /// Segments that it took.
    pub(crate) taken: u32,
    /// Segments for which it asked us to slow down.
    pub(crate) throttled: u32,
    /// Responses in time.
    pub(crate) responses: u32,
    /// How long they took together.
    pub(crate) response_time: Duration,
    /// The highest `congestion_state`.
    pub(crate) congestion: u8,
}

impl Felt {
    /// Whether there is nothing to tell.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the owner should know soon.
    pub(crate) const fn is_urgent(&self) -> bool {
        self.throttled > 0 || self.congestion >= NEAR
    }
}

/// What all links of a carrier keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paced {
    /// Segments a second on all shards; `None`: nothing was learnt, the configured rate holds.
    pub(crate) rate: Option<u32>,
    /// The share of each window that may be used, of 256.
    pub(crate) share: u16,
}

impl Paced {
    /// Nothing was learnt.
    pub(crate) const FREE: Self = Self { rate: None, share: WHOLE };

    /// What of a window may be used.
    pub(crate) fn window(self, window: u32) -> u32 {
        (window * u32::from(self.share) / u32::from(WHOLE)).max(1)
    }
}

/// Tenths of the last second.
const SLOTS: usize = 10;
/// A guess is made from two tenths at least: what a carrier takes at once when it was idle is not what it takes.
const SLOTS_LEAST: u64 = 2;
const SLOT: Duration = Duration::from_millis(100);

/// Segments of the last second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    slots: [u32; SLOTS],
    /// The number of the newest slot, counted from the start of the clock.
    newest: u64,
}

impl Second {
    fn add(&mut self, now: Instant, segments: u32) {
        self.advance(now);
        self.slots[place(self.newest)] += segments;
    }

    /// How many there were; of a shorter time in which there was anything, what that makes in a second.
    fn per_second(&mut self, now: Instant) -> u32 {
        self.advance(now);
        let of_age = |age: u64| self.slots[place(self.newest + SLOTS as u64 - age)];
        let oldest = (0..SLOTS as u64).rev().find(|&age| of_age(age) > 0).unwrap_or(0);
        let slots = (oldest + 1).max(SLOTS_LEAST);
        let all: u64 = self.slots.iter().copied().map(u64::from).sum();
        u32::try_from(all * SLOTS as u64 / slots).unwrap_or(u32::MAX)
    }

    fn advance(&mut self, now: Instant) {
        let number = now.0 / u64::try_from(SLOT.as_nanos()).expect("a tenth of a second");
        let passed = number.saturating_sub(self.newest).min(SLOTS as u64);
        for age in 0..passed {
            self.slots[place(number - age)] = 0;
        }
        self.newest = self.newest.max(number);
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % SLOTS as u64).expect("less than ten")
}

/// A ceiling that was learnt.
#[derive(Clone, Copy, Debug)]
struct Learnt {
    ceiling: u32,
    /// By how much it climbs next.
    step: u32,
}

/// The owner's knowledge of one carrier.
#[derive(Debug)]
pub(crate) struct Pace {
    configured: Option<u32>,
    learnt: Option<Learnt>,
    share: u16,
    taken: Second,
    throttled: Second,
    /// The mean of response times, and their least; `None` before the first.
    response: Option<(Duration, Duration)>,
    /// Answers to what was sent before a cut are no reason for the next.
    hold_until: Instant,
    /// When anything was heard that speaks against an increase.
    troubled_at: Instant,
    throttled_at: Instant,
    next_step: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(configured: Option<u32>) -> Self {
        Self {
            configured,
            learnt: None,
            share: WHOLE,
            taken: Second::default(),
            throttled: Second::default(),
            response: None,
            hold_until: Instant(0),
            troubled_at: Instant(0),
            throttled_at: Instant(0),
            next_step: None,
        }
    }

    /// What the links keep to now.
    pub(crate) fn paced(&self) -> Paced {
        Paced { rate: self.learnt.map(|learnt| learnt.ceiling), share: self.share }
    }

    /// When [`Pace::handle_timeout`] is due.
    pub(crate) const fn timeout(&self) -> Option<Instant> {
        self.next_step
    }

    /// A shard tells what it felt.
    pub(crate) fn handle_felt(&mut self, now: Instant, felt: &Felt) {
        self.taken.add(now, felt.taken);
        self.throttled.add(now, felt.throttled);
        let is_slow = self.is_slow(felt) || felt.congestion >= NEAR;
        let is_throttled = felt.throttled > 0 || felt.congestion >= CONGESTED;
        if is_throttled || is_slow || felt.congestion >= OPTIMUM {
            self.troubled_at = now;
        }
        if is_throttled {
            self.throttled_at = now;
        }
        if !(is_throttled || is_slow) || now < self.hold_until {
            return;
        }
        let is_little = is_throttled && self.cut_rate(now, felt);
        if !is_little {
            self.share = (self.share / 4 * 3).max(PACE_WINDOW_LEAST);
        }
        let answers_after = self.response.map_or(Duration::ZERO, |(mean, _)| 2 * mean);
        self.hold_until = now.plus(PACE_HOLD.max(answers_after.min(PACE_STEP)));
        self.next_step = Some(now.plus(PACE_STEP));
    }

    /// Whether responses take much longer than they used to. What they take for long becomes what they used to.
    fn is_slow(&mut self, felt: &Felt) -> bool {
        let Some(mean) = felt.response_time.checked_div(felt.responses) else { return false };
        let (smooth, least) = self.response.unwrap_or((mean, mean));
        let smooth = (smooth * 7 + mean) / 8;
        let least = (least + smooth.saturating_sub(least) / 256).min(mean);
        self.response = Some((smooth, least));
        smooth > least * 4 + PACE_SLOW
    }

    /// A little less than the carrier took in the last second; or than the ceiling, when it refused but a few, as it does at the
    /// edge of what it takes and when the network lets several arrive at once. Whether it was those few.
    fn cut_rate(&mut self, now: Instant, felt: &Felt) -> bool {
        let (taken, throttled) = (self.taken.per_second(now), self.throttled.per_second(now));
        let is_little = throttled <= (taken / 8).max(2) && felt.congestion < CONGESTED;
        let ceiling = match (self.learnt, self.configured) {
            (Some(Learnt { ceiling, .. }), _) if is_little => ceiling - ceiling / 16,
            (Some(Learnt { ceiling: before, .. }), _) | (None, Some(before)) => {
                let base = before.min(taken);
                base - base / 8
            }
            (None, None) => taken - taken / 8,
        };
        let ceiling = ceiling.max(1);
        self.learnt = Some(Learnt { ceiling, step: (ceiling / 8).max(1) });
        is_little
    }

    /// Time has passed: what was cut grows again while nothing is heard.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.next_step.is_none_or(|due| due > now) {
            return;
        }
        if now >= self.troubled_at.plus(PACE_STEP) {
            self.share = (self.share + WHOLE / 8).min(WHOLE);
            if let Some(learnt) = &mut self.learnt {
                learnt.ceiling = learnt.ceiling.saturating_add(learnt.step);
                learnt.step = learnt.step.saturating_mul(2).min(learnt.ceiling);
            }
        }
        let is_reached = |learnt: &Learnt| self.configured.is_some_and(|rate| learnt.ceiling >= rate);
        let is_over = now >= self.throttled_at.plus(PACE_RECOVERED);
        self.learnt = self.learnt.filter(|learnt| !is_reached(learnt) && !is_over);
        let is_free = self.paced() == Paced::FREE;
        self.next_step = (!is_free).then(|| now.plus(PACE_STEP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A carrier that takes so many a second at most, evenly, asked by somebody with more than it can take. What was taken and
    /// what was throttled in each second.
    fn run(pace: &mut Pace, from_s: u64, seconds: u64, capacity: u64) -> Vec<(u64, u64)> {
        let mut told = Vec::new();
        for second in from_s..from_s + seconds {
            let (mut taken, mut throttled) = (0, 0);
            for tenth in 0..10 {
                let now = Instant((second * 1_000 + tenth * 100) * MS);
                pace.handle_timeout(now);
                let offered = u64::from(pace.paced().rate.unwrap_or(5_000)) / 10;
                let fits = offered.min(capacity / 10);
                (taken, throttled) = (taken + fits, throttled + offered - fits);
                let count = |segments: u64| u32::try_from(segments).unwrap();
                pace.handle_felt(
                    now,
                    &Felt { taken: count(fits), throttled: count(offered - fits), ..Felt::default() },
                );
            }
            told.push((taken, throttled));
        }
        told
    }

    #[test]
    fn a_ceiling_is_learnt_and_climbs_again_when_the_carrier_takes_more() {
        let mut pace = Pace::new(None);
        let learnt = run(&mut pace, 10, 60, 1_000);
        let later = &learnt[5..];
        let taken: u64 = later.iter().map(|(taken, _)| taken).sum();
        let throttled: u64 = later.iter().map(|(_, throttled)| throttled).sum();
        assert!(taken >= 1_000 * 55 * 8 / 10, "{taken} of 55,000 were used: {learnt:?}");
        assert!(throttled <= taken / 20, "{throttled} were refused: {learnt:?}");
        // Now it takes anything: nothing of what was learnt remains.
        run(&mut pace, 70, 40, 1 << 40);
        assert_eq!((pace.paced(), pace.timeout()), (Paced::FREE, None));
    }

    #[test]
    fn what_was_learnt_never_exceeds_what_is_configured() {
        let mut pace = Pace::new(Some(300));
        run(&mut pace, 10, 20, 100);
        assert!(pace.paced().rate.is_some_and(|rate| (50..=130).contains(&rate)), "{pace:?}");
        for second in 31..80 {
            pace.handle_timeout(Instant(second * 1_000 * MS));
            assert!(pace.paced().rate.is_none_or(|rate| rate < 300), "{pace:?}");
        }
        assert_eq!(pace.paced(), Paced::FREE);
    }

    #[test]
    fn a_carrier_that_takes_nothing_is_asked_a_few_times_a_second() {
        let mut pace = Pace::new(Some(1_000));
        run(&mut pace, 10, 30, 0);
        assert!(pace.paced().rate.is_some_and(|rate| rate <= 20), "{pace:?}");
    }

    #[test]
    fn responses_that_take_ever_longer_shrink_windows_and_not_the_rate() {
        let mut pace = Pace::new(None);
        let mut told = |at_ms: u64, response_ms: u64| {
            let felt = Felt {
                taken: 1,
                responses: 1,
                response_time: Duration::from_millis(response_ms),
                ..Felt::default()
            };
            pace.handle_timeout(Instant(at_ms * MS));
            pace.handle_felt(Instant(at_ms * MS), &felt);
            pace.paced()
        };
        for tenth in 0..100 {
            assert_eq!(told(10_000 + tenth * 100, 20), Paced::FREE);
        }
        for tenth in 0..50 {
            told(20_000 + tenth * 100, 2_000);
        }
        let slow = told(25_000, 2_000);
        assert_eq!(slow.rate, None);
        assert!(slow.share <= WHOLE / 2 && slow.window(8) >= 1, "{slow:?}");
        for tenth in 0..200 {
            told(26_000 + tenth * 100, 20);
        }
        assert_eq!(told(50_000, 20), Paced::FREE);
    }

    #[test]
    fn a_carrier_that_says_how_busy_it_is_is_believed() {
        let mut pace = Pace::new(None);
        let mut told = |at_ms: u64, congestion| {
            let now = Instant(at_ms * MS);
            pace.handle_timeout(now);
            pace.handle_felt(now, &Felt { taken: 100, congestion, ..Felt::default() });
            pace.paced()
        };
        assert_eq!(told(10_000, 79), Paced::FREE);
        let near = told(11_000, 95);
        assert_eq!((near.rate, near.share), (None, WHOLE / 4 * 3));
        // At its optimum nothing is asked of it that was not before.
        for at_ms in [11_500, 12_000, 12_900, 13_000] {
            assert_eq!(told(at_ms, 85), near);
        }
        assert!(told(13_500, 99).rate.is_some());
    }
}
