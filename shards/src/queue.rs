//! What waits for one carrier: a queue for each class, the urgent first, and a small share for the others.

use std::collections::VecDeque;

use wire::id::Class;

use crate::limits::LEAST_URGENT_EVERY;
use crate::state::messages::SlotRef;

/// A message that waits, wherever it lives on this shard. It may have stopped waiting since: whoever takes it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) cell: u16,
    pub(crate) slot: SlotRef,
}

/// The messages that wait for one carrier on this shard.
#[derive(Debug, Default)]
pub(crate) struct CarrierQueue {
    classes: [VecDeque<Waiting>; 4],
    picks: u32,
}

impl CarrierQueue {
    pub(crate) fn push(&mut self, class: Class, waiting: Waiting) {
        self.classes[class.index()].push_back(waiting);
    }

    /// Puts a message back that was taken and cannot go yet.
    pub(crate) fn push_front(&mut self, class: Class, waiting: Waiting) {
        self.classes[class.index()].push_front(waiting);
    }

    /// Takes the next message: of the most urgent class that waits, but every sixteenth time of the least urgent.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        self.picks = self.picks.wrapping_add(1);
        if self.picks.is_multiple_of(LEAST_URGENT_EVERY) {
            self.classes.iter_mut().rev().find_map(VecDeque::pop_front)
        } else {
            self.classes.iter_mut().find_map(VecDeque::pop_front)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }

    /// How many wait in a class, counting those that have stopped waiting.
    pub(crate) fn len(&self, class: Class) -> usize {
        self.classes[class.index()].len()
    }

    /// What waits in a class, the next first, with those that have stopped waiting.
    pub(crate) fn iter(&self, class: Class) -> impl Iterator<Item = Waiting> + '_ {
        self.classes[class.index()].iter().copied()
    }

    /// Takes all that waits, in the order of classes.
    pub(crate) fn drain(&mut self) -> Vec<Waiting> {
        self.classes.iter_mut().flat_map(|class| class.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgent_go_first_and_the_others_have_their_share() {
        let mut queue = CarrierQueue::default();
        for number in 0..64_u32 {
            let waiting = |cell| Waiting { cell, slot: SlotRef { slot: number, stamp: 0 } };
            queue.push(Class::Otp, waiting(1));
            queue.push(Class::Marketing, waiting(4));
        }
        let first: Vec<_> = (0..64).map(|_| queue.pop().unwrap().cell).collect();
        assert_eq!(first.iter().filter(|&&cell| cell == 4).count(), 4);
        assert_eq!(first[..15], [1; 15]);
        assert_eq!(queue.drain().len(), 64);
        assert!(queue.is_empty() && queue.pop().is_none());
    }
}
