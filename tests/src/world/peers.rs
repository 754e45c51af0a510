//! What nodes say to each other, who is home, and states that are made anew.

use replication::Install;
use replication::stream::{Event as Heard, Hello};
use shards::Rebuild;
use wire::id::Partition;
use wire::time::Now;

use super::World;
use crate::event::Event;
use crate::judge::{DECENCY, DRAINS, NEVER_FORGOTTEN, ONE_HOME};
use crate::node::{Core, Seat, Standing};
use crate::swarm::MS;

impl World {
    /// What the peers of a core have said.
    pub(super) fn hear_peers(&mut self, core: Seat, now: Now) {
        if self.nodes.len() == 1 {
            return;
        }
        let Core { peers, brain, .. } = &mut self.nodes[core.node].cores[core.core];
        if let Some(rows) = brain.poll_members() {
            peers.set_members(now.mono, rows);
        }
        if peers.timeout().is_some_and(|due| due <= now.mono) {
            peers.handle_timeout(now.mono);
        }
        while let Some(event) = self.nodes[core.node].cores[core.core].peers.poll_event() {
            let brain = &mut self.nodes[core.node].cores[core.core].brain;
            match event {
                Heard::Message(partition, message) => {
                    self.sights.peer_messages += 1;
                    brain.handle_peer(now, partition, message);
                }
                Heard::Install(partition, install) => self.install(core, partition, install),
                Heard::Up(hello) => {
                    brain.handle_peer_up(&hello);
                    self.judge_peer(core, &hello);
                }
                Heard::Down(hello) => brain.handle_peer_down(&hello),
                Heard::Word(from, word) => {
                    self.sights.words += 1;
                    brain.handle_word(now, &from, &word);
                }
                // Who comes is a stranger until all know of it, and who went is told so.
                Heard::Trouble { .. } if self.swarm.members_change() => {}
                Heard::Trouble { node, what } => {
                    let what = format!("shard {core:?} has trouble with node {node:?}: {what}");
                    self.judge.fail(self.now, DECENCY, what);
                }
            }
        }
    }

    /// What a core has for its peers, and whether it is home.
    pub(super) fn talk_to_peers(&mut self, core: Seat, now: Now) {
        if self.nodes.len() == 1 {
            return;
        }
        let state = &mut self.nodes[core.node].cores[core.core];
        state.peers.set_room(state.brain.has_room_for_entries());
        while let Some((partition, message)) = state.brain.poll_peer() {
            let to = message.to();
            if !state.peers.push_message(partition, message) {
                state.brain.handle_unreachable(partition, to);
            }
        }
        while let Some((node, partition, word)) = state.brain.poll_word() {
            // One that finds no way is asked again.
            state.peers.push_word(node, partition, word);
        }
        while let Some((partition, install)) = state.brain.poll_install() {
            // One that finds no way is asked for again.
            state.peers.push_install(partition, install);
        }
        self.serve_wires(core, now);
        self.look_at_homes(core);
        while let Some(rebuild) = self.nodes[core.node].cores[core.core].brain.poll_rebuild() {
            self.rebuild(core, rebuild);
        }
    }

    /// Nobody believes a node that has lost what it had promised.
    fn judge_peer(&mut self, core: Seat, hello: &Hello) {
        let node = usize::try_from(hello.node.0 - 1).expect("few nodes");
        let is_lost = |node: usize| self.nodes[node].standing == Standing::Lost;
        if is_lost(node) && !is_lost(core.node) {
            let what = format!("shard {core:?} speaks with node {}, whose disk was lost", hello.node.0);
            self.judge.fail(self.now, NEVER_FORGOTTEN, what);
        }
    }

    fn install(&mut self, core: Seat, partition: Partition, install: Install) {
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
        for partition in (0..=self.swarm.plan.partitions.count()).map(Partition) {
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
        let partitions = (0..=self.swarm.plan.partitions.count()).map(Partition);
        let digest = |node: &crate::node::Node, partition: Partition| {
            let place = usize::from(partition.0 / node.plan.shards);
            node.cores.get(node.core_of(partition)).map(|core| core.brain.state_digests()[place])
        };
        let differs = |partition: &Partition| {
            let there = self.nodes.iter().filter(|node| node.standing == Standing::There);
            let mut digests = there.map(|node| digest(node, *partition));
            let first = digests.next();
            digests.any(|other| Some(other) != first)
        };
        if self.nodes.len() == 1 { None } else { partitions.into_iter().find(differs) }
    }

    /// What each node has of a partition, in words.
    pub(super) fn replicas_of(&self, partition: Partition) -> Vec<Option<String>> {
        let of = |node: &crate::node::Node| {
            let core = node.cores.get(node.core_of(partition))?;
            Some(core.brain.replica_of(partition))
        };
        self.nodes.iter().map(of).collect()
    }

    pub(super) fn tell_where_replicas_differ(&mut self) {
        if let Some(partition) = self.where_replicas_differ() {
            let replicas = self.replicas_of(partition);
            let what = format!("the replicas of partition {} differ: {replicas:?}", partition.0);
            self.judge.fail(self.now, DRAINS, what);
        }
    }
}
