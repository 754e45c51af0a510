//! TCP between nodes: dialling, bytes that arrive split and late, cuts, and how connections end.

use std::collections::BTreeMap;

use replication::limits::{DIAL_AGAIN_MAX, SILENCE_MAX};
use replication::stream::{LineAction, LineId, Proven};
use wire::id::Partition;
use wire::time::Now;

use super::World;
use crate::conn::Pipe;
use crate::disk::Crash;
use crate::event::{Event, Fault};
use crate::node::{Input, Seat};
use crate::swarm::{MS, S};

/// How long bytes take from one node to another.
const DELAY: (u64, u64) = (MS, 80 * MS);
/// How long a node is cut off at most, at a time.
const CUT_MAX: u64 = 8 * S;
/// What the kernels of both ends hold of one direction.
const KERNEL_BYTES: usize = 256 << 10;
/// The most bytes that arrive at once.
const CHUNK_BYTES: u64 = 64 << 10;

/// What is between the nodes.
#[derive(Debug, Default)]
pub(super) struct Wires {
    all: Vec<Wire>,
    /// The wire of a line, and which of its ends: by core, the core's life, and line.
    lines: BTreeMap<(Seat, u32, LineId), (usize, usize)>,
    /// Until when what a node sends does not arrive, and what is sent to it.
    cut_out: BTreeMap<usize, u64>,
    cut_in: BTreeMap<usize, u64>,
    /// Who was home of a partition, by term.
    pub(super) homes: BTreeMap<(Partition, u64), usize>,
    /// Who was home last.
    pub(super) last_home: BTreeMap<Partition, usize>,
}

/// One connection between two cores of two nodes.
#[derive(Debug)]
struct Wire {
    ends: [WireEnd; 2],
    /// From each end to the other.
    pipes: [Pipe; 2],
    /// Nothing arrives any more, though neither end knows.
    dead: bool,
}

