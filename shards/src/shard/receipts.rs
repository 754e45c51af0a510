//! Receipts come: in any order, on any link, for any shard.
//!
//! A receipt names its recipient, so it is hashed to the message's own shard, whichever connection brought it. It is
//! answered when what it said is durable. One that comes before the response which names its message is parked.

use wal::Record;
use wal::record::{Parked, Reported, Strayed};
use wire::id::CarrierId;
use wire::msisdn::Msisdn;
use wire::smpp::command::Sequence;
use wire::smpp::handset::HandsetSm;
use wire::smpp::profile::FinalStates;
use wire::smpp::receipt::{self, ReceiptError, Scratch};
use wire::smpp::sm::Sm;
use wire::smpp::state::MessageState;
use wire::smpp::status::CommandStatus;
use wire::time::{Now, WallMs};

use super::across::Asker;
use super::cell::{Asked, Bringer, Output, ReceiptOrigin};
use super::cross::{Cross, Receipt};
use super::outcome::receipt_hash;
use super::{Phase, Shard};
use crate::across::Question;
use crate::api::{Fate, Why};
use crate::limits::{PARKED_MAX, PARKED_WAIT};

/// [`Strayed::why`]: no response named its message while it was parked.
const WHY_NO_MESSAGE: u8 = 1;

impl Shard {
    /// A `deliver_sm` of a carrier. The status to answer it with at once, or `None`: it is answered when it is durable.
    pub(super) fn deliver(
        &mut self,
        now: Now,
        link: usize,
        sequence: Sequence,
        sm: &Sm<'_>,
    ) -> Option<CommandStatus> {
        let carrier = &self.plan.carriers[usize::from(self.links[link].carrier)];
        let mut scratch = Scratch::default();
        let from = self.asked_by(link, sequence, Asked::Deliver);
        match carrier.profile.read_receipt(sm, &mut scratch) {
            Some(read) => self.deliver_receipt(now, from, &read, sm.source.octets),
            // A receipt that cannot be read is no message of a handset.
            None if sm.esm_class.is_receipt() || sm.esm_class.is_intermediate() => {
                self.counters.delivers_refused += 1;
                Some(CommandStatus::ESME_RX_R_APPN)
            }
            None => {
                let narrow = carrier.profile.texts.style.narrow;
                self.deliver_from_handset(now, from, HandsetSm::read(sm, narrow))
            }
        }
    }

    /// A receipt of a carrier, read; `about` is the number that it names.
    pub(super) fn deliver_receipt(
        &mut self,
        now: Now,
        from: ReceiptOrigin,
        read: &receipt::Receipt<'_>,
        about: &[u8],
    ) -> Option<CommandStatus> {
        let carrier = &self.plan.carriers[usize::from(self.links[usize::from(from.link.0)].carrier)];
        let Ok(recipient) = Msisdn::parse(about) else {
            // It is about nobody whom we know: counted, and not to be sent again.
            self.counters.receipts_strayed += 1;
            return Some(CommandStatus::ESME_ROK);
        };
        let state = match read.state {
            _ if read.is_intermediate => MessageState::Enroute.octet(),
            MessageState::Unrecognised => STATE_UNRECOGNISED,
            state => state.octet(),
        };
        let receipt = Receipt {
            carrier: carrier.id,
            id: receipt_hash(carrier.profile.receipt_id(read), self.links[usize::from(from.link.0)].scope),
            recipient,
            state,
            error: error_code(read.error),
        };
        let (owner, _) = self.owner_of(self.plan.partitions.partition_of(recipient));
        if owner == self.config.id {
            return self.receipt(now, Bringer::Link(from), &receipt);
        }
        if !self.credits[usize::from(owner.0)].spend() {
            self.counters.receipts_put_off += 1;
            return Some(CommandStatus::ESME_RX_T_APPN);
        }
        self.crosses.push_back((owner, Cross::Receipt(from, receipt)));
        None
    }

    /// A receipt for a partition of this shard. The status to answer it with at once, or `None`: whoever calls has the session
    /// that brought it in hand, or hears of it from another shard.
    pub(super) fn receipt(&mut self, now: Now, from: Bringer, receipt: &Receipt) -> Option<CommandStatus> {
        let (_, place) = self.owner_of(self.plan.partitions.partition_of(receipt.recipient));
        if self.phase != Phase::LogFailed
            && !self.cells[place].decides
            && let Bringer::Link(from) = from
            && !self.is_alone()
            && self.ask_home(now, place, Asker::Carrier(from), Question::from(receipt))
        {
            return None;
        }
        if self.phase == Phase::LogFailed || !self.cells[place].decides {
            self.counters.receipts_put_off += 1;
            return Some(CommandStatus::ESME_RX_T_APPN);
        }
        let at = self.clock.read(now);
        let messages = &self.cells[place].state.messages;
        if let Some((slot, part)) = messages.find_receipt(receipt.carrier, receipt.id, receipt.recipient) {
            self.report(at, place, (slot, part), receipt);
        } else if self.cells[place].state.parked.len() >= PARKED_MAX {
            self.counters.receipts_put_off += 1;
            return Some(CommandStatus::ESME_RX_T_APPN);
        } else {
            self.counters.receipts_parked += 1;
            let parked = Parked {
                carrier: receipt.carrier,
                receipt: receipt.id,
                recipient: receipt.recipient,
                state: receipt.state,
                error: receipt.error,
                until_ms: at.plus(PARKED_WAIT).0,
            };
            self.cells[place].decide(at, &Record::Parked(parked));
        }
        let status = CommandStatus::ESME_ROK;
        self.cells[place].after_decided(Output::ReceiptTaken { from, status });
        None
    }

