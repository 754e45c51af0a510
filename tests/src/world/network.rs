//! TCP between links and carriers: dialling, bytes, and how connections end.

use shards::LinkId;
use wire::smpp::limits::WINDOW_PDUS_MAX;
use wire::smpp::session::{Options, Session};
use wire::time::Instant;

use super::World;
use crate::conn::{Conn, Cutter, Pipe};
use crate::event::{End, Event, Fault, Way};
use crate::node::{Input, Seat};
use crate::swarm::MS;

/// How long a connection that is to be closed may still send.
const CLOSE_MAX: u64 = 1_000 * MS;

impl World {
    pub(super) fn dial(&mut self, core: Seat, link: LinkId, carrier: usize) {
        let took = self.dice.net.within(self.swarm.net.delay);
        let event = Event::Dialled { life: self.nodes[core.node].life, core, link, carrier };
        self.queue.at(self.now + took, event);
    }

    pub(super) fn dialled(&mut self, life: u32, core: Seat, link: LinkId, carrier: usize) {
        if !self.is_alive(core.node, life) {
            return;
        }
        let refuses = self.swarm.net.refuse_per_mille;
        if !self.is_healed() && self.dice.net.chance(refuses) {
            return self.give(core, Input::ConnectFailed(link));
        }
        let options = Options { window_pdus_max: WINDOW_PDUS_MAX.min(64), ..Options::default() };
        let session = Session::mc(b"carrier", &options, Instant(self.now));
        let conn = self.conns.len();
        let narrow = self.swarm.plan.carriers[carrier].profile.texts.style.narrow;
        self.conns.push(Conn {
            life,
            core,
            link,
            carrier,
            shell: std::collections::VecDeque::new(),
            sending: false,
            closing: false,
            written: 0,
            to_carrier: Pipe::default(),
            to_node: Pipe::default(),
            node_has_it: true,
            carrier_has_it: true,
            dead: false,
            session,
            timer_at: None,
            bind: self.bind_of(core, link),
            cutter: Cutter::new(narrow),
            filter: Cutter::new(narrow),
        });
        self.nodes[core.node].cores[core.core].conns[usize::from(link.0)] = Some(conn);
        self.give(core, Input::Connected(link));
        self.pump_carrier(conn);
    }

    /// Which of a core's binds with its carrier a link belongs to: links are made carrier by carrier, bind by bind.
    fn bind_of(&self, core: Seat, link: LinkId) -> u16 {
        let plan = &self.nodes[core.node].plan;
        let shard = core.shard();
        let mut before = 0;
        for (place, carrier) in (0_u16..).zip(&plan.carriers) {
            let links = plan.links_of(place, shard);
            if link.0 < before + links {
                return (link.0 - before) / carrier.links_per_bind();
            }
            before += links;
        }
        unreachable!("the link is one of the plan's")
    }

    pub(super) fn arm_send(&mut self, conn: usize) {
        if !self.conns[conn].sending {
            self.conns[conn].sending = true;
            let soon = self.now + self.dice.net.skewed((1_000, 200_000));
            self.queue.at(soon, Event::Send { conn });
        }
    }

    /// The kernel takes what it has room for.
    pub(super) fn send(&mut self, conn: usize) {
        let connection = &mut self.conns[conn];
        connection.sending = false;
        if !connection.node_has_it {
            return;
        }
        let (core, link) = (connection.core, connection.link);
        let room = self.swarm.net.kernel_bytes.saturating_sub(connection.to_carrier.bytes.len());
        let count = room.min(connection.shell.len());
        if count > 0 {
            let count = self.dice.net.index(count) + 1;
            let bytes: Vec<u8> = self.conns[conn].shell.drain(..count).collect();
            self.conns[conn].written += count as u64;
            self.conns[conn].to_carrier.push(&bytes);
            self.tell_handed(conn, &bytes);
            self.give(core, Input::Written(link, self.conns[conn].written));
            self.arm_arrival(conn, Way::ToCarrier);
        }
        let connection = &self.conns[conn];
        if !connection.shell.is_empty() {
            // A full kernel has room again when something arrives.
            if room > count {
                self.arm_send(conn);
            }
        } else if connection.closing {
            self.close_node_end(conn);
        }
    }

    /// The judge learns which submissions the kernel has whole.
    fn tell_handed(&mut self, conn: usize, bytes: &[u8]) {
        let mut parcels = Vec::new();
        self.conns[conn].cutter.push(bytes.iter().copied(), |_, parcel| parcels.extend(parcel));
        for parcel in parcels {
            let partition = self.swarm.plan.partitions.partition_of(parcel.recipient);
            let durable = self.reach(partition);
            self.judge.handed(parcel, durable);
        }
    }

    pub(super) fn arm_arrival(&mut self, conn: usize, way: Way) {
        let delay = self.dice.net.within(self.swarm.net.delay);
        self.arm_arrival_in(conn, way, delay);
    }

    fn arm_arrival_in(&mut self, conn: usize, way: Way, delay: u64) {
        let connection = &mut self.conns[conn];
        let pipe = if way == Way::ToCarrier { &mut connection.to_carrier } else { &mut connection.to_node };
        if !pipe.armed && !pipe.bytes.is_empty() {
            pipe.armed = true;
            let at = (self.now + delay).max(pipe.stalled_until);
            self.queue.at(at, Event::Arrive { conn, way });
        }
    }

