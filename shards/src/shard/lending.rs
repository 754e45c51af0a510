//! Links of one shard carry messages of another.
//!
//! ```text
//!   borrower                                    owner of a link
//!   no link is up, something waits ── AskRoom ─▶ room of the window and the pace is taken
//!   attempts are decided and logged ◀── Room ──
//!   committed ──────────────────── Segment ────▶ the session, or not: it ended
//!   not used ──────────────────── RoomBack ────▶
//!   withdrawn, in doubt, answered ◀─ SegmentOutcome
//! ```
//!
//! The message stays with its own shard; only a segment's bytes cross, and what became of them comes back. Of the outcomes
//! *not written* alone is free of doubt. Why it is done so: `docs/adr/0011-lent-links-and-shared-rates.md`.

use std::collections::VecDeque;

use wire::id::ShardId;
use wire::smpp::session::Handed;
use wire::smpp::status::CommandStatus;
use wire::time::{Now, WallMs};

use super::cross::{Cross, LentOutcome, LentSegment, Loan};
use super::links::LinkId;
use super::{Phase, Shard};
use crate::api::Why;
use crate::limits::LOAN_SEGMENTS_MAX;
use crate::rates::{Question, RateId};
use crate::token::{Token, pack_lent};

/// A shard's dealings with others about the links of one carrier.
#[derive(Debug, Default)]
pub(super) struct Lending {
    /// Shards with a link that is up.
    lenders: Vec<ShardId>,
    /// The lender that is asked next time.
    next_lender: usize,
    /// Who was asked and has not answered.
    asked: Option<ShardId>,
    /// The segments of the message that a loan was too small for.
    need: u8,
    /// Room that others have lent, for the next turn.
    loans: VecDeque<(ShardId, Loan)>,
    /// Who waits for room on a link of this shard, for how many segments at least and at most.
    borrowers: VecDeque<(ShardId, u8, u32)>,
}

impl Lending {
    /// A shard with a link that is up.
    pub(super) fn any_lender(&self) -> Option<ShardId> {
        self.lenders.get(self.next_lender).or_else(|| self.lenders.first()).copied()
    }

    /// Whether somebody waits for room here.
    pub(super) fn has_borrowers(&self) -> bool {
        !self.borrowers.is_empty()
    }
}

/// What waits for room in a link's session.
#[derive(Debug)]
pub(crate) enum Queued {
    /// A part of an own message.
    Own(Token),
    /// A segment of another shard.
    Lent(ShardId, Box<LentSegment>),
}

/// Segments of other shards in a link's session: from the word that the session hands back to whoever waits for it.
#[derive(Debug)]
pub(crate) struct LentTable {
    places: Vec<Option<Lent>>,
    free: Vec<u32>,
    /// Those that were doubted, the oldest first. As many as the window: the session forgets late ones earlier.
    late: VecDeque<u32>,
    late_max: usize,
}

/// Whose a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lent {
    pub(crate) shard: ShardId,
    pub(crate) token: u64,
}

impl LentTable {
    pub(crate) fn new(window_pdus: u16) -> Self {
        let late_max = usize::from(window_pdus);
        Self { places: Vec::new(), free: Vec::new(), late: VecDeque::new(), late_max }
    }

    pub(crate) fn insert(&mut self, lent: Lent) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("a window and as many late ones")
        });
        self.places[place as usize] = Some(lent);
        place
    }

    fn take(&mut self, place: u32) -> Option<Lent> {
        let lent = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(lent)
    }

    /// It was answered, in time or late.
    pub(super) fn answered(&mut self, place: u32) -> Option<Lent> {
        self.late.retain(|&late| late != place);
        self.take(place)
    }

    /// It had no answer in time; a late one may come.
    pub(super) fn doubted(&mut self, place: u32) -> Option<Lent> {
        let lent = *self.places.get(place as usize)?;
        self.late.push_back(place);
        if self.late.len() > self.late_max {
            let oldest = self.late.pop_front().expect("one was put in just now");
            self.take(oldest);
        }
        lent
    }

    /// The session is gone, and what was in flight was taken.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.free.clear();
        self.late.clear();
    }
}

impl Shard {
    /// Whether a carrier has a link that is up, here or on another shard.
    pub(super) fn is_reachable(&self, carrier: u16) -> bool {
        let state = &self.carriers[usize::from(carrier)];
        state.links_up > 0 || !state.lending.lenders.is_empty()
    }

