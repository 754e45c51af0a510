//! Customers: they submit in bursts, repeat what was not answered with the same key, try a used key with another text, take
//! messages back, ask, subscribe, acknowledge, and lose their connections.

use std::collections::BTreeMap;

use shards::api::{Origin, Reply};
use wire::id::{Class, MessageId, Partition};

use super::World;
use crate::event::{Event, Request};
use crate::judge::{Intent, Reach};
use crate::node::{Input, Seat};
use crate::parcel;
use crate::swarm::{CustomerTraits, MS, S};

/// How long a customer waits for an answer before it repeats.
const PATIENCE: u64 = 1_500 * MS;

/// How long a node asks the home of a partition.
const ASKED_WAIT: u64 = 5 * S;

/// Partitions of which a customer acknowledges too much at a time.
const BOASTS_MAX: usize = 6;

/// Of so many of its last messages a customer takes one back.
const REGRETS_MAX: usize = 6;

/// One customer.
#[derive(Debug)]
pub(crate) struct Customer {
    pub(crate) traits: CustomerTraits,
    /// The core of each node that has its connection there.
    cores: Vec<usize>,
    /// The node to which it is connected; `None`: to all, and asks mostly the home of what it asks for.
    node: Option<usize>,
    /// Counts its connections; 0 is none yet.
    connection: u64,
    connected: bool,
    next_request: u64,
    /// Requests without a reply.
    open: BTreeMap<u64, Asked>,
    /// Its intents.
    intents: Vec<u64>,
    /// The last fate of each partition that it was told.
    received: BTreeMap<Partition, u64>,
    /// When its last subscription arrives.
    subscribed_until: u64,
    /// When the last reply arrives that is under way.
    replies_until: u64,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Submit { nonce: u64 },
    Query { id: MessageId, at: u64, is_final: bool },
    Cancel,
}

impl Customer {
    pub(crate) fn new(traits: CustomerTraits) -> Self {
        Self {
            traits,
            cores: Vec::new(),
            node: None,
            connection: 0,
            connected: false,
            next_request: 0,
            open: BTreeMap::new(),
            intents: Vec::new(),
            received: BTreeMap::new(),
            subscribed_until: 0,
            replies_until: 0,
        }
    }

    /// Whether it is there and waits for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.connected && self.open.is_empty()
    }
}

impl World {
    /// A customer does something, and will again.
    pub(super) fn customer(&mut self, customer: usize) {
        let gap = self.dice.customers.within(self.customers[customer].traits.gap);
        self.queue.at(self.now + gap, Event::Customer { customer });
        if !self.customers[customer].connected {
            return self.connect(customer);
        }
        let traits = self.customers[customer].traits;
        let healed = self.is_healed();
        let what = self.dice.customers.below(1000);
        match what {
            _ if !healed && self.dice.customers.chance(traits.disconnects_per_mille) => {
                self.disconnect(customer)
            }
            0..300 if !healed && self.stage_allows_intents() => {
                for _ in 0..=self.dice.customers.below(traits.burst) {
                    self.submit_new(customer);
                }
            }
            0..600 => self.repeat(customer),
            600..680 if !healed => self.rival(customer),
            680..860 => self.query(customer),
            860..900 if !healed && self.swarm.mode != crate::swarm::Mode::Calm => self.cancel(customer),
            900..990 if !healed => self.boast(customer),
            _ => {}
        }
    }

    fn stage_allows_intents(&self) -> bool {
        (self.judge.intents.len() as u64) < self.swarm.intents_max
    }

    fn connect(&mut self, customer: usize) {
        let up = self.members_up();
        if up.is_empty() {
            return;
        }
        let mut cores = vec![0; self.nodes.len()];
        for &node in &up {
            cores[node] = self.dice.customers.index(self.nodes[node].cores.len());
        }
        let settles = self.nodes.len() > 1 && self.dice.customers.chance(600);
        let node = settles.then(|| self.dice.customers.pick(&up));
        let forgets_place = self.dice.customers.chance(500);
        let state = &mut self.customers[customer];
        state.cores = cores;
        state.node = node;
        state.connection += 1;
        state.connected = true;
        state.open.clear();
        if state.traits.subscribes {
            let positions =
                if forgets_place { Vec::new() } else { state.received.clone().into_iter().collect() };
            if forgets_place {
                state.received.clear();
            }
            let credits = state.traits.credits;
            self.send_request(customer, Request::Subscribe { credits, positions });
        }
    }

    fn disconnect(&mut self, customer: usize) {
        self.send_request(customer, Request::Unsubscribe);
        let state = &mut self.customers[customer];
        state.connected = false;
        state.open.clear();
        // A customer that forgets what it had is told again.
        if self.dice.customers.chance(300) {
            self.customers[customer].received.clear();
        }
    }

