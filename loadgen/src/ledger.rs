//! Every intent of the run: what its customer was told, how often carriers saw it, which fate was reported.
//!
//! A record is 32 bytes at the place of its nonce. Fates come by message id, so a table finds the nonce of an id: it
//! holds nonces only, and compares with the id in the record. Nothing here is asked of the daemon: what it says is
//! held against what carriers saw.

use std::collections::HashMap;

use hashbrown::HashTable;
use wire::id::MessageId;
use wire::time::Instant;

use crate::latencies::Latencies;
use crate::message::{Nonce, Run};

/// All intents, by nonce.
#[derive(Debug)]
pub(crate) struct Ledger {
    records: Vec<Record>,
    by_id: HashTable<u32>,
    /// Fates whose id no answer has named yet: the answer is on its way, or the message is not of this run.
    strays: HashMap<MessageId, (Fate, Instant)>,
    counts: Counts,
    latencies: Latencies,
    measured: Run,
}

/// What is counted while it happens. Messages, not frames.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Intents that have their answer: accepted, or refused for good.
    pub(crate) answered: u64,
    /// Intents that were accepted.
    pub(crate) accepted: u64,
    /// Answers that said that the key was known.
    pub(crate) known: u64,
    /// Intents that were refused for good.
    pub(crate) refused: u64,
    /// Submissions after the first of an intent: its answer was lost, or asked for it.
    pub(crate) resubmitted: u64,
    /// Accepted intents that have a fate.
    pub(crate) fated: u64,
    /// Fates told again, as at-least-once allows.
    pub(crate) fates_repeated: u64,
    /// A second fate of a message that differs from its first.
    pub(crate) fates_changed: u64,
    /// A second answer to an intent that names another id, or an id that two intents have.
    pub(crate) ids_wrong: u64,
}

/// A message's final state, by the native protocol's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fate {
    Delivered = 1,
    Failed = 2,
    Expired = 3,
    Cancelled = 4,
    Unknown = 5,
}

impl Fate {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Delivered, "delivered"),
        (Self::Failed, "failed"),
        (Self::Expired, "expired"),
        (Self::Cancelled, "cancelled"),
        (Self::Unknown, "unknown"),
    ];

    /// The fate of a byte of the native protocol.
    pub(crate) fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().map(|(fate, _)| fate).find(|fate| *fate as u8 == byte)
    }

    /// The fate of a name in JSON.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, of)| *of == name).map(|(fate, _)| fate)
    }
}

/// What a customer was told of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Taken under this id.
    New(MessageId),
    /// This key had been taken before, under this id.
    Known(MessageId),
    /// Never.
    Refused,
}

/// What a carrier did with a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Took it: from now on it is out.
    Taken,
    /// Refused it for now; it did not leave.
    RefusedForNow,
    /// Refused it for good.
    RefusedForGood,
    /// Said nothing: whoever sent it cannot know.
    Silence,
}

/// What a carrier's receipt said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Delivered,
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    id: u128,
    intended: Instant,
    customer: u16,
    flags: u8,
    /// Zero: none yet.
    fate: u8,
    /// Sightings that a carrier took or was silent about.
    open: u8,
    /// Sightings that a carrier refused.
    refused: u8,
}

const _: () = assert!(size_of::<Record>() == 32, "half a cache line to a message");

/// Submitted, its answer is awaited.
const WAITS: u8 = 1;
const ACCEPTED: u8 = 2;
const REFUSED: u8 = 4;
/// Some attempt's outcome could not be known by the daemon.
const DOUBT: u8 = 8;
const SAID_DELIVERED: u8 = 16;
const SAID_FAILED: u8 = 32;
const REFUSED_FOR_GOOD: u8 = 64;

impl Ledger {
    /// A ledger for so many intents.
    pub(crate) fn new(intents: u32) -> Self {
        let empty =
            Record { id: 0, intended: Instant(0), customer: 0, flags: 0, fate: 0, open: 0, refused: 0 };
        let count = intents as usize;
        // Filled once and cleared: a page that is touched for the first time costs more than the message that does it.
        let mut by_id = HashTable::with_capacity(count);
        for nonce in 0..intents {
            by_id.insert_unique(hash(MessageId(nonce.into())), nonce, |_| 0);
        }
        by_id.clear();
        Self {
            records: vec![empty; count],
            by_id,
            strays: HashMap::new(),
            counts: Counts::default(),
            latencies: Latencies::new(),
            measured: 0..intents,
        }
    }

    /// From now on only the latencies of these intents are recorded.
    pub(crate) fn measure(&mut self, run: Run) {
        self.latencies = Latencies::new();
        self.measured = run;
    }

