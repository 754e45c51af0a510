//! Parts of a text stay together: what a carrier refused for now of it goes by the connection by which the rest went, as long as that
//! is in order.

use shards::api::StepKind;

use super::World;
use crate::judge::DECENCY;
use crate::node::Seat;
use crate::parcel::Parcel;

impl World {
    /// A part came to a carrier, which may have taken others of its text by another connection.
    pub(super) fn part_came(&mut self, conn: usize, parcel: Parcel) {
        let taken_on = &self.carriers[self.conns[conn].carrier].taken_on;
        let Some(&before) = taken_on.get(&parcel.nonce).filter(|&&before| before != conn) else { return };
        if self.is_in_order(before) && self.was_only_refused(parcel, [before, conn]) {
            let what = format!(
                "part {} of intent {} came by another connection than others of it, which is in order",
                parcel.part, parcel.nonce
            );
            self.judge.fail(self.now, DECENCY, what);
        }
    }

    /// Whether both ends could go on by a connection.
    fn is_in_order(&self, conn: usize) -> bool {
        let conn = &self.conns[conn];
        let is_there =
            conn.node_has_it && conn.carrier_has_it && conn.life == self.nodes[conn.core.node].life;
        is_there && !conn.dead && !conn.closing && conn.session.is_open()
    }

    /// Whether a text went by links of its own core to one carrier alone, and nothing happened to it but that parts were
    /// refused for now. Whatever was in doubt, withdrawn or lent goes where there is room, and a home that was away does not know any more by which
    /// it went.
    fn was_only_refused(&self, parcel: Parcel, conns: [usize; 2]) -> bool {
        let plan = &self.swarm.plan;
        let node = &self.nodes[self.conns[conns[0]].core.node];
        let partition = plan.partitions.partition_of(parcel.recipient);
        let owner = Seat { node: self.conns[conns[0]].core.node, core: node.core_of(partition) };
        let is_own = conns.iter().all(|&conn| self.conns[conn].core == owner);
        let terms = self.wires.homes.range((partition, 0)..=(partition, u64::MAX)).count();
        let id = self.judge.intent(parcel.nonce).acked.filter(|_| is_own && terms <= 1);
        let view = id.and_then(|id| node.cores.get(owner.core)?.brain.message_view(id));
        let Some((_, view)) = view else { return false };
        let carrier = plan.carriers[self.conns[conns[1]].carrier].id;
        view.trace.iter().all(|step| match step.kind {
            StepKind::Accepted | StepKind::Reported => true,
            StepKind::Attempted | StepKind::Sent | StepKind::RefusedForNow => {
                step.carrier.is_none_or(|by| by == carrier)
            }
            _ => false,
        })
    }
}
