//! The world: one thread, one seed, virtual time.
//!
//! ```text
//!   customers ──▶ cores (production brain and log) ──▶ links ──▶ carriers (production sessions)
//!        ▲            │  ▲                               │
//!        └────────────┘  └── disks that outlive them     └── TCP that splits, stalls and breaks
//! ```
//!
//! A loop over what happens next; everything that happens is folded into the run's hash. The parts of the world have
//! files of their own: a core's `turn`, a process's `life`, the `network`, the `wires` between nodes, the `peers`, the `carriers`, the `customers`, and the
//! `ending`, in which the world is healed and must come to rest.

mod by_hand;
mod carriers;
mod customers;
mod ending;
mod handsets;
mod life;
mod members;
mod network;
mod peers;
mod together;
mod turn;
mod wires;

use crate::carrier::Carrier;
use crate::conn::Conn;
use crate::dice::{Dice, Fold};
use crate::event::{Act, Event, Fault};
use crate::judge::{DECENCY, Judge, Reach, Violation};
use crate::node::{Input, Node, Standing};
use crate::queue::Queue;
use crate::swarm::{Mode, S, Swarm};
use customers::Customer;
use ending::Stage;
use members::Operator;
use wire::id::Partition;
use wires::Wires;

/// Each part of the world has its own randomness.
#[derive(Debug)]
struct Streams {
    net: Dice,
    disk: Dice,
    carriers: Dice,
    customers: Dice,
    handsets: Dice,
    schedule: Dice,
    faults: Dice,
}

impl Streams {
    fn of(seed: u64) -> Self {
        let stream = |name| Dice::stream(seed, name);
        Self {
            net: stream("net"),
            disk: stream("disk"),
            carriers: stream("carriers"),
            customers: stream("customers"),
            handsets: stream("handsets-at-work"),
            schedule: stream("schedule"),
            faults: stream("faults"),
        }
    }
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The broken promise, if one was.
    pub violation: Option<Violation>,
    /// Everything that happened, as one number.
    pub hash: u64,
    /// What there was to see.
    pub sights: Sights,
}

/// How much happened in a run: a world in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sights {
    /// Events.
    pub events: u64,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// Acknowledged messages.
    pub acknowledged: u64,
    /// Copies of segments that carriers took.
    pub taken: u64,
    /// Texts of handsets that were told.
    pub heard: u64,
    /// Messages by fate, in the order of [`shards::api::Fate::ALL`].
    pub fates: [u64; 5],
    /// Doubts in the logs.
    pub doubts: u64,
    /// Ends of processes.
    pub deaths: u64,
    /// Batches that were synced.
    pub syncs: u64,
    /// Logs that were read back into an empty shard and compared.
    pub replays: u64,
    /// Snapshots that got their name.
    pub snapshots: u64,
    /// Segments of the log that were released.
    pub released: u64,
    /// Segments that crossed to another shard's link.
    pub lent: u64,
    /// Slices of rates that crossed to another shard.
    pub slices: u64,
    /// Questions that carriers answered with what became of a message.
    pub answered_questions: u64,
    /// Messages between nodes that arrived.
    pub peer_messages: u64,
    /// Words between brains of nodes that arrived.
    pub words: u64,
    /// Times when a node took a partition over from another.
    pub taken_over: u64,
    /// States that were made anew because they held too much.
    pub rebuilt: u64,
    /// States that were taken from another node.
    pub installed: u64,
    /// Nodes that came, and that went.
    pub came_and_went: u64,
}

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) swarm: Swarm,
    seed: u64,
    pub(crate) now: u64,
    queue: Queue,
    dice: Streams,
    hash: Fold,
    pub(crate) nodes: Vec<Node>,
    wires: Wires,
    conns: Vec<Conn>,
    pub(crate) carriers: Vec<Carrier>,
    pub(crate) customers: Vec<Customer>,
    pub(crate) judge: Judge,
    stage: Stage,
    pub(crate) sights: Sights,
    /// Time in which the node could not decide, added up.
    excuse: u64,
    /// Messages of the healed world, and whose they are.
    probes: Vec<(usize, u64)>,
    operator: Operator,
    /// Accounts of which a customer acknowledged more than it was told.
    boasts: std::collections::BTreeSet<usize>,
}

impl World {
    pub(crate) fn new(seed: u64, swarm: Swarm, only: Option<u8>) -> Self {
        let mut dice = Streams::of(seed);
        let carriers = swarm.plan.carriers.iter().enumerate().map(|(place, carrier)| {
            let capacity = swarm.capacities.get(place).copied().flatten();
            Carrier::new(swarm.habits[place].clone(), carrier.profile.clone(), capacity)
        });
        let carriers: Vec<Carrier> = carriers.collect();
        let customers = swarm.customers.iter().map(|&traits| Customer::new(traits)).collect::<Vec<_>>();
        let mut queue = Queue::new(dice.schedule.clone());
        for node in 0..swarm.founders() {
            queue.at(0, Event::Start { node });
        }
        for customer in 0..customers.len() {
            queue.at(dice.customers.below(S), Event::Customer { customer });
        }
        for carrier in 0..carriers.len() {
            if swarm.handset_texts_max > 0 {
                queue.at(dice.handsets.below(2 * S), Event::Carrier { carrier, act: Act::Writes });
            }
        }
        for &(fault, every) in &swarm.faults {
            queue.at(dice.faults.within((every / 4, every * 2)), Event::Fault(fault));
        }
        queue.at(swarm.safety, Event::Heal);
        let nodes = (0..swarm.nodes()).map(|node| {
            let plan = swarm.plan_of(node);
            // No two machines' clocks go wrong alike.
            let drift = if node % 2 == 0 { swarm.drift } else { -swarm.drift };
            Node::new(plan, swarm.disk.snapshots, drift)
        });
        let mut nodes: Vec<Node> = nodes.collect();
        nodes[swarm.founders()..].iter_mut().for_each(|node| node.standing = Standing::Absent);
        Self {
            seed,
            now: 0,
            queue,
            dice,
            hash: Fold::default(),
            wires: Wires::default(),
            nodes,
            conns: Vec::new(),
            carriers,
            customers,
            judge: Judge::new(only),
            stage: Stage::Living,
            sights: Sights::default(),
            excuse: 0,
            probes: Vec::new(),
            operator: Operator::default(),
            boasts: std::collections::BTreeSet::new(),
            swarm,
        }
    }