    /// Tells the others that this shard has a link that is up, or has none any more.
    pub(super) fn tell_carrier_up(&mut self, carrier: u16, is_up: bool) {
        for shard in (0..self.plan.shards).map(ShardId).filter(|&shard| shard != self.config.id) {
            self.crosses.push_back((shard, Cross::CarrierUp { carrier, is_up }));
        }
        if !is_up {
            // They hear of it, and ask elsewhere.
            self.carriers[usize::from(carrier)].lending.borrowers.clear();
        }
    }

    /// Another shard has a link that is up, or has none any more.
    pub(super) fn handle_carrier_up(&mut self, from: ShardId, carrier: u16, is_up: bool) {
        let was_reachable = self.is_reachable(carrier);
        let lending = &mut self.carriers[usize::from(carrier)].lending;
        lending.lenders.retain(|&lender| lender != from);
        if is_up {
            lending.lenders.push(from);
        } else {
            lending.asked = lending.asked.filter(|&asked| asked != from);
            lending.loans.retain(|&(lender, _)| lender != from);
        }
        self.reach_changed(carrier, was_reachable);
    }

    /// A carrier can be reached now, or cannot any more: what waits may go another way.
    pub(super) fn reach_changed(&mut self, carrier: u16, was_reachable: bool) {
        let count = u16::try_from(self.carriers.len()).expect("few carriers");
        match (was_reachable, self.is_reachable(carrier)) {
            (false, true) => {
                let others: Vec<_> = (0..count).filter(|&other| !self.is_reachable(other)).collect();
                others.into_iter().for_each(|other| self.deal_again(usize::from(other)));
            }
            (true, false) => self.deal_again(usize::from(carrier)),
            _ => {}
        }
    }

    /// Decides attempts as far as others have lent room, gives back what is left of it, and asks for more.
    pub(super) fn dispatch_on_loan(&mut self, at: WallMs, carrier: u16, left: &mut usize) {
        let place = usize::from(carrier);
        while let Some((lender, mut loan)) = self.carriers[place].lending.loans.pop_front() {
            while *left > 0 && loan.segments > 0 {
                let Some((waiting, parts)) = self.next_waiting(at, place) else { break };
                let segments = parts.count_ones();
                if segments > loan.segments {
                    self.carriers[place].lending.need = u8::try_from(segments).expect("at most 32 parts");
                    self.put_back(place, None, waiting);
                    break;
                }
                *left -= 1;
                if self.attempt(at, (carrier, lender, loan.link, loan.bind), waiting, parts) {
                    loan.segments -= segments;
                }
            }
            if loan.segments > 0 {
                self.crosses.push_back((lender, Cross::RoomBack(loan)));
            }
        }
        if self.carriers[place].links_up == 0 && *left > 0 {
            self.ask_for_room(carrier);
        }
    }

    fn ask_for_room(&mut self, carrier: u16) {
        let state = &mut self.carriers[usize::from(carrier)];
        let lending = &mut state.lending;
        if lending.asked.is_some() || lending.lenders.is_empty() || state.queue.is_empty() {
            return;
        }
        lending.next_lender = (lending.next_lender + 1) % lending.lenders.len();
        let lender = lending.lenders[lending.next_lender];
        lending.asked = Some(lender);
        let need = core::mem::take(&mut lending.need).max(1);
        let waiting = u32::try_from(state.queue.total()).unwrap_or(u32::MAX);
        let want = waiting.clamp(u32::from(need), LOAN_SEGMENTS_MAX);
        self.crosses.push_back((lender, Cross::AskRoom { carrier, need, want }));
    }

    /// Another shard wants room on a link of this one.
    pub(super) fn handle_ask_room(&mut self, now: Now, from: ShardId, carrier: u16, need: u8, want: u32) {
        if self.carriers[usize::from(carrier)].links_up == 0 || self.phase != Phase::Running {
            // It hears, or has heard already, that there is none, and will not wait for it.
            return;
        }
        self.carriers[usize::from(carrier)].lending.borrowers.push_back((from, need, want));
        self.serve_borrowers(now, carrier);
    }

