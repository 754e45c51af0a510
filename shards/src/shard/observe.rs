//! What a shard shows of itself.

use wire::id::Class;

use super::{CarrierState, Shard};
use crate::counters::Counters;

impl Shard {
    /// The shard's numbers, those that go up and down as they are now.
    pub fn observe(&mut self) -> &Counters {
        let waiting = |carrier: &CarrierState, class| {
            (carrier.queue.len(class) + self.returning(carrier, class).count()) as u64
        };
        let queued = |class| self.carriers.iter().map(|carrier| waiting(carrier, class)).sum::<u64>();
        let [otp, transactional, notification, marketing] = Class::ALL.map(queued);
        let sum = |of: fn(&super::Cell) -> usize| self.cells.iter().map(|cell| of(cell) as u64).sum::<u64>();
        let (kept, keys, parked) = (
            sum(|cell| cell.state.messages.len()),
            sum(|cell| cell.state.keys.count()),
            sum(|cell| cell.state.parked.len()),
        );
        self.counters.handset_waiting = sum(|cell| cell.state.handsets.waiting_len());
        self.counters.handset_parts_waiting = sum(|cell| cell.state.handsets.parts_len());
        let (mut homes, mut homeless) = (0, 0);
        for view in self.home_views().filter(|view| !view.is_system) {
            homes += u64::from(view.home == Some(self.plan.node));
            homeless += u64::from(view.home.is_none());
        }
        self.counters.homes = homes;
        self.counters.homeless = homeless;
        self.counters.queued_otp = otp;
        self.counters.queued_transactional = transactional;
        self.counters.queued_notification = notification;
        self.counters.queued_marketing = marketing;
        self.counters.kept_messages = kept;
        self.counters.keys = keys;
        self.counters.parked = parked;
        self.counters.gathered_bytes = self.gathered_bytes() as u64;
        self.counters.open_messages = self.open_messages as u64;
        self.counters.links = self.links.len() as u64;
        self.counters.links_up = self.links.iter().filter(|link| link.is_up).count() as u64;
        self.counters.clock_jumps = self.clock.jumps();
        &self.counters
    }

    /// Messages that are not over.
    #[must_use]
    pub const fn open_messages(&self) -> u64 {
        self.open_messages as u64
    }

    /// A number for each partition of the shard, in their order, that two shards share only when they hold the same
    /// state: what replaying a log must give again.
    #[must_use]
    pub fn state_digests(&self) -> Vec<u64> {
        self.cells.iter().map(|cell| cell.state.digest()).collect()
    }
}
