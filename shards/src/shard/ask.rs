//! Carriers are asked what became of a message (`query_sm`, SMPP 3.4 §4.8): one whose receipt does not come, and one of which
//! a part is in doubt while others have a name.
//!
//! A question needs the carrier's own name for the segment, which is in the message's trace. It is lost without harm: whoever
//! asked has a timer, and what the carrier says is evidence as a receipt is, logged before anything follows from it. What it
//! says of another message than the one that was asked for is passed over.

use core::time::Duration;

use wal::Record;
use wal::record::Reported;
use wire::id::ShardId;
use wire::smpp::carrier_id::CarrierMessageId;
use wire::smpp::limits::ADDRESS_BYTES_MAX;
use wire::smpp::profile::Profile;
use wire::smpp::query::{QuerySm, QuerySmResp};
use wire::smpp::state::MessageState;
use wire::smpp::status::CommandStatus;
use wire::time::{Now, WallMs};

use super::Shard;
use super::cross::Cross;
use super::outcome::receipt_hash;
use crate::api::{Fate, State, StepKind, Why};
use crate::limits::{ASK_AGAIN, ASK_BEFORE, ASK_BUSY, ASK_WAIT_PARTS};
use crate::plan::Doubt;
use crate::state::message::{Message, PartState};
use crate::token::{Token, unpack_lent};

/// No question is planned any more.
pub(super) const NEVER: WallMs = WallMs(u64::MAX);

/// What a carrier said of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The names under which its id can be known: in the forms of responses, and of receipts.
    names: [u64; 3],
    /// `message_state`.
    state: u8,
    /// The carrier's error.
    error: u8,
}

impl Said {
    /// `None` when the carrier does not say, or does not know: a receipt may still come.
    fn read(profile: &Profile, status: CommandStatus, answer: Option<QuerySmResp<'_>>) -> Option<Self> {
        let answer = answer.filter(|_| status.is_ok())?;
        let is_known = profile.final_states.has(answer.message_state);
        if !is_known || matches!(answer.message_state, MessageState::Unknown | MessageState::Unrecognised) {
            return None;
        }
        let ids = profile.ids;
        let forms = [ids.response, ids.receipt_tlv, ids.receipt_text];
        let names = forms.map(|form| receipt_hash(CarrierMessageId::of(answer.message_id, form), 0));
        Some(Self { names, state: answer.message_state.octet(), error: answer.error_code })
    }
}

impl Shard {
    /// When a message is to be asked for, now that its state is another. Once for each attempt.
    pub(super) fn plan_question(&mut self, at: WallMs, place: usize, slot: u32) {
        if self.cells[place].live(slot).ask_at != WallMs(0) {
            return;
        }
        let message = self.cells[place].state.messages.at(slot);
        let policy = self.plan.class(message.class);
        let ask_at = match message.state {
            State::Sent => {
                let before = ASK_BEFORE.min(policy.receipt_wait / ASK_WAIT_PARTS);
                WallMs(message.deadline.0.saturating_sub(u64::try_from(before.as_millis()).unwrap_or(0)))
            }
            State::Doubtful if policy.doubt == Doubt::Ask => at,
            _ => return,
        };
        if self.askable(message).next().is_some() {
            // Not at once: the timer is for what comes after now.
            self.cells[place].live(slot).ask_at = ask_at.max(at.plus(Duration::from_millis(1)));
        }
    }

    /// The parts of a message of which nothing more was heard than that a carrier took them, and whose carrier can be asked.
    fn askable<'a>(&'a self, message: &'a Message) -> impl Iterator<Item = (u8, u16)> + 'a {
        (0_u8..).zip(message.parts.all()).filter_map(|(number, part)| {
            let waits = part.state == PartState::Accepted && part.receipt != 0;
            let carrier = waits.then(|| self.plan.carrier_place(part.named_by)).flatten()?;
            let is_asked = self.plan.carriers[carrier].profile.queries;
            is_asked.then(|| (number, u16::try_from(carrier).expect("few carriers")))
        })
    }

    /// Asks for a message if that is due, and plans the next question: when half of what is left has passed.
    pub(super) fn ask_if_due(&mut self, at: WallMs, place: usize, slot: u32) {
        if self.cells[place].live(slot).ask_at > at || self.cells[place].live(slot).ask_at == WallMs(0) {
            return;
        }
        let message = self.cells[place].state.messages.at(slot);
        let half = message.deadline.since(at) / 2;
        let parts: Vec<_> = self.askable(message).collect();
        let asked = parts.iter().filter(|&&(part, carrier)| self.ask(place, slot, part, carrier)).count();
        let again = if asked < parts.len() { ASK_BUSY.min(half) } else { half };
        let is_over = parts.is_empty() || again < if asked < parts.len() { ASK_BUSY } else { ASK_AGAIN };
        self.cells[place].live(slot).ask_at = if is_over { NEVER } else { at.plus(again) };
    }

