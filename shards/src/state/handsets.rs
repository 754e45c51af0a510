//! What came from handsets to one partition: texts that are not whole, messages that nobody has acknowledged, and what a
//! carrier's repetition is known by.
//!
//! ```text
//!   Collected ─▶ texts ── Received ─▶ waiting ── Acknowledged ─▶ gone
//!                  └───── Discarded ─▶ gone         └ retention ─▶ gone
//! ```
//!
//! A message that is whole lies among the partition's other messages, over from its first moment, and has its place among
//! its account's fates: one numbering, one acknowledgement, one order for whoever is told.

use std::collections::{BTreeMap, BTreeSet};

use wal::record::Collected;
use wal::snapshot::{CollectedImage, KnownImage};
use wire::id::{AccountId, CarrierId, MessageId};
use wire::msisdn::Msisdn;
use wire::smpp::handset::Coding;
use wire::text::limits::SEGMENTS_MAX;
use wire::time::WallMs;

use crate::limits::KNOWN_MAX;
use crate::state::digest::Digest;

/// What the parts of one text have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TextName {
    pub(crate) carrier: CarrierId,
    pub(crate) source: Msisdn,
    pub(crate) destination: Msisdn,
    pub(crate) reference: u16,
    pub(crate) total: u8,
}

/// A text of which parts are missing.
#[derive(Clone, Debug)]
pub(crate) struct OpenText {
    /// How long they are waited for.
    pub(crate) until: WallMs,
    /// By the part's number, from 0.
    parts: Vec<Option<(Coding, Box<[u8]>)>>,
}

/// A repetition's mark.
#[derive(Clone, Copy, Debug)]
struct Known {
    session: u64,
    until: WallMs,
    /// Its place in the order.
    number: u64,
}

/// How much an account has not acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Handsets {
    texts: BTreeMap<TextName, OpenText>,
    /// The same, in the order of their times.
    due: BTreeSet<(WallMs, TextName)>,
    parts: usize,
    known: BTreeMap<u64, Known>,
    /// The same by number, the oldest first.
    known_order: BTreeMap<u64, u64>,
    known_next: u64,
    /// Messages that nobody has acknowledged, the oldest first.
    waiting: BTreeMap<MessageId, (AccountId, usize)>,
    by_account: BTreeMap<AccountId, Waiting>,
    waiting_bytes: usize,
}

impl Handsets {
    /// Parts that wait for others.
    pub(crate) const fn parts_len(&self) -> usize {
        self.parts
    }

    /// Texts of which parts are missing.
    pub(crate) fn texts_len(&self) -> usize {
        self.texts.len()
    }

    /// Messages that nobody has acknowledged.
    pub(crate) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// Their texts, in bytes.
    pub(crate) const fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// How many of them are an account's.
    pub(crate) fn waiting_of(&self, account: AccountId) -> usize {
        self.by_account.get(&account).map_or(0, |waiting| waiting.messages)
    }

    /// The text of which this is the name, if parts of it are here.
    pub(crate) fn text(&self, name: &TextName) -> Option<&OpenText> {
        self.texts.get(name)
    }

    /// The text whose time is over first, if it is.
    pub(crate) fn overdue(&self, now: WallMs) -> Option<TextName> {
        self.due.first().filter(|(until, _)| *until <= now).map(|&(_, name)| name)
    }

    /// When the first is over.
    pub(crate) fn next_due(&self) -> Option<WallMs> {
        self.due.first().map(|&(until, _)| until)
    }

    /// Whether this has come before, by another session than this one.
    pub(crate) fn is_known(&self, at: WallMs, fingerprint: u64, session: u64) -> bool {
        self.known.get(&fingerprint).is_some_and(|known| {
            known.until > at && (known.session == 0 || session == 0 || known.session != session)
        })
    }

    pub(crate) fn collect(&mut self, part: &Collected<'_>) {
        let name = TextName {
            carrier: part.carrier,
            source: part.source,
            destination: part.destination,
            reference: part.reference,
            total: part.total,
        };
        let coding = Coding::from_byte(part.alphabet).unwrap_or(Coding::Latin1);
        self.keep(name, part.number, WallMs(part.until_ms), (coding, part.octets.into()));
    }

    fn keep(&mut self, name: TextName, number: u8, until: WallMs, part: (Coding, Box<[u8]>)) {
        let text = self.texts.entry(name).or_insert_with(|| {
            self.due.insert((until, name));
            OpenText { until, parts: (0..name.total).map(|_| None).collect() }
        });
        let place = usize::from(number).checked_sub(1).and_then(|place| text.parts.get_mut(place));
        if let Some(slot) = place.filter(|slot| slot.is_none()) {
            *slot = Some(part);
            self.parts += 1;
        }
    }

    /// The text of this name is whole, or given up.
    pub(crate) fn let_go(&mut self, name: &TextName) {
        if let Some(text) = self.texts.remove(name) {
            self.due.remove(&(text.until, *name));
            self.parts -= text.parts.iter().flatten().count();
        }
    }

