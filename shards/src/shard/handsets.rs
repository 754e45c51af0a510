//! Messages come from handsets: by any link, whole or in parts, and are told to the account that they are for.
//!
//! ```text
//!   deliver_sm ─▶ link's shard ─▶ shard of the handset's number ─┬─ whole ─────────▶ Received ─▶ told until acknowledged
//!                                                                 ├─ part ─▶ Collected ┘  ▲
//!   deliver_sm_resp ◀── when the record is durable ◀──────────────┘              time over: with a gap
//! ```
//!
//! A conversation stays on one shard, since the handset's number is hashed as a recipient is. A carrier is answered when what
//! it said is durable; what there is no room for it is asked to send again. What was answered is never let go but for want of
//! an account: a text whose parts do not all come is told with a gap.

use wal::Record;
use wal::record::{Collected, Discarded, Received};
use wire::id::{AccountId, CarrierId};
use wire::msisdn::Msisdn;
use wire::smpp::command::Sequence;
use wire::smpp::handset::{Coding, HandsetError, HandsetSm};
use wire::smpp::query::DataSm;
use wire::smpp::receipt;
use wire::smpp::status::CommandStatus;
use wire::text::PartHeader;
use wire::text::limits::SEGMENTS_MAX;
use wire::time::{Now, WallMs};

use super::across::Asker;
use super::cell::{Asked, Bringer, Output, ReceiptOrigin};
use super::cross::Cross;
use super::links::LinkId;
use super::{LogRoom, Phase, Shard};
use crate::across::Question;
use crate::inbound::Unrouted;
use crate::limits::{
    COLLECTED_MAX, PART_OCTETS_MAX, PART_UTF8_BYTES_MAX, RECEIVED_BYTES_MAX, RECEIVED_MAX,
    RECEIVED_OF_ACCOUNT_MAX,
};
use crate::state::handsets::TextName;
use crate::token::SLOTS_MAX;

/// What a carrier brought from a handset, on its way to the shard of the handset's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandsetPart {
    pub(crate) carrier: CarrierId,
    pub(crate) source: Msisdn,
    pub(crate) destination: Msisdn,
    pub(crate) part: Option<PartHeader>,
    pub(crate) coding: Coding,
    pub(crate) octets: Box<[u8]>,
    pub(crate) fingerprint: u64,
    /// The session that brought it, on whichever link, in whichever life of the process.
    pub(crate) session: u64,
}

/// When a carrier is answered, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// `ESME_ROK`, when all that was decided so far is durable.
    WhenDurable,
    /// At once.
    Now(CommandStatus),
}

/// A message that is whole, or as whole as it will be.
struct Whole<'a> {
    name: TextName,
    missing: u32,
    text: &'a str,
    /// How its last PDU is known when it is repeated: fingerprint and session.
    mark: (u64, u64),
}

impl HandsetPart {
    const fn name(&self, header: Option<PartHeader>) -> TextName {
        let (reference, total) = match header {
            Some(header) => (header.reference, header.total),
            None => (0, 1),
        };
        let Self { carrier, source, destination, .. } = *self;
        TextName { carrier, source, destination, reference, total }
    }
}

impl Shard {
    /// A `deliver_sm` that is no receipt. The status to answer it with at once, or `None`: it is answered when it is durable.
    pub(super) fn deliver_from_handset(
        &mut self,
        now: Now,
        from: ReceiptOrigin,
        read: Result<HandsetSm<'_>, HandsetError>,
    ) -> Option<CommandStatus> {
        let carrier = self.plan.carriers[usize::from(self.links[usize::from(from.link.0)].carrier)].id;
        let sm = match read {
            Ok(sm) => sm,
            Err(error) => {
                self.counters.delivers_refused += 1;
                return Some(error.status());
            }
        };
        if !self.plan.inbound.has_number(carrier, sm.destination) {
            return Some(self.unrouted());
        }
        let node = u64::from(self.plan.node.0);
        let place = [
            self.config.process,
            node,
            u64::from(from.shard.0),
            u64::from(from.link.0),
            u64::from(from.bind),
        ];
        let session = xxhash_rust::xxh3::xxh3_64(place.map(u64::to_le_bytes).as_flattened()).max(1);
        let HandsetSm { source, destination, part, coding, octets, fingerprint } = sm;
        let octets = octets.into_owned().into_boxed_slice();
        let part = HandsetPart { carrier, source, destination, part, coding, octets, fingerprint, session };
        let (owner, _) = self.owner_of(self.plan.partitions.partition_of(source));
        if owner == self.config.id {
            return self.handset(now, Bringer::Link(from), &part);
        }
        if !self.credits[usize::from(owner.0)].spend() {
            return Some(self.put_off());
        }
        self.crosses.push_back((owner, Cross::Handset(from, Box::new(part))));
        None
    }

