//! A customer over HTTP with an account of its own, who hands over batches with messages to every partition and repeats them, as the protocol says,
//! until all are acknowledged. What it was promised is judged as what any customer was.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wire::id::{MessageId, PartitionCount};
use wire::msisdn::Msisdn;

use crate::carrier::Carrier;
use crate::customer::{self, class_of};
use crate::daemon::Credentials;
use crate::http;
use crate::kill::PATIENCE;
use crate::ledger::{Pages, nonce};
use crate::verdict::{Evidence, Violation, violations};

/// The account, and its key.
pub(crate) const ACCOUNT: &str = "prober";
pub(crate) const KEY: &str = "a-key-of-the-prober";
/// How its texts begin.
pub(crate) const PROBE: &str = "probe ";
/// Messages of one batch: every partition has some, which [`to`]'s test knows.
const BATCH: u64 = 200;
/// Between two tries of a batch that was not taken whole, unless an answer says when.
const MOMENT: Duration = Duration::from_millis(20);

/// The customer, and what it was told.
#[derive(Debug, Default)]
pub(crate) struct Prober {
    begun: AtomicU64,
    acknowledged: Mutex<BTreeMap<u64, BTreeSet<MessageId>>>,
}

impl Prober {
    /// Another batch, by the numbers of its messages.
    pub(crate) fn begin(&self) -> Range<u64> {
        let first = self.begun.fetch_add(BATCH, Ordering::Relaxed);
        first..first + BATCH
    }

    /// How many messages were begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many messages of a batch are acknowledged.
    pub(crate) fn acknowledged_of(&self, batch: Range<u64>) -> usize {
        self.acknowledged.lock().expect("nobody panics in here").range(batch).count()
    }

    /// Hands the messages of a batch over each by itself and all at once, and says how long each took, in order.
    pub(crate) fn single(&self, node: SocketAddr) -> Vec<Duration> {
        let take = |number: u64| {
            let since = Instant::now();
            self.hand_over(number..number + 1, |_| node);
            since.elapsed()
        };
        let mut took: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = self.begin().map(|number| scope.spawn(move || take(number))).collect();
            asked.into_iter().map(|asked| asked.join().expect("it is acknowledged")).collect()
        });
        took.sort_unstable();
        took
    }

    /// Hands the same batch over at several nodes at once, and says how long after `since` each had acknowledged all of it.
    pub(crate) fn probe(&self, since: Instant, nodes: &[SocketAddr]) -> Vec<Duration> {
        let batch = self.begin();
        thread::scope(|scope| {
            let take = |node: SocketAddr, batch: Range<u64>| {
                self.hand_over(batch, |_| node);
                since.elapsed()
            };
            let asked: Vec<_> = nodes
                .iter()
                .map(|node| {
                    let batch = batch.clone();
                    scope.spawn(move || take(*node, batch))
                })
                .collect();
            asked.into_iter().map(|asked| asked.join().expect("it is acknowledged")).collect()
        })
    }

    /// Hands a batch over until all of it is acknowledged, each time to whom the number of tries without an acceptance names.
    pub(crate) fn hand_over(&self, batch: Range<u64>, whom: impl Fn(usize) -> SocketAddr) {
        let message = |number: u64| {
            let key = format!("probe {number}");
            let (text, class) = (format!("{PROBE}{number:07}"), class_of(number).name());
            json!({"to": to(number), "text": text, "key": key, "class": class})
        };
        let (mut tries, deadline) = (0, Instant::now() + PATIENCE);
        let mut open: Vec<u64> = batch.collect();
        while !open.is_empty() {
            let batch = json!(open.iter().map(|number| message(*number)).collect::<Vec<_>>());
            let answer = http::post(whom(tries), "/v1/messages", KEY, &batch);
            assert!(Instant::now() < deadline, "{} are not acknowledged, last {answer:?}", open.len());
            let pause = match answer {
                Ok(answer) if answer.status == 202 => self.take(&mut open, &answer.json()),
                Ok(answer) => {
                    tries += 1;
                    retry(&answer.json())
                }
                Err(_) => {
                    tries += 1;
                    MOMENT
                }
            };
            if !open.is_empty() {
                thread::park_timeout(pause);
            }
        }
    }

    /// Notes down who is acknowledged, and says when to ask for the others again.
    fn take(&self, open: &mut Vec<u64>, results: &Value) -> Duration {
        let mut acknowledged = self.acknowledged.lock().expect("nobody panics in here");
        let (mut pause, mut at) = (Duration::ZERO, 0);
        open.retain(|number| {
            let result = &results[at];
            at += 1;
            let id = result["id"].as_str().map(|id| id.parse().expect("an id of a message"));
            if let Some(id) = id {
                acknowledged.entry(*number).or_default().insert(id);
            } else {
                pause = pause.max(retry(&result["error"]));
            }
            id.is_none()
        });
        pause
    }

    /// What was promised and not kept, once everything has its fate.
    pub(crate) fn judge(&self, native: SocketAddr, carrier: &Carrier) -> Vec<Violation> {
        let acknowledged = self.acknowledged.lock().expect("as above").clone();
        let credentials = Credentials { account: ACCOUNT.to_owned(), key: KEY.to_owned() };
        let deadline = Instant::now() + PATIENCE;
        let mut open: Vec<MessageId> = acknowledged.values().flatten().copied().collect();
        let mut traces = BTreeMap::new();
        while !open.is_empty() && Instant::now() < deadline {
            traces.extend(customer::query(native, &credentials, &open));
            open.retain(|id| traces[id].is_open());
        }
        let fates = traces.iter().filter_map(|(id, trace)| Some((*id, BTreeSet::from([trace.fate()?]))));
        let begun = self.begun();
        let pages = Pages { begun, fates: fates.collect(), acknowledged, ..Pages::default() };
        // Looked at when all is over, and under the texts that the verdict knows.
        let seen = carrier.seen();
        let seen = seen.iter().filter_map(|(text, times)| {
            let number = text.strip_prefix(PROBE)?.parse().expect("a number of ours");
            Some((nonce(number), *times))
        });
        println!("prober: {begun} handed over");
        violations(&Evidence { pages: &pages, traces: &traces, seen: &seen.collect() })
    }
}

/// The recipient of a message: the same ones for each batch.
fn to(number: u64) -> String {
    format!("+49160{:07}", number % BATCH)
}

/// When to repeat what a problem stands for. Nobody may be told that it is not to be repeated: nothing was wrong with it.
fn retry(problem: &Value) -> Duration {
    assert!(problem["retry"].is_string() && problem["retry"] != "never", "a customer sees {problem}");
    problem["retry_after_ms"].as_u64().map_or(MOMENT, Duration::from_millis)
}

#[test]
fn a_batch_has_messages_for_every_partition() {
    let partitions = PartitionCount::new(PartitionCount::MIN).expect("the least is allowed");
    let of = |number| partitions.partition_of(Msisdn::parse(&to(number).as_bytes()[1..]).expect("a number"));
    let reached: BTreeSet<_> = (0..BATCH).map(of).collect();
    assert_eq!(reached.len(), usize::from(PartitionCount::MIN));
}
