//! How a carrier behaves: its latency, its rate, its errors, its receipts. Parsed from the command line, drawn by seed.

use std::str::FromStr;
use std::time::Duration;

use wire::smpp::CommandStatus;
use wire::time::Instant;

use crate::ledger::{Report, Verdict};
use crate::random::Random;

/// How long something takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Delay {
    /// No time at all.
    #[default]
    None,
    /// Always the same.
    Fixed(Duration),
    /// Any time between two, each as likely.
    Uniform(Duration, Duration),
    /// Exponentially distributed with this mean.
    Exponential(Duration),
}

/// A part of all messages, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub(crate) struct Share(f64);

/// What all carriers of a run do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Behaviour {
    /// From a submission to its answer.
    pub(crate) latency: Delay,
    /// Submissions a second beyond which the answer is `ESME_RTHROTTLED`; zero: no limit.
    pub(crate) rate_per_s: f64,
    /// Refused for now, with `ESME_RSYSERR`.
    pub(crate) temporary: Share,
    /// Refused for good, with `ESME_RINVDSTADR`.
    pub(crate) permanent: Share,
    /// Never answered; of these, half are delivered all the same, as far as their receipts say.
    pub(crate) silent: Share,
    /// From the answer to the receipt.
    pub(crate) receipt_delay: Delay,
    /// Receipts that say UNDELIV.
    pub(crate) receipt_failed: Share,
    /// Receipts that never come.
    pub(crate) receipt_missing: Share,
    /// Receipts that come twice.
    pub(crate) receipt_twice: Share,
    /// Receipts that come before the answer.
    pub(crate) receipt_early: Share,
}

/// What a carrier decides about one submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    /// Of the answer.
    pub(crate) status: CommandStatus,
    /// From now to the answer.
    pub(crate) answer_after: Duration,
    /// The receipt; `None`: never.
    pub(crate) receipt: Option<ReceiptPlan>,
}

/// The receipt of one submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceiptPlan {
    pub(crate) report: Report,
    pub(crate) when: ReceiptTime,
    /// Sent this many times.
    pub(crate) copies: u8,
}

/// When a receipt is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiptTime {
    /// Before the answer.
    Early,
    /// So long after the answer.
    After(Duration),
}

/// A behaviour at work.
#[derive(Debug)]
pub(crate) struct Conduct {
    behaviour: Behaviour,
    random: Random,
    /// Submissions that may be taken at once.
    tokens: f64,
    filled_at: Instant,
}

impl Conduct {
    /// A carrier that behaves so, with draws of its own.
    pub(crate) const fn new(behaviour: Behaviour, random: Random) -> Self {
        Self { behaviour, random, tokens: 0.0, filled_at: Instant(0) }
    }

    /// Decides about a submission.
    pub(crate) fn decide(&mut self, now: Instant) -> Decision {
        let Behaviour { latency, temporary, permanent, silent, .. } = self.behaviour;
        let answer_after = latency.draw(&mut self.random);
        let refuse = |verdict, status| Decision { verdict, status, answer_after, receipt: None };
        if !self.has_token(now) {
            return refuse(Verdict::RefusedForNow, CommandStatus::ESME_RTHROTTLED);
        }
        if temporary.draw(&mut self.random) {
            return refuse(Verdict::RefusedForNow, CommandStatus::ESME_RSYSERR);
        }
        if permanent.draw(&mut self.random) {
            return refuse(Verdict::RefusedForGood, CommandStatus::ESME_RINVDSTADR);
        }
        if silent.draw(&mut self.random) {
            return refuse(Verdict::Silence, CommandStatus::ESME_ROK);
        }
        let receipt = self.receipt();
        Decision { verdict: Verdict::Taken, status: CommandStatus::ESME_ROK, answer_after, receipt }
    }

    fn receipt(&mut self) -> Option<ReceiptPlan> {
        let Behaviour {
            receipt_delay, receipt_failed, receipt_missing, receipt_twice, receipt_early, ..
        } = self.behaviour;
        let random = &mut self.random;
        if receipt_missing.draw(random) {
            return None;
        }
        let report = if receipt_failed.draw(random) { Report::Failed } else { Report::Delivered };
        let early = receipt_early.draw(random);
        let when = if early { ReceiptTime::Early } else { ReceiptTime::After(receipt_delay.draw(random)) };
        Some(ReceiptPlan { report, when, copies: 1 + u8::from(receipt_twice.draw(random)) })
    }