    /// A `data_sm` of a carrier: a receipt or a handset's message, as a `deliver_sm` is.
    pub(super) fn data(
        &mut self,
        now: Now,
        link: usize,
        sequence: Sequence,
        data: &DataSm<'_>,
    ) -> Option<CommandStatus> {
        let carrier = &self.plan.carriers[usize::from(self.links[link].carrier)];
        let (dialect, narrow) = (carrier.profile.receipts, carrier.profile.texts.style.narrow);
        let mut scratch = receipt::Scratch::default();
        let from = self.asked_by(link, sequence, Asked::Data);
        match receipt::Receipt::read_data(data, dialect, &mut scratch) {
            Some(read) => self.deliver_receipt(now, from, &read, data.source.octets),
            None if data.esm_class.is_receipt() || data.esm_class.is_intermediate() => {
                self.counters.delivers_refused += 1;
                Some(CommandStatus::ESME_RX_R_APPN)
            }
            None => self.deliver_from_handset(now, from, HandsetSm::read_data(data, narrow)),
        }
    }

    /// Which request of a carrier is to be answered.
    pub(super) fn asked_by(&self, link: usize, sequence: Sequence, asked: Asked) -> ReceiptOrigin {
        ReceiptOrigin {
            shard: self.config.id,
            link: LinkId(u16::try_from(link).expect("few links")),
            bind: self.links[link].bind,
            sequence,
            asked,
        }
    }

    /// What a handset sent whose number's partition is this shard's. The status to answer it with at once, or `None`.
    pub(super) fn handset(&mut self, now: Now, from: Bringer, part: &HandsetPart) -> Option<CommandStatus> {
        let (_, place) = self.owner_of(self.plan.partitions.partition_of(part.source));
        if self.phase != Phase::LogFailed
            && !self.cells[place].decides
            && let Bringer::Link(from) = from
            && !self.is_alone()
            && self.ask_home(now, place, Asker::Carrier(from), Question::from(part))
        {
            return None;
        }
        match self.take_handset(now, place, part) {
            Answer::Now(status) => Some(status),
            Answer::WhenDurable => {
                let status = CommandStatus::ESME_ROK;
                self.cells[place].after_decided(Output::ReceiptTaken { from, status });
                None
            }
        }
    }

    fn take_handset(&mut self, now: Now, place: usize, part: &HandsetPart) -> Answer {
        let cell = &self.cells[place];
        let is_closed = self.phase == Phase::LogFailed || self.log_room == LogRoom::Short || !cell.decides;
        if is_closed || !cell.takes_submissions() {
            return Answer::Now(self.put_off());
        }
        let at = self.clock.read(now);
        if self.cells[place].state.handsets.is_known(at, part.fingerprint, part.session) {
            self.counters.handset_repeated += 1;
            return Answer::WhenDurable;
        }
        match part.part {
            None => self.take_whole(at, place, part),
            Some(header) => self.take_part(at, place, header, part),
        }
    }

    fn take_whole(&mut self, at: WallMs, place: usize, part: &HandsetPart) -> Answer {
        let mut text = String::new();
        part.coding.read(&part.octets, &mut text);
        let Some(account) = self.plan.inbound.find(part.carrier, part.destination, &text) else {
            return Answer::Now(self.unrouted());
        };
        if !self.has_room_for_received(place, account, text.len()) {
            return Answer::Now(self.put_off());
        }
        let mark = (part.fingerprint, part.session);
        self.receive(at, place, account, &Whole { name: part.name(None), missing: 0, text: &text, mark });
        Answer::WhenDurable
    }

    fn take_part(&mut self, at: WallMs, place: usize, header: PartHeader, part: &HandsetPart) -> Answer {
        let octets_max = if part.coding == Coding::Utf8 { PART_UTF8_BYTES_MAX } else { PART_OCTETS_MAX };
        if header.total > SEGMENTS_MAX || part.octets.len() > octets_max {
            self.counters.delivers_refused += 1;
            return Answer::Now(CommandStatus::ESME_RX_R_APPN);
        }
        let name = part.name(Some(header));
        let handsets = &self.cells[place].state.handsets;
        match handsets.text(&name).and_then(|text| text.part(header.number)) {
            Some(same) if same == (part.coding, &*part.octets) => {
                self.counters.handset_repeated += 1;
                return Answer::WhenDurable;
            }
            // The handset has used the reference again: what it names by it now is another text.
            Some(_) => self.give_up_text(at, place, name),
            None => {}
        }
        let handsets = &self.cells[place].state.handsets;
        let text = handsets.text(&name);
        if text.is_some_and(|text| text.missing() == 1 << (header.number - 1)) {
            return self.complete(at, place, name, header, part);
        }
        if handsets.parts_len() >= COLLECTED_MAX || self.cells[place].state.slots_spoken_for() >= SLOTS_MAX {
            return Answer::Now(self.put_off());
        }
        let until = text.map_or_else(|| at.plus(self.plan.inbound.parts_wait), |text| text.until);
        let collected = Collected {
            carrier: part.carrier,
            source: part.source,
            destination: part.destination,
            reference: header.reference,
            total: header.total,
            number: header.number,
            alphabet: part.coding as u8,
            fingerprint: part.fingerprint,
            known_until_ms: at.plus(self.plan.inbound.known_for).0,
            until_ms: until.0,
            octets: &part.octets,
        };
        self.cells[place].decide(at, &Record::Collected(collected));
        self.counters.handset_parts += 1;
        Answer::WhenDurable
    }

