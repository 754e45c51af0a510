//! What waits for one carrier: a queue for each class, the urgent first, and a small share for the others; within a class
//! the accounts take turns.
//!
//! ```text
//!   class    otp            ▶ turn of accounts: [ acme 3 | beta 1 ]     each account's messages in their order
//!            transactional  ▶ …
//! ```
//!
//! Turns are by deficit round robin (Shreedhar and Varghese, 1995), counted in segments: an account whose turn comes may send
//! [`QUANTUM_SEGMENTS`] more, and what it does not use in a turn that ends for want of credit it keeps for the next. So an
//! account with a long queue does not delay one with a short queue, and long messages count as what they cost. An account that
//! comes with nothing waiting goes before the turns of the others, once (as new flows in RFC 8290 §4.2): who sends less than its
//! share does not wait for those who send more.

use std::collections::VecDeque;

use wire::id::Class;

use crate::limits::{LEAST_URGENT_EVERY, QUANTUM_SEGMENTS};
use crate::state::messages::SlotRef;

/// A message that waits, wherever it lives on this shard. It may have stopped waiting since: whoever takes it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) cell: u16,
    pub(crate) slot: SlotRef,
    /// Whose it is, by the account's place in the plan; one more than there are for accounts that are not in it.
    pub(crate) account: u16,
    /// What it costs of its account's turn.
    pub(crate) segments: u8,
}

/// The messages that wait for one carrier on this shard.
#[derive(Debug, Default)]
pub(crate) struct CarrierQueue {
    classes: [ClassQueue; 4],
    picks: u32,
}

/// The messages of one class.
#[derive(Debug, Default)]
struct ClassQueue {
    /// By the account's place.
    accounts: Vec<AccountQueue>,
    /// Accounts that had nothing to send until now; they go first, once.
    fresh: VecDeque<u16>,
    /// The others; the first has its turn.
    turns: VecDeque<u16>,
    len: usize,
}

/// The messages of one account in one class.
#[derive(Debug, Default)]
struct AccountQueue {
    waiting: VecDeque<Waiting>,
    /// Segments that it may still send in this turn.
    credit: u32,
    /// Whether it is fresh or has its turns. Also for one round after its last message, so that whoever sends one message at a
    /// time is not fresh each time.
    is_listed: bool,
}

impl ClassQueue {
    fn account(&mut self, place: u16) -> &mut AccountQueue {
        let place = usize::from(place);
        if place >= self.accounts.len() {
            self.accounts.resize_with(place + 1, AccountQueue::default);
        }
        &mut self.accounts[place]
    }

    fn push(&mut self, waiting: Waiting) {
        let account = self.account(waiting.account);
        account.waiting.push_back(waiting);
        if !core::mem::replace(&mut account.is_listed, true) {
            account.credit = QUANTUM_SEGMENTS;
            self.fresh.push_back(waiting.account);
        }
        self.len += 1;
    }

    /// It goes on with its turn, as if it had not been taken.
    fn push_front(&mut self, waiting: Waiting) {
        let account = self.account(waiting.account);
        account.credit += u32::from(waiting.segments);
        account.waiting.push_front(waiting);
        if !core::mem::replace(&mut account.is_listed, true) {
            self.fresh.push_front(waiting.account);
        }
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Waiting> {
        while self.len > 0 {
            let is_fresh = !self.fresh.is_empty();
            let list = if is_fresh { &mut self.fresh } else { &mut self.turns };
            let turn = *list.front().expect("an account is listed while something waits");
            let account = &mut self.accounts[usize::from(turn)];
            match account.waiting.front().copied() {
                Some(next) if account.credit >= u32::from(next.segments) => {
                    account.credit -= u32::from(next.segments);
                    account.waiting.pop_front();
                    self.len -= 1;
                    return Some(next);
                }
                // What is saved up is for messages that wait, not for later.
                None if !is_fresh => {
                    self.turns.pop_front();
                    (account.credit, account.is_listed) = (0, false);
                }
                waits => {
                    account.credit = if waits.is_some() { account.credit + QUANTUM_SEGMENTS } else { 0 };
                    list.pop_front();
                    self.turns.push_back(turn);
                }
            }
        }
        None
    }

    fn drain(&mut self) -> impl Iterator<Item = Waiting> {
        self.fresh.clear();
        self.turns.clear();
        self.len = 0;
        self.accounts.iter_mut().flat_map(|account| {
            (account.credit, account.is_listed) = (0, false);
            account.waiting.drain(..)
        })
    }
}

impl CarrierQueue {
    pub(crate) fn push(&mut self, class: Class, waiting: Waiting) {
        self.classes[class.index()].push(waiting);
    }

    /// Puts a message back that was taken and cannot go yet.
    pub(crate) fn push_front(&mut self, class: Class, waiting: Waiting) {
        self.classes[class.index()].push_front(waiting);
    }

