//! An attempt that is committed becomes bytes.

use wire::id::ShardId;
use wire::msisdn::{DIGITS_MAX, Msisdn};
use wire::smpp::fields::{Address, DataCoding, EsmClass, Npi, RegisteredDelivery, Ton};
use wire::smpp::sm::Sm;
use wire::text::{Alphabet, PartHeader, Plan, Style};
use wire::time::{Instant, Now};

use super::Shard;
use super::cross::{Cross, LentSegment, Loan};
use super::lending::Queued;
use super::links::LinkId;
use crate::state::message::{Message, PartState};
use crate::state::messages::SlotRef;
use crate::token::Token;

/// Buffers in which a segment is put together.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    user_data: Vec<u8>,
}

impl Encoder {
    /// Hands one segment of a message as `submit_sm` (SMPP 3.4 §4.4.1) to `submit`.
    fn with_segment<R>(&mut self, message: &Message, part: u8, submit: impl FnOnce(&Sm<'_>) -> R) -> R {
        let text = core::str::from_utf8(message.content.text()).expect("it came in as a str");
        let plan = Plan::new(text, Style::default()).expect("it was planned when it was accepted");
        let total = message.segments();
        let header = (total > 1).then(|| PartHeader {
            reference: u16::try_from(message.id.counter() & 0xFFFF).expect("masked"),
            total,
            number: part + 1,
        });
        self.user_data.clear();
        let segment = plan.cut(text).nth(usize::from(part)).expect("as many segments as were planned");
        let has_udh = plan.put(segment, header, &mut self.user_data);
        let mut digits = [0; DIGITS_MAX];
        let sm = Sm {
            source: sender(message.content.sender()),
            destination: Address::international(message.recipient.write_digits(&mut digits)),
            esm_class: if has_udh { EsmClass::DEFAULT.with_udh() } else { EsmClass::DEFAULT },
            registered_delivery: RegisteredDelivery::FINAL,
            data_coding: data_coding(plan.alphabet),
            short_message: &self.user_data,
            ..Sm::default()
        };
        submit(&sm)
    }
}

/// A number is international; anything else is a name (§5.2.5).
fn sender(text: &[u8]) -> Address<'_> {
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if Msisdn::parse(digits).is_ok() { Address::international(digits) } else { Address::alphanumeric(text) }
}

const fn data_coding(alphabet: Alphabet) -> DataCoding {
    match alphabet {
        Alphabet::Gsm7 => DataCoding::DEFAULT,
        Alphabet::Latin1 => DataCoding::LATIN1,
        Alphabet::Ucs2 => DataCoding::UCS2,
    }
}

/// A segment with its own memory, to cross to another shard.
#[derive(Debug)]
pub(crate) struct Segment {
    source: (Ton, Npi, u8),
    destination: (Ton, Npi, u8),
    esm_class: EsmClass,
    registered_delivery: RegisteredDelivery,
    data_coding: DataCoding,
    octets: Box<[u8]>,
}

impl Segment {
    fn of(sm: &Sm<'_>) -> Self {
        let head = |address: Address<'_>| {
            let octets = u8::try_from(address.octets.len()).expect("a sender or a number");
            (address.ton, address.npi, octets)
        };
        Self {
            source: head(sm.source),
            destination: head(sm.destination),
            esm_class: sm.esm_class,
            registered_delivery: sm.registered_delivery,
            data_coding: sm.data_coding,
            octets: [sm.source.octets, sm.destination.octets, sm.short_message].concat().into_boxed_slice(),
        }
    }

    pub(super) fn borrow(&self) -> Sm<'_> {
        let (source, rest) = self.octets.split_at(usize::from(self.source.2));
        let (destination, short_message) = rest.split_at(usize::from(self.destination.2));
        let address = |(ton, npi, _): (Ton, Npi, u8), octets| Address { ton, npi, octets };
        Sm {
            source: address(self.source, source),
            destination: address(self.destination, destination),
            esm_class: self.esm_class,
            registered_delivery: self.registered_delivery,
            data_coding: self.data_coding,
            short_message,
            ..Sm::default()
        }
    }
}

/// The tokens of an attempt's parts.
fn tokens(place: usize, slot: SlotRef, attempt: u16, parts: u32) -> impl Iterator<Item = Token> {
    let cell = u16::try_from(place).expect("at most 512 cells");
    (0..32).filter(move |part| parts & 1 << part != 0).map(move |part| Token { cell, slot, attempt, part })
}

