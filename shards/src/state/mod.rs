//! What records mean: the state of one partition.
//!
//! State changes in one function, [`PartitionState::apply`]. Live traffic, recovery from the log and a replica that
//! catches up all use it, so it must not fail, must not decide, and knows no other time than the one that is written in
//! the record. A record that fits nothing (of a message that was forgotten meanwhile) changes nothing.
//!
//! ```text
//!   Accepted ─▶ queued ── Attempted ─▶ attempting ── Answered ─▶ sent ── Reported ─▶ │
//!                 ▲  ▲                   │    │                                      │ Fated ─▶ final
//!                 │  └──── Withdrawn ────┘    │ Doubted                              │
//!                 └─────── Requeued ────── doubtful ─────────────────────────────────┘
//! ```
//!
//! What comes from handsets is over when it comes: see [`handsets`].

pub(crate) mod capture;
pub(crate) mod digest;
pub(crate) mod fates;
pub(crate) mod handsets;
pub(crate) mod keys;
pub(crate) mod message;
pub(crate) mod messages;
pub(crate) mod parked;
pub(crate) mod restore;
#[cfg(test)]
mod tests;
pub(crate) mod trace;

use core::time::Duration;
use std::collections::VecDeque;

use wal::record::{
    Accepted, Acknowledged, Answered, Attempted, Collected, Discarded, Doubted, Fated, Received, Record,
    Reported, Requeued, Strayed, Withdrawn,
};
use wire::id::{MessageId, Partition};
use wire::smpp::state::MessageState;
use wire::text::limits::SEGMENTS_MAX;
use wire::time::WallMs;

use crate::api::{Fate, State, StepKind, Why};
use crate::cut::Cut;
use crate::members::Members;
use capture::Capture;
use digest::Digest;
use fates::Fates;
use handsets::{Handsets, TextName};
use keys::{KeyEntry, Keys};
use message::{Message, PartState, Parts};
use messages::Messages;
use parked::ParkedReceipts;
use trace::NewStep;

/// What a carrier's response means: the byte of [`Answered::outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    Accepted = 1,
    RefusedForNow = 2,
    RefusedForGood = 3,
}

impl Outcome {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Accepted),
            2 => Some(Self::RefusedForNow),
            3 => Some(Self::RefusedForGood),
            _ => None,
        }
    }
}

/// The fate that a receipt's `message_state` (SMPP 3.4 §5.2.28) makes of a segment; `None` while it is not final.
pub(crate) const fn fate_of_state(state: u8) -> Option<Fate> {
    match MessageState::from_octet(state) {
        MessageState::Delivered => Some(Fate::Delivered),
        MessageState::Expired
        | MessageState::Deleted
        | MessageState::Undeliverable
        | MessageState::Rejected
        | MessageState::Skipped => Some(Fate::Failed),
        MessageState::Unknown => Some(Fate::Unknown),
        MessageState::Scheduled
        | MessageState::Enroute
        | MessageState::Accepted
        | MessageState::Unrecognised => None,
    }
}

/// How long finished messages are kept. It belongs to the cluster, since replicas must forget alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    pub(crate) finished_for: Duration,
    pub(crate) finished_max: usize,
}

/// All that the records of one partition have made. One lives on each shard that holds a copy.
#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) partition: Partition,
    retention: Retention,
    /// The time of the last record.
    pub(crate) time: WallMs,
    pub(crate) keys: Keys,
    pub(crate) messages: Messages,
    pub(crate) parked: ParkedReceipts,
    pub(crate) fates: Fates,
    pub(crate) handsets: Handsets,
    /// Of the system partition: the cluster's members.
    pub(crate) members: Members,
    /// The slots of finished messages, the first to be forgotten first.
    finished: VecDeque<u32>,
    /// The number of the first of them, counted over the partition's life.
    finished_first: u64,
    /// The highest id that was ever accepted here.
    pub(crate) last_id: MessageId,
    /// Receipts that were given to no message.
    pub(crate) strayed: u64,
    /// A snapshot that is being taken.
    capture: Option<Box<Capture>>,
    /// The number of the last snapshot that was begun; it wraps.
    epoch: u16,
}

impl PartitionState {
    pub(crate) fn new(partition: Partition, retention: Retention) -> Self {
        Self {
            partition,
            retention,
            time: WallMs(0),
            keys: Keys::default(),
            messages: Messages::default(),
            parked: ParkedReceipts::default(),
            fates: Fates::default(),
            handsets: Handsets::default(),
            members: Members::default(),
            finished: VecDeque::new(),
            finished_first: 0,
            last_id: MessageId(0),
            strayed: 0,
            capture: None,
            epoch: 0,
        }
    }

