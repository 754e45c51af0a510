//! Messages go: which carrier, which link, when.
//!
//! A message waits in the queue of one carrier: the first of its route that is up and has not refused it. When carriers
//! come or go, what waits is dealt again. A link with room takes from its carrier's queue, so nothing polls.

use wal::Record;
use wal::record::Attempted;
use wire::id::ShardId;
use wire::time::{Now, WallMs};

use super::cell::{Output, QueuedIn};
use super::links::LinkId;
use super::transmit::Rest;
use super::{Phase, Shard};
use crate::api::{Fate, State, Why};
use crate::cut::Cut;
use crate::limits::{ATTEMPTS_MAX, DISPATCH_PER_TURN_MAX};
use crate::queue::Waiting;
use crate::state::message::PartState;

/// How good a carrier is for a message, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No link to it is up.
    Down,
    /// It has refused this message for now.
    Refused,
    /// It may be tried at once.
    Up,
}

impl Shard {
    /// Puts a message that is queued into the queue of the carrier that is to try it next.
    pub(super) fn enqueue(&mut self, place: usize, slot: u32) {
        let cell = &mut self.cells[place];
        let message = cell.state.messages.at(slot);
        assert!(message.state == State::Queued, "only a queued message waits for a carrier");
        let class = message.class;
        let account = self.accounts.queue_place(message.account);
        let slot_ref = cell.state.messages.reference(slot);
        let cell_place = u16::try_from(place).expect("at most 512 cells");
        let mut waiting = Waiting { cell: cell_place, slot: slot_ref, account, segments: message.segments() };
        let rest = if message.is_whole() { Rest::Whole } else { Rest::Parts };
        let refused = cell.live(slot).refused;
        // A route that covered it when it was accepted may be gone by now, or have no carrier any more that takes it: then it
        // waits for another plan, or its deadline.
        let Some((_, chosen, segments)) = self.choose((place, slot), refused, rest) else {
            self.unrouted.push(waiting);
            return;
        };
        waiting.segments = segments;
        let live = self.cells[place].live(slot);
        let goes_on_by = live.went_by.filter(|link| {
            let link = &self.links[usize::from(link.0)];
            rest == Rest::Parts && link.is_up && link.carrier == chosen
        });
        if let Some(link) = goes_on_by {
            live.queued_in = QueuedIn::Link(link);
            self.links[usize::from(link.0)].returning.push_back(waiting);
        } else {
            live.queued_in = QueuedIn::Carrier(chosen);
            self.carriers[usize::from(chosen)].queue.push(class, waiting);
        }
    }

    /// The carrier that is to try a message next, and in how many parts: of its route and of those that take it, the first that
    /// is up and has not refused it, else the first that is up, else the first.
    pub(super) fn choose(
        &mut self,
        (place, slot): (usize, u32),
        refused: u8,
        rest: Rest,
    ) -> Option<(Rank, u16, u8)> {
        let message = self.cells[place].state.messages.at(slot);
        let route = self.plan.routes.find(message.recipient)?;
        let mut best: Option<(Rank, u16, u8)> = None;
        for (position, &carrier) in self.plan.routes.carriers(route).iter().enumerate() {
            let rank = match self.is_reachable(carrier) {
                true if refused & 1 << position == 0 => Rank::Up,
                true => Rank::Refused,
                false => Rank::Down,
            };
            if best.is_some_and(|(best, ..)| best >= rank) {
                continue;
            }
            let profile = &self.plan.carriers[usize::from(carrier)].profile;
            let Some(segments) = self.encoder.parts_of(profile, message, rest) else { continue };
            best = Some((rank, carrier, segments));
            if rank == Rank::Up {
                break;
            }
        }
        best
    }

    /// Decides attempts for what waits, as far as links have room.
    pub(super) fn dispatch(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        let at = self.clock.read(now);
        let mut left = DISPATCH_PER_TURN_MAX;
        for carrier in (0_u16..).take(self.carriers.len()) {
            let place = usize::from(carrier);
            self.serve_borrowers(now, carrier);
            let count = self.carriers[place].links.len();
            for turn in 0..count {
                let link = self.carriers[place].links[(self.carriers[place].next_link + turn) % count];
                let returning = &self.links[usize::from(link.0)].returning;
                if left > 0 && !(returning.is_empty() && self.carriers[place].queue.is_empty()) {
                    self.fill_link(now, at, carrier, link, &mut left);
                }
            }
            self.carriers[place].next_link += 1;
            // An own message may have been before them.
            self.serve_borrowers(now, carrier);
            self.dispatch_on_loan(at, carrier, &mut left);
        }
    }

