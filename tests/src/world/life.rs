//! The process: it starts, dies, is asked to stop, is not scheduled; and its clock is set.

use std::sync::Arc;

use shards::plan::Plan;
use shards::routes::Routes;

use super::World;
use crate::disk::{Crash, Honesty};
use crate::event::{End, Event};
use crate::judge::chronicle::Chronicle;
use crate::judge::{DECENCY, NEVER_FORGOTTEN, REPLAYS};
use crate::node::{Input, Seat, Standing};
use crate::swarm::{MS, PAUSE_MAX, S};

/// How long a process that was asked to stop may take: the time-outs of its carriers, and what comes behind.
const DRAIN_MAX: u64 = 40 * S;

impl World {
    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].is_up() || !self.may_start(node) {
            return;
        }
        if self.nodes[node].standing == Standing::Gone {
            self.queue.at(self.now + S, Event::SwitchOff { node });
        }
        self.excuse += self.now - self.nodes[node].down_since;
        self.look_at_logs();
        let seed = self.seed ^ (node as u64) << 40;
        match self.nodes[node].start(self.now, seed) {
            Err(what) if what.starts_with("[10]") => self.judge.fail(self.now, REPLAYS, what),
            Err(what) => self.judge.fail(self.now, NEVER_FORGOTTEN, format!("the node cannot start: {what}")),
            Ok(()) => self.seats_of(node).into_iter().for_each(|core| self.wake(core, self.now)),
        }
        if self.nodes.len() > 1 {
            self.lose_customers();
            self.forget_old_wires(node);
        }
    }

    /// Compares the disks with all that was seen.
    pub(super) fn look_at_logs(&mut self) {
        match Chronicle::read(&self.nodes) {
            Ok(chronicle) => self.judge.check_chronicle(self.now, &self.swarm, &chronicle),
            Err(what) => self.judge.fail(self.now, NEVER_FORGOTTEN, format!("a log cannot be read: {what}")),
        }
    }

    /// The process of a node is gone, or its whole machine.
    pub(super) fn die(&mut self, node: usize, crash: Crash) {
        if !self.nodes[node].is_up() {
            return;
        }
        self.sights.deaths += 1;
        self.nodes[node].down_since = self.now;
        let is_alone = self.nodes.len() == 1;
        let cores = std::mem::take(&mut self.nodes[node].cores);
        for (shard, core) in cores.iter().enumerate() {
            let leaves = is_alone && core.is_quiet() && self.swarm.honesty == Honesty::Honest;
            self.nodes[node].left[shard] = leaves.then(|| core.brain.state_digests());
        }
        drop(cores);
        for disk in &mut self.nodes[node].disks {
            disk.crash(crash, &mut self.dice.disk);
        }
        for conn in 0..self.conns.len() {
            if self.conns[conn].core.node == node {
                self.orphan(conn, crash);
            }
        }
        self.orphan_wires(node, crash);
        self.lose_customers();
        let (low, high) = self.swarm.down;
        let down = if self.is_healed() { low } else { self.dice.faults.within((low, high)) };
        self.queue.at(self.now + down, Event::Start { node });
    }

    /// The process's end of a connection is gone. What the kernel had may arrive, or not.
    fn orphan(&mut self, conn: usize, crash: Crash) {
        let dice = &mut self.dice.net;
        let connection = &mut self.conns[conn];
        if !connection.node_has_it {
            return;
        }
        connection.node_has_it = false;
        connection.shell.clear();
        let kept = match crash {
            Crash::Process if dice.chance(500) => connection.to_carrier.bytes.len(),
            Crash::Process => dice.index(connection.to_carrier.bytes.len() + 1),
            Crash::Power => 0,
        };
        connection.to_carrier.bytes.truncate(kept);
        let known_after = match crash {
            Crash::Process => dice.skewed((MS, 500 * MS)),
            Crash::Power => dice.skewed((MS, 10 * S)),
        };
        self.queue.at(self.now + known_after, Event::Broken { conn, end: End::Carrier });
    }

    /// The process of a node is asked to stop.
    pub(super) fn drain(&mut self, node: usize) {
        if !self.nodes[node].is_up() || self.nodes[node].draining {
            return;
        }
        self.nodes[node].draining = true;
        for core in self.seats_of(node) {
            self.give(core, Input::Drain);
        }
        let (life, until) = (self.nodes[node].life, self.now + DRAIN_MAX);
        self.queue.at(self.now + 10 * MS, Event::DrainWatch { node, life, until });
    }

    pub(super) fn drain_watch(&mut self, node: usize, life: u32, until: u64) {
        if !self.is_alive(node, life) {
            return;
        }
        let is_over = self.nodes[node].cores.iter().all(|core| {
            core.brain.is_drained() && !core.in_flight && core.inbox.is_empty() && core.is_quiet()
        });
        if is_over {
            return self.die(node, Crash::Process);
        }
        if until <= self.now {
            if self.is_calm() {
                self.judge.fail(self.now, DECENCY, "a calm node does not stop when it is asked to".into());
            }
            return self.die(node, Crash::Process);
        }
        self.queue.at(self.now + 20 * MS, Event::DrainWatch { node, life, until });
    }

    /// A core is not scheduled for a while.
    pub(super) fn pause(&mut self, node: usize) {
        if self.nodes[node].is_up() {
            let core = self.dice.faults.index(self.nodes[node].cores.len());
            let pause = self.dice.faults.skewed((10 * MS, PAUSE_MAX));
            self.excuse += pause;
            let until = self.now + pause;
            self.nodes[node].cores[core].paused_until = until;
            self.nodes[node].cores[core].turn_at = None;
            self.wake(Seat { node, core }, until);
        }
    }

    /// The operator reads another configuration in: each route begins with its next carrier, and accounts have
    /// other places. The cores learn of it one by one.
    pub(super) fn replan(&mut self) {
        for node in 0..self.nodes.len() {
            let mut plan = Plan::clone(&self.nodes[node].plan);
            let mut routes = plan.routes.all().to_vec();
            routes.iter_mut().for_each(|route| route.carriers.rotate_left(1));
            plan.routes = Routes::new(routes);
            // The world finds accounts by their places; the shards may not care.
            let mut given = plan.clone();
            given.accounts.rotate_left(1);
            let given = Arc::new(given);
            self.nodes[node].plan = Arc::new(plan);
            for core in self.seats_of(node) {
                self.give(core, Input::Plan(Arc::clone(&given)));
            }
        }
    }

    /// Somebody sets the clock of a machine.
    pub(super) fn step_clock(&mut self, node: usize) {
        let step = i64::try_from(self.dice.faults.within((1, self.swarm.step_ms))).unwrap_or(0);
        self.nodes[node].clock.offset_ms = if self.dice.faults.chance(500) { step } else { -step };
    }

    /// The cores of a node's process, if there is one.
    pub(super) fn seats_of(&self, node: usize) -> Vec<Seat> {
        (0..self.nodes[node].cores.len()).map(|core| Seat { node, core }).collect()
    }
}
