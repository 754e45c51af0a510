//! The network between nodes, who is home, and states that are made anew.

use std::collections::BTreeMap;

use replication::{Bytes, Install, Message};
use shards::Rebuild;
use wire::id::Partition;
use wire::time::Now;

use super::World;
use crate::event::Event;
use crate::judge::{DRAINS, NEVER_FORGOTTEN, ONE_HOME};
use crate::node::{Input, Seat};
use crate::swarm::{MS, S};

/// How long a message takes from one node to another.
const DELAY: (u64, u64) = (MS, 80 * MS);
/// How long a partition's state takes.
const INSTALL_DELAY: (u64, u64) = (10 * MS, 3 * S);
/// How long a node is cut off at most, at a time.
const CUT_MAX: u64 = 8 * S;

/// What is between the nodes.
#[derive(Debug, Default)]
pub(super) struct Wires {
    /// When the last message from one node to another arrives: a connection keeps its order.
    busy_until: BTreeMap<(usize, usize), u64>,
    /// Until when what a node sends is lost, and what is sent to it.
    cut_out: BTreeMap<usize, u64>,
    cut_in: BTreeMap<usize, u64>,
    /// Who was home of a partition, by term.
    homes: BTreeMap<(Partition, u64), usize>,
    /// Who was home last.
    last_home: BTreeMap<Partition, usize>,
}

impl World {
    /// A node is cut off: both ways, or one.
    pub(super) fn cut(&mut self, node: usize) {
        let until = self.now + self.dice.faults.within((50 * MS, CUT_MAX));
        self.excuse += until - self.now;
        let which = self.dice.faults.below(3);
        if which != 0 {
            self.wires.cut_out.insert(node, until);
        }
        if which != 1 {
            self.wires.cut_in.insert(node, until);
        }
    }

    /// Nodes reach each other again.
    pub(super) fn heal_wires(&mut self) {
        self.wires.cut_in.clear();
        self.wires.cut_out.clear();
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        let until = |cuts: &BTreeMap<usize, u64>, node| cuts.get(&node).copied().unwrap_or(0);
        until(&self.wires.cut_out, from) > self.now || until(&self.wires.cut_in, to) > self.now
    }

    /// What a core has for its peers, and whether it is home.
    pub(super) fn talk_to_peers(&mut self, core: Seat) {
        if self.nodes.len() == 1 {
            return;
        }
        while let Some((partition, message)) = self.nodes[core.node].cores[core.core].brain.poll_peer() {
            self.post(core.node, partition, &message);
        }
        while let Some((partition, install)) = self.nodes[core.node].cores[core.core].brain.poll_install() {
            let to = usize::try_from(install.to.0 - 1).expect("few nodes");
            let at = self.now + self.dice.net.within(INSTALL_DELAY);
            let event = Event::Install { from: core.node, to, partition, install: Box::new(install) };
            self.queue.at(at, event);
        }
        self.look_at_homes(core);
        while let Some(rebuild) = self.nodes[core.node].cores[core.core].brain.poll_rebuild() {
            self.rebuild(core, rebuild);
        }
    }

    /// A message goes out as its frame.
    fn post(&mut self, from: usize, partition: Partition, message: &Message) {
        let to = usize::try_from(message.to().0 - 1).expect("few nodes");
        let delay = self.dice.net.within(DELAY);
        let busy = self.wires.busy_until.entry((from, to)).or_default();
        let at = (self.now + delay).max(*busy + 1);
        *busy = at;
        let mut frame = Vec::new();
        message.encode(partition, &mut frame);
        self.hash.bytes(&frame);
        self.queue.at(at, Event::Peer { from, to, frame: frame.into() });
    }

    pub(super) fn peer_arrives(&mut self, from: usize, to: usize, frame: &Bytes) {
        if self.is_cut(from, to) || !self.nodes[to].is_up() {
            return;
        }
        self.sights.peer_messages += 1;
        let (partition, message) = Message::decode(frame).expect("a frame arrives as it was sent");
        let core = Seat { node: to, core: self.nodes[to].core_of(partition) };
        self.give(core, Input::Peer(partition, message));
    }

    pub(super) fn install_arrives(
        &mut self,
        from: usize,
        to: usize,
        partition: Partition,
        install: Box<Install>,
    ) {
        if self.is_cut(from, to) || !self.nodes[to].is_up() {
            return;
        }
        let core = Seat { node: to, core: self.nodes[to].core_of(partition) };
        self.give(core, Input::Install(partition, install));
    }

