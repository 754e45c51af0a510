//! Messages are answered for: responses, doubts, withdrawals, timers, fates.

use wal::Record;
use wal::record::{Answered, Doubted, Fated, Requeued, Withdrawn};
use wire::smpp::carrier_id::CarrierMessageId;
use wire::smpp::status::{CommandStatus, Verdict};
use wire::time::{Now, WallMs};

use super::Shard;
use super::cell::{Output, QueuedIn};
use super::dispatch::Rank;
use super::transmit::Rest;
use crate::api::{Fate, State, Why};
use crate::limits::{CARRIER_MESSAGE_ID_BYTES_MAX, RETRY_FIRST, RETRY_LONGEST, RETRY_THROTTLED};
use crate::plan::Doubt;
use crate::state::Outcome;
use crate::state::message::PartState;
use crate::token::Token;

impl Shard {
    /// A carrier's response to a segment, in time or late.
    pub(super) fn answered(
        &mut self,
        now: Now,
        (carrier, scope): (u16, u32),
        token: Token,
        status: CommandStatus,
        carrier_id: &[u8],
    ) {
        let place = usize::from(token.cell);
        let Some(message) = self.cells[place].state.messages.resolve(token.slot) else {
            self.counters.answers_stale += 1;
            return;
        };
        let is_current = message.attempt == token.attempt && !message.is_final();
        if !is_current && message.trace.is_full() {
            self.counters.answers_stale += 1;
            return;
        }
        let id = message.id;
        let at = self.clock.read(now);
        let verdict = self.plan.carriers[usize::from(carrier)].profile.verdict(status);
        let outcome = self.judge(verdict);
        let retry_at = match outcome {
            Outcome::RefusedForNow if is_current => {
                self.retry_at(at, (place, token.slot.slot, token.part), carrier, verdict)
            }
            _ => WallMs(0),
        };
        let carrier = &self.plan.carriers[usize::from(carrier)];
        let carrier_id = &carrier_id[..carrier_id.len().min(CARRIER_MESSAGE_ID_BYTES_MAX)];
        let has_name = outcome == Outcome::Accepted && !carrier_id.is_empty();
        let receipt = if has_name { receipt_hash(carrier.profile.response_id(carrier_id), scope) } else { 0 };
        let answered = Answered {
            id,
            attempt: token.attempt,
            part: token.part,
            outcome: outcome as u8,
            status: status.0,
            retry_at_ms: retry_at.0,
            receipt,
            carrier_id,
        };
        self.cells[place].decide_on(token.slot.slot, at, &Record::Answered(answered));
        self.settle_early_receipts(at, place, token.slot.slot, token.part);
        self.after_change(at, place, token.slot.slot);
    }

    /// What a status means for a message.
    fn judge(&mut self, verdict: Verdict) -> Outcome {
        match verdict {
            Verdict::Ok => {
                self.counters.answers_accepted += 1;
                Outcome::Accepted
            }
            Verdict::Throttled => {
                self.counters.throttled += 1;
                self.counters.answers_refused_for_now += 1;
                Outcome::RefusedForNow
            }
            // A profile leaves no status without a meaning; another try is the careful reading of one that it did.
            Verdict::Temporary | Verdict::Vendor => {
                self.counters.answers_refused_for_now += 1;
                Outcome::RefusedForNow
            }
            Verdict::Permanent => {
                self.counters.answers_refused_for_good += 1;
                Outcome::RefusedForGood
            }
        }
    }

    /// When a message that a carrier refused for now is tried again: at once where another carrier of its route is up,
    /// else after a while that doubles.
    fn retry_at(
        &mut self,
        at: WallMs,
        (place, slot, part): (usize, u32, u8),
        carrier: u16,
        verdict: Verdict,
    ) -> WallMs {
        if verdict == Verdict::Throttled {
            return at.plus(self.jitter.spread(RETRY_THROTTLED));
        }
        let refused = self.refused_with(place, slot, carrier);
        let message = self.cells[place].state.messages.at(slot);
        let attempt = message.attempt;
        let others = message.parts.all().iter().enumerate().filter(|(other, _)| *other != usize::from(part));
        let is_whole = others.into_iter().all(|(_, other)| other.state == PartState::Waiting);
        let rest = if is_whole { Rest::Whole } else { Rest::Parts };
        if self.choose((place, slot), refused, rest).is_some_and(|(rank, ..)| rank == Rank::Up) {
            self.cells[place].live(slot).refused = refused;
            return at;
        }
        self.cells[place].live(slot).refused = 0;
        at.plus(self.jitter.backoff((RETRY_FIRST, RETRY_LONGEST), u32::from(attempt.saturating_sub(1))))
    }

