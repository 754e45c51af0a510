//! Another plan takes the place of the one in force, while messages and sessions go on.
//!
//! What is counted by place stays as it is: partitions, carriers and their links. Accounts, classes and routes may be
//! others. A message that waits is dealt again, since its route may name other carriers now; what is in flight is not
//! touched, since a carrier that has it answers for it.

use std::sync::Arc;

use wire::time::Now;

use super::{Phase, Shard};
use crate::api::State;
use crate::plan::Plan;

impl Shard {
    /// Works by another plan from now on.
    ///
    /// # Panics
    /// When it has other carriers, partitions or shards, or another node: those need a start.
    pub fn handle_plan(&mut self, now: Now, plan: Arc<Plan>) {
        let same_place = (plan.node, plan.shards, plan.partitions);
        assert!(
            same_place == (self.plan.node, self.plan.shards, self.plan.partitions),
            "another plan is for the same shards"
        );
        assert!(plan.carriers == self.plan.carriers, "another plan has the same carriers in the same places");
        self.clock.read(now);
        self.accounts.replace(&plan, now.mono);
        // What waits is queued by its account's place as well.
        let is_other = plan.routes.all() != self.plan.routes.all() || plan.accounts != self.plan.accounts;
        self.plan = plan;
        if is_other && self.phase == Phase::Running {
            self.deal_all_again();
        }
    }

    /// Puts all that waits into the queues where it belongs by the routes in force.
    fn deal_all_again(&mut self) {
        // Who refused a message is remembered by places in its route, which mean others now.
        self.cells.iter_mut().for_each(super::Cell::forget_refusals);
        for carrier in 0..self.carriers.len() {
            self.deal_again(carrier);
        }
        for waiting in core::mem::take(&mut self.unrouted) {
            let place = usize::from(waiting.cell);
            let message = self.cells[place].state.messages.resolve(waiting.slot);
            if message.is_some_and(|message| message.state == State::Queued) {
                self.enqueue(place, waiting.slot.slot);
            }
        }
    }
}