    /// A process is gone, or there again: customers connect anew, to all there are.
    pub(super) fn lose_customers(&mut self) {
        for customer in 0..self.customers.len() {
            if self.nodes.len() > 1 && self.customers[customer].connected {
                self.send_request(customer, Request::Unsubscribe);
            }
            let customer = &mut self.customers[customer];
            customer.connected = false;
            customer.open.clear();
        }
    }

    fn send_request(&mut self, customer: usize, request: Request) {
        match self.node_for(customer, &request) {
            Some(node) => self.send_request_to(node, customer, request),
            None => {
                for node in self.members_up() {
                    self.send_request_to(node, customer, request.clone());
                }
            }
        }
    }

    fn send_request_to(&mut self, node: usize, customer: usize, request: Request) {
        let delay = self.dice.customers.skewed((10_000, 30 * MS));
        let state = &mut self.customers[customer];
        let (life, connection) = (self.nodes[node].life, state.connection);
        let at = match request {
            // The end of a connection comes behind its beginning.
            Request::Unsubscribe => (self.now + delay).max(state.subscribed_until + 1),
            _ => self.now + delay,
        };
        if matches!(request, Request::Subscribe { .. }) {
            state.subscribed_until = state.subscribed_until.max(at);
        }
        let core = Seat { node, core: state.cores.get(node).copied().unwrap_or(0) };
        self.queue.at(at, Event::Request { core, life, customer, connection, request });
    }

    /// The node that a customer turns to: one for all, or mostly the home of what it asks for, at times any other. What is about all
    /// partitions goes to all nodes then.
    fn node_for(&mut self, customer: usize, request: &Request) -> Option<usize> {
        if self.nodes.len() == 1 {
            return Some(0);
        }
        if let Some(node) = self.customers[customer].node {
            return Some(node);
        }
        let partition = match *request {
            Request::Submit { nonce, .. } => {
                self.swarm.plan.partitions.partition_of(self.judge.intent(nonce).recipient)
            }
            Request::Query { id, .. } | Request::Cancel { id, .. } => id.partition(),
            Request::Acknowledge { partition, .. } => partition,
            Request::Subscribe { .. } | Request::Unsubscribe => return None,
        };
        let errs = !self.is_healed() && self.dice.customers.chance(100);
        let home = self.home_of(partition).filter(|_| !errs);
        let all = self.members_there();
        Some(home.unwrap_or_else(|| all[self.dice.customers.index(all.len())]))
    }

    /// A request arrives at the core that has the connection.
    pub(super) fn request(
        &mut self,
        (core, life): (Seat, u32),
        customer: usize,
        connection: u64,
        request: Request,
    ) {
        if !self.is_alive(core.node, life) {
            return;
        }
        let state = &self.customers[customer];
        let number = match request {
            Request::Submit { request, .. }
            | Request::Query { request, .. }
            | Request::Cancel { request, .. } => request,
            _ => 0,
        };
        let shard = core.shard();
        let origin = Origin { shard, connection: connection << 16 | customer as u64, request: number };
        let input = Input::Request { origin, account: state.traits.account, request };
        if core.core < self.nodes[core.node].cores.len() {
            self.give(core, input);
        }
    }

    fn submit_new(&mut self, customer: usize) {
        let account = self.customers[customer].traits.account;
        let dice = &mut self.dice.customers;
        let recipient = self.swarm.recipients[dice.index(self.swarm.recipients.len())].clone();
        let class = dice.pick(&Class::ALL);
        let has_key = dice.chance(850);
        let repetitions = match dice.chance(150) {
            true if !self.swarm.is_brief => dice.index(60) + 17,
            _ => dice.index(4) + 1,
        };
        let is_wide = dice.chance(100);
        let calm = self.swarm.mode == crate::swarm::Mode::Calm;
        let validity_ms = (!calm && dice.chance(300)).then(|| dice.within((1_000, 6_000)));
        let nonce = self.judge.intend(|nonce| Intent {
            account,
            recipient: recipient.parse().expect("drawn from digits"),
            key: has_key.then(|| format!("key-{nonce}")),
            text: parcel::text_of(nonce, repetitions, is_wide),
            class,
            validity_ms,
            rival_of: None,
            is_probe: false,
            first_sent: None,
            sends: 0,
            acked: None,
            refused: None,
        });
        self.customers[customer].intents.push(nonce);
        self.submit(customer, nonce);
    }

