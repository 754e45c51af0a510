//! How one webhook stands, for people, and as samples of `/metrics`.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics::Tally;
use super::outcome::Kind;
use crate::customers::openmetrics::{Sample, SampleKind};

/// The numbers, and the last trouble, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// As in [`Tally`].
    pub(crate) posts_taken: u64,
    /// All kinds together.
    pub(crate) posts_failed: u64,
    /// As in [`Tally`].
    pub(crate) events_taken: u64,
    /// As in [`Tally`].
    pub(crate) events_lapsed: u64,
    /// As in [`Tally`].
    pub(crate) events_waiting: u64,
    /// As in [`Tally`].
    pub(crate) oldest_ms: u64,
    /// As in [`Tally`].
    pub(crate) again_ms: u64,
    /// What went wrong last, and when; empty: nothing.
    pub(crate) trouble: (u64, String),
}

impl Standing {
    /// What a tally says now.
    pub(crate) fn of(tally: &Tally) -> Self {
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Self {
            posts_taken: number(&tally.posts_taken),
            posts_failed: tally.posts_failed.iter().map(number).sum(),
            events_taken: number(&tally.events_taken),
            events_lapsed: number(&tally.events_lapsed),
            events_waiting: number(&tally.events_waiting),
            oldest_ms: number(&tally.oldest_ms),
            again_ms: number(&tally.again_ms),
            trouble: tally.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The labels of a webhook's samples: of each outcome of a post, the account's alone behind them.
pub(crate) type Labels<'a> = Vec<Vec<(&'a str, &'a str)>>;

/// The labels of an account's webhook, for [`put_samples`].
pub(crate) fn labels_of(account: &str) -> Labels<'_> {
    let outcomes = std::iter::once("taken").chain(Kind::ALL.map(Kind::name));
    let of_posts = outcomes.map(|outcome| vec![("account", account), ("outcome", outcome)]);
    of_posts.chain([vec![("account", account)]]).collect()
}

/// Appends a webhook's samples at this time, in milliseconds since 1970.
pub(crate) fn put_samples<'a>(
    tally: &Tally,
    labels: &'a Labels<'_>,
    now_ms: u64,
    samples: &mut Vec<Sample<'a>>,
) {
    let (account, of_posts) = labels.split_last().expect("the account's are the last");
    let posts = std::iter::once(&tally.posts_taken).chain(&tally.posts_failed);
    samples.extend(posts.zip(of_posts).map(|(number, labels)| Sample {
        name: "switchyard_webhook_posts",
        help: "Posts to the account's webhook.",
        kind: SampleKind::Counter,
        labels,
        value: number.load(Ordering::Relaxed),
    }));
    let standing = Standing::of(tally);
    let age_ms = match standing.oldest_ms {
        0 => 0,
        oldest_ms => now_ms.saturating_sub(oldest_ms),
    };
    let (counter, gauge) = (SampleKind::Counter, SampleKind::Gauge);
    samples.extend(
        [
            ("switchyard_webhook_events", "Events that the webhook took.", counter, standing.events_taken),
            (
                "switchyard_webhook_events_lapsed",
                "Events that the webhook did not take while they were kept.",
                counter,
                standing.events_lapsed,
            ),
            (
                "switchyard_webhook_events_waiting",
                "Events in the courier's hands.",
                gauge,
                standing.events_waiting,
            ),
            (
                "switchyard_webhook_oldest_seconds",
                "How long ago the oldest of them happened.",
                SampleKind::GaugeMs,
                age_ms,
            ),
        ]
        .map(|(name, help, kind, value)| Sample { name, help, kind, labels: account, value }),
    );
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Trouble;
    use super::*;
    use crate::customers::openmetrics::render;

    #[test]
    fn posts_are_told_by_outcome_and_what_waits_by_its_age() {
        let tally = Tally::default();
        tally.taken(7);
        let trouble = Trouble { kind: Kind::TimedOut, words: "no answer".to_owned(), retry_after: None };
        tally.not_taken(&trouble, 3000);
        tally.lapsed(2);
        tally.waits(5, 4000, 9000);
        let labels = labels_of("acme");
        let mut samples = Vec::new();
        put_samples(&tally, &labels, 64_000, &mut samples);
        let mut text = String::new();
        render(&samples, &mut text);
        for line in [
            "switchyard_webhook_posts_total{account=\"acme\",outcome=\"taken\"} 1\n",
            "switchyard_webhook_posts_total{account=\"acme\",outcome=\"timed-out\"} 1\n",
            "switchyard_webhook_posts_total{account=\"acme\",outcome=\"refused\"} 0\n",
            "switchyard_webhook_events_total{account=\"acme\"} 7\n",
            "switchyard_webhook_events_lapsed_total{account=\"acme\"} 2\n",
            "switchyard_webhook_events_waiting{account=\"acme\"} 5\n",
            "switchyard_webhook_oldest_seconds{account=\"acme\"} 60.0\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
        let standing = Standing::of(&tally);
        assert_eq!((standing.posts_failed, standing.trouble), (1, (3000, "no answer".to_owned())));
    }
}