    /// What was counted so far.
    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The latencies of the measured intents.
    pub(crate) const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// Fates of messages that this run did not submit, or whose answer never came.
    pub(crate) fn strays(&self) -> usize {
        self.strays.len()
    }

    /// Whether there is such an intent.
    pub(crate) const fn holds(&self, nonce: Nonce) -> bool {
        nonce.index() < self.records.len()
    }

    /// This intent should leave its customer at this time.
    pub(crate) fn intend(&mut self, nonce: Nonce, at: Instant) {
        self.records[nonce.index()].intended = at;
    }

    /// When the intent should have left its customer.
    #[cfg(test)]
    pub(crate) fn intended(&self, nonce: Nonce) -> Instant {
        self.records[nonce.index()].intended
    }

    /// The message id of an intent that was accepted.
    pub(crate) fn id(&self, nonce: Nonce) -> Option<MessageId> {
        let record = &self.records[nonce.index()];
        (record.flags & ACCEPTED != 0).then_some(MessageId(record.id))
    }

    /// A customer submits these.
    pub(crate) fn submitted(&mut self, run: Run, customer: u16) {
        for record in &mut self.records[run.start as usize..run.end as usize] {
            record.flags |= WAITS;
            record.customer = customer;
        }
    }

    /// A customer will not be answered any more: what it waited for.
    pub(crate) fn abandon(&mut self, customer: u16) -> Vec<Nonce> {
        let mut abandoned = Vec::new();
        for (nonce, record) in (0..).zip(&mut self.records) {
            if record.flags & WAITS != 0 && record.customer == customer {
                record.flags &= !WAITS;
                abandoned.push(Nonce(nonce));
            }
        }
        self.counts.resubmitted += abandoned.len() as u64;
        abandoned
    }

    /// A customer was asked to try again.
    pub(crate) fn postponed(&mut self, nonce: Nonce) {
        self.records[nonce.index()].flags &= !WAITS;
        self.counts.resubmitted += 1;
    }

    /// A customer has its answer.
    pub(crate) fn answered(&mut self, nonce: Nonce, answer: Answer, now: Instant) {
        let record = &mut self.records[nonce.index()];
        record.flags &= !WAITS;
        let (Answer::New(id) | Answer::Known(id)) = answer else {
            if record.flags & (ACCEPTED | REFUSED) == 0 {
                record.flags |= REFUSED;
                self.counts.refused += 1;
                self.counts.answered += 1;
            }
            return;
        };
        self.counts.known += u64::from(matches!(answer, Answer::Known(_)));
        if record.flags & ACCEPTED != 0 {
            self.counts.ids_wrong += u64::from(record.id != id.0);
            return;
        }
        self.counts.answered += u64::from(record.flags & REFUSED == 0);
        self.counts.accepted += 1;
        record.flags |= ACCEPTED;
        record.id = id.0;
        if self.measured.contains(&nonce.0) {
            self.latencies.answer(now.since(record.intended));
        }
        self.name(nonce, id);
        if !self.strays.is_empty()
            && let Some((fate, at)) = self.strays.remove(&id)
        {
            self.fated(id, fate, at);
        }
    }

    /// A carrier sees an intent; how often it had been seen before.
    pub(crate) fn seen(&mut self, nonce: Nonce, verdict: Verdict, now: Instant) -> u8 {
        let record = &mut self.records[nonce.index()];
        let before = record.open.saturating_add(record.refused);
        if before == 0 && self.measured.contains(&nonce.0) {
            self.latencies.submit(now.since(record.intended));
        }
        let count = match verdict {
            Verdict::Taken | Verdict::Silence => &mut record.open,
            Verdict::RefusedForNow | Verdict::RefusedForGood => &mut record.refused,
        };
        *count = count.saturating_add(1);
        record.flags |= match verdict {
            Verdict::Taken | Verdict::RefusedForNow => 0,
            Verdict::RefusedForGood => REFUSED_FOR_GOOD,
            Verdict::Silence => DOUBT,
        };
        before
    }

    /// A carrier's answer was lost with its connection.
    pub(crate) fn cut_off(&mut self, nonce: Nonce) {
        self.records[nonce.index()].flags |= DOUBT;
    }

    /// A carrier reports on an intent.
    pub(crate) fn reported(&mut self, nonce: Nonce, report: Report) {
        self.records[nonce.index()].flags |= match report {
            Report::Delivered => SAID_DELIVERED,
            Report::Failed => SAID_FAILED,
        };
    }

