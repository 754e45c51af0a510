//! A customer takes a message back that has not left.
//!
//! ```text
//!   cancel ─▶ queued, and nothing of it may have left? ── yes ─▶ Fated(cancelled) ─▶ durable ─▶ taken back
//!                                                      └─ no ──▶ where it is instead
//! ```
//!
//! What is taken back never leaves: it was in a queue, from which an attempt is decided, and there is none to decide any more. An
//! attempt that is decided already is not called back, although its bytes may still be here: whether they are is the kernel's to
//! know, and a customer who is told "taken back" relies on it.

use wire::id::ShardId;
use wire::time::Now;

use super::across::Asker;
use super::cell::{Output, QueuedIn};
use super::cross::Cross;
use super::{Phase, Shard};
use crate::across::Question;
use crate::api::{Cancellation, Fate, NotCancelled, Origin, Reply, State, Why};
use crate::limits::QUEUE_STALE_MAX;

impl Shard {
    /// A customer takes a message of its own back. To repeat it is harmless: a message that was taken back stays so.
    pub fn handle_cancel(&mut self, now: Now, origin: Origin, cancellation: &Cancellation) {
        let id = cancellation.id;
        if id.partition().0 >= self.plan.partitions.count() {
            return self.reply(origin, Reply::Cancelled { origin, id, outcome: Err(NotCancelled::NotFound) });
        }
        let (owner, place) = self.owner_of(id.partition());
        if owner != self.config.id {
            return self.cancel_there(owner, origin, cancellation);
        }
        let is_open = !matches!(self.phase, Phase::Recovering | Phase::LogFailed);
        if is_open
            && !self.cells[place].decides
            && !self.is_alone()
            && origin.asked_by().is_none()
            && self.ask_home(now, place, Asker::Customer(origin), Question::from(cancellation))
        {
            return;
        }
        if !is_open || !self.cells[place].decides {
            return self.reply(origin, Reply::Cancelled { origin, id, outcome: Err(NotCancelled::Busy) });
        }
        let outcome = self.cancel(now, place, cancellation);
        // A repetition's answer rests on the first one's record, which may not be durable yet.
        self.cells[place].after_decided(Output::Cancelled { origin, id, outcome });
        self.release();
    }

    fn cancel_there(&mut self, owner: ShardId, origin: Origin, cancellation: &Cancellation) {
        if self.credits[usize::from(owner.0)].spend() {
            self.crosses.push_back((owner, Cross::Cancel(origin, *cancellation)));
        } else {
            let id = cancellation.id;
            self.reply(origin, Reply::Cancelled { origin, id, outcome: Err(NotCancelled::Busy) });
        }
    }

    /// A queue keeps the place of what was taken back until its turn comes, which it does not while the carrier is down: when there are
    /// more such places than messages, the queue is made anew.
    fn tidy_queue(&mut self, queued_in: QueuedIn) {
        let QueuedIn::Carrier(carrier) = queued_in else { return };
        let carrier = usize::from(carrier);
        if self.carriers[carrier].queue.total() > 2 * self.open_messages + QUEUE_STALE_MAX {
            self.deal_again(carrier);
        }
    }

    fn cancel(&mut self, now: Now, place: usize, cancellation: &Cancellation) -> Result<(), NotCancelled> {
        let at = self.clock.read(now);
        let messages = &self.cells[place].state.messages;
        let slot = messages.find(cancellation.id).ok_or(NotCancelled::NotFound)?;
        let message = messages.at(slot);
        if !cancellation.is_about(message.account, message.recipient, message.sender) {
            return Err(NotCancelled::NotFound);
        }
        match message.state {
            State::Final(Fate::Cancelled) => Ok(()),
            State::Queued if message.has_never_left() => {
                let queued_in = self.cells[place].live(slot).queued_in;
                self.fate(at, place, slot, (Fate::Cancelled, Why::None));
                self.tidy_queue(queued_in);
                Ok(())
            }
            state => Err(NotCancelled::TooLate(state)),
        }
    }
}
