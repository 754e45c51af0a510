//! What the daemon promised against what happened: the judge of the kill tests. It draws nothing and knows no clock.

use std::collections::{BTreeMap, BTreeSet};

use wire::id::{Class, MessageId};

use crate::customer::class_of;
use crate::ledger::{Pages, nonce};

const DELIVERED: u8 = 1;
const UNKNOWN: u8 = 5;
/// States of an answer to a query: 0 not found, fates from 17.
const NOT_FOUND: u8 = 0;
const FATES_FROM: u8 = 16;
/// Steps of a trace.
const DOUBTED: u8 = 7;
const SEND_AGAIN: u8 = 8;

/// What a query answered: the state, and the kinds of the trace's steps.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) state: u8,
    pub(crate) steps: Vec<u8>,
}

impl Trace {
    /// Whether it was in doubt at any time.
    pub(crate) fn is_doubted(&self) -> bool {
        self.steps.contains(&DOUBTED)
    }

    /// The fate that it has.
    pub(crate) fn fate(&self) -> Option<u8> {
        self.state.checked_sub(FATES_FROM).filter(|fate| *fate > 0)
    }

    /// Whether it is known and has no fate yet.
    pub(crate) fn is_open(&self) -> bool {
        self.state != NOT_FOUND && self.fate().is_none()
    }
}

/// Everything that is known when all is over.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) pages: &'a Pages,
    pub(crate) traces: &'a BTreeMap<MessageId, Trace>,
    /// How often the carrier was given each text.
    pub(crate) seen: &'a BTreeMap<String, u32>,
}

/// A broken promise.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// It was acknowledged, and nobody knows it any more.
    Lost(u64),
    /// One key, two messages.
    TwoIds(u64),
    /// It was begun and never answered, or refused although nothing was wrong with it.
    NotAcknowledged(u64),
    /// No fate, although everything has drained.
    NoFate(u64),
    /// Several fates were told, or another than a query says.
    Fates(u64, BTreeSet<u8>),
    /// A fate that cannot be: not delivered, although its carrier delivers all.
    WrongFate(u64, u8),
    /// The carrier was given it more often than its trace and its class permit.
    SentTwice(u64, u32),
    /// It is delivered, and the carrier never saw it.
    NeverSent(u64),
    /// A fate was told of a message that nobody was given: it was taken twice, under two ids.
    Stray(MessageId),
    /// The carrier was given a text that no customer handed over.
    Invented(String),
}

/// All broken promises, in the order of the intents.
pub(crate) fn violations(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for intent in 0..evidence.pages.begun {
        match evidence.pages.acknowledged.get(&intent) {
            None => found.push(Violation::NotAcknowledged(intent)),
            Some(ids) if ids.len() > 1 => found.push(Violation::TwoIds(intent)),
            Some(ids) => ids.iter().for_each(|id| of_message(evidence, intent, *id, &mut found)),
        }
    }
    let known: BTreeSet<&MessageId> = evidence.pages.acknowledged.values().flatten().collect();
    found.extend(evidence.pages.fates.keys().filter(|id| !known.contains(id)).copied().map(Violation::Stray));
    let texts: BTreeSet<String> = (0..evidence.pages.begun).map(nonce).collect();
    found
        .extend(evidence.seen.keys().filter(|text| !texts.contains(*text)).cloned().map(Violation::Invented));
    found
}

fn of_message(evidence: &Evidence<'_>, intent: u64, id: MessageId, found: &mut Vec<Violation>) {
    let Some(trace) = evidence.traces.get(&id).filter(|trace| trace.state != NOT_FOUND) else {
        return found.push(Violation::Lost(intent));
    };
    let Some(fate) = trace.fate() else {
        return found.push(Violation::NoFate(intent));
    };
    let told = evidence.pages.fates.get(&id).cloned().unwrap_or_default();
    if told != BTreeSet::from([fate]) {
        found.push(Violation::Fates(intent, told));
    }
    let doubted = trace.is_doubted();
    if fate != DELIVERED && !(fate == UNKNOWN && doubted) {
        found.push(Violation::WrongFate(intent, fate));
    }
    let seen = evidence.seen.get(&nonce(intent)).copied().unwrap_or(0);
    let again = trace.steps.iter().filter(|step| **step == SEND_AGAIN).count();
    let permitted = if class_of(intent) == Class::Marketing || !doubted { 0 } else { again };
    if usize::try_from(seen).expect("a u32") > 1 + permitted {
        found.push(Violation::SentTwice(intent, seen));
    }
    if fate == DELIVERED && seen == 0 {
        found.push(Violation::NeverSent(intent));
    }
}