    /// The carriers that refused a message for now, with this one.
    fn refused_with(&mut self, place: usize, slot: u32, carrier: u16) -> u8 {
        let recipient = self.cells[place].state.messages.at(slot).recipient;
        let route = self.plan.routes.find(recipient);
        let carriers = route.map_or(&[][..], |route| self.plan.routes.carriers(route));
        let position = carriers.iter().position(|&other| other == carrier);
        self.cells[place].live(slot).refused | position.map_or(0, |position| 1 << position)
    }

    /// An attempt's bytes did not leave: it is free of doubt and waits again.
    pub(super) fn withdraw(&mut self, at: WallMs, place: usize, slot: u32, attempt: u16, parts: u32) {
        let id = self.cells[place].state.messages.at(slot).id;
        let withdrawn = Withdrawn { id, attempt, parts, retry_at_ms: at.0 };
        self.cells[place].decide_on(slot, at, &Record::Withdrawn(withdrawn));
        self.counters.withdrawn += 1;
        self.after_change(at, place, slot);
    }

    /// Takes back a part that a link still held.
    pub(super) fn withdraw_token(&mut self, at: WallMs, token: Token) {
        let place = usize::from(token.cell);
        if self.holds(token, PartState::InFlight) {
            self.withdraw(at, place, token.slot.slot, token.attempt, 1 << token.part);
        }
    }

    /// An attempt may have left, and its outcome is not known.
    pub(super) fn doubt(&mut self, at: WallMs, token: Token, why: Why) {
        if !self.holds(token, PartState::InFlight) {
            return;
        }
        let (place, slot) = (usize::from(token.cell), token.slot.slot);
        let message = self.cells[place].state.messages.at(slot);
        let settle_at = at.plus(self.plan.class(message.class).doubt_wait);
        let doubted = Doubted {
            id: message.id,
            attempt: token.attempt,
            parts: 1 << token.part,
            why: why as u8,
            settle_at_ms: settle_at.0,
        };
        self.cells[place].decide_on(slot, at, &Record::Doubted(doubted));
        // Whatever is sent again goes where there is room: the link may be the reason.
        self.cells[place].live(slot).went_by = None;
        self.counters.doubted += 1;
        self.after_change(at, place, slot);
    }

    fn holds(&self, token: Token, state: PartState) -> bool {
        self.cells[usize::from(token.cell)].state.messages.resolve(token.slot).is_some_and(|message| {
            message.attempt == token.attempt
                && !message.is_final()
                && message.parts.all().get(usize::from(token.part)).is_some_and(|part| part.state == state)
        })
    }

    /// Does what follows from a message's new state: its fate, its queue, its timer.
    pub(super) fn after_change(&mut self, at: WallMs, place: usize, slot: u32) {
        let message = self.cells[place].state.messages.at(slot);
        if message.is_final() {
            return;
        }
        if let Some(fate) = message.fate_of_parts() {
            let by_receipt = message.parts.all().iter().any(|part| part.receipt != 0);
            let why = if by_receipt { Why::Receipt } else { Why::Response };
            self.fate(at, place, slot, (fate, why));
            return;
        }
        match message.state {
            State::Queued if message.due <= at && message.send_until > at => self.enqueue(place, slot),
            State::Doubtful if message.due <= at => return self.settle_doubt(at, place, slot),
            _ => {}
        }
        self.plan_question(at, place, slot);
        self.cells[place].rearm(at, slot);
    }

