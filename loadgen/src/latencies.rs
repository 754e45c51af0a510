//! Latencies of the measured messages, each counted from its intended time.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::limits::LATENCY_NS_MAX;

/// Three histograms of nanoseconds, three digits each.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    answer: Histogram<u64>,
    submit: Histogram<u64>,
    fate: Histogram<u64>,
}

/// What a histogram is asked for, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// The three of a run, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LatencyReport {
    /// To the answer.
    pub(crate) answer: Percentiles,
    /// To the carrier's first sight of it.
    pub(crate) submit: Percentiles,
    /// To the fate that its customer is told.
    pub(crate) fate: Percentiles,
}

impl Latencies {
    /// Nothing recorded.
    pub(crate) fn new() -> Self {
        let new = || histogram();
        Self { answer: new(), submit: new(), fate: new() }
    }

    pub(crate) fn answer(&mut self, after: Duration) {
        record(&mut self.answer, after);
    }

    pub(crate) fn submit(&mut self, after: Duration) {
        record(&mut self.submit, after);
    }

    pub(crate) fn fate(&mut self, after: Duration) {
        record(&mut self.fate, after);
    }

    /// How many answers, sights and fates were recorded.
    #[cfg(test)]
    pub(crate) fn count(&self) -> [u64; 3] {
        [self.answer.len(), self.submit.len(), self.fate.len()]
    }

    /// Their percentiles.
    pub(crate) fn report(&self) -> LatencyReport {
        LatencyReport {
            answer: Percentiles::of(&self.answer),
            submit: Percentiles::of(&self.submit),
            fate: Percentiles::of(&self.fate),
        }
    }
}

impl Percentiles {
    /// Of a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let us = |quantile| micros(histogram.value_at_quantile(quantile));
        Self { p50: us(0.5), p99: us(0.99), p999: us(0.999), max: micros(histogram.max()) }
    }
}

/// A histogram of nanoseconds up to an hour.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
        .expect("one to an hour with three digits is a valid range")
}

/// Records a duration; one beyond an hour counts as an hour.
pub(crate) fn record(histogram: &mut Histogram<u64>, after: Duration) {
    histogram.saturating_record(u64::try_from(after.as_nanos()).unwrap_or(LATENCY_NS_MAX));
}

#[expect(clippy::cast_precision_loss, reason = "an hour of nanoseconds is exact in an f64")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|ms| latencies.answer(Duration::from_millis(ms)));
        let report = latencies.report().answer;
        assert!((report.p50 / 500_000.0 - 1.0).abs() < 0.002);
        assert!((report.p999 / 999_000.0 - 1.0).abs() < 0.002);
    }
}