#[derive(Debug)]
struct WireEnd {
    core: Seat,
    life: u32,
    /// The line; a caller has none until it is heard.
    line: Option<LineId>,
    /// It is there until it learned that the connection is gone.
    has_it: bool,
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
        for wire in 0..self.wires.all.len() {
            for end in 0..2 {
                self.wires.all[wire].pipes[end].stalled_until = 0;
                self.wires.all[wire].pipes[end].armed = false;
                self.arm_wire(wire, end, DELAY.0);
            }
            if self.wires.all[wire].dead {
                self.reset_wire(wire);
            }
        }
    }

    /// Until when nothing arrives at a node from another.
    fn cut_until(&self, from: usize, to: usize) -> u64 {
        let until = |cuts: &BTreeMap<usize, u64>, node| cuts.get(&node).copied().unwrap_or(0);
        until(&self.wires.cut_out, from).max(until(&self.wires.cut_in, to))
    }

    /// Does what a core's lines want, and gives the kernel what they have to say.
    pub(super) fn serve_wires(&mut self, core: Seat, now: Now) {
        while let Some(action) = self.nodes[core.node].cores[core.core].peers.poll_action() {
            match action {
                LineAction::Dial { line, node, shard } => {
                    let to = usize::try_from(node.0 - 1).expect("few nodes");
                    let to = Seat { node: to, core: usize::from(shard.0) };
                    let took = self.dice.net.within(DELAY);
                    let life = self.nodes[core.node].life;
                    self.queue.at(self.now + took, Event::PeerDialled { life, core, line, to });
                }
                LineAction::Close(line) => self.close_line(core, line),
            }
        }
        let lines: Vec<_> = self.nodes[core.node].cores[core.core].peers.lines().collect();
        for line in lines {
            let life = self.nodes[core.node].life;
            let Some(&(wire, end)) = self.wires.lines.get(&(core, life, line)) else { continue };
            let pipe = &mut self.wires.all[wire].pipes[end];
            let mut bytes = Vec::new();
            while pipe.bytes.len() < KERNEL_BYTES {
                bytes.clear();
                if !self.nodes[core.node].cores[core.core].peers.poll_output(now.mono, line, &mut bytes) {
                    break;
                }
                self.hash.bytes(&bytes);
                pipe.push(&bytes);
            }
            let delay = self.dice.net.within(DELAY);
            self.arm_wire(wire, end, delay);
        }
    }

    /// A core closes a line: what it has said still arrives, then the other end learns of it.
    fn close_line(&mut self, core: Seat, line: LineId) {
        let life = self.nodes[core.node].life;
        let Some((wire, end)) = self.wires.lines.remove(&(core, life, line)) else { return };
        self.wires.all[wire].ends[end].has_it = false;
        let later = self.now + self.dice.net.within((100 * MS, S));
        self.queue.at(later, Event::PeerBroken { wire, end: 1 - end });
    }

    /// A node takes another's call, or is not there to take it; while it is cut off, nobody says anything.
    pub(super) fn peer_dialled(&mut self, life: u32, core: Seat, line: LineId, to: Seat) {
        if !self.is_alive(core.node, life)
            || self.cut_until(core.node, to.node).max(self.cut_until(to.node, core.node)) > self.now
        {
            return;
        }
        if self.nodes[to.node].cores.len() <= to.core {
            return self.give(core, Input::LineClosed(line));
        }
        let end = |core: Seat, line, nodes: &[crate::node::Node]| WireEnd {
            core,
            life: nodes[core.node].life,
            line,
            has_it: true,
        };
        let ends = [end(core, Some(line), &self.nodes), end(to, None, &self.nodes)];
        let wire = self.wires.all.len();
        self.wires.all.push(Wire { ends, pipes: [Pipe::default(), Pipe::default()], dead: false });
        self.wires.lines.insert((core, life, line), (wire, 0));
        self.give(to, Input::Called(wire, 1));
        self.give(core, Input::Lined(line));
    }

    /// A core hears that another has called.
    pub(super) fn called(&mut self, core: Seat, now: Now, wire: usize, end: usize) {
        let line = self.nodes[core.node].cores[core.core].peers.handle_accepted(now.mono, Proven::Nothing);
        let life = self.nodes[core.node].life;
        self.wires.all[wire].ends[end].line = Some(line);
        self.wires.lines.insert((core, life, line), (wire, end));
        if !self.wires.all[wire].ends[end].has_it {
            self.nodes[core.node].cores[core.core].peers.handle_closed(now.mono, line);
        }
    }

    /// Plans the next arrival of what an end has sent.
    fn arm_wire(&mut self, wire: usize, end: usize, delay: u64) {
        let pipe = &mut self.wires.all[wire].pipes[end];
        if !pipe.armed && !pipe.bytes.is_empty() {
            pipe.armed = true;
            let at = (self.now + delay).max(pipe.stalled_until);
            self.queue.at(at, Event::PeerArrive { wire, end });
        }
    }

    /// A piece of what an end has sent arrives at the other.
    pub(super) fn peer_bytes_arrive(&mut self, wire: usize, end: usize) {
        let [from, to] = [end, 1 - end].map(|end| self.wires.all[wire].ends[end].core);
        let cut_until = self.cut_until(from.node, to.node);
        let pipe = &mut self.wires.all[wire].pipes[end];
        pipe.armed = false;
        pipe.stalled_until = pipe.stalled_until.max(cut_until);
        if pipe.stalled_until > self.now {
            return self.arm_wire(wire, end, 0);
        }
        let was_full = pipe.bytes.len() >= KERNEL_BYTES;
        let count = usize::try_from(self.dice.net.skewed((1, CHUNK_BYTES))).unwrap_or(1);
        let bytes = pipe.take(count);
        if self.wires.all[wire].dead {
            return;
        }
        self.hash.bytes(&bytes);
        let gap = self.dice.net.skewed((1_000, 300_000));
        self.arm_wire(wire, end, gap);
        let other = &self.wires.all[wire].ends[1 - end];
        if other.has_it && self.is_alive(to.node, other.life) {
            match other.line {
                Some(line) => self.give(to, Input::Heard(line, bytes)),
                // It has not heard the call yet: what it has not read, its kernel keeps.
                None => {
                    let pipe = &mut self.wires.all[wire].pipes[end];
                    bytes.into_iter().rev().for_each(|byte| pipe.bytes.push_front(byte));
                    self.arm_wire(wire, end, MS);
                }
            }
        }
        if was_full && self.wires.all[wire].ends[end].has_it {
            let life = self.wires.all[wire].ends[end].life;
            if self.is_alive(from.node, life) {
                self.wake(from, self.now);
            }
        }
    }

    /// An end learns that the connection is gone.
    pub(super) fn peer_broken(&mut self, wire: usize, end: usize) {
        let end = &mut self.wires.all[wire].ends[end];
        if !core::mem::take(&mut end.has_it) {
            return;
        }
        let (core, life, line) = (end.core, end.life, end.line);
        // Who has not heard the call yet hears of the end with it.
        let Some(line) = line else { return };
        self.wires.lines.remove(&(core, life, line));
        if self.is_alive(core.node, life) {
            self.give(core, Input::LineClosed(line));
        }
    }

    /// The process of a node is gone: the others learn of it, unless its machine is gone with it.
    pub(super) fn orphan_wires(&mut self, node: usize, crash: Crash) {
        for wire in 0..self.wires.all.len() {
            for end in 0..2 {
                let this = &mut self.wires.all[wire].ends[end];
                if this.core.node != node || !core::mem::take(&mut this.has_it) {
                    continue;
                }
                let (core, life, line) = (this.core, this.life, this.line);
                line.map(|line| self.wires.lines.remove(&(core, life, line)));
                let pipe = &mut self.wires.all[wire].pipes[end];
                let kept = self.dice.net.index(pipe.bytes.len() + 1);
                pipe.bytes.truncate(kept);
                pipe.cut = true;
                if crash == Crash::Process {
                    let after = self.dice.net.skewed((MS, 500 * MS));
                    self.queue.at(self.now + after, Event::PeerBroken { wire, end: 1 - end });
                }
            }
        }
    }

    /// A node is back, and knows nothing of its old connections: whoever says something on one is told so.
    pub(super) fn forget_old_wires(&mut self, node: usize) {
        let life = self.nodes[node].life;
        for wire in 0..self.wires.all.len() {
            for end in 0..2 {
                let [this, other] = [end, 1 - end].map(|end| &self.wires.all[wire].ends[end]);
                if this.core.node == node && this.life < life && other.has_it {
                    let after = self.dice.net.skewed((MS, 500 * MS));
                    self.queue.at(self.now + after, Event::PeerBroken { wire, end: 1 - end });
                }
            }
        }
    }

    /// A connection between two nodes breaks, or nothing moves on it.
    pub(super) fn break_a_wire(&mut self, fault: Fault) {
        let is_there = |wire: &usize| self.wires.all[*wire].ends.iter().all(|end| end.has_it);
        let there: Vec<_> = (0..self.wires.all.len()).filter(is_there).collect();
        if there.is_empty() {
            return;
        }
        let wire = self.dice.net.pick(&there);
        // A home that does not reach the others decides nothing until it is dialled again.
        self.excuse += nanos(DIAL_AGAIN_MAX);
        match fault {
            Fault::Reset => self.reset_wire(wire),
            Fault::HalfOpen => {
                self.excuse += nanos(SILENCE_MAX);
                self.wires.all[wire].dead = true;
            }
            _ => {
                let until = self.now + self.dice.net.within((1, self.swarm.net.stall));
                self.excuse += (until - self.now).min(nanos(SILENCE_MAX));
                self.wires.all[wire].pipes.iter_mut().for_each(|pipe| pipe.stalled_until = until);
            }
        }
    }

    fn reset_wire(&mut self, wire: usize) {
        let this = &mut self.wires.all[wire];
        for pipe in &mut this.pipes {
            let kept = self.dice.net.index(pipe.bytes.len() + 1);
            pipe.bytes.truncate(kept);
            pipe.cut = true;
        }
        for end in 0..2 {
            let after = self.dice.net.skewed((10_000, 300 * MS));
            self.queue.at(self.now + after, Event::PeerBroken { wire, end });
        }
    }
}

fn nanos(time: core::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a short time")
}
