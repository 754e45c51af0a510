//! Operators: nodes join, are drained, are removed, lose their disks.

use shards::api::Origin;
use shards::members::{Act, NotDone};
use wire::id::NodeId;

use super::World;
use crate::disk::Crash;
use crate::event::Event;
use crate::node::{Seat, Standing};

/// What the operators are about.
#[derive(Debug, Default)]
pub(super) struct Operator {
    /// What was begun and not answered for.
    doing: Option<Act>,
    /// A node went, or lost its disks: no other does.
    has_lost_one: bool,
}

impl World {
    /// The nodes that belong to the cluster.
    pub(super) fn members_there(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&node| self.nodes[node].standing == Standing::There).collect()
    }

    /// Those of them that are up.
    pub(super) fn members_up(&self) -> Vec<usize> {
        self.members_there().into_iter().filter(|&node| self.nodes[node].is_up()).collect()
    }

    /// Whether a node's process may start: one whose disks were lost does, too, until all is to heal.
    pub(super) fn may_start(&self, node: usize) -> bool {
        match self.nodes[node].standing {
            Standing::There => true,
            Standing::Lost => !self.is_healed(),
            // Its operators wait until the others do without it.
            Standing::Gone => self.is_needed(node),
            Standing::Absent => false,
        }
    }

    pub(super) const fn is_operating(&self) -> bool {
        self.operator.doing.is_some()
    }

    /// The operators do something about the members; what was begun comes first.
    pub(super) fn operate(&mut self) {
        if self.is_operating() {
            return self.repeat_act();
        }
        if let Some(act) = self.removal_of_lost() {
            // Nobody is at the machine at once.
            if self.dice.faults.chance(400) {
                self.operator.doing = Some(act);
                self.repeat_act();
            }
            return;
        }
        let there = self.members_there();
        let node = there[self.dice.faults.index(there.len())];
        let number = self.nodes[node].plan.node;
        let late = (0..self.nodes.len()).find(|&node| self.nodes[node].standing == Standing::Absent);
        let may_lose = there.len() >= 3 && !self.operator.has_lost_one;
        let may_lose_disks = may_lose && self.all_vote() && self.all_know(number);
        let act = match self.dice.faults.below(6) {
            1..=4 if may_lose_disks => return self.lose_disks(node),
            2 | 3 if late.is_some() => Act::Join {
                region: "late".into(),
                address: format!("node-{}", late.unwrap_or(0)),
                tls_name: String::new(),
                votes_only: self.dice.faults.chance(200),
            },
            0 => Act::Drain(number),
            1 => Act::Return(number),
            4 if may_lose => {
                self.operator.has_lost_one = true;
                Act::Remove(number)
            }
            _ => return,
        };
        self.operator.doing = Some(act);
        self.repeat_act();
    }

    fn lose_disks(&mut self, node: usize) {
        self.operator.has_lost_one = true;
        self.die(node, Crash::Power);
        self.nodes[node].lose_disks();
    }

    /// What is to be done about a node that has lost its disks.
    fn removal_of_lost(&self) -> Option<Act> {
        let lost = self.nodes.iter().find(|node| node.standing == Standing::Lost)?;
        Some(Act::Remove(lost.plan.node))
    }

    /// Whether a node is still a member of some partition's group, as any other node knows it.
    fn is_needed(&self, node: usize) -> bool {
        let number = self.nodes[node].plan.node;
        let others = self.members_up().into_iter().filter(|&other| other != node);
        let mut groups =
            others.flat_map(|other| &self.nodes[other].cores).flat_map(|core| core.brain.groups());
        groups.any(|(members, _)| members.contains(number))
    }

    /// Whether all members vote in all partitions, as all of them know.
    fn all_vote(&self) -> bool {
        let numbers: Vec<_> = self.members_there().iter().map(|&node| self.nodes[node].plan.node).collect();
        let cores = || self.members_up().into_iter().flat_map(|node| &self.nodes[node].cores);
        cores().flat_map(|core| core.brain.groups()).all(|(members, _)| members.voters == numbers)
    }

    /// A node that was removed is switched off when nobody needs it any more.
    pub(super) fn switch_off(&mut self, node: usize) {
        if self.nodes[node].standing == Standing::Gone && self.is_needed(node) {
            return self.queue.at(self.now + crate::swarm::S, Event::SwitchOff { node });
        }
        self.die(node, Crash::Process);
    }

    /// Whether all members are up, and know the data directory of one.
    fn all_know(&self, node: NodeId) -> bool {
        let knows =
            |core: &crate::node::Core| core.brain.members().find(node).is_some_and(|row| row.directory != 0);
        self.members_there() == self.members_up()
            && self.members_up().iter().all(|&member| self.nodes[member].cores.iter().all(knows))
    }

    /// Says again, to whichever node is up, what was not answered for.
    pub(super) fn repeat_act(&mut self) {
        let up = self.members_up();
        let Some(act) = self.operator.doing.clone().filter(|_| !up.is_empty()) else { return };
        let node = up[self.dice.faults.index(up.len())];
        let core = Seat { node, core: self.dice.faults.index(self.nodes[node].cores.len()) };
        let now = self.nodes[node].clock.read(self.now);
        let origin = Origin { shard: core.shard(), connection: u64::MAX, request: self.now };
        self.nodes[node].cores[core.core].brain.handle_act(now, origin, act);
        self.wake(core, self.now);
    }

    /// What came of an operator's act.
    pub(super) fn act_done(&mut self, outcome: Result<NodeId, NotDone>) {
        let Ok(node) = outcome else { return };
        let place = usize::try_from(node.0 - 1).expect("few nodes");
        match self.operator.doing.take() {
            Some(Act::Join { .. }) if self.nodes[place].standing == Standing::Absent => {
                self.sights.came_and_went += 1;
                self.nodes[place].standing = Standing::There;
                let comes = self.now + self.dice.faults.within((0, 2 * crate::swarm::S));
                self.queue.at(comes, Event::Start { node: place });
            }
            Some(Act::Remove(removed)) if removed == node => {
                self.sights.came_and_went += 1;
                self.nodes[place].standing = Standing::Gone;
                self.lose_customers();
                // Some are switched off at once, others are forgotten and go on.
                if self.is_healed() || self.dice.faults.chance(500) {
                    self.queue.at(self.now, Event::SwitchOff { node: place });
                }
            }
            Some(Act::Drain(drained) | Act::Return(drained)) if drained == node => {}
            // The answer to something before.
            other => self.operator.doing = other,
        }
    }

    /// Whether a node that was removed runs, since others need it.
    pub(super) fn is_somebody_going(&self) -> bool {
        self.nodes.iter().any(|node| node.standing == Standing::Gone && node.is_up())
    }

    /// Who does not belong to the cluster is switched off.
    pub(super) fn heal_members(&mut self) {
        if !self.is_operating() {
            self.operator.doing = self.removal_of_lost();
        }
        for node in 0..self.nodes.len() {
            if matches!(self.nodes[node].standing, Standing::Lost | Standing::Gone) {
                self.switch_off(node);
            }
        }
    }
}
