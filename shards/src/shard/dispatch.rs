//! Messages go: which carrier, which link, when.
//!
//! A message waits in the queue of one carrier: the first of its route that is up and has not refused it. When carriers
//! come or go, what waits is dealt again. A link with room takes from its carrier's queue, so nothing polls.

use wal::Record;
use wal::record::Attempted;
use wire::time::{Now, WallMs};

use super::cell::Output;
use super::links::LinkId;
use super::{Phase, Shard};
use crate::api::{Fate, State, Why};
use crate::limits::{ATTEMPTS_MAX, DISPATCH_PER_TURN_MAX};
use crate::queue::Waiting;
use crate::state::message::PartState;

impl Shard {
    /// Puts a message that is queued into the queue of the carrier that is to try it next.
    pub(super) fn enqueue(&mut self, place: usize, slot: u32) {
        let cell = &mut self.cells[place];
        let message = cell.state.messages.at(slot);
        assert!(message.state == State::Queued, "only a queued message waits for a carrier");
        let (recipient, class, segments) = (message.recipient, message.class, message.segments());
        let account = self.accounts.queue_place(message.account);
        let slot_ref = cell.state.messages.reference(slot);
        let cell_place = u16::try_from(place).expect("at most 512 cells");
        let waiting = Waiting { cell: cell_place, slot: slot_ref, account, segments };
        // A route that covered it when it was accepted may be gone by now: then it waits for another plan, or its deadline.
        let Some(route) = self.plan.routes.find(recipient) else {
            self.unrouted.push(waiting);
            return;
        };
        let refused = cell.live(slot).refused;
        let carriers = self.plan.routes.carriers(route);
        let is_up = |&(_, carrier): &(usize, &u16)| self.carriers[usize::from(*carrier)].links_up > 0;
        let has_not_refused = |&(place, _): &(usize, &u16)| refused & 1 << place == 0;
        let up = || carriers.iter().enumerate().filter(is_up);
        let chosen =
            up().find(has_not_refused).or_else(|| up().next()).map_or(carriers[0], |(_, &carrier)| carrier);
        self.cells[place].live(slot).queued_in = chosen + 1;
        self.carriers[usize::from(chosen)].queue.push(class, waiting);
    }

    /// Decides attempts for what waits, as far as links have room.
    pub(super) fn dispatch(&mut self, now: Now) {
        if self.phase != Phase::Running {
            return;
        }
        let at = self.clock.read(now);
        let mut left = DISPATCH_PER_TURN_MAX;
        for carrier in 0..self.carriers.len() {
            let count = self.carriers[carrier].links.len();
            for turn in 0..count {
                if self.carriers[carrier].queue.is_empty() || left == 0 {
                    break;
                }
                let link = self.carriers[carrier].links[(self.carriers[carrier].next_link + turn) % count];
                self.fill_link(now, at, carrier, link, &mut left);
            }
            self.carriers[carrier].next_link += 1;
        }
    }

    fn fill_link(&mut self, now: Now, at: WallMs, carrier: usize, link: LinkId, left: &mut usize) {
        while *left > 0 && self.links[usize::from(link.0)].has_room(now.mono, 1) {
            let Some((waiting, parts)) = self.next_waiting(at, carrier) else { break };
            let segments = u8::try_from(parts.count_ones()).expect("at most 32 parts");
            let place = usize::from(waiting.cell);
            if !self.links[usize::from(link.0)].has_room(now.mono, segments) {
                let class = self.cells[place].state.messages.at(waiting.slot.slot).class;
                self.cells[place].live(waiting.slot.slot).queued_in = u16::try_from(carrier).unwrap_or(0) + 1;
                self.carriers[carrier].queue.push_front(class, waiting);
                break;
            }
            *left -= 1;
            self.attempt(now, at, (carrier, link), waiting, parts);
        }
    }

    /// Takes the next message that still waits for this carrier, and says which of its parts are to be sent.
    fn next_waiting(&mut self, at: WallMs, carrier: usize) -> Option<(Waiting, u32)> {
        let queued_in = u16::try_from(carrier).ok()? + 1;
        while let Some(waiting) = self.carriers[carrier].queue.pop() {
            let cell = &mut self.cells[usize::from(waiting.cell)];
            let Some(message) = cell.state.messages.resolve(waiting.slot) else { continue };
            let waits = message.state == State::Queued && message.due <= at && message.send_until > at;
            let parts = message.parts.mask(PartState::Waiting);
            let live = cell.live(waiting.slot.slot);
            if waits && live.queued_in == queued_in {
                live.queued_in = 0;
                return Some((waiting, parts));
            }
        }
        None
    }

    fn attempt(
        &mut self,
        now: Now,
        at: WallMs,
        (carrier, link): (usize, LinkId),
        waiting: Waiting,
        parts: u32,
    ) {
        let place = usize::from(waiting.cell);
        let slot = waiting.slot.slot;
        let message = self.cells[place].state.messages.at(slot);
        if message.attempt >= ATTEMPTS_MAX {
            self.fate(at, place, slot, (Fate::Failed, Why::AttemptsUsedUp));
            return;
        }
        let (id, attempt) = (message.id, message.attempt + 1);
        let (why, skipped) = self.reason(place, slot, carrier);
        let state = &mut self.links[usize::from(link.0)];
        let attempted = Attempted {
            id,
            attempt,
            parts,
            carrier: self.plan.carriers[carrier].id,
            link: link.0,
            node: self.plan.node,
            process: self.config.process,
            bind: state.bind,
            why: why as u8,
            skipped,
        };
        state.reserve(now.mono, u8::try_from(parts.count_ones()).expect("at most 32 parts"));
        let bind = state.bind;
        let cell = &mut self.cells[place];
        cell.decide_on(slot, at, &Record::Attempted(attempted));
        cell.after_decided(Output::Transmit { link, bind, slot: waiting.slot, attempt, parts });
        self.counters.attempts += 1;
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
        let carrier = usize::from(state.carrier);
        state.counts.binds += 1;
        self.counters.binds += 1;
        self.carriers[carrier].links_up += 1;
        if self.carriers[carrier].links_up == 1 {
            let down = (0..self.carriers.len()).filter(|&other| self.carriers[other].links_up == 0);
            let down: Vec<_> = down.collect();
            down.into_iter().for_each(|other| self.deal_again(other));
        }
    }

    /// A link that was up is not any more: what waits for its carrier is dealt again when it was the last.
    pub(super) fn link_down(&mut self, carrier: usize) {
        self.carriers[carrier].links_up -= 1;
        if self.carriers[carrier].links_up == 0 {
            self.deal_again(carrier);
        }
    }

    pub(super) fn deal_again(&mut self, carrier: usize) {
        for waiting in self.carriers[carrier].queue.drain() {
            let place = usize::from(waiting.cell);
            let cell = &mut self.cells[place];
            let waits = cell.state.messages.resolve(waiting.slot).is_some_and(|m| m.state == State::Queued);
            if waits && usize::from(cell.live(waiting.slot.slot).queued_in) == carrier + 1 {
                self.enqueue(place, waiting.slot.slot);
            }
        }
    }
}