    /// Lets the world run to its end, or to the first broken promise.
    pub(crate) fn run(mut self) -> Outcome {
        while self.step() {}
        self.sights.virtual_ns = self.now;
        Outcome { violation: self.judge.violation, hash: self.hash.value(), sights: self.sights }
    }

    /// One thing happens; `false` when it is over.
    pub(crate) fn step(&mut self) -> bool {
        if self.judge.violation.is_some() || self.stage == Stage::Over {
            return false;
        }
        let Some((time, event)) = self.queue.pop() else {
            self.judge.fail(self.now, DECENCY, "nothing will ever happen again".into());
            return false;
        };
        assert!(time >= self.now, "time goes forward");
        self.now = time;
        crate::run::watch(self.seed, time);
        crate::run::happens(time, &event);
        self.sights.events += 1;
        self.hash.number(time);
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start { node } => self.start(node),
            Event::Turn { life, core } => {
                if self.is_alive(core.node, life)
                    && self.nodes[core.node].cores[core.core].turn_at == Some(self.now)
                {
                    self.turn(core);
                }
            }
            Event::Synced { life, core, fails } => self.synced(life, core, fails),
            Event::Prepared { life, core, seq, fails } => self.prepared(life, core, seq, fails),
            Event::PrepareAgain { life, core } => {
                if self.is_alive(core.node, life) {
                    self.nodes[core.node].cores[core.core].preparing = false;
                    self.wake(core, self.now);
                }
            }
            Event::Snapshot { life, core, is_last, fails } => {
                self.snapshot_written(life, core, is_last, fails);
            }
            Event::Dialled { life, core, link, carrier } => self.dialled(life, core, link, carrier),
            Event::Send { conn } => self.send(conn),
            Event::Arrive { conn, way } => self.arrive(conn, way),
            Event::Broken { conn, end } => self.broken(conn, end),
            Event::CarrierTimer { conn } => self.carrier_timer(conn),
            Event::Carrier { carrier, act } => self.act(carrier, act),
            Event::Customer { customer } => self.customer(customer),
            Event::PeerDialled { life, core, line, to } => self.peer_dialled(life, core, line, to),
            Event::PeerArrive { wire, end } => self.peer_bytes_arrive(wire, end),
            Event::PeerBroken { wire, end } => self.peer_broken(wire, end),
            Event::Rebuilt { life, core, rebuild } => {
                if self.is_alive(core.node, life) {
                    self.give(core, Input::Rebuilt(rebuild));
                }
            }
            Event::Request { core, life, customer, connection, request } => {
                self.request((core, life), customer, connection, request);
            }
            Event::Reply { node, customer, connection, reply } => {
                self.hear(node, customer, connection, &reply);
            }
            Event::SwitchOff { node } => self.switch_off(node),
            Event::Fault(fault) => self.fault(fault),
            Event::DrainWatch { node, life, until } => self.drain_watch(node, life, until),
            Event::Heal => self.heal(),
            Event::Watch => self.watch(),
        }
    }

    pub(crate) fn is_alive(&self, node: usize, life: u32) -> bool {
        self.nodes[node].is_up() && self.nodes[node].life == life
    }

    /// How far the logs of a partition are durable, as their disks say.
    fn reach(&self, partition: Partition) -> Reach {
        Reach::of(self.swarm.majority(), self.nodes.iter().map(|node| node.durable(partition)))
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.stage != Stage::Living
    }

    fn is_calm(&self) -> bool {
        self.swarm.mode == Mode::Calm
    }

    /// Something breaks, and will again.
    fn fault(&mut self, fault: Fault) {
        if self.is_healed() {
            return;
        }
        self.hash.number(fault as u64);
        if let Some(&(_, every)) = self.swarm.faults.iter().find(|(other, _)| *other as u8 == fault as u8) {
            let next = self.now + self.dice.faults.within((every / 4, every * 2));
            self.queue.at(next, Event::Fault(fault));
        }
        let all = self.members_there();
        let node = if all.len() > 1 { all[self.dice.faults.index(all.len())] } else { all[0] };
        match fault {
            Fault::Kill => self.die(node, crate::disk::Crash::Process),
            Fault::PowerCut => self.die(node, crate::disk::Crash::Power),
            Fault::Drain => self.drain(node),
            Fault::Pause => self.pause(node),
            Fault::ClockStep => self.step_clock(node),
            Fault::Cut => self.cut(node),
            Fault::Replan => self.replan(),
            Fault::Members => self.operate(),
            Fault::Reset | Fault::HalfOpen | Fault::Stall => {
                // Connections between nodes break as others do.
                if self.nodes.len() > 1 && self.dice.faults.chance(500) {
                    self.break_a_wire(fault);
                } else {
                    self.break_a_connection(fault);
                }
            }
        }
    }
}
