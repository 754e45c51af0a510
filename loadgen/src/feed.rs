//! Which message is to be submitted next, and since when.
//!
//! A closed loop has always one more: customers take as fast as their windows allow, and a message's time begins when
//! it is taken. An open loop has arrivals: a message's time begins when it should have been sent, whether or not a
//! customer had room for it, so that a daemon that stalls pays for all who waited (*coordinated omission*).

use std::collections::VecDeque;
use std::time::Duration;

use wire::time::Instant;

use crate::ledger::Ledger;
use crate::message::{Nonce, Run};
use crate::random::Random;

/// When messages arrive.
#[derive(Clone, Debug)]
pub(crate) enum Arrivals {
    /// As fast as the customers' windows allow, while no more than so many messages are without a fate: a daemon that
    /// accepts faster than its carriers take would else be measured with a backlog that no operator would let grow.
    Closed {
        /// Submitted and without a fate, at most.
        open_max: u32,
    },
    /// One after each period.
    Even {
        /// The period.
        period_ns: f64,
    },
    /// Independently of each other, with this mean distance.
    Poisson {
        /// The mean distance.
        period_ns: f64,
        /// The draws.
        random: Random,
    },
}

/// The messages of a phase, in the order in which they are taken.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Not yet taken.
    fresh: Run,
    /// Of those, the ones before this are due.
    due: u32,
    /// To be submitted again: their answer was lost, or said so.
    again: VecDeque<Nonce>,
    arrivals: Arrivals,
    /// When `due` becomes due, in nanoseconds; a fraction, so that no rate is rounded.
    next_ns: f64,
}

impl Feed {
    /// The messages of `run`, from `start` on.
    #[expect(clippy::cast_precision_loss, reason = "104 days of nanoseconds are exact")]
    pub(crate) const fn new(run: Run, arrivals: Arrivals, start: Instant) -> Self {
        Self { due: run.start, fresh: run, again: VecDeque::new(), arrivals, next_ns: start.0 as f64 }
    }

    /// Lets arrive what is due at `now`.
    pub(crate) fn advance(&mut self, now: Instant, ledger: &mut Ledger) {
        if let Arrivals::Closed { open_max } = self.arrivals {
            let done = ledger.counts().fated + ledger.counts().refused;
            let due = u32::try_from(done).unwrap_or(u32::MAX).saturating_add(open_max);
            self.due = due.clamp(self.due, self.fresh.end);
            return;
        }
        while self.due < self.fresh.end {
            let at = instant(self.next_ns);
            if at > now {
                break;
            }
            ledger.intend(Nonce(self.due), at);
            self.due += 1;
            self.next_ns += match &mut self.arrivals {
                Arrivals::Closed { .. } => 0.0,
                Arrivals::Even { period_ns } => *period_ns,
                Arrivals::Poisson { period_ns, random } => *period_ns * random.exponential(),
            };
        }
    }

    /// How many are due and not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.again.len() + (self.due - self.fresh.start) as usize
    }

    /// Takes at most `most` that follow each other.
    pub(crate) fn take(&mut self, most: usize, now: Instant, ledger: &mut Ledger) -> Option<Run> {
        if most == 0 {
            return None;
        }
        if let Some(first) = self.again.pop_front() {
            let mut end = first.0 + 1;
            while ((end - first.0) as usize) < most && self.again.front() == Some(&Nonce(end)) {
                self.again.pop_front();
                end += 1;
            }
            return Some(first.0..end);
        }
        let count = u32::try_from(most).unwrap_or(u32::MAX).min(self.due - self.fresh.start);
        if count == 0 {
            return None;
        }
        let run = self.fresh.start..self.fresh.start + count;
        self.fresh.start = run.end;
        if matches!(self.arrivals, Arrivals::Closed { .. }) {
            run.clone().for_each(|nonce| ledger.intend(Nonce(nonce), now));
        }
        Some(run)
    }

    /// Submits a message again, with the key that it had.
    pub(crate) fn again(&mut self, nonce: Nonce) {
        self.again.push_back(nonce);
    }

    /// When the next message arrives; `None` when all have, or when nothing but room is waited for.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let open = !matches!(self.arrivals, Arrivals::Closed { .. });
        (open && self.due < self.fresh.end).then(|| instant(self.next_ns))
    }
}

impl Arrivals {
    /// Even arrivals at a rate.
    pub(crate) fn even(rate_per_s: f64) -> Self {
        Self::Even { period_ns: period_ns(rate_per_s) }
    }

    /// Random arrivals at a mean rate.
    pub(crate) fn poisson(rate_per_s: f64, random: Random) -> Self {
        Self::Poisson { period_ns: period_ns(rate_per_s), random }
    }
}

fn period_ns(rate_per_s: f64) -> f64 {
    assert!(rate_per_s > 0.0, "messages that never arrive");
    1e9 / rate_per_s
}

fn instant(ns: f64) -> Instant {
    Instant::default().plus(Duration::from_secs_f64(ns / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Answer;

    #[test]
    fn an_open_loop_counts_from_the_intended_time() {
        let mut ledger = Ledger::new(10);
        let mut feed = Feed::new(0..10, Arrivals::even(1000.0), Instant(0));
        feed.advance(Instant(3_500_000), &mut ledger);
        assert_eq!((feed.waiting(), feed.timeout()), (4, Some(Instant(4_000_000))));
        assert_eq!(feed.take(3, Instant(9_000_000), &mut ledger), Some(0..3));
        assert_eq!(ledger.intended(Nonce(2)), Instant(2_000_000));
        feed.again(Nonce(1));
        feed.again(Nonce(2));
        feed.again(Nonce(0));
        assert_eq!(feed.take(9, Instant(9_000_000), &mut ledger), Some(1..3));
        assert_eq!(feed.take(9, Instant(9_000_000), &mut ledger), Some(0..1));
        assert_eq!(feed.take(9, Instant(9_000_000), &mut ledger), Some(3..4));
        assert_eq!(feed.take(9, Instant(9_000_000), &mut ledger), None);
    }

    #[test]
    fn a_closed_loop_counts_from_when_a_customer_takes() {
        let mut ledger = Ledger::new(10);
        let mut feed = Feed::new(0..10, Arrivals::Closed { open_max: 7 }, Instant(0));
        feed.advance(Instant(5), &mut ledger);
        assert_eq!(feed.timeout(), None);
        assert_eq!(feed.take(4, Instant(7), &mut ledger), Some(0..4));
        assert_eq!(ledger.intended(Nonce(3)), Instant(7));
        assert_eq!(feed.take(4, Instant(8), &mut ledger), Some(4..7));
        assert_eq!(feed.take(4, Instant(8), &mut ledger), None, "seven are open");
        ledger.answered(Nonce(2), Answer::Refused, Instant(8));
        feed.advance(Instant(9), &mut ledger);
        assert_eq!(feed.take(4, Instant(9), &mut ledger), Some(7..8));
    }

    #[test]
    fn random_arrivals_have_the_rate_that_was_asked_for() {
        let mut ledger = Ledger::new(20_000);
        let mut feed = Feed::new(0..20_000, Arrivals::poisson(10_000.0, Random::of_seed(3, 1)), Instant(0));
        feed.advance(Instant(1_000_000_000), &mut ledger);
        assert!((9_700..10_300).contains(&feed.waiting()), "{} arrivals", feed.waiting());
    }
}