    /// Asks for one segment; `false` when no link has room now.
    fn ask(&mut self, place: usize, slot: u32, part: u8, carrier: u16) -> bool {
        let messages = &self.cells[place].state.messages;
        let message = messages.at(slot);
        let profile = &self.plan.carriers[usize::from(carrier)].profile;
        let name = message.parts.all()[usize::from(part)].receipt;
        let is_it = |id: &[u8]| !id.is_empty() && receipt_hash(profile.response_id(id), 0) == name;
        let steps = message.trace.steps().into_iter().rev();
        let mut named = steps.filter(|step| step.kind == StepKind::Sent && step.part == part);
        // A trace that is full may not have it: then nobody can ask.
        let Some(step) = named.find(|step| is_it(&step.carrier_message_id)) else { return true };
        let cell = u16::try_from(place).expect("at most 512 cells");
        let token = Token { cell, slot: messages.reference(slot), attempt: message.attempt, part };
        let sender = message.sender;
        let asked = self.ask_on_own_link(carrier, token.pack(), &step.carrier_message_id, sender.as_bytes());
        if asked {
            return true;
        }
        let state = &self.carriers[usize::from(carrier)];
        let Some(lender) = state.lending.any_lender().filter(|_| state.links_up == 0) else { return false };
        let (id, sender) = (step.carrier_message_id, sender.as_bytes().into());
        self.crosses.push_back((lender, Cross::Ask { carrier, token: token.pack(), id, sender }));
        true
    }

    /// Another shard has no link by which it could ask.
    pub(super) fn handle_ask(
        &mut self,
        from: ShardId,
        carrier: u16,
        token: u64,
        (id, sender): (&[u8], &[u8]),
    ) {
        let now = self.clock.last().mono;
        let links = &self.carriers[usize::from(carrier)].links;
        let Some(&link) = links.iter().find(|link| self.links[usize::from(link.0)].room(now, 1) > 0) else {
            return;
        };
        let place = self.links[usize::from(link.0)].lent_question(from, token);
        if !self.query(usize::from(link.0), carrier, place, id, sender) {
            self.links[usize::from(link.0)].lent_answered_question(place);
        }
    }

    fn ask_on_own_link(&mut self, carrier: u16, token: u64, id: &[u8], sender: &[u8]) -> bool {
        let now = self.clock.last().mono;
        let links = &self.carriers[usize::from(carrier)].links;
        let with_room = links.iter().find(|link| self.links[usize::from(link.0)].room(now, 1) > 0);
        let Some(&link) = with_room else { return false };
        self.query(usize::from(link.0), carrier, token, id, sender)
    }

    /// Queues a `query_sm`; `false` when the session has no room for it.
    fn query(&mut self, link: usize, carrier: u16, token: u64, id: &[u8], sender: &[u8]) -> bool {
        let profile = &self.plan.carriers[usize::from(carrier)].profile;
        let mut buffer = [0; ADDRESS_BYTES_MAX];
        let sender = core::str::from_utf8(sender).unwrap_or_default();
        let source = profile.sender(sender, &mut buffer).unwrap_or_default();
        let now = self.clock.last().mono;
        let Some(session) = &mut self.links[link].session else { return false };
        let asked = session.query(now, token, &QuerySm { message_id: id, source }).is_ok();
        self.counters.questions_asked += u64::from(asked);
        asked
    }

    /// A carrier has answered a question on a link of this shard.
    pub(super) fn question_answered(
        &mut self,
        now: Now,
        link: usize,
        token: u64,
        (status, answer): (CommandStatus, Option<QuerySmResp<'_>>),
    ) {
        let carrier = self.links[link].carrier;
        let said = Said::read(&self.plan.carriers[usize::from(carrier)].profile, status, answer);
        match unpack_lent(token) {
            Some(_) => {
                let lent = self.links[link].lent_answered_question(token);
                if let (Some((shard, token)), Some(said)) = (lent, said) {
                    self.crosses.push_back((shard, Cross::Said { carrier, token, said }));
                }
            }
            None => {
                if let Some(said) = said {
                    self.handle_said(now, carrier, Token::unpack(token), &said);
                }
            }
        }
    }

    /// What a carrier said of a segment is given to its message as a receipt would be.
    pub(super) fn handle_said(&mut self, now: Now, carrier: u16, token: Token, said: &Said) {
        let place = usize::from(token.cell);
        let Some(message) = self.cells[place].state.messages.resolve(token.slot) else { return };
        let part = message.parts.all().get(usize::from(token.part)).copied();
        let carrier_id = self.plan.carriers[usize::from(carrier)].id;
        let is_about_it = part.is_some_and(|part| {
            part.state == PartState::Accepted
                && part.named_by == carrier_id
                && said.names.contains(&part.receipt)
        });
        if message.is_final() || !is_about_it {
            return;
        }
        let Some(fate) = self.fate_of(carrier_id, said.state) else { return };
        assert!(fate != Fate::Unknown, "a carrier that does not know says nothing");
        let (id, attempt) = (message.id, message.attempt);
        let at = self.clock.read(now);
        let reported = Reported {
            id,
            attempt,
            part: token.part,
            state: said.state,
            error: u32::from(said.error),
            carrier: carrier_id,
            fate: fate as u8,
            why: Why::Query as u8,
        };
        self.counters.questions_settled += 1;
        self.cells[place].decide_on(token.slot.slot, at, &Record::Reported(reported));
        self.after_change(at, place, token.slot.slot);
    }
}

const _: () = assert!(ASK_AGAIN.as_millis() > Duration::from_secs(1).as_millis());