impl Shard {
    /// Queues the parts of an attempt on the session for which it was decided, or takes them back.
    pub(super) fn transmit(
        &mut self,
        place: usize,
        (shard, id, bind): (ShardId, LinkId, u32),
        (slot, attempt, parts): (SlotRef, u16, u32),
    ) {
        let is_current = |message: &&Message| message.attempt == attempt && !message.is_final();
        let is_current = self.cells[place].state.messages.resolve(slot).filter(is_current).is_some();
        if shard != self.config.id {
            return self.hand_over(place, (shard, id, bind), (slot, attempt, parts), is_current);
        }
        let now = self.clock.last();
        let link = &mut self.links[usize::from(id.0)];
        let is_same = link.bind == bind && link.session.as_ref().is_some_and(|session| session.is_open());
        if link.bind == bind {
            link.reserved = link.reserved.saturating_sub(parts.count_ones());
        }
        if !is_current {
            return;
        }
        if !is_same {
            return self.withdraw(now.wall, place, slot.slot, attempt, parts);
        }
        for token in tokens(place, slot, attempt, parts) {
            let link = &mut self.links[usize::from(id.0)];
            if !link.backlog.is_empty() || !self.submit_part(now.mono, id, token) {
                let link = &mut self.links[usize::from(id.0)];
                link.backlog.push_back(Queued::Own(token));
                link.reserved += 1;
            }
        }
    }

    /// Hands the segments of an attempt to the shard that has lent room for it.
    fn hand_over(
        &mut self,
        place: usize,
        (shard, link, bind): (ShardId, LinkId, u32),
        (slot, attempt, parts): (SlotRef, u16, u32),
        is_current: bool,
    ) {
        let message = self.cells[place].state.messages.resolve(slot).filter(|_| is_current);
        let Some(message) = message else {
            let carrier = self.carrier_of_lender(shard, link);
            let loan = Loan { carrier, link, bind, segments: parts.count_ones() };
            return self.crosses.push_back((shard, Cross::RoomBack(loan)));
        };
        for token in tokens(place, slot, attempt, parts) {
            let segment = self.encoder.with_segment(message, token.part, Segment::of);
            let lent = LentSegment { link, bind, token: token.pack(), segment };
            self.segments_out += 1;
            self.crosses.push_back((shard, Cross::Segment(Box::new(lent))));
        }
    }

    /// The carrier of another shard's link: links are made in the order of carriers on every shard.
    fn carrier_of_lender(&self, shard: ShardId, link: LinkId) -> u16 {
        let mut first = 0;
        let carriers = (0_u16..).take(self.plan.carriers.len());
        let of = |&carrier: &u16| {
            first += self.plan.binds_of(carrier, shard);
            link.0 < first
        };
        carriers.into_iter().find(of).expect("a loan names a link that there is")
    }

    /// Queues one part; `false` when the session has no room for it.
    fn submit_part(&mut self, now: Instant, id: LinkId, token: Token) -> bool {
        let link = &mut self.links[usize::from(id.0)];
        let Some(session) = &mut link.session else { return false };
        let Some(message) = self.cells[usize::from(token.cell)].state.messages.resolve(token.slot) else {
            return true;
        };
        let is_open = message.attempt == token.attempt
            && !message.is_final()
            && message.parts.all()[usize::from(token.part)].state == PartState::InFlight;
        if !is_open {
            return true;
        }
        let packed = token.pack();
        let queued =
            self.encoder.with_segment(message, token.part, |sm| session.submit(now, packed, sm)).is_ok();
        link.counts.segments += u64::from(queued);
        self.counters.segments_sent += u64::from(queued);
        queued
    }

    /// Queues parts of long messages that waited for room.
    pub(super) fn flush_backlogs(&mut self, now: Now) {
        for place in 0..self.links.len() {
            let id = LinkId(u16::try_from(place).expect("few links"));
            while let Some(queued) = self.links[place].backlog.pop_front() {
                let has_room = match &queued {
                    Queued::Own(token) => self.submit_part(now.mono, id, *token),
                    Queued::Lent(from, segment) => self.submit_lent(now, id, *from, segment),
                };
                if !has_room {
                    self.links[place].backlog.push_front(queued);
                    break;
                }
                self.links[place].reserved = self.links[place].reserved.saturating_sub(1);
            }
        }
    }

    /// The next link with bytes for its connection; `None` once all were named, then it begins again.
    pub fn poll_transmit(&mut self) -> Option<LinkId> {
        while self.next_transmit < self.links.len() {
            let place = self.next_transmit;
            self.next_transmit += 1;
            if !self.links[place].untaken().is_empty() {
                return Some(LinkId(u16::try_from(place).expect("few links")));
            }
        }
        self.next_transmit = 0;
        None
    }

    /// The bytes of a link that the shell has not copied yet.
    #[must_use]
    pub fn transmit_bytes(&self, link: LinkId) -> &[u8] {
        self.links[usize::from(link.0)].untaken()
    }

    /// The shell has copied this many of [`Shard::transmit_bytes`] to the connection's buffer.
    pub fn handle_taken(&mut self, link: LinkId, bytes: usize) {
        self.links[usize::from(link.0)].take(bytes);
    }
}