    /// The only place where state changes. `at` is the record's own time.
    pub(crate) fn apply(&mut self, at: WallMs, record: &Record<'_>) {
        assert!(at >= self.time, "record time went back within a partition");
        if at > self.time {
            self.time = at;
            self.keys.expire(at);
            self.handsets.expire_known(at);
            self.forget();
            self.forget_received();
        }
        match record {
            Record::Accepted(accepted) => self.accepted(at, accepted),
            Record::Attempted(attempted) => self.attempted(at, attempted),
            Record::Answered(answered) => self.answered(at, answered),
            Record::Withdrawn(withdrawn) => self.withdrawn(at, withdrawn),
            Record::Doubted(doubted) => self.doubted(at, doubted),
            Record::Requeued(requeued) => self.requeued(at, requeued),
            Record::Reported(reported) => self.reported(at, reported),
            Record::Parked(parked) => self.parked.insert(*parked),
            Record::Strayed(strayed) => self.strayed(strayed),
            Record::Fated(fated) => self.fated(at, fated),
            Record::Acknowledged(acknowledged) => self.acknowledged(acknowledged),
            Record::Collected(collected) => self.collected(collected),
            Record::Received(received) => self.received(at, received),
            Record::Discarded(discarded) => self.discarded(discarded),
            Record::Member(row) => self.members.apply(row),
            // Reserved: written by no version yet.
            Record::Cancelled(_) => {}
        }
    }

    /// The slot of a message that is about to change: a snapshot that is being taken gets it as it was.
    fn find_to_change(&mut self, id: MessageId) -> Option<u32> {
        let slot = self.messages.find(id)?;
        self.keep_image(slot);
        Some(slot)
    }

    fn accepted(&mut self, at: WallMs, accepted: &Accepted<'_>) {
        self.last_id = self.last_id.max(accepted.id);
        if accepted.key.0 != 0 {
            let entry = KeyEntry { message: accepted.id, body: accepted.body };
            let key = (accepted.account, accepted.key);
            self.keys.insert(at, key, entry, WallMs(accepted.deadline_ms));
        }
        let epoch = self.epoch;
        self.messages.insert(accepted.id, |message| {
            message.reset(accepted, at);
            message.epoch = epoch;
            message.trace.push(&NewStep::new(at, StepKind::Accepted, Why::None));
        });
    }

    fn attempted(&mut self, at: WallMs, attempted: &Attempted) {
        let Some(slot) = self.find_to_change(attempted.id) else { return };
        if self.messages.at(slot).is_final() {
            return;
        }
        let segments = self.messages.at(slot).segments();
        let is_cut_anew = attempted.segments != 0 && attempted.segments != segments;
        for part in 0..segments {
            if is_cut_anew || attempted.parts & 1 << part != 0 {
                self.messages.unname_part(slot, part);
            }
        }
        let message = self.messages.at_mut(slot);
        if is_cut_anew {
            message.parts = Parts::new(attempted.segments.min(SEGMENTS_MAX));
        }
        if attempted.segments != 0 {
            message.cut = Cut::from_byte(attempted.cut);
        }
        message.attempt = attempted.attempt;
        message.carrier = attempted.carrier;
        set_parts(message, attempted.parts, PartState::InFlight);
        message.state = State::Attempting;
        message.trace.push(&NewStep {
            attempt: attempted.attempt,
            carrier: attempted.carrier,
            ..NewStep::new(at, StepKind::Attempted, Why::from_byte(attempted.why))
        });
    }

    fn answered(&mut self, at: WallMs, answered: &Answered<'_>) {
        let Some(slot) = self.find_to_change(answered.id) else { return };
        let outcome = Outcome::from_byte(answered.outcome).unwrap_or(Outcome::RefusedForNow);
        let message = self.messages.at_mut(slot);
        message.trace.push(&NewStep {
            attempt: answered.attempt,
            part: answered.part,
            carrier: message.carrier,
            code: answered.status,
            carrier_message_id: answered.carrier_id,
            ..NewStep::new(at, step_of(outcome), Why::Response)
        });
        let is_open = message.parts.all().get(usize::from(answered.part)).is_some_and(|part| {
            message.attempt == answered.attempt
                && matches!(part.state, PartState::InFlight | PartState::InDoubt)
        });
        if !is_open || message.is_final() {
            return;
        }
        message.parts.all_mut()[usize::from(answered.part)].state = match outcome {
            Outcome::Accepted => PartState::Accepted,
            Outcome::RefusedForNow => PartState::Waiting,
            Outcome::RefusedForGood => PartState::Lost(Fate::Failed),
        };
        if outcome != Outcome::Accepted {
            message.code = answered.status;
        }
        if outcome == Outcome::RefusedForNow {
            message.retry_at(WallMs(answered.retry_at_ms));
        }
        self.settle_state(slot);
        if outcome == Outcome::Accepted && answered.receipt != 0 {
            self.messages.name_part(slot, answered.part, answered.receipt);
        }
    }