    /// A customer is told a fate.
    pub(crate) fn fated(&mut self, id: MessageId, fate: Fate, now: Instant) {
        let records = &self.records;
        let found = self.by_id.find(hash(id), |nonce| records[*nonce as usize].id == id.0);
        let Some(&nonce) = found else {
            // The first time stands: a fate that is told again is not later for it.
            self.strays.entry(id).or_insert((fate, now));
            return;
        };
        let record = &mut self.records[nonce as usize];
        if record.fate == 0 {
            record.fate = fate as u8;
            self.counts.fated += 1;
            if self.measured.contains(&nonce) {
                self.latencies.fate(now.since(record.intended));
            }
        } else if record.fate == fate as u8 {
            self.counts.fates_repeated += 1;
        } else {
            self.counts.fates_changed += 1;
        }
    }

    /// Holds all that was said against all that was seen.
    pub(crate) fn reconcile(&self) -> Reckoning {
        let mut sum = Reckoning::default();
        for (nonce, record) in (0..).map(Nonce).zip(&self.records) {
            let seen = record.open > 0 || record.refused > 0;
            sum.submitted += u64::from(seen);
            if record.open > 1 {
                sum.repeated.push((nonce, record.open));
            } else if record.flags & DOUBT != 0 {
                sum.doubted.push(nonce);
            }
            if record.flags & ACCEPTED == 0 {
                continue;
            }
            let has = |flag| record.flags & flag != 0;
            let fate = Fate::of_byte(record.fate);
            let count = match fate {
                None => &mut sum.fateless,
                Some(Fate::Delivered) => &mut sum.delivered,
                Some(Fate::Failed) => &mut sum.failed,
                Some(Fate::Expired) => &mut sum.expired,
                Some(Fate::Cancelled) => &mut sum.cancelled,
                Some(Fate::Unknown) => &mut sum.unknown,
            };
            *count += 1;
            match fate {
                None | Some(Fate::Delivered) if !seen => sum.lost.push(nonce),
                Some(Fate::Unknown) if !seen => sum.vanished.push(nonce),
                _ => {}
            }
            let contradicted = match fate {
                Some(Fate::Delivered) => !has(SAID_DELIVERED),
                Some(Fate::Failed) => has(SAID_DELIVERED) && !has(SAID_FAILED) && !has(REFUSED_FOR_GOOD),
                _ => false,
            };
            if seen && contradicted {
                sum.contradicted.push(nonce);
            }
        }
        sum
    }

    fn name(&mut self, nonce: Nonce, id: MessageId) {
        let records = &self.records;
        let taken = self.by_id.find(hash(id), |other| records[*other as usize].id == id.0).is_some();
        if taken {
            self.counts.ids_wrong += 1;
            return;
        }
        self.by_id.insert_unique(hash(id), nonce.0, |other| hash(MessageId(records[*other as usize].id)));
    }
}

/// What the ledger says when all has been said. Counts are messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reckoning {
    /// Distinct intents that carriers saw.
    pub(crate) submitted: u64,
    /// Accepted, by fate.
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) expired: u64,
    pub(crate) cancelled: u64,
    pub(crate) unknown: u64,
    /// Accepted, and no fate was told.
    pub(crate) fateless: u64,
    /// Accepted, and no carrier saw it, though the daemon does not say that it never left.
    pub(crate) lost: Vec<Nonce>,
    /// Accepted, ended as unknown, and no carrier saw it: lost unless the trace shows an attempt that was doubted.
    pub(crate) vanished: Vec<Nonce>,
    /// Taken (or met with silence) by carriers more than once, and how often: wrong unless the trace shows doubt.
    pub(crate) repeated: Vec<(Nonce, u8)>,
    /// Seen once, with an outcome that the daemon could not know.
    pub(crate) doubted: Vec<Nonce>,
    /// The fate is not what the carrier reported.
    pub(crate) contradicted: Vec<Nonce>,
}