    /// Takes from a bucket that holds a tenth of a second.
    fn has_token(&mut self, now: Instant) -> bool {
        let rate = self.behaviour.rate_per_s;
        if rate <= 0.0 {
            return true;
        }
        let gained = now.since(self.filled_at).as_secs_f64() * rate;
        self.filled_at = now;
        self.tokens = (self.tokens + gained).min((rate / 10.0).max(1.0));
        let has = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(has));
        has
    }
}

impl Delay {
    fn draw(self, random: &mut Random) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fixed(time) => time,
            Self::Uniform(from, to) => from + (to - from).mul_f64(random.unit()),
            Self::Exponential(mean) => mean.mul_f64(random.exponential()),
        }
    }
}

impl Share {
    fn draw(self, random: &mut Random) -> bool {
        self.0 > 0.0 && random.unit() < self.0
    }

    /// Whether it is nothing.
    pub(crate) const fn is_none(self) -> bool {
        self.0 <= 0.0
    }
}

/// Why a text is no delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected milliseconds as in 5, uniform:1-10 or exponential:20")]
pub(crate) struct DelayError;

impl FromStr for Delay {
    type Err = DelayError;

    fn from_str(text: &str) -> Result<Self, DelayError> {
        let time = |text: &str| {
            let ms =
                text.parse::<f64>().ok().filter(|ms| (0.0..=86_400_000.0).contains(ms)).ok_or(DelayError)?;
            Ok(Duration::from_secs_f64(ms / 1000.0))
        };
        match text.split_once(':') {
            Some(("fixed", ms)) => time(ms).map(Self::Fixed),
            Some(("exponential", ms)) => time(ms).map(Self::Exponential),
            Some(("uniform", range)) => {
                let (from, to) = range.split_once('-').ok_or(DelayError)?;
                let (from, to) = (time(from)?, time(to)?);
                if from <= to { Ok(Self::Uniform(from, to)) } else { Err(DelayError) }
            }
            Some(_) => Err(DelayError),
            None => time(text).map(|time| if time.is_zero() { Self::None } else { Self::Fixed(time) }),
        }
    }
}

/// Why a text is no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a share from 0 to 1, as in 0.05")]
pub(crate) struct ShareError;

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Self).ok_or(ShareError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_and_shares_are_read_or_refused_in_words() {
        let ms = Duration::from_millis;
        assert_eq!("0".parse(), Ok(Delay::None));
        assert_eq!("2.5".parse(), Ok(Delay::Fixed(Duration::from_micros(2500))));
        assert_eq!("uniform:1-10".parse(), Ok(Delay::Uniform(ms(1), ms(10))));
        assert_eq!("exponential:20".parse(), Ok(Delay::Exponential(ms(20))));
        assert!(
            ["", "-1", "uniform:3", "uniform:3-1", "normal:3"]
                .iter()
                .all(|text| text.parse::<Delay>().is_err())
        );
        assert_eq!("0.25".parse(), Ok(Share(0.25)));
        assert!(["1.5", "-0.1", "x"].iter().all(|text| text.parse::<Share>().is_err()));
    }

    #[test]
    fn a_carrier_keeps_its_rate() {
        let behaviour = Behaviour { rate_per_s: 1000.0, ..Behaviour::default() };
        let mut conduct = Conduct::new(behaviour, Random::of_seed(1, 0));
        let taken = (0..20_000_u64)
            .filter(|place| conduct.decide(Instant(place * 100_000)).verdict == Verdict::Taken)
            .count();
        assert!((1_990..=2_100).contains(&taken), "{taken} taken in 2 s");
    }

    #[test]
    fn shares_are_kept() {
        let half = Share(0.5);
        let behaviour = Behaviour { temporary: half, receipt_failed: half, ..Behaviour::default() };
        let mut conduct = Conduct::new(behaviour, Random::of_seed(1, 0));
        let decisions: Vec<_> = (0..10_000).map(|_| conduct.decide(Instant(0))).collect();
        let count = |verdict| decisions.iter().filter(|decision| decision.verdict == verdict).count();
        assert!((4_800..5_200).contains(&count(Verdict::RefusedForNow)));
        let failed = decisions.iter().filter_map(|decision| decision.receipt);
        let failed = failed.filter(|plan| plan.report == Report::Failed).count();
        assert!((2_300..2_700).contains(&failed), "{failed} of 5,000 failed");
    }
}