    /// Something came that may be repeated.
    pub(crate) fn know(&mut self, fingerprint: u64, session: u64, until: WallMs) {
        if fingerprint == 0 {
            return;
        }
        if let Some(renewed) = self.known.remove(&fingerprint) {
            self.known_order.remove(&renewed.number);
        }
        if self.known.len() >= KNOWN_MAX {
            self.forget_oldest_known();
        }
        let number = self.known_next;
        self.known_next += 1;
        self.known.insert(fingerprint, Known { session, until, number });
        self.known_order.insert(number, fingerprint);
    }

    /// Time has passed: repetitions that nobody expects any more are forgotten.
    pub(crate) fn expire_known(&mut self, now: WallMs) {
        while self.oldest_known().is_some_and(|known| known.until <= now) {
            self.forget_oldest_known();
        }
    }

    fn oldest_known(&self) -> Option<&Known> {
        let (_, fingerprint) = self.known_order.first_key_value()?;
        self.known.get(fingerprint)
    }

    fn forget_oldest_known(&mut self) {
        if let Some((_, fingerprint)) = self.known_order.pop_first() {
            self.known.remove(&fingerprint).expect("what has an order is there");
        }
    }

    /// A message is whole and waits for its account.
    pub(crate) fn wait(&mut self, id: MessageId, account: AccountId, bytes: usize) {
        let earlier = self.waiting.insert(id, (account, bytes));
        assert!(earlier.is_none(), "a message of a handset waits once");
        let of_account = self.by_account.entry(account).or_default();
        of_account.messages += 1;
        of_account.bytes += bytes;
        self.waiting_bytes += bytes;
    }

    /// The oldest message that nobody has acknowledged.
    pub(crate) fn oldest(&self) -> Option<MessageId> {
        self.waiting.first_key_value().map(|(&id, _)| id)
    }

    /// A message is acknowledged, or its time is over.
    pub(crate) fn gone(&mut self, id: MessageId) {
        let (account, bytes) = self.waiting.remove(&id).expect("a message of a handset waits until it goes");
        let of_account = self.by_account.get_mut(&account).expect("counted when it came");
        of_account.messages -= 1;
        of_account.bytes -= bytes;
        self.waiting_bytes -= bytes;
        if of_account.messages == 0 {
            assert!(of_account.bytes == 0, "texts are counted with their messages");
            self.by_account.remove(&account);
        }
    }

    /// What a snapshot's head has.
    pub(crate) fn images(&self) -> (Vec<CollectedImage>, Vec<KnownImage>) {
        let parts = self.texts.iter().flat_map(|(name, text)| {
            (1_u8..).zip(&text.parts).filter_map(|(number, part)| {
                let (coding, octets) = part.as_ref()?;
                Some(CollectedImage {
                    carrier: name.carrier,
                    source: name.source,
                    destination: name.destination,
                    reference: name.reference,
                    total: name.total,
                    number,
                    alphabet: *coding as u8,
                    until: text.until,
                    octets: octets.clone(),
                })
            })
        });
        let known = self.known_order.values().filter_map(|&fingerprint| {
            let &Known { session, until, .. } = self.known.get(&fingerprint)?;
            Some(KnownImage { fingerprint, session, until })
        });
        (parts.collect(), known.collect())
    }

    /// What a snapshot's head has had; `None` when it makes no sense.
    pub(crate) fn restore(collected: &[CollectedImage], known: &[KnownImage]) -> Option<Self> {
        let mut handsets = Self::default();
        for image in collected {
            let name = TextName {
                carrier: image.carrier,
                source: image.source,
                destination: image.destination,
                reference: image.reference,
                total: image.total,
            };
            let is_part = (1..=image.total).contains(&image.number) && image.total <= SEGMENTS_MAX;
            let is_new = handsets.text(&name).is_none_or(|text| text.part(image.number).is_none());
            let coding = Coding::from_byte(image.alphabet).filter(|_| is_part && is_new)?;
            handsets.keep(name, image.number, image.until, (coding, image.octets.clone()));
        }
        known.iter().for_each(|known| handsets.know(known.fingerprint, known.session, known.until));
        Some(handsets)
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        let (collected, known) = self.images();
        for image in &collected {
            digest.number(u64::from(image.carrier.0) << 32 | u64::from(image.reference));
            digest.number(image.source.to_word());
            digest.number(image.destination.to_word());
            digest.number(
                u64::from(image.total) << 16 | u64::from(image.number) << 8 | u64::from(image.alphabet),
            );
            digest.number(image.until.0);
            digest.bytes(&image.octets);
        }
        for image in &known {
            [image.fingerprint, image.session, image.until.0]
                .into_iter()
                .for_each(|word| digest.number(word));
        }
        self.waiting.keys().for_each(|id| digest.wide(id.0));
    }
}