/// Ids count up in their low half and hold time and partition in their high half; a folded product mixes both.
fn hash(id: MessageId) -> u64 {
    let low = u64::try_from(id.0 & u128::from(u64::MAX)).unwrap_or_default();
    let high = u64::try_from(id.0 >> 64).unwrap_or_default();
    let product = u128::from(low ^ 0x9E37_79B9_7F4A_7C15) * u128::from(high.rotate_left(20) | 1);
    let folded = (product >> 64) ^ (product & u128::from(u64::MAX));
    u64::try_from(folded).unwrap_or_default().wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::id::Partition;
    use wire::time::WallMs;

    const NOW: Instant = Instant(1_000_000);

    fn id(counter: u64) -> MessageId {
        MessageId::mint(WallMs(1_795_402_975_120), Partition(3), 1, counter)
    }

    fn accepted(intents: u32) -> Ledger {
        let mut ledger = Ledger::new(intents);
        ledger.submitted(0..intents, 0);
        (0..intents).for_each(|nonce| ledger.answered(Nonce(nonce), Answer::New(id(nonce.into())), NOW));
        ledger
    }

    #[test]
    fn what_went_well_is_delivered_and_nothing_else() {
        let mut ledger = accepted(100);
        for nonce in (0..100).map(Nonce) {
            assert_eq!(ledger.seen(nonce, Verdict::Taken, NOW), 0);
            ledger.reported(nonce, Report::Delivered);
            ledger.fated(id(nonce.0.into()), Fate::Delivered, NOW);
        }
        let sum = ledger.reconcile();
        assert_eq!((sum.submitted, sum.delivered, sum.fateless), (100, 100, 0));
        assert!(sum.lost.is_empty() && sum.repeated.is_empty() && sum.contradicted.is_empty());
        assert_eq!(ledger.counts().fated, 100);
        assert_eq!(ledger.latencies().count(), [100; 3]);
    }

    #[test]
    fn a_message_that_no_carrier_saw_is_lost_unless_the_daemon_says_that_it_never_left() {
        let mut ledger = accepted(5);
        ledger.fated(id(1), Fate::Delivered, NOW);
        ledger.fated(id(2), Fate::Expired, NOW);
        ledger.seen(Nonce(3), Verdict::Taken, NOW);
        ledger.fated(id(4), Fate::Unknown, NOW);
        let sum = ledger.reconcile();
        assert_eq!(sum.lost, [Nonce(0), Nonce(1)]);
        assert_eq!(sum.vanished, [Nonce(4)]);
        assert_eq!((sum.fateless, sum.expired), (2, 1));
    }

    #[test]
    fn a_second_sighting_is_a_suspect_unless_the_first_was_refused() {
        let mut ledger = accepted(3);
        ledger.seen(Nonce(0), Verdict::RefusedForNow, NOW);
        ledger.seen(Nonce(0), Verdict::Taken, NOW);
        ledger.seen(Nonce(1), Verdict::Taken, NOW);
        assert_eq!(ledger.seen(Nonce(1), Verdict::Taken, NOW), 1);
        ledger.seen(Nonce(2), Verdict::Silence, NOW);
        let sum = ledger.reconcile();
        assert_eq!(sum.repeated, [(Nonce(1), 2)]);
        assert_eq!(sum.doubted, [Nonce(2)]);
    }

    #[test]
    fn a_fate_that_the_carrier_did_not_report_is_contradicted() {
        let mut ledger = accepted(3);
        (0..3).for_each(|nonce| {
            ledger.seen(Nonce(nonce), Verdict::Taken, NOW);
        });
        ledger.reported(Nonce(0), Report::Failed);
        ledger.fated(id(0), Fate::Delivered, NOW);
        ledger.reported(Nonce(1), Report::Delivered);
        ledger.fated(id(1), Fate::Failed, NOW);
        ledger.fated(id(2), Fate::Unknown, NOW);
        ledger.fated(id(2), Fate::Unknown, NOW);
        ledger.fated(id(2), Fate::Delivered, NOW);
        assert_eq!(ledger.reconcile().contradicted, [Nonce(0), Nonce(1)]);
        assert_eq!((ledger.counts().fates_repeated, ledger.counts().fates_changed), (1, 1));
    }

    #[test]
    fn a_fate_may_overtake_the_answer() {
        let mut ledger = Ledger::new(2);
        ledger.submitted(0..2, 5);
        ledger.fated(id(9), Fate::Delivered, NOW);
        ledger.fated(id(77), Fate::Delivered, NOW);
        ledger.answered(Nonce(0), Answer::New(id(9)), NOW);
        assert_eq!((ledger.counts().fated, ledger.strays()), (1, 1));
        assert_eq!(ledger.abandon(5), [Nonce(1)]);
        assert_eq!(ledger.abandon(5), []);
    }

    #[test]
    fn two_names_for_one_intent_and_one_name_for_two_are_wrong() {
        let mut ledger = accepted(2);
        ledger.answered(Nonce(0), Answer::Known(id(0)), NOW);
        assert_eq!((ledger.counts().ids_wrong, ledger.counts().known), (0, 1));
        ledger.answered(Nonce(0), Answer::Known(id(50)), NOW);
        assert_eq!(ledger.counts().ids_wrong, 1);
        let mut ledger = Ledger::new(2);
        ledger.answered(Nonce(0), Answer::New(id(1)), NOW);
        ledger.answered(Nonce(1), Answer::New(id(1)), NOW);
        assert_eq!(ledger.counts().ids_wrong, 1);
    }
}