    /// A piece of the stream arrives.
    pub(super) fn arrive(&mut self, conn: usize, way: Way) {
        let healed = self.is_healed();
        let chunk = if healed { 65_536 } else { self.swarm.net.chunk_bytes };
        let count = usize::try_from(self.dice.net.within((1, chunk))).unwrap_or(1);
        let connection = &mut self.conns[conn];
        let pipe = if way == Way::ToCarrier { &mut connection.to_carrier } else { &mut connection.to_node };
        pipe.armed = false;
        if pipe.stalled_until > self.now {
            return self.arm_arrival(conn, way);
        }
        if connection.dead {
            return;
        }
        let bytes = pipe.take(count);
        self.hash.bytes(&bytes);
        // What is behind it in the stream is close behind it.
        let gap = self.dice.net.skewed((1_000, 300_000));
        self.arm_arrival_in(conn, way, gap);
        match way {
            Way::ToCarrier => {
                let bytes = self.drop_some(conn, bytes);
                if self.conns[conn].carrier_has_it {
                    self.conns[conn].session.handle_bytes(Instant(self.now), &bytes);
                    self.pump_carrier(conn);
                }
                if !self.conns[conn].shell.is_empty() {
                    self.arm_send(conn);
                }
            }
            Way::ToNode => {
                let connection = &self.conns[conn];
                let (core, link) = (connection.core, connection.link);
                if connection.node_has_it && self.is_alive(core.node, self.conns[conn].life) {
                    self.give(core, Input::Received(link, conn, bytes));
                }
                self.flush_carrier(conn);
            }
        }
    }

    /// A network that drops what it acknowledged: only to see whether the judge notices.
    fn drop_some(&mut self, conn: usize, bytes: Vec<u8>) -> Vec<u8> {
        if self.swarm.drops == 0 {
            return bytes;
        }
        let (dice, drops) = (&mut self.dice.net, self.swarm.drops);
        let mut kept = Vec::new();
        self.conns[conn].filter.push(bytes, |pdu, parcel| {
            if parcel.is_none() || !dice.chance(drops) {
                kept.extend_from_slice(pdu);
            }
        });
        kept
    }

    /// The brain wants the connection closed: what is handed over is sent, if that is soon.
    pub(super) fn close(&mut self, conn: usize) {
        self.conns[conn].closing = true;
        self.arm_send(conn);
        for end in [End::Node, End::Carrier] {
            self.queue.at(self.now + CLOSE_MAX, Event::Broken { conn, end });
        }
    }

    /// The node closes its end: the rest still arrives, then the carrier learns of it.
    fn close_node_end(&mut self, conn: usize) {
        let later = self.now + self.dice.net.skewed((100_000, 50 * MS));
        self.queue.at(self.now, Event::Broken { conn, end: End::Node });
        self.queue.at(later, Event::Broken { conn, end: End::Carrier });
    }

    /// An end learns that the connection is gone.
    pub(super) fn broken(&mut self, conn: usize, end: End) {
        let connection = &mut self.conns[conn];
        match end {
            End::Node => {
                let (core, link) = (connection.core, connection.link);
                if std::mem::take(&mut connection.node_has_it)
                    && self.nodes[core.node].life == connection.life
                {
                    connection.shell.clear();
                    if self.nodes[core.node].is_up() {
                        self.give(core, Input::Closed(link));
                    }
                }
            }
            End::Carrier => {
                if std::mem::take(&mut connection.carrier_has_it) {
                    self.carrier_lost(conn);
                }
            }
        }
    }

    /// Both ends will learn that it is gone; what was under way may arrive before, or not.
    pub(super) fn reset(&mut self, conn: usize) {
        let dice = &mut self.dice.net;
        let connection = &mut self.conns[conn];
        for pipe in [&mut connection.to_carrier, &mut connection.to_node] {
            let kept = dice.index(pipe.bytes.len() + 1);
            pipe.bytes.truncate(kept);
            pipe.cut = true;
        }
        connection.dead = dice.chance(500);
        for end in [End::Node, End::Carrier] {
            let after = self.dice.net.skewed((10_000, 300 * MS));
            self.queue.at(self.now + after, Event::Broken { conn, end });
        }
    }

    pub(super) fn break_a_connection(&mut self, fault: Fault) {
        let alive = |conn: &&usize| self.conns[**conn].node_has_it && self.conns[**conn].carrier_has_it;
        let all: Vec<_> = (0..self.conns.len()).collect();
        let living: Vec<_> = all.iter().filter(alive).copied().collect();
        if living.is_empty() {
            return;
        }
        let conn = self.dice.net.pick(&living);
        match fault {
            Fault::Reset => self.reset(conn),
            Fault::HalfOpen => self.conns[conn].dead = true,
            _ => {
                let until = self.now + self.dice.net.within((1, self.swarm.net.stall));
                let connection = &mut self.conns[conn];
                connection.to_carrier.stalled_until = until;
                connection.to_node.stalled_until = until;
            }
        }
    }

    /// The network works again.
    pub(super) fn heal_network(&mut self) {
        // A kernel so small that answers come late was a fault, too.
        self.swarm.net.kernel_bytes = self.swarm.net.kernel_bytes.max(4_096);
        for conn in 0..self.conns.len() {
            for way in [Way::ToCarrier, Way::ToNode] {
                let connection = &mut self.conns[conn];
                let pipe =
                    if way == Way::ToCarrier { &mut connection.to_carrier } else { &mut connection.to_node };
                pipe.stalled_until = 0;
                pipe.armed = false;
                self.arm_arrival(conn, way);
            }
            // A half-open connection stays one for ever; the machine that comes back resets it.
            if self.conns[conn].dead {
                self.reset(conn);
            }
        }
    }
}