    /// The last part of a text is there.
    fn complete(
        &mut self,
        at: WallMs,
        place: usize,
        name: TextName,
        header: PartHeader,
        part: &HandsetPart,
    ) -> Answer {
        let open = self.cells[place].state.handsets.text(&name).expect("it was looked at just now");
        let text = open.text_with(Some((header.number, part.coding, &part.octets)));
        let mark = (part.fingerprint, 0);
        match self.plan.inbound.find(name.carrier, name.destination, &text) {
            None => self.discard(at, place, name, part.fingerprint),
            Some(account) if !self.has_room_for_received(place, account, text.len()) => {
                return Answer::Now(self.put_off());
            }
            Some(account) => self.receive(at, place, account, &Whole { name, missing: 0, text: &text, mark }),
        }
        self.counters.handset_parts += 1;
        Answer::WhenDurable
    }

    /// Texts whose parts have not all come in their time.
    pub(super) fn give_up_overdue_texts(&mut self, at: WallMs, place: usize) {
        while let Some(name) = self.cells[place].state.handsets.overdue(at) {
            self.give_up_text(at, place, name);
        }
    }

    /// Tells what there is of a text. Its parts are answered for, so there is always room for it.
    fn give_up_text(&mut self, at: WallMs, place: usize, name: TextName) {
        let open = self.cells[place].state.handsets.text(&name).expect("a text that is given up is there");
        let (text, missing) = (open.text_with(None), open.missing());
        // How it begins is only known of its first part.
        let begins = if missing & 1 == 0 { &*text } else { "" };
        match self.plan.inbound.find(name.carrier, name.destination, begins) {
            None => self.discard(at, place, name, 0),
            Some(account) => {
                self.counters.handset_incomplete += 1;
                self.receive(at, place, account, &Whole { name, missing, text: &text, mark: (0, 0) });
            }
        }
    }

    fn receive(&mut self, at: WallMs, place: usize, account: AccountId, whole: &Whole<'_>) {
        let &Whole { name, missing, text, mark: (fingerprint, session) } = whole;
        let known_until = at.plus(self.plan.inbound.known_for);
        let cell = &mut self.cells[place];
        let received = Received {
            id: cell.mint(at),
            account,
            carrier: name.carrier,
            source: name.source,
            destination: name.destination,
            reference: name.reference,
            parts: name.total,
            missing,
            fingerprint,
            session,
            known_until_ms: known_until.0,
            text: text.as_bytes(),
        };
        cell.decide(at, &Record::Received(received));
        cell.after_decided(Output::Fate { account });
        self.counters.handset_received += 1;
    }

    fn discard(&mut self, at: WallMs, place: usize, name: TextName, fingerprint: u64) {
        let discarded = Discarded {
            carrier: name.carrier,
            source: name.source,
            destination: name.destination,
            reference: name.reference,
            total: name.total,
            fingerprint,
            known_until_ms: at.plus(self.plan.inbound.known_for).0,
        };
        self.cells[place].decide(at, &Record::Discarded(discarded));
        self.counters.handset_unrouted += 1;
    }

    fn has_room_for_received(&self, place: usize, account: AccountId, bytes: usize) -> bool {
        let state = &self.cells[place].state;
        state.handsets.waiting_len() < RECEIVED_MAX
            && state.handsets.waiting_of(account) < RECEIVED_OF_ACCOUNT_MAX
            && state.handsets.waiting_bytes() + bytes <= RECEIVED_BYTES_MAX
            && state.slots_spoken_for() < SLOTS_MAX
    }

    /// Nobody's message.
    fn unrouted(&mut self) -> CommandStatus {
        self.counters.handset_unrouted += 1;
        match self.plan.inbound.unrouted {
            Unrouted::Answer => CommandStatus::ESME_ROK,
            Unrouted::Refuse => CommandStatus::ESME_RX_R_APPN,
        }
    }

    /// There is no room now: its carrier is asked to send it again.
    const fn put_off(&mut self) -> CommandStatus {
        self.counters.handset_put_off += 1;
        CommandStatus::ESME_RX_T_APPN
    }
}