    fn withdrawn(&mut self, at: WallMs, withdrawn: &Withdrawn) {
        let Some(slot) = self.find_to_change(withdrawn.id) else { return };
        let message = self.messages.at_mut(slot);
        message.trace.push(&NewStep {
            attempt: withdrawn.attempt,
            carrier: message.carrier,
            ..NewStep::new(at, StepKind::Withdrawn, Why::NotWritten)
        });
        if message.attempt == withdrawn.attempt && !message.is_final() {
            set_parts(message, withdrawn.parts, PartState::Waiting);
            message.retry_at(WallMs(withdrawn.retry_at_ms));
            self.settle_state(slot);
        }
    }

    fn doubted(&mut self, at: WallMs, doubted: &Doubted) {
        let Some(slot) = self.find_to_change(doubted.id) else { return };
        let message = self.messages.at_mut(slot);
        message.trace.push(&NewStep {
            attempt: doubted.attempt,
            carrier: message.carrier,
            ..NewStep::new(at, StepKind::Doubted, Why::from_byte(doubted.why))
        });
        if message.attempt == doubted.attempt && !message.is_final() {
            set_parts(message, doubted.parts, PartState::InDoubt);
            message.due = WallMs(doubted.settle_at_ms);
            self.settle_state(slot);
        }
    }

    fn requeued(&mut self, at: WallMs, requeued: &Requeued) {
        let Some(slot) = self.find_to_change(requeued.id) else { return };
        let message = self.messages.at_mut(slot);
        message.trace.push(&NewStep {
            attempt: requeued.attempt,
            carrier: message.carrier,
            ..NewStep::new(at, StepKind::SendAgain, Why::ClassAllows)
        });
        if message.is_final() {
            return;
        }
        let mask = message.parts.mask(PartState::InDoubt);
        set_parts(message, mask, PartState::Waiting);
        message.may_have_left = true;
        message.due = WallMs(requeued.retry_at_ms);
        self.settle_state(slot);
    }

    fn reported(&mut self, at: WallMs, reported: &Reported) {
        let Some(slot) = self.find_to_change(reported.id) else { return };
        let message = self.messages.at_mut(slot);
        message.trace.push(&NewStep {
            attempt: reported.attempt,
            part: reported.part,
            carrier: reported.carrier,
            code: u32::from(reported.state),
            ..NewStep::new(at, StepKind::Reported, Why::from_byte(reported.why))
        });
        let recipient = message.recipient;
        let Some(part) = message.parts.all_mut().get_mut(usize::from(reported.part)) else { return };
        let receipt = part.receipt;
        let fate = match reported.fate {
            Reported::BY_STATE => fate_of_state(reported.state),
            fate => Fate::from_byte(fate),
        };
        match fate {
            Some(Fate::Delivered) if part.state == PartState::Accepted => part.state = PartState::Delivered,
            Some(fate) if part.state == PartState::Accepted => {
                part.state = PartState::Lost(fate);
                message.code = reported.error;
            }
            // Not final, or the first final report stands; this one is in the trace.
            _ => {}
        }
        self.parked.remove(reported.carrier, receipt, recipient);
    }

    fn strayed(&mut self, strayed: &Strayed) {
        self.parked.remove(strayed.carrier, strayed.receipt, strayed.recipient);
        self.strayed += 1;
    }

    fn fated(&mut self, at: WallMs, fated: &Fated) {
        let Some(slot) = self.find_to_change(fated.id) else { return };
        let Some(fate) = Fate::from_byte(fated.fate) else { return };
        let message = self.messages.at_mut(slot);
        if message.is_final() {
            return;
        }
        message.trace.push(&NewStep {
            attempt: message.attempt,
            code: fated.code,
            ..NewStep::new(at, StepKind::Fated, Why::from_byte(fated.why))
        });
        message.state = State::Final(fate);
        message.why = Why::from_byte(fated.why);
        message.code = fated.code;
        message.due = at;
        let account = message.account;
        let sequence = self.fates.push(account, slot);
        let message = self.messages.at_mut(slot);
        message.fate_sequence = sequence;
        message.finished = self.finished_first + self.finished.len() as u64;
        self.messages.give_up_content(slot);
        self.finished.push_back(slot);
    }

    fn acknowledged(&mut self, acknowledged: &Acknowledged) {
        let Self { fates, messages, .. } = self;
        let mut received = Vec::new();
        fates.acknowledge(acknowledged.account, acknowledged.sequence, |slot| {
            if messages.at(slot).is_received {
                received.push(slot);
            }
        });
        for slot in received {
            self.remove_received(slot);
        }
    }