    pub(super) fn install(&mut self, core: Seat, partition: Partition, install: Install) {
        match self.nodes[core.node].cores[core.core].brain.handle_install(partition, install) {
            Ok(is_taken) => self.sights.installed += u64::from(is_taken),
            Err(error) => {
                let what = format!("partition {} cannot be taken from another node: {error}", partition.0);
                self.judge.fail(self.now, NEVER_FORGOTTEN, what);
            }
        }
    }

    /// Promise 5: at most one node decides for a partition in a term.
    fn look_at_homes(&mut self, core: Seat) {
        for partition in (0..self.swarm.plan.partitions.count()).map(Partition) {
            if self.nodes[core.node].core_of(partition) != core.core {
                continue;
            }
            let brain = &self.nodes[core.node].cores[core.core].brain;
            let Some(term) = brain.decides_in(partition) else { continue };
            let home = *self.wires.homes.entry((partition, term)).or_insert(core.node);
            if home != core.node {
                let what = format!(
                    "nodes {home} and {} decide for partition {} in term {term}",
                    core.node, partition.0
                );
                self.judge.fail(self.now, ONE_HOME, what);
            }
            let before = self.wires.last_home.insert(partition, core.node);
            self.sights.taken_over += u64::from(before.is_some_and(|before| before != core.node));
        }
    }

    /// The node that decides for a partition; of several that think so, the one of the latest term.
    pub(super) fn home_of(&self, partition: Partition) -> Option<usize> {
        let terms = self.nodes.iter().enumerate().filter_map(|(number, node)| {
            let core = node.cores.get(node.core_of(partition))?;
            Some((core.brain.decides_in(partition)?, number))
        });
        terms.max().map(|(_, node)| node)
    }

    /// A state is made anew from what is on disk, which takes its time.
    fn rebuild(&mut self, core: Seat, mut rebuild: Rebuild) {
        self.sights.rebuilt += 1;
        let node = &self.nodes[core.node];
        if let Err(what) =
            crate::recover::remake(&node.disks[core.core], &node.plan, core.shard(), &mut rebuild)
        {
            let what = format!("partition {} cannot be made anew: {what}", rebuild.partition().0);
            return self.judge.fail(self.now, NEVER_FORGOTTEN, what);
        }
        let took = self.dice.disk.skewed((MS, 500 * MS));
        let event = Event::Rebuilt { life: node.life, core, rebuild: Box::new(rebuild) };
        self.queue.at(self.now + took, event);
    }

    pub(super) fn rebuilt(&mut self, core: Seat, now: Now, rebuild: Rebuild) {
        let partition = rebuild.partition();
        let brain = &mut self.nodes[core.node].cores[core.core].brain;
        if let Err(error) = brain.handle_rebuilt(now, rebuild) {
            let what = format!("partition {} is not what it was: {error}", partition.0);
            self.judge.fail(self.now, NEVER_FORGOTTEN, what);
        }
    }

    /// Promise 9: all replicas of a partition hold the same.
    pub(super) fn replicas_agree(&self) -> bool {
        self.where_replicas_differ().is_none()
    }

    fn where_replicas_differ(&self) -> Option<Partition> {
        let partitions = (0..self.swarm.plan.partitions.count()).map(Partition);
        let digest = |node: &crate::node::Node, partition: Partition| {
            let place = usize::from(partition.0 / node.plan.shards);
            node.cores.get(node.core_of(partition)).map(|core| core.brain.state_digests()[place])
        };
        let differs = |partition: &Partition| {
            let mut digests = self.nodes.iter().map(|node| digest(node, *partition));
            let first = digests.next();
            digests.any(|other| Some(other) != first)
        };
        if self.nodes.len() == 1 { None } else { partitions.into_iter().find(differs) }
    }

    pub(super) fn tell_where_replicas_differ(&mut self) {
        if let Some(partition) = self.where_replicas_differ() {
            let of = |node: &crate::node::Node| {
                let core = node.cores.get(node.core_of(partition))?;
                Some(core.brain.replica_of(partition))
            };
            let replicas: Vec<_> = self.nodes.iter().map(of).collect();
            let what = format!("the replicas of partition {} differ: {replicas:?}", partition.0);
            self.judge.fail(self.now, DRAINS, what);
        }
    }
}