    pub(super) fn submit(&mut self, customer: usize, nonce: u64) {
        let now = self.now;
        let intent = self.judge.intent_mut(nonce);
        intent.first_sent.get_or_insert(now);
        intent.sends += 1;
        let state = &mut self.customers[customer];
        state.next_request += 1;
        let request = state.next_request;
        state.open.insert(request, Asked::Submit { nonce });
        self.send_request(customer, Request::Submit { request, nonce });
    }

    /// Sends one of its intents again, if its key still stands for it.
    fn repeat(&mut self, customer: usize) {
        let healed = self.is_healed();
        let state = &self.customers[customer];
        let in_doubt = |nonce: &&u64| {
            let intent = self.judge.intent(**nonce);
            let may = intent.acked.is_none() || !healed;
            may && self.now - intent.first_sent.unwrap_or(0) > PATIENCE / 8 && self.key_holds(intent)
        };
        let candidates: Vec<u64> = state.intents.iter().filter(in_doubt).copied().collect();
        let waiting = |nonce: &u64| {
            state.open.values().any(|asked| matches!(asked, Asked::Submit { nonce: open } if open == nonce))
        };
        let candidates: Vec<u64> = candidates.into_iter().filter(|nonce| !waiting(nonce)).collect();
        if !candidates.is_empty() {
            let nonce = self.dice.customers.pick(&candidates);
            self.submit(customer, nonce);
        }
    }

    /// Whether a repetition of the key surely comes within its window, whatever the clocks do.
    fn key_holds(&self, intent: &Intent) -> bool {
        let (Some(first), Some(_)) = (intent.first_sent, &intent.key) else { return false };
        let policy = self.swarm.plan.class(intent.class);
        let validity = intent.validity_ms.map_or(policy.validity, core::time::Duration::from_millis);
        let window = u64::try_from((validity + policy.receipt_wait).as_nanos()).unwrap_or(u64::MAX);
        // A node that is not home asks again for so long.
        let asked = if self.nodes.len() > 1 { ASKED_WAIT.min(window / 2) } else { 0 };
        let slack = self.swarm.clock_slack() + self.swarm.pause_max() + S / 2 + asked;
        (self.now - first).saturating_add(slack) < window / 100 * 80
    }

    /// Tries a key that is taken with another text.
    fn rival(&mut self, customer: usize) {
        let taken = |nonce: &&u64| {
            let intent = self.judge.intent(**nonce);
            intent.acked.is_some() && intent.rival_of.is_none() && self.key_holds(intent)
        };
        let candidates: Vec<u64> = self.customers[customer].intents.iter().filter(taken).copied().collect();
        if candidates.is_empty() {
            return;
        }
        let other = self.dice.customers.pick(&candidates);
        let model = self.judge.intent(other).clone();
        let nonce = self.judge.intend(|nonce| Intent {
            text: parcel::text_of(nonce, 1, false),
            rival_of: Some(other),
            first_sent: None,
            sends: 0,
            acked: None,
            refused: None,
            ..model
        });
        self.submit(customer, nonce);
    }

    fn query(&mut self, customer: usize) {
        let known: Vec<MessageId> = self.customers[customer]
            .intents
            .iter()
            .filter_map(|&nonce| self.judge.intent(nonce).acked)
            .collect();
        if !known.is_empty() {
            let id = self.dice.customers.pick(&known);
            self.ask_about(customer, id, false);
        }
    }

    /// Takes one of its last messages back, which may be anywhere by now.
    fn cancel(&mut self, customer: usize) {
        let last = self.customers[customer].intents.iter().rev().take(REGRETS_MAX);
        let known: Vec<MessageId> = last.filter_map(|&nonce| self.judge.intent(nonce).acked).collect();
        if known.is_empty() {
            return;
        }
        let id = self.dice.customers.pick(&known);
        let state = &mut self.customers[customer];
        state.next_request += 1;
        let request = state.next_request;
        state.open.insert(request, Asked::Cancel);
        self.send_request(customer, Request::Cancel { request, id });
    }

    pub(super) fn ask_about(&mut self, customer: usize, id: MessageId, is_final: bool) {
        let state = &mut self.customers[customer];
        state.next_request += 1;
        let request = state.next_request;
        state.open.insert(request, Asked::Query { id, at: self.now, is_final });
        self.send_request(customer, Request::Query { request, id });
    }

    /// Whether an account has a customer that wants to be told, and says what it has.
    pub(super) fn listens(&self, account: usize) -> bool {
        let mut traits = self.customers.iter().map(|customer| customer.traits);
        traits.any(|traits| traits.account == account && traits.subscribes && !traits.is_mute)
    }

    /// Says that it has what a node told it.
    fn acknowledge(&mut self, node: usize, customer: usize, partition: Partition, sequence: u64) {
        let traits = self.customers[customer].traits;
        if traits.is_mute {
            return;
        }
        let account = self.swarm.plan.accounts[traits.account].id;
        self.send_request_to(node, customer, Request::Acknowledge { account, partition, sequence });
    }