    fn fill_link(&mut self, now: Now, at: WallMs, carrier: u16, link: LinkId, left: &mut usize) {
        let place = usize::from(carrier);
        while *left > 0 && self.links[usize::from(link.0)].room(now.mono, 1) > 0 {
            if !self.admits(now, carrier, 1) {
                break;
            }
            let returning = self.next_returning(at, link);
            let is_returning = returning.is_some();
            let Some((waiting, parts)) = returning.or_else(|| self.next_waiting(at, place)) else { break };
            let segments = u8::try_from(parts.count_ones()).expect("at most 32 parts");
            let state = &mut self.links[usize::from(link.0)];
            let bind = state.bind;
            if state.room(now.mono, segments) == 0 || !self.admits(now, carrier, segments) {
                self.put_back(place, Some(link).filter(|_| is_returning), waiting);
                break;
            }
            *left -= 1;
            if self.attempt(at, (carrier, self.config.id, link, bind), waiting, parts) {
                self.links[usize::from(link.0)].reserve(u32::from(segments));
                self.carriers[place].rate.take(segments);
                self.carriers[place].own_turn = false;
            }
        }
    }

    /// Puts a message back that was taken and cannot go yet, to those that return to a link if it was one of them.
    pub(super) fn put_back(&mut self, carrier: usize, link: Option<LinkId>, waiting: Waiting) {
        let cell = &mut self.cells[usize::from(waiting.cell)];
        let class = cell.state.messages.at(waiting.slot.slot).class;
        let live = cell.live(waiting.slot.slot);
        if let Some(link) = link {
            live.queued_in = QueuedIn::Link(link);
            self.links[usize::from(link.0)].returning.push_front(waiting);
        } else {
            live.queued_in = QueuedIn::Carrier(u16::try_from(carrier).unwrap_or(0));
            self.carriers[carrier].queue.push_front(class, waiting);
        }
    }

    /// Takes the next text of which a part went by this link, and says which of its parts are to be sent.
    fn next_returning(&mut self, at: WallMs, link: LinkId) -> Option<(Waiting, u32)> {
        while let Some(waiting) = self.links[usize::from(link.0)].returning.pop_front() {
            if let Some(parts) = self.parts_waiting(at, QueuedIn::Link(link), waiting) {
                return Some((waiting, parts));
            }
        }
        None
    }

    /// Takes the next message that still waits for this carrier, and says which of its parts are to be sent.
    pub(super) fn next_waiting(&mut self, at: WallMs, carrier: usize) -> Option<(Waiting, u32)> {
        let queue = QueuedIn::Carrier(u16::try_from(carrier).ok()?);
        while let Some(waiting) = self.carriers[carrier].queue.pop() {
            if let Some(parts) = self.parts_waiting(at, queue, waiting) {
                return Some((waiting, parts));
            }
        }
        None
    }

    /// The parts of a message that are to be sent, if it still waits here; then it does no longer.
    fn parts_waiting(&mut self, at: WallMs, queue: QueuedIn, waiting: Waiting) -> Option<u32> {
        let cell = &mut self.cells[usize::from(waiting.cell)];
        let message = cell.state.messages.resolve(waiting.slot)?;
        if cell.handing.is_under_way() {
            // It is queued again when the partition stays here after all.
            cell.live(waiting.slot.slot).queued_in = QueuedIn::Nothing;
            return None;
        }
        let waits = message.state == State::Queued && message.due <= at && message.send_until > at;
        let parts = if message.is_whole() {
            u32::MAX >> (u32::BITS - u32::from(waiting.segments))
        } else {
            message.parts.mask(PartState::Waiting)
        };
        let live = cell.live(waiting.slot.slot);
        let waits_here = waits && live.queued_in == queue;
        waits_here.then(|| {
            live.queued_in = QueuedIn::Nothing;
            parts
        })
    }