    /// Lends room to those who wait for it, in turn, and never all of a window: this shard's own messages wait as well.
    pub(super) fn serve_borrowers(&mut self, now: Now, carrier: u16) {
        let place = usize::from(carrier);
        while let Some(&(borrower, need, want)) = self.carriers[place].lending.borrowers.front() {
            let state = &self.carriers[place];
            let returns = |link: &LinkId| {
                let link = &self.links[usize::from(link.0)];
                !link.returning.is_empty() && link.room(now.mono, 1) > 0
            };
            let own_waits = !state.queue.is_empty() || state.links.iter().any(returns);
            if state.own_turn && own_waits && self.phase == Phase::Running {
                return;
            }
            if !self.admits(now, carrier, need) {
                return;
            }
            let links = &self.carriers[place].links;
            let room_of = |&&link: &&LinkId| self.links[usize::from(link.0)].room(now.mono, need);
            let Some(&link) = links.iter().max_by_key(room_of).filter(|link| room_of(link) > 0) else {
                return;
            };
            let room = room_of(&&link);
            let sharers = u32::try_from(self.carriers[place].lending.borrowers.len()).unwrap_or(u32::MAX);
            let fair = room / sharers.saturating_add(u32::from(!self.carriers[place].queue.is_empty()));
            let segments = self.carriers[place].rate.take_up_to(now.mono, need, want.min(fair));
            let state = &mut self.links[usize::from(link.0)];
            state.reserve(segments);
            let loan = Loan { carrier, link, bind: state.bind, segments };
            self.counters.segments_lent += u64::from(segments);
            self.carriers[place].lending.borrowers.pop_front();
            self.carriers[place].own_turn = true;
            self.crosses.push_back((borrower, Cross::Room(loan)));
        }
    }

    /// Another shard has lent room; it is used in the next turn.
    pub(super) fn handle_room(&mut self, from: ShardId, loan: Loan) {
        let lending = &mut self.carriers[usize::from(loan.carrier)].lending;
        lending.asked = lending.asked.filter(|&asked| asked != from);
        lending.loans.push_back((from, loan));
    }

    /// Room that was lent and not used.
    pub(super) fn handle_room_back(&mut self, now: Now, loan: Loan) {
        let link = &mut self.links[usize::from(loan.link.0)];
        if link.bind == loan.bind {
            link.reserved = link.reserved.saturating_sub(loan.segments);
        }
        self.carriers[usize::from(loan.carrier)].rate.give_back(loan.segments);
        self.serve_borrowers(now, loan.carrier);
    }

    /// A segment of another shard, for which room was lent.
    pub(super) fn handle_segment(&mut self, now: Now, from: ShardId, segment: Box<LentSegment>) {
        let link = &mut self.links[usize::from(segment.link.0)];
        let is_same =
            link.bind == segment.bind && link.session.as_ref().is_some_and(|session| session.is_open());
        if link.bind == segment.bind {
            link.reserved = link.reserved.saturating_sub(1);
        }
        if !is_same {
            let carrier = link.carrier;
            return self.tell_outcome(from, segment.token, carrier, LentOutcome::NotWritten);
        }
        let id = segment.link;
        if !link.backlog.is_empty() || !self.submit_lent(now, id, from, &segment) {
            let link = &mut self.links[usize::from(id.0)];
            link.backlog.push_back(Queued::Lent(from, segment));
            link.reserved += 1;
        }
    }

    /// Queues a segment of another shard; `false` when the session has no room for it.
    pub(super) fn submit_lent(&mut self, now: Now, id: LinkId, from: ShardId, segment: &LentSegment) -> bool {
        let link = &mut self.links[usize::from(id.0)];
        let Some(session) = &mut link.session else { return false };
        let place = link.lent.insert(Lent { shard: from, token: segment.token });
        let queued = session.submit(now.mono, pack_lent(place), &segment.segment.borrow()).is_ok();
        if queued {
            link.counts.segments += 1;
            self.counters.segments_sent += 1;
        } else {
            link.lent.take(place);
        }
        queued
    }

    /// A segment of another shard was in flight when the connection went.
    pub(super) fn lent_cut_off(&mut self, link: usize, place: u32, delivery: Handed) {
        let outcome = match delivery {
            Handed::Written => LentOutcome::Doubtful(Why::ConnectionLost),
            Handed::NotWritten => LentOutcome::NotWritten,
        };
        if let Some(lent) = self.links[link].lent.answered(place) {
            self.tell_outcome(lent.shard, lent.token, self.links[link].carrier, outcome);
        }
    }

    /// A segment of another shard had no answer in time.
    pub(super) fn lent_timed_out(&mut self, link: usize, place: u32) {
        if let Some(lent) = self.links[link].lent.doubted(place) {
            let outcome = LentOutcome::Doubtful(Why::ResponseTimeout);
            self.tell_outcome(lent.shard, lent.token, self.links[link].carrier, outcome);
        }
    }

    /// A segment of another shard was answered.
    pub(super) fn lent_answered(
        &mut self,
        link: usize,
        place: u32,
        status: CommandStatus,
        carrier_id: &[u8],
        is_late: bool,
    ) {
        if let Some(lent) = self.links[link].lent.answered(place) {
            let scope = self.links[link].scope;
            let outcome = LentOutcome::Answered { status, carrier_id: carrier_id.into(), scope, is_late };
            self.tell_outcome(lent.shard, lent.token, self.links[link].carrier, outcome);
        }
    }