    /// Gives a receipt to its message.
    fn report(&mut self, at: WallMs, place: usize, (slot, part): (u32, u8), receipt: &Receipt) {
        let message = self.cells[place].state.messages.at(slot);
        // A carrier that repeats itself without end fills no log: its word is known.
        if message.is_final() && message.trace.is_full() {
            self.counters.receipts_matched += 1;
            return;
        }
        self.report_always(at, place, (slot, part), receipt);
        self.after_change(at, place, slot);
    }

    /// The response has named a segment: the receipts that were there before it are its.
    pub(super) fn settle_early_receipts(&mut self, at: WallMs, place: usize, slot: u32, part: u8) {
        loop {
            let state = &self.cells[place].state;
            let message = state.messages.at(slot);
            let Some(named) = message.parts.all().get(usize::from(part)).filter(|part| part.receipt != 0)
            else {
                return;
            };
            let parked = state.parked.find(named.named_by, named.receipt, message.recipient);
            let Some(parked) = parked.copied() else { return };
            let receipt = Receipt {
                carrier: parked.carrier,
                id: parked.receipt,
                recipient: parked.recipient,
                state: parked.state,
                error: parked.error,
            };
            self.report_always(at, place, (slot, part), &receipt);
        }
    }

    /// As [`Shard::report`], whatever the trace holds: the record of one that was parked takes it out again.
    fn report_always(&mut self, at: WallMs, place: usize, (slot, part): (u32, u8), receipt: &Receipt) {
        self.counters.receipts_matched += 1;
        let message = self.cells[place].state.messages.at(slot);
        let reported = Reported {
            id: message.id,
            attempt: message.attempt,
            part,
            state: receipt.state,
            error: receipt.error,
            carrier: receipt.carrier,
            fate: self.fate_of(receipt.carrier, receipt.state).map_or(0, |fate| fate as u8),
            why: Why::Receipt as u8,
        };
        self.cells[place].decide_on(slot, at, &Record::Reported(reported));
    }

    /// The fate that a carrier's state makes of a segment: its profile says which states are the last. Parked receipts of a
    /// carrier that the plan does not have any more mean what the specification says.
    pub(super) fn fate_of(&self, carrier: CarrierId, state: u8) -> Option<Fate> {
        let final_states = match self.plan.carrier_place(carrier) {
            Some(place) => self.plan.carriers[place].profile.final_states,
            None => FinalStates::SPECIFIED,
        };
        let state = MessageState::from_octet(state);
        final_states.has(state).then(|| last_state(state))
    }

    /// Parked receipts whose message never had a name.
    pub(super) fn stray_overdue(&mut self, at: WallMs, place: usize) {
        while let Some(parked) = self.cells[place].state.parked.overdue(at).copied() {
            let strayed = Strayed {
                carrier: parked.carrier,
                receipt: parked.receipt,
                recipient: parked.recipient,
                state: parked.state,
                why: WHY_NO_MESSAGE,
            };
            self.cells[place].decide(at, &Record::Strayed(strayed));
            self.counters.receipts_strayed += 1;
        }
    }

    /// A receipt was dealt with: the link that brought it answers.
    pub(super) fn receipt_taken(&mut self, from: Bringer, status: CommandStatus) {
        match from {
            Bringer::Link(from) if from.shard == self.config.id => self.answer_deliver(from, status),
            Bringer::Link(from) => {
                self.crosses.push_back((from.shard, Cross::ReceiptTaken(from, status)));
            }
            Bringer::Node(node, partition, number) => {
                self.answer_bringer(node, partition, number, status);
            }
        }
    }

    /// Answers a `deliver_sm` or `data_sm` on the session that brought it, if that still lives.
    pub(super) fn answer_deliver(&mut self, from: ReceiptOrigin, status: CommandStatus) {
        let link = &mut self.links[usize::from(from.link.0)];
        if let Some(session) = link.session.as_mut().filter(|_| link.bind == from.bind) {
            match from.asked {
                Asked::Deliver => session.answer_deliver(from.sequence, status),
                Asked::Data => session.answer_data(from.sequence, status, b""),
            }
        }
    }
}

/// A state that is in no specification, where [`MessageState::octet`] would make it UNKNOWN, which is one.
const STATE_UNRECOGNISED: u8 = u8::MAX;

/// The fate that a state makes which is the last that is heard. ACCEPTED is by the specification as good as DELIVERED: read on
/// the subscriber's behalf (§5.2.28).
const fn last_state(state: MessageState) -> Fate {
    match state {
        MessageState::Delivered | MessageState::Accepted => Fate::Delivered,
        MessageState::Expired
        | MessageState::Deleted
        | MessageState::Undeliverable
        | MessageState::Rejected
        | MessageState::Skipped => Fate::Failed,
        MessageState::Unknown
        | MessageState::Scheduled
        | MessageState::Enroute
        | MessageState::Unrecognised => Fate::Unknown,
    }
}

/// The number of an error; carriers' letters have none.
fn error_code(error: Option<ReceiptError<'_>>) -> u32 {
    match error {
        None => 0,
        Some(ReceiptError::Network { code, .. }) => u32::from(code),
        Some(ReceiptError::Text(text)) => {
            core::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        }
    }
}