    /// Takes the next message: of the most urgent class that waits, but every sixteenth time of the least urgent.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        self.picks = self.picks.wrapping_add(1);
        if self.picks.is_multiple_of(LEAST_URGENT_EVERY) {
            self.classes.iter_mut().rev().find_map(ClassQueue::pop)
        } else {
            self.classes.iter_mut().find_map(ClassQueue::pop)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.len == 0)
    }

    /// How many wait in a class, counting those that have stopped waiting.
    pub(crate) fn len(&self, class: Class) -> usize {
        self.classes[class.index()].len
    }

    /// How many wait in all classes, counting those that have stopped waiting.
    pub(crate) fn total(&self) -> usize {
        self.classes.iter().map(|class| class.len).sum()
    }

    /// What waits in a class: of each account the next first, with those that have stopped waiting.
    pub(crate) fn accounts(&self, class: Class) -> impl Iterator<Item = &VecDeque<Waiting>> {
        self.classes[class.index()].accounts.iter().map(|account| &account.waiting)
    }

    /// Takes all that waits, in the order of classes.
    pub(crate) fn drain(&mut self) -> Vec<Waiting> {
        self.classes.iter_mut().flat_map(ClassQueue::drain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(account: u16, slot: u32, segments: u8) -> Waiting {
        Waiting { cell: 0, slot: SlotRef { slot, stamp: 0 }, account, segments }
    }

    #[test]
    fn the_urgent_go_first_and_the_others_have_their_share() {
        let mut queue = CarrierQueue::default();
        for number in 0..64_u32 {
            queue.push(Class::Otp, waiting(1, number, 1));
            queue.push(Class::Marketing, waiting(4, number, 1));
        }
        let first: Vec<_> = (0..64).map(|_| queue.pop().unwrap().account).collect();
        assert_eq!(first.iter().filter(|&&account| account == 4).count(), 4);
        assert_eq!(first[..15], [1; 15]);
        assert_eq!(queue.drain().len(), 64);
        assert!(queue.is_empty() && queue.pop().is_none());
    }

    #[test]
    fn accounts_share_by_segments_and_each_keeps_its_order() {
        let mut queue = CarrierQueue::default();
        // One that has a thousand of three segments each, and two with few of one.
        (0..1_000).for_each(|slot| queue.push(Class::Otp, waiting(0, slot, 3)));
        (0..300).for_each(|slot| queue.push(Class::Otp, waiting(1, slot, 1)));
        (0..300).for_each(|slot| queue.push(Class::Otp, waiting(2, slot, 1)));
        let (mut sent, mut last) = ([0_u32; 3], [None; 3]);
        for _ in 0..400 {
            let next = queue.pop().unwrap();
            let account = usize::from(next.account);
            sent[account] += u32::from(next.segments);
            assert!(last[account] < Some(next.slot.slot), "an account's messages keep their order");
            last[account] = Some(next.slot.slot);
        }
        let [noisy, first, second] = sent;
        assert!(first.abs_diff(second) <= QUANTUM_SEGMENTS, "{sent:?}");
        assert!(noisy.abs_diff(first) <= QUANTUM_SEGMENTS + 3, "{sent:?}");
    }

    #[test]
    fn who_sends_less_than_its_share_does_not_wait_for_who_sends_more() {
        let mut queue = CarrierQueue::default();
        (0..1_000).for_each(|slot| queue.push(Class::Otp, waiting(0, slot, 1)));
        let mut waits = Vec::new();
        for slot in 0..20 {
            // Now and then one comes, far less often than there is a turn.
            (0..2 * QUANTUM_SEGMENTS).for_each(|_| assert_eq!(queue.pop().unwrap().account, 0));
            queue.push(Class::Otp, waiting(1, slot, 1));
            waits.push((0..100).position(|_| queue.pop().unwrap().account == 1).unwrap());
        }
        assert_eq!(waits, [0; 20]);
    }

    #[test]
    fn who_always_has_one_message_is_not_always_fresh() {
        let mut queue = CarrierQueue::default();
        (0..1_000).for_each(|slot| queue.push(Class::Otp, waiting(0, slot, 1)));
        queue.push(Class::Otp, waiting(1, 0, 1));
        let mut sent = [0_u32; 2];
        for slot in 1..=400 {
            let next = queue.pop().unwrap();
            sent[usize::from(next.account)] += 1;
            if next.account == 1 {
                queue.push(Class::Otp, waiting(1, slot, 1));
            }
        }
        let [noisy, other] = sent;
        assert!(noisy.abs_diff(other) <= 2 * QUANTUM_SEGMENTS, "{sent:?}");
    }

    #[test]
    fn what_is_put_back_goes_next_and_costs_its_account_nothing() {
        let mut queue = CarrierQueue::default();
        queue.push(Class::Otp, waiting(0, 1, 5));
        queue.push(Class::Otp, waiting(1, 2, 1));
        let taken = queue.pop().unwrap();
        queue.push_front(Class::Otp, taken);
        assert_eq!(queue.pop(), Some(taken));
        assert_eq!(queue.len(Class::Otp), 1);
    }
}