    /// Decides an attempt by a link for which there is room: of this shard, or lent by another. `false` when the message had its
    /// last one.
    pub(super) fn attempt(
        &mut self,
        at: WallMs,
        (carrier, shard, link, bind): (u16, ShardId, LinkId, u32),
        waiting: Waiting,
        parts: u32,
    ) -> bool {
        let place = usize::from(waiting.cell);
        let slot = waiting.slot.slot;
        let message = self.cells[place].state.messages.at(slot);
        if message.attempt >= ATTEMPTS_MAX {
            self.fate(at, place, slot, (Fate::Failed, Why::AttemptsUsedUp));
            return false;
        }
        let (id, attempt) = (message.id, message.attempt + 1);
        // Of one that is whole, this is how it is cut from now on.
        let segments = if message.is_whole() { waiting.segments } else { 0 };
        let (why, skipped) = self.reason(place, slot, usize::from(carrier));
        let carrier = &self.plan.carriers[usize::from(carrier)];
        let attempted = Attempted {
            id,
            attempt,
            parts,
            carrier: carrier.id,
            link: link.0,
            node: self.plan.node,
            process: self.config.process,
            bind,
            why: why as u8,
            skipped,
            segments,
            cut: Cut::of(&carrier.profile).byte(),
        };
        let cell = &mut self.cells[place];
        cell.decide_on(slot, at, &Record::Attempted(attempted));
        let live = cell.live(slot);
        live.ask_at = WallMs(0);
        live.went_by = Some(link).filter(|_| shard == self.config.id);
        cell.after_decided(Output::Transmit { shard, link, bind, slot: waiting.slot, attempt, parts });
        self.counters.attempts += 1;
        true
    }

    /// Why this carrier is tried, and how many before it in the route are passed over.
    fn reason(&mut self, place: usize, slot: u32, carrier: usize) -> (Why, u8) {
        let recipient = self.cells[place].state.messages.at(slot).recipient;
        let refused = self.cells[place].live(slot).refused;
        let carriers =
            self.plan.routes.find(recipient).map_or(&[][..], |route| self.plan.routes.carriers(route));
        let skipped = carriers.iter().position(|&other| usize::from(other) == carrier).unwrap_or(0);
        let why = match skipped {
            0 => Why::FirstInRoute,
            _ if u32::from(refused) & ((1 << skipped) - 1) != 0 => Why::OthersRefused,
            _ => Why::OthersDown,
        };
        (why, u8::try_from(skipped).unwrap_or(u8::MAX))
    }

    /// A link came up: what waits for carriers that are down may go by its carrier.
    pub(super) fn link_up(&mut self, link: LinkId) {
        let state = &mut self.links[usize::from(link.0)];
        state.bound();
        let carrier = state.carrier;
        state.counts.binds += 1;
        self.counters.binds += 1;
        if !state.submits() {
            return;
        }
        let was_reachable = self.is_reachable(carrier);
        self.carriers[usize::from(carrier)].links_up += 1;
        if self.carriers[usize::from(carrier)].links_up == 1 {
            self.tell_carrier_up(carrier, true);
        }
        self.reach_changed(carrier, was_reachable);
    }

    /// A link that was up is not any more: what waits for its carrier is dealt again when it was the last.
    pub(super) fn link_down(&mut self, carrier: u16) {
        self.carriers[usize::from(carrier)].links_up -= 1;
        if self.carriers[usize::from(carrier)].links_up == 0 {
            self.tell_carrier_up(carrier, false);
            self.reach_changed(carrier, true);
        }
    }

    /// What waits to go on by a link that is not up any more goes by another.
    pub(super) fn deal_returning(&mut self, link: usize) {
        let returning = core::mem::take(&mut self.links[link].returning);
        self.deal(QueuedIn::Link(LinkId(u16::try_from(link).expect("few links"))), returning);
    }

    pub(super) fn deal_again(&mut self, carrier: usize) {
        for link in self.carriers[carrier].links.clone() {
            self.deal_returning(usize::from(link.0));
        }
        let waiting = self.carriers[carrier].queue.drain();
        self.deal(QueuedIn::Carrier(u16::try_from(carrier).expect("few carriers")), waiting);
    }

    /// Puts what has waited here where it belongs now.
    fn deal(&mut self, queue: QueuedIn, all: impl IntoIterator<Item = Waiting>) {
        for waiting in all {
            let place = usize::from(waiting.cell);
            let cell = &mut self.cells[place];
            let waits = cell.state.messages.resolve(waiting.slot).is_some_and(|m| m.state == State::Queued);
            if waits && cell.live(waiting.slot.slot).queued_in == queue {
                self.enqueue(place, waiting.slot.slot);
            }
        }
    }
}