    pub(super) fn tell_outcome(&mut self, to: ShardId, token: u64, carrier: u16, outcome: LentOutcome) {
        self.crosses.push_back((to, Cross::SegmentOutcome { token, carrier, outcome }));
    }

    /// What became of a segment that another shard sent for this one.
    pub(super) fn handle_outcome(&mut self, now: Now, token: u64, carrier: u16, outcome: &LentOutcome) {
        let at = self.clock.read(now);
        let token = Token::unpack(token);
        match outcome {
            LentOutcome::NotWritten => self.withdraw_token(at, token),
            LentOutcome::Doubtful(why) => self.doubt(at, token, *why),
            LentOutcome::Answered { status, carrier_id, scope, .. } => {
                self.answered(now, (carrier, *scope), token, *status, carrier_id);
            }
        }
        let is_late = matches!(outcome, LentOutcome::Answered { is_late: true, .. });
        self.segments_out -= usize::from(!is_late);
    }

    /// Whether a carrier's rate admits a message of so many segments. A slice that is missing is asked for.
    pub(super) fn admits(&mut self, now: Now, carrier: u16, segments: u8) -> bool {
        let own = self.config.id;
        let state = &mut self.carriers[usize::from(carrier)];
        if state.rate.admits(now.mono, segments) {
            return true;
        }
        let borrowed = state.lending.borrowers.iter().map(|&(_, _, want)| want as usize).sum::<usize>();
        if let Some(Question { owner, need, want }) =
            state.rate.ask(own, segments, state.queue.total() + borrowed)
        {
            self.crosses.push_back((owner, Cross::AskRate { rate: RateId::Carrier(carrier), need, want }));
        }
        self.serve_rate(now, carrier);
        self.carriers[usize::from(carrier)].rate.admits(now.mono, segments)
    }

    /// Gives out slices of a carrier's rate that this shard owns.
    pub(super) fn serve_rate(&mut self, now: Now, carrier: u16) {
        while let Some((shard, segments)) = self.carriers[usize::from(carrier)].rate.serve(now.mono) {
            if shard == self.config.id {
                self.carriers[usize::from(carrier)].rate.handle_slice(now.mono, segments);
            } else {
                self.crosses.push_back((shard, Cross::Slice(RateId::Carrier(carrier), segments)));
            }
        }
    }

    /// Another shard wants a slice of a rate that this one owns.
    pub(super) fn handle_ask_rate(&mut self, now: Now, from: ShardId, rate: RateId, need: u8, want: u32) {
        match rate {
            RateId::Carrier(carrier) => {
                self.carriers[usize::from(carrier)].rate.handle_asked(from, need, want);
                self.serve_rate(now, carrier);
            }
            RateId::Account(account) => {
                let segments = self.accounts.draw_for(account, now.mono, need, want);
                self.crosses.push_back((from, Cross::Slice(rate, segments)));
            }
        }
    }

    /// A slice, or the word that an account's rate is used up.
    pub(super) fn handle_slice(&mut self, now: Now, rate: RateId, segments: u32) {
        match rate {
            RateId::Carrier(carrier) => {
                self.carriers[usize::from(carrier)].rate.handle_slice(now.mono, segments);
                self.serve_borrowers(now, carrier);
            }
            RateId::Account(account) => {
                for awaiting in self.accounts.handle_slice(account, now.mono, segments) {
                    self.submit_awaiting(now, awaiting, segments > 0);
                }
            }
        }
    }

    /// What another shard has not used of a slice.
    pub(super) fn handle_slice_back(&mut self, now: Now, rate: RateId, segments: u32) {
        match rate {
            RateId::Carrier(carrier) => {
                self.carriers[usize::from(carrier)].rate.handle_back(segments);
                self.serve_rate(now, carrier);
            }
            RateId::Account(account) => self.accounts.handle_back(account, segments),
        }
    }

    /// Ends slices whose time is over, and gives out those that are there by now.
    pub(super) fn handle_rates_due(&mut self, now: Now) {
        for carrier in (0_u16..).take(self.carriers.len()) {
            if let Some((owner, left)) = self.carriers[usize::from(carrier)].rate.expire(now.mono) {
                self.crosses.push_back((owner, Cross::SliceBack(RateId::Carrier(carrier), left)));
            }
            self.serve_rate(now, carrier);
        }
        while let Some((account, owner, left)) = self.accounts.poll_expired(now.mono) {
            self.crosses.push_back((owner, Cross::SliceBack(RateId::Account(account), left)));
        }
    }
}