    /// Acknowledges more than it was told: a customer's mistake must not cost it fates.
    fn boast(&mut self, customer: usize) {
        let traits = self.customers[customer].traits;
        if !traits.subscribes || !self.dice.customers.chance(traits.boasts_per_mille) {
            return;
        }
        let account = self.swarm.plan.accounts[traits.account].id;
        self.boasts.insert(traits.account);
        // Of the partitions in which something of its own may just come to its end.
        let own = self.customers[customer].intents.iter().rev().take(BOASTS_MAX);
        let own: Vec<_> = own.filter_map(|&nonce| self.judge.intent(nonce).acked).collect();
        for id in own {
            let (partition, sequence) = (id.partition(), u64::MAX);
            self.send_request(customer, Request::Acknowledge { account, partition, sequence });
        }
    }

    /// A reply leaves the engine: what it says counts from here on, whether it arrives or not.
    pub(super) fn released(&mut self, node: usize, origin: Origin, reply: Reply) {
        let customer = usize::try_from(origin.connection & 0xFFFF).unwrap_or(0);
        let connection = origin.connection >> 16;
        let state = &self.customers[customer];
        let asked = state.open.get(&origin.request).copied().filter(|_| state.connection == connection);
        self.hash.number(origin.connection ^ origin.request);
        match &reply {
            Reply::Answer { outcome, .. } => {
                let nonce = asked
                    .and_then(|asked| if let Asked::Submit { nonce } = asked { Some(nonce) } else { None });
                if let Some(nonce) = nonce {
                    let nodes = &self.nodes;
                    let majority = self.swarm.majority();
                    let durable = |acceptance: shards::api::Acceptance| {
                        Reach::of(majority, nodes.iter().map(|node| node.durable(acceptance.id.partition())))
                    };
                    self.judge.answer_released(self.now, nonce, outcome, durable);
                }
            }
            Reply::Message { view, .. } => {
                let query = asked.and_then(|asked| {
                    if let Asked::Query { id, at, .. } = asked { Some((id, at)) } else { None }
                });
                if let (Some((_, at)), Some(view)) = (query, view) {
                    let durable = self.reach(view.id.partition());
                    self.judge.view_released(self.now, at, view, durable);
                }
            }
            Reply::CannotTell { .. } | Reply::Done { .. } => {}
            Reply::Cancelled { id, outcome, .. } => {
                if outcome.is_ok() {
                    let durable = self.reach(id.partition());
                    self.judge.cancel_released(self.now, *id, durable);
                }
            }
            Reply::Fate { event, .. } => {
                let account = state.traits.account;
                let durable = self.reach(event.id.partition());
                self.judge.fate_released(self.now, account, event, durable);
            }
            Reply::Handset { message, .. } => {
                let account = state.traits.account;
                let durable = self.reach(message.id.partition());
                self.judge.handset_released(self.now, account, message, durable);
            }
        }
        let delay = self.dice.customers.skewed((10_000, 30 * MS));
        // A connection keeps its order: fates are told in theirs.
        let at = (self.now + delay).max(self.customers[customer].replies_until + 1);
        self.customers[customer].replies_until = at;
        self.queue.at(at, Event::Reply { node, customer, connection, reply: Box::new(reply) });
    }

    /// A reply arrives. What is told is acknowledged where it was told: a connection's credits come back on it.
    pub(super) fn hear(&mut self, node: usize, customer: usize, connection: u64, reply: &Reply) {
        let state = &mut self.customers[customer];
        if !state.connected || state.connection != connection {
            return;
        }
        match reply {
            Reply::Answer { origin, .. } | Reply::Cancelled { origin, .. } | Reply::CannotTell { origin } => {
                state.open.remove(&origin.request);
            }
            Reply::Done { .. } => {}
            Reply::Message { origin, view, .. } => {
                let asked = state.open.remove(&origin.request);
                if let Some(Asked::Query { id, is_final: true, .. }) = asked {
                    self.final_view(id, view.as_deref());
                }
            }
            Reply::Fate { event, .. } => {
                let partition = event.id.partition();
                let last = state.received.entry(partition).or_default();
                *last = (*last).max(event.sequence);
                self.judge.fate_told(event);
                self.acknowledge(node, customer, partition, event.sequence);
            }
            Reply::Handset { message, .. } => {
                let partition = message.id.partition();
                let last = state.received.entry(partition).or_default();
                *last = (*last).max(message.sequence);
                self.sights.heard += u64::from(self.judge.handset_told(message));
                self.acknowledge(node, customer, partition, message.sequence);
            }
        }
    }
}
