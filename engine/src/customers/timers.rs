//! When which connection has something to do.
//!
//! Deadlines move on with every byte, so they are not kept here: a connection sets its timer only when its deadline is
//! *earlier* than what is set, and looks again when it goes off. A busy connection thus costs one entry every few seconds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use wire::time::Instant;

/// The timers of one shard's connections.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Timers {
    /// Sets a timer. An earlier one of the same connection stays; whoever pops it sees that it is not the one that counts.
    pub(super) fn arm(&mut self, at: Instant, connection: u64) {
        self.heap.push(Reverse((at, connection)));
    }

    /// The next to go off.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// One that has gone off.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, u64)> {
        if self.next().is_none_or(|at| at > now) {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