    fn collected(&mut self, collected: &Collected<'_>) {
        self.handsets.know(collected.fingerprint, 0, WallMs(collected.known_until_ms));
        self.handsets.collect(collected);
    }

    fn received(&mut self, at: WallMs, received: &Received<'_>) {
        self.last_id = self.last_id.max(received.id);
        self.handsets.know(received.fingerprint, received.session, WallMs(received.known_until_ms));
        self.handsets.let_go(&TextName {
            carrier: received.carrier,
            source: received.source,
            destination: received.destination,
            reference: received.reference,
            total: received.parts,
        });
        let epoch = self.epoch;
        let slot = self.messages.insert(received.id, |message| {
            message.reset_received(received, at);
            message.epoch = epoch;
        });
        self.messages.at_mut(slot).fate_sequence = self.fates.push(received.account, slot);
        self.handsets.wait(received.id, received.account, received.text.len());
    }

    fn discarded(&mut self, discarded: &Discarded) {
        self.handsets.know(discarded.fingerprint, 0, WallMs(discarded.known_until_ms));
        self.handsets.let_go(&TextName {
            carrier: discarded.carrier,
            source: discarded.source,
            destination: discarded.destination,
            reference: discarded.reference,
            total: discarded.total,
        });
    }

    fn remove_received(&mut self, slot: u32) {
        self.keep_image(slot);
        self.handsets.gone(self.messages.at(slot).id);
        self.messages.give_up_content(slot);
        self.messages.remove(slot);
    }

    /// Forgets messages of handsets that nobody acknowledged in their time. How many finished ones there are has nothing to
    /// do with it: a carrier was told that these are taken.
    fn forget_received(&mut self) {
        while let Some(slot) = self.handsets.oldest().and_then(|id| self.messages.find(id)) {
            let message = self.messages.at(slot);
            if self.time.since(message.due) <= self.retention.finished_for {
                break;
            }
            self.fates.forget(message.account, message.fate_sequence);
            self.remove_received(slot);
        }
    }

    /// Brings a message's state in line with its parts, and gives up the text when a carrier has all of it.
    fn settle_state(&mut self, slot: u32) {
        let message = self.messages.at_mut(slot);
        message.state = message.state_of_parts();
        if message.state == State::Sent {
            self.messages.give_up_content(slot);
        }
    }

    /// Forgets finished messages whose time is over, or that are too many.
    fn forget(&mut self) {
        while let Some(&slot) = self.finished.front() {
            let message = self.messages.at(slot);
            let is_over = self.time.since(message.due) > self.retention.finished_for;
            if !is_over && self.finished.len() <= self.retention.finished_max {
                break;
            }
            let (account, sequence) = (message.account, message.fate_sequence);
            self.keep_image(slot);
            self.fates.forget(account, sequence);
            self.messages.remove(slot);
            self.finished.pop_front();
            self.finished_first += 1;
        }
    }

    /// How many slots are taken, with those that texts of handsets need whose parts are here.
    pub(crate) fn slots_spoken_for(&self) -> usize {
        self.messages.len() + self.handsets.texts_len()
    }

    /// How many messages are not over.
    pub(crate) fn open_len(&self) -> usize {
        self.messages.len() - self.finished.len() - self.handsets.waiting_len()
    }

    /// A number that two states share only when they are the same (promise 10).
    pub(crate) fn digest(&self) -> u64 {
        let mut digest = Digest::default();
        digest.number(self.time.0);
        digest.wide(self.last_id.0);
        digest.number(self.strayed);
        digest.number(self.finished_first);
        self.keys.digest(&mut digest);
        self.parked.digest(&mut digest);
        self.handsets.digest(&mut digest);
        self.members.digest(&mut digest);
        let mut slots: Vec<_> = self.messages.slots().collect();
        slots.sort_unstable_by_key(|&slot| self.messages.at(slot).id);
        for slot in slots {
            self.messages.at(slot).digest(&mut digest);
        }
        for (account, fates) in self.fates.all() {
            digest.number(u64::from(account.0));
            digest.number(fates.last());
            digest.number(fates.acknowledged);
            fates.slots().for_each(|(_, slot)| digest.wide(self.messages.at(slot).id.0));
        }
        digest.finish()
    }
}

fn set_parts(message: &mut Message, mask: u32, state: PartState) {
    for (place, part) in message.parts.all_mut().iter_mut().enumerate() {
        if mask & 1 << place != 0 {
            part.state = state;
        }
    }
}

const fn step_of(outcome: Outcome) -> StepKind {
    match outcome {
        Outcome::Accepted => StepKind::Sent,
        Outcome::RefusedForNow => StepKind::RefusedForNow,
        Outcome::RefusedForGood => StepKind::RefusedForGood,
    }
}