/// What stands in a text where parts of it did not come.
const GAP: &str = "[...]";

impl OpenText {
    /// A part, by its number from 1.
    pub(crate) fn part(&self, number: u8) -> Option<(Coding, &[u8])> {
        let part = self.parts.get(usize::from(number).checked_sub(1)?)?.as_ref()?;
        Some((part.0, &part.1))
    }

    /// The parts that are missing, one bit each.
    pub(crate) fn missing(&self) -> u32 {
        let bits = self.parts.iter().enumerate().filter(|(_, part)| part.is_none());
        bits.fold(0, |mask, (place, _)| mask | 1 << place)
    }

    /// The text of the parts, with one more that is not among them. Neighbours of one alphabet are put together before they
    /// are read.
    pub(crate) fn text_with(&self, more: Option<(u8, Coding, &[u8])>) -> String {
        let (mut text, mut run, mut coding) = (String::new(), Vec::new(), Coding::Utf8);
        let mut in_gap = false;
        for number in (1_u8..).take(self.parts.len()) {
            let part = match more {
                Some((other, coding, octets)) if other == number => Some((coding, octets)),
                _ => self.part(number),
            };
            let is_other = part.is_none_or(|(next, _)| next != coding);
            if is_other {
                coding.read(&run, &mut text);
                run.clear();
            }
            match part {
                Some((next, octets)) => {
                    coding = next;
                    run.extend_from_slice(octets);
                }
                None if !in_gap => text.push_str(GAP),
                None => {}
            }
            in_gap = part.is_none();
        }
        coding.read(&run, &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u8, coding: Coding, octets: &'static [u8]) -> Collected<'static> {
        Collected {
            carrier: CarrierId(1),
            source: "4915112345678".parse().unwrap(),
            destination: "12345".parse().unwrap(),
            reference: 7,
            total: 4,
            number,
            alphabet: coding as u8,
            fingerprint: 0,
            known_until_ms: 0,
            until_ms: 50,
            octets,
        }
    }

    fn name() -> TextName {
        let part = part(1, Coding::Gsm7, b"");
        let Collected { carrier, source, destination, reference, total, .. } = part;
        TextName { carrier, source, destination, reference, total }
    }

    #[test]
    fn parts_are_put_together_in_their_order_whatever_cuts_between_them() {
        let mut handsets = Handsets::default();
        handsets.collect(&part(4, Coding::Gsm7, b"end"));
        handsets.collect(&part(2, Coding::Ucs2, &[0xDE, 0x00, 0, b'!']));
        handsets.collect(&part(2, Coding::Ucs2, b"repeated"));
        let text = handsets.text(&name()).unwrap();
        assert_eq!((text.missing(), handsets.parts_len()), (0b0101, 2));
        let first = (1, Coding::Ucs2, &[0, b'a', 0xD8, 0x3D][..]);
        assert_eq!(text.text_with(Some(first)), "a😀![...]end");
        assert_eq!((handsets.overdue(WallMs(49)), handsets.overdue(WallMs(50))), (None, Some(name())));
        let (collected, known) = handsets.images();
        let restored = Handsets::restore(&collected, &known).unwrap();
        assert_eq!(restored.text(&name()).unwrap().text_with(None), "[...]\u{FFFD}![...]end");
        handsets.let_go(&name());
        assert_eq!((handsets.parts_len(), handsets.next_due()), (0, None));
    }

    #[test]
    fn a_repetition_is_known_for_a_while_and_not_on_the_session_that_brought_it() {
        let mut handsets = Handsets::default();
        handsets.know(5, 1, WallMs(10));
        handsets.know(6, 0, WallMs(10));
        assert!(handsets.is_known(WallMs(9), 5, 2) && !handsets.is_known(WallMs(9), 5, 1));
        assert!(handsets.is_known(WallMs(9), 6, 1) && !handsets.is_known(WallMs(10), 6, 1));
        handsets.know(5, 2, WallMs(20));
        handsets.expire_known(WallMs(10));
        assert!(handsets.is_known(WallMs(11), 5, 1) && !handsets.is_known(WallMs(11), 5, 2));
        (0..).take(KNOWN_MAX).for_each(|more| handsets.know(100 + more, 0, WallMs(30)));
        assert!(!handsets.is_known(WallMs(11), 5, 1), "the oldest is forgotten");
        assert_eq!(handsets.images().1.len(), KNOWN_MAX);
    }

    #[test]
    fn what_waits_is_counted_by_account() {
        let mut handsets = Handsets::default();
        handsets.wait(MessageId(2), AccountId(1), 10);
        handsets.wait(MessageId(1), AccountId(2), 5);
        assert_eq!((handsets.oldest(), handsets.waiting_bytes()), (Some(MessageId(1)), 15));
        handsets.gone(MessageId(1));
        assert_eq!((handsets.waiting_of(AccountId(1)), handsets.waiting_of(AccountId(2))), (1, 0));
    }
}