/// One message of intent 0 (a one-time password), as it should be, then changed by the test.
#[cfg(test)]
fn judge(
    change: impl FnOnce(&mut Pages, &mut BTreeMap<MessageId, Trace>, &mut BTreeMap<String, u32>),
) -> Vec<Violation> {
    let id = MessageId(7);
    let mut pages = Pages { begun: 1, ..Pages::default() };
    pages.acknowledged.insert(0, BTreeSet::from([id]));
    pages.fates.insert(id, BTreeSet::from([DELIVERED]));
    let mut traces =
        BTreeMap::from([(id, Trace { state: FATES_FROM + DELIVERED, steps: vec![1, 2, 3, 9, 10] })]);
    let mut seen = BTreeMap::from([(nonce(0), 1)]);
    change(&mut pages, &mut traces, &mut seen);
    violations(&Evidence { pages: &pages, traces: &traces, seen: &seen })
}

#[test]
fn a_message_that_took_the_straight_way_breaks_no_promise() {
    assert_eq!(judge(|_, _, _| {}), []);
}

#[test]
fn every_broken_promise_is_seen() {
    let id = MessageId(7);
    let trace = |state: u8, steps: &[u8]| Trace { state, steps: steps.to_vec() };
    assert_eq!(judge(|_, traces, _| traces.clear()), [Violation::Lost(0)]);
    assert_eq!(
        judge(|_, traces, _| {
            traces.insert(id, trace(NOT_FOUND, &[]));
        }),
        [Violation::Lost(0)]
    );
    assert_eq!(
        judge(|_, traces, _| {
            traces.insert(id, trace(4, &[1, 2, 3]));
        }),
        [Violation::NoFate(0)]
    );
    let silent = [Violation::NotAcknowledged(0), Violation::Stray(id)];
    assert_eq!(judge(|pages, _, _| pages.acknowledged.clear()), silent);
    let two = |pages: &mut Pages| pages.acknowledged.insert(0, BTreeSet::from([id, MessageId(8)]));
    assert_eq!(
        judge(|pages, _, _| {
            two(pages);
        }),
        [Violation::TwoIds(0)]
    );
    assert_eq!(judge(|pages, _, _| pages.fates.clear()), [Violation::Fates(0, BTreeSet::new())]);
    let failed = judge(|pages, traces, _| {
        pages.fates.insert(id, BTreeSet::from([2]));
        traces.insert(id, trace(18, &[1, 2, 5, 10]));
    });
    assert_eq!(failed, [Violation::WrongFate(0, 2)]);
    assert_eq!(judge(|_, _, seen| seen.clear()), [Violation::NeverSent(0)]);
    assert_eq!(
        judge(|_, _, seen| {
            seen.insert("x".to_owned(), 1);
        }),
        [Violation::Invented("x".to_owned())]
    );
}

#[test]
fn a_second_sending_needs_a_doubt_in_the_trace_and_a_class_that_allows_it() {
    let twice = |steps: &[u8]| {
        judge(|_, traces, seen| {
            traces.insert(MessageId(7), Trace { state: FATES_FROM + DELIVERED, steps: steps.to_vec() });
            seen.insert(nonce(0), 2);
        })
    };
    assert_eq!(twice(&[1, 2, 3, 9, 10]), [Violation::SentTwice(0, 2)]);
    assert_eq!(twice(&[1, 2, DOUBTED, 2, 3, 9, 10]), [Violation::SentTwice(0, 2)]);
    assert_eq!(twice(&[1, 2, DOUBTED, SEND_AGAIN, 2, 3, 9, 10]), []);
}
