//! When which connection has something to do.
//!
//! Deadlines move on with every byte, so they are not kept here: a connection sets its timer only when its deadline is
//! *earlier* than what is set, and looks again when it goes off. A busy connection thus costs one entry every few seconds,
//! and there are never more entries than connections.

use std::collections::BTreeSet;

use wire::time::Instant;

/// The timers of one shard's connections, one for each at most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(Instant, u64)>,
}

impl Timers {
    /// Sets a connection's timer, which was set for `earlier` (or for [`Instant::FAR_FUTURE`], which is not at all).
    pub(super) fn arm(&mut self, connection: u64, earlier: Instant, at: Instant) {
        self.disarm(connection, earlier);
        if at < Instant::FAR_FUTURE {
            self.set.insert((at, connection));
        }
    }

    /// Takes a connection's timer away.
    pub(super) fn disarm(&mut self, connection: u64, at: Instant) {
        let was_set = self.set.remove(&(at, connection));
        assert_eq!(was_set, at < Instant::FAR_FUTURE, "a connection knows what its timer is set for");
    }

    /// The next to go off.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// One that has gone off.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u64> {
        if self.next().is_none_or(|at| at > now) {
            return None;
        }
        self.set.pop_first().map(|(_, connection)| connection)
    }
}
