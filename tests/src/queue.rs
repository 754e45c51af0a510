//! What will happen, by time. Of two things at the same time a draw decides which comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::dice::Dice;
use crate::event::Event;

/// The priority queue of a world.
#[derive(Debug)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Due>>,
    count: u64,
    ties: Dice,
}

#[derive(Debug)]
struct Due {
    key: (u64, u64, u64),
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl Queue {
    pub(crate) fn new(ties: Dice) -> Self {
        Self { heap: BinaryHeap::new(), count: 0, ties }
    }

    /// Lets something happen at a virtual time, in nanoseconds.
    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.count += 1;
        let key = (time, self.ties.next(), self.count);
        self.heap.push(Reverse(Due { key, event }));
    }

    /// The next thing, and when.
    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse(due)| (due.key.0, due.event))
    }
}
