//! An attempt that is committed becomes bytes.

use core::time::Duration;

use wire::id::ShardId;
use wire::smpp::fields::{Address, DataCoding, EsmClass, Npi, RegisteredDelivery, Ton};
use wire::smpp::profile::{self, Profile, SegmentBuffers};
use wire::smpp::sm::Sm;
use wire::smpp::tlv::Tlvs;
use wire::time::{Now, WallMs};

use super::Shard;
use super::cross::{Cross, LentSegment, Loan};
use super::lending::Queued;
use super::links::LinkId;
use crate::api::Refusal;
use crate::cut::Cut;
use crate::state::message::{Message, PartState};
use crate::state::messages::SlotRef;
use crate::token::Token;

/// Buffers in which a segment is put together.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    buffers: SegmentBuffers,
    /// The text as a carrier takes it, where that is not the text as it came.
    text: String,
}

/// What of a message is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// All: it may be cut anew.
    Whole,
    /// Some parts, cut as the others were.
    Parts,
}

impl Encoder {
    /// Hands one segment of a message as `submit_sm` (SMPP 3.4 §4.4.1) to `submit`.
    fn with_segment<R>(
        &mut self,
        now: WallMs,
        profile: &Profile,
        (message, part): (&Message, u8),
        submit: impl FnOnce(&Sm<'_>) -> R,
    ) -> R {
        let text = profile.text(text_of(message), &mut self.text);
        let plan = profile.plan(text).expect("it was planned when the attempt was decided");
        assert!(profile.pdus(&plan) == message.segments(), "a text is cut as its attempt says");
        let segment = profile::Segment {
            sender: sender_of(message),
            recipient: message.recipient,
            text,
            plan: &plan,
            part,
            reference: u16::try_from(message.id.counter() & 0xFFFF).expect("masked"),
            valid_for: message.send_until.since(now).max(VALID_FOR_LEAST),
            now,
        };
        let sm = profile.segment(&segment, &mut self.buffers);
        submit(&sm.expect("the carrier was chosen as one that takes the sender"))
    }

    /// Whether a carrier takes a sender and a text, and in how many parts.
    ///
    /// # Errors
    /// [`Refusal::Sender`] or [`Refusal::Text`] when it does not.
    pub(super) fn parts_for(&mut self, profile: &Profile, sender: &str, text: &str) -> Result<u8, Refusal> {
        let mut buffer = [0; wire::smpp::limits::ADDRESS_BYTES_MAX];
        profile.sender(sender, &mut buffer).map_err(|_| Refusal::Sender)?;
        let text = profile.text(text, &mut self.text);
        let plan = profile.plan(text).map_err(|_| Refusal::Text)?;
        Ok(profile.pdus(&plan))
    }

    /// In how many parts a carrier would get a message, whole or what others have left of it; `None` when it does not take it.
    pub(super) fn parts_of(&mut self, profile: &Profile, message: &Message, rest: Rest) -> Option<u8> {
        let cut = Cut::of(profile);
        let has_its_cut = message.cut == cut;
        if has_its_cut && profile.takes_all_senders() {
            return Some(message.segments());
        }
        let parts = self.parts_for(profile, sender_of(message), text_of(message)).ok()?;
        let fits = rest == Rest::Whole || has_its_cut && parts == message.segments();
        fits.then_some(parts)
    }
}

/// The least that is said of a message's validity: less than a second cannot be written (§7.1.1).
const VALID_FOR_LEAST: Duration = Duration::from_secs(1);

fn text_of(message: &Message) -> &str {
    core::str::from_utf8(message.content.text()).expect("it came in as a str")
}

fn sender_of(message: &Message) -> &str {
    core::str::from_utf8(message.content.sender()).expect("it came in as a str")
}

/// A segment with its own memory, to cross to another shard.
#[derive(Debug)]
pub(crate) struct Segment {
    source: (Ton, Npi, u8),
    destination: (Ton, Npi, u8),
    /// Octets of `service_type`, `validity_period` and `short_message`; the optional parameters are the rest.
    lengths: [u8; 3],
    esm_class: EsmClass,
    registered_delivery: RegisteredDelivery,
    data_coding: DataCoding,
    octets: Box<[u8]>,
}

impl Segment {
    fn of(sm: &Sm<'_>) -> Self {
        let count = |octets: &[u8]| u8::try_from(octets.len()).expect("no field has more than 255 octets");
        let head = |address: Address<'_>| (address.ton, address.npi, count(address.octets));
        let texts = [sm.service_type, sm.validity_period, sm.short_message];
        let [service_type, validity_period, short_message] = texts;
        let octets = [
            sm.source.octets,
            sm.destination.octets,
            service_type,
            validity_period,
            short_message,
            sm.tlvs.as_bytes(),
        ];
        Self {
            source: head(sm.source),
            destination: head(sm.destination),
            lengths: texts.map(count),
            esm_class: sm.esm_class,
            registered_delivery: sm.registered_delivery,
            data_coding: sm.data_coding,
            octets: octets.concat().into_boxed_slice(),
        }
    }

    pub(super) fn borrow(&self) -> Sm<'_> {
        let mut rest = &self.octets[..];
        let mut take = |count: u8| {
            let (octets, behind) = rest.split_at(usize::from(count));
            rest = behind;
            octets
        };
        let (source, destination) = (take(self.source.2), take(self.destination.2));
        let [service_type, validity_period, short_message] = self.lengths.map(take);
        let address = |(ton, npi, _): (Ton, Npi, u8), octets| Address { ton, npi, octets };
        Sm {
            service_type,
            source: address(self.source, source),
            destination: address(self.destination, destination),
            esm_class: self.esm_class,
            validity_period,
            registered_delivery: self.registered_delivery,
            data_coding: self.data_coding,
            short_message,
            tlvs: Tlvs::new(rest).expect("copied from a segment"),
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
            if !link.backlog.is_empty() || !self.submit_part(now, id, token) {
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
        let carrier =
            self.plan.carrier_place(message.carrier).expect("an attempt is by a carrier of the plan");
        let profile = &self.plan.carriers[carrier].profile;
        let now = self.clock.last().wall;
        for token in tokens(place, slot, attempt, parts) {
            let segment = self.encoder.with_segment(now, profile, (message, token.part), Segment::of);
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
            first += self.plan.links_of(carrier, shard);
            link.0 < first
        };
        carriers.into_iter().find(of).expect("a loan names a link that there is")
    }

    /// Queues one part; `false` when the session has no room for it.
    fn submit_part(&mut self, now: Now, id: LinkId, token: Token) -> bool {
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
        let profile = &self.plan.carriers[usize::from(link.carrier)].profile;
        let at = self.clock.last().wall;
        let submit = |sm: &Sm<'_>| session.submit(now.mono, packed, sm).is_ok();
        let queued = self.encoder.with_segment(at, profile, (message, token.part), submit);
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
                    Queued::Own(token) => self.submit_part(now, id, *token),
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