    /// Settles a doubt by the class's policy, now that it was waited for evidence.
    fn settle_doubt(&mut self, at: WallMs, place: usize, slot: u32) {
        let message = self.cells[place].state.messages.at(slot);
        let (id, attempt, carrier) = (message.id, message.attempt, message.carrier);
        match self.plan.class(message.class).doubt {
            Doubt::GiveUp => self.fate(at, place, slot, (Fate::Unknown, Why::ClassForbids)),
            Doubt::SendAgain | Doubt::Ask if message.send_until > at => {
                // By another carrier if one is up.
                if let Some(carrier) = self.plan.carrier_place(carrier) {
                    let carrier = u16::try_from(carrier).expect("few carriers");
                    self.cells[place].live(slot).refused = self.refused_with(place, slot, carrier);
                }
                let requeued = Requeued { id, attempt, retry_at_ms: at.0 };
                self.cells[place].decide_on(slot, at, &Record::Requeued(requeued));
                self.counters.sent_again += 1;
                self.after_change(at, place, slot);
            }
            // Too late to send: a receipt may still tell, until the deadline.
            Doubt::SendAgain | Doubt::Ask if message.deadline > at => {
                let deadline = message.deadline;
                self.cells[place].wheel.set(slot, deadline);
            }
            Doubt::SendAgain | Doubt::Ask => {
                self.fate(at, place, slot, (Fate::Unknown, Why::ReceiptWaitOver))
            }
        }
    }

    /// Ends a message.
    pub(super) fn fate(&mut self, at: WallMs, place: usize, slot: u32, (fate, why): (Fate, Why)) {
        let cell = &mut self.cells[place];
        let message = cell.state.messages.at(slot);
        assert!(!message.is_final(), "a message has one fate");
        let account = message.account;
        let code = if fate == Fate::Delivered { 0 } else { message.code };
        let id = message.id;
        let fated = Fated { id, fate: fate as u8, why: why as u8, code };
        cell.decide_on(slot, at, &Record::Fated(fated));
        cell.live(slot).queued_in = QueuedIn::Nothing;
        cell.wheel.cancel(slot);
        cell.after_decided(Output::Fate { account });
        self.open_messages -= 1;
        self.accounts.over(account);
        self.latencies.fate.record(at.since(id.minted_at()));
        *match fate {
            Fate::Delivered => &mut self.counters.fated_delivered,
            Fate::Failed => &mut self.counters.fated_failed,
            Fate::Expired => &mut self.counters.fated_expired,
            Fate::Cancelled => &mut self.counters.fated_cancelled,
            Fate::Unknown => &mut self.counters.fated_unknown,
        } += 1;
    }

    /// Timers of one partition that are due.
    pub(super) fn handle_due(&mut self, at: WallMs, place: usize) {
        while let Some(slot) = self.cells[place].wheel.pop(at) {
            let message = self.cells[place].state.messages.at(slot);
            let sending_is_over = message.send_until <= at;
            let all_is_over = message.deadline <= at;
            match message.state {
                State::Final(_) => {}
                State::Queued if sending_is_over => {
                    let partly_sent = message.parts.all().iter().any(|part| part.state != PartState::Waiting);
                    let fate = match partly_sent {
                        _ if message.may_have_left => Fate::Unknown,
                        true => Fate::Failed,
                        false => Fate::Expired,
                    };
                    self.fate(at, place, slot, (fate, Why::ValidityOver));
                }
                State::Attempting | State::Sent | State::Doubtful if all_is_over => {
                    self.fate(at, place, slot, (Fate::Unknown, Why::ReceiptWaitOver));
                }
                State::Doubtful if message.due <= at => self.settle_doubt(at, place, slot),
                State::Queued => self.after_change(at, place, slot),
                State::Attempting | State::Sent | State::Doubtful => {
                    self.ask_if_due(at, place, slot);
                    self.cells[place].rearm(at, slot);
                }
            }
        }
        self.stray_overdue(at, place);
        self.give_up_overdue_texts(at, place);
    }
}

/// The name of a segment in receipts: a hash of the canonical id, and of its scope where ids are one bind's, that is not 0.
pub(super) fn receipt_hash(id: CarrierMessageId, scope: u32) -> u64 {
    let mut name = [0; 20];
    name[..16].copy_from_slice(&id.0.to_le_bytes());
    name[16..].copy_from_slice(&scope.to_le_bytes());
    let name = if scope == 0 { &name[..16] } else { &name[..] };
    xxhash_rust::xxh3::xxh3_64(name).max(1)
}
