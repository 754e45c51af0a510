//! What a run draws before it begins: which faults exist and how strong, and how large everything is.
//!
//! Not every fault in every run (swarm testing): a run in which nothing but the disk is slow finds what a run in which
//! everything breaks hides. Bounds are drawn small, so that what they bound happens.

use core::time::Duration;
use std::sync::Arc;

use shards::inbound::{Inbound, InboundRule};
use shards::members::Member;
use shards::plan::{Account, Binds, Carrier, ClassPolicy, Plan, Route};
use shards::routes::Routes;
use wire::id::{AccountId, CarrierId, Class, NodeId, PartitionCount};
use wire::smpp::bind::{INTERFACE_VERSION_3_4, INTERFACE_VERSION_5_0};
use wire::smpp::carrier_id::IdForm;
use wire::smpp::profile::{self, IdScope, Ids, Profile, Spelling, StatusRule, Validity};
use wire::smpp::receipt::{ReceiptSign, ReceiptSource};
use wire::smpp::status::Verdict;
use wire::text::{Concatenation, Narrow, Typography};

use crate::carrier::manners::{Habit, KINDS};
use crate::dice::Dice;
use crate::disk::Honesty;
use crate::event::Fault;
use crate::recover::Snapshots;

/// A millisecond of virtual time.
pub(crate) const MS: u64 = 1_000_000;
/// A second of virtual time.
pub(crate) const S: u64 = 1_000 * MS;

/// How long a core is not scheduled at most, at a time.
pub(crate) const PAUSE_MAX: u64 = 6 * S;

/// Seeds below this draw worlds of several nodes, too: few until a hunt over many of them has found nothing, so that what a commit's
/// own seeds show is about what the daemon runs.
pub(crate) const SEVERAL_NODES_BELOW: u64 = 1 << 20;

/// What kind of world it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No faults: everything is delivered once.
    Calm,
    /// Faults, then healing.
    Faults,
}

/// A way to deceive the judge, who must not be deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// A sync that is acknowledged and not done.
    SyncLies,
    /// A network that drops bytes which it acknowledged.
    BytesDropped,
}

/// One run's world.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) mode: Mode,
    /// The first node's plan.
    pub(crate) plan: Arc<Plan>,
    /// How many cores the other nodes have.
    pub(crate) others: Vec<u16>,
    /// How many of them come later.
    pub(crate) latecomers: usize,
    pub(crate) honesty: Honesty,
    /// Whether the network drops whole PDUs that it acknowledged, per mille.
    pub(crate) drops: u64,
    /// How long faults happen.
    pub(crate) safety: u64,
    pub(crate) disk: DiskTraits,
    pub(crate) net: NetTraits,
    /// Faults that happen from time to time: what, and every how many nanoseconds about.
    pub(crate) faults: Vec<(Fault, u64)>,
    /// Thousandths by which the clock is fast.
    pub(crate) drift: i64,
    /// How far the wall clock is set.
    pub(crate) step_ms: u64,
    /// How long a process is down.
    pub(crate) down: (u64, u64),
    pub(crate) habits: Vec<Vec<Habit>>,
    /// How many questions about a message are answered with what became of another.
    pub(crate) wrong_answers_per_mille: u64,
    /// What carriers can take in a second, where they cannot take anything.
    pub(crate) capacities: Vec<Option<u64>>,
    pub(crate) customers: Vec<CustomerTraits>,
    /// Digits of recipients, few enough that they are used often.
    pub(crate) recipients: Vec<String>,
    pub(crate) intents_max: u64,
    /// Texts that handsets send.
    pub(crate) handset_texts_max: u64,
    /// Whether messages are forgotten while the run goes on.
    pub(crate) forgets: bool,
    /// Whether all texts are short: then rates can be judged to a few segments.
    pub(crate) is_brief: bool,
}

/// How a disk is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskTraits {
    pub(crate) sync: (u64, u64),
    pub(crate) slow_per_mille: u64,
    pub(crate) slow: u64,
    pub(crate) fail_per_mille: u64,
    pub(crate) snapshots: Snapshots,
    /// How long the next segment takes to be made.
    pub(crate) prepare: (u64, u64),
    /// Pieces of snapshots, and segments, for which there is no room.
    pub(crate) no_room_per_mille: u64,
    /// Files of released segments that are used again.
    pub(crate) again_per_mille: u64,
}

/// How the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetTraits {
    pub(crate) delay: (u64, u64),
    pub(crate) chunk_bytes: u64,
    pub(crate) kernel_bytes: usize,
    pub(crate) refuse_per_mille: u64,
    pub(crate) stall: u64,
}

/// How a customer is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CustomerTraits {
    pub(crate) account: usize,
    pub(crate) gap: (u64, u64),
    pub(crate) burst: u64,
    pub(crate) subscribes: bool,
    /// It never acknowledges what it is told.
    pub(crate) is_mute: bool,
    pub(crate) credits: u32,
    pub(crate) disconnects_per_mille: u64,
    pub(crate) boasts_per_mille: u64,
}

impl Swarm {
    /// The world of a seed.
    pub(crate) fn draw(seed: u64, mode: Mode) -> Self {
        let mut dice = Dice::stream(seed, "swarm");
        let dice = &mut dice;
        let calm = mode == Mode::Calm;
        let shards = dice.within((1, 3));
        let forgets = !calm && dice.chance(150);
        let mut plan = plan(dice, calm, u16::try_from(shards).unwrap_or(1), forgets);
        let is_brief = share(&mut Dice::stream(seed, "sharing"), calm, &mut plan);
        dialects(&mut Dice::stream(seed, "dialects"), &mut plan);
        let mut handsets = Dice::stream(seed, "handsets");
        plan.inbound = inbound(&mut handsets, &plan.accounts);
        let handset_texts_max = if handsets.chance(400) { 0 } else { handsets.skewed((1, 40)) };
        for carrier in &mut plan.carriers {
            let is_asked = Dice::stream(seed ^ u64::from(carrier.id.0), "queries").chance(400);
            carrier.profile.queries = is_asked && carrier.profile.ids.scope == IdScope::Carrier;
        }
        let habits = plan.carriers.iter().map(|_| habits(dice, calm)).collect();
        // Drawn apart, so that worlds without it are what they were before there was such a fault.
        let mut turns = Vec::new();
        let mut replans = Dice::stream(seed, "replan");
        if !calm && replans.chance(250) {
            turns.push((Fault::Replan, replans.pick(&[300 * MS, S, 4 * S])));
        }
        let mut presses = Dice::stream(seed, "press");
        let subscribers = dice.within((2, 4));
        let customers = (0..subscribers).map(|_| customer(dice, calm, plan.accounts.len())).collect();
        let mut swarm = Self {
            mode,
            honesty: Honesty::Honest,
            drops: 0,
            safety: dice.within((4, 20)) * S,
            disk: disk(dice, calm),
            net: net(dice, calm),
            faults: [faults(dice, calm), turns].concat(),
            drift: if calm || dice.chance(600) { 0 } else { dice.pick(&[-50, -10, -1, 1, 10, 50]) },
            step_ms: dice.pick(&[200, 2_000, 10_000, 3_600_000]),
            down: dice.pick(&[(20 * MS, 300 * MS), (500 * MS, 5 * S)]),
            habits,
            customers,
            recipients: recipients(dice, plan.partitions),
            intents_max: dice.skewed((10, 120)),
            handset_texts_max,
            forgets,
            is_brief,
            wrong_answers_per_mille: if calm { 0 } else { 200 },
            capacities: Vec::new(),
            others: Vec::new(),
            latecomers: 0,
            plan: Arc::new(plan),
        };
        swarm.press(&mut presses);
        if seed < SEVERAL_NODES_BELOW {
            swarm.spread(&mut Dice::stream(seed, "nodes"));
            swarm.change_members(&mut Dice::stream(seed, "members"));
        }
        if swarm.nodes() > 1 {
            // Who listens somewhere and says nothing may not keep the others of its account from being told.
            let mut dice = Dice::stream(seed, "mute");
            swarm.customers.iter_mut().for_each(|customer| customer.is_mute = dice.chance(150));
            if let [mute, other, ..] = &mut swarm.customers[..]
                && dice.chance(250)
            {
                (mute.is_mute, other.is_mute) = (true, false);
                (mute.subscribes, other.subscribes) = (true, true);
                (mute.boasts_per_mille, other.boasts_per_mille) = (0, 0);
                mute.account = other.account;
            }
        }
        swarm
    }

    /// Carriers that take less than they are given, and say so. Drawn apart, so that worlds of before are what they were.
    fn press(&mut self, dice: &mut Dice) {
        let calm = self.mode == Mode::Calm;
        if !dice.chance(if calm { 300 } else { 150 }) {
            return;
        }
        let least = if calm { 20 } else { 2 };
        self.capacities = self.plan.carriers.iter().map(|_| Some(dice.within((least, 60)))).collect();
        if calm {
            // Nothing else is what holds them up.
            (self.net.chunk_bytes, self.net.kernel_bytes) = (1_460, 65_536);
            for carrier in &mut Arc::make_mut(&mut self.plan).carriers {
                carrier.profile.window_pdus = carrier.profile.window_pdus.max(30);
                carrier.profile.rate_per_s = None;
            }
            self.intents_max = dice.within((200, 400));
            for customer in &mut self.customers {
                (customer.gap, customer.burst) = ((MS, 4 * MS), 8);
            }
        }
    }

    /// Several nodes. Drawn apart, so that worlds of one are what they were.
    fn spread(&mut self, dice: &mut Dice) {
        // What carriers can take is judged for a node alone.
        if !dice.chance(300) || !self.capacities.is_empty() {
            return;
        }
        let nodes = dice.pick(&[2, 3, 3, 3, 3, 4, 5]);
        self.others = (1..nodes).map(|_| u16::try_from(dice.within((1, 3))).unwrap_or(1)).collect();
        let plan = Arc::make_mut(&mut self.plan);
        plan.founders = (1..=nodes).map(NodeId).map(Member::of).collect();
        plan.is_clustered = true;
        for carrier in &mut plan.carriers {
            // An id that is unique on one bind says nothing on another node's.
            carrier.profile.ids.scope = IdScope::Carrier;
        }
        if self.mode == Mode::Calm {
            return;
        }
        if dice.chance(700) {
            self.faults.push((Fault::Cut, dice.pick(&[S, 3 * S, 8 * S])));
        }
        if dice.chance(500) {
            // Who comes back is far behind, and homes have little of the log in memory.
            self.disk.snapshots.every_bytes = 16 << 10;
            self.down = (500 * MS, 5 * S);
            self.faults.extend([(Fault::PowerCut, 3 * S), (Fault::Kill, 3 * S)]);
            self.intents_max = self.intents_max.max(60);
        }
    }

    /// Nodes that come and go. Drawn apart, so that worlds without it are what they were.
    fn change_members(&mut self, dice: &mut Dice) {
        if !(3..=4).contains(&self.nodes()) || self.mode == Mode::Calm || !dice.chance(400) {
            return;
        }
        self.latecomers = dice.index(3);
        if self.nodes() == 3 && dice.chance(150) {
            // A cluster that grows from one node.
            self.latecomers = 0;
            self.others.clear();
            Arc::make_mut(&mut self.plan).founders.truncate(1);
            self.latecomers = 3;
        }
        let cores = (0..self.latecomers).map(|_| u16::try_from(dice.within((1, 3))).unwrap_or(1));
        self.others.extend(cores);
        self.faults.push((Fault::Members, dice.pick(&[500 * MS, S, 3 * S])));
        self.safety = self.safety.max(10 * S);
    }

    /// Whether members come and go.
    pub(crate) fn members_change(&self) -> bool {
        self.faults.iter().any(|(fault, _)| matches!(fault, Fault::Members))
    }

    /// How many nodes there are, and will be.
    pub(crate) const fn nodes(&self) -> usize {
        1 + self.others.len()
    }

    /// How many there are at first.
    pub(crate) const fn founders(&self) -> usize {
        self.nodes() - self.latecomers
    }

    /// On so many disks something must be for a majority to have it, at the least: one member may go before another comes.
    pub(crate) fn majority(&self) -> usize {
        let fewest = if self.members_change() { self.founders() - 1 } else { self.founders() };
        fewest / 2 + 1
    }

    /// The plan of a node.
    pub(crate) fn plan_of(&self, node: usize) -> Arc<Plan> {
        let mut plan = Plan::clone(&self.plan);
        plan.node = NodeId(u32::try_from(node + 1).expect("few nodes"));
        plan.shards = if node == 0 { plan.shards } else { self.others[node - 1] };
        Arc::new(plan)
    }

    /// Deceives the judge.
    pub(crate) fn deceive(&mut self, canary: Canary) {
        match canary {
            Canary::SyncLies => {
                self.honesty = Honesty::Lies;
                self.faults.push((Fault::PowerCut, 3 * S));
            }
            Canary::BytesDropped => self.drops = 50,
        }
    }

    /// Whether virtual time and record time differ.
    pub(crate) fn clock_is_wrong(&self) -> bool {
        self.drift != 0 || self.clock_slack() > 0
    }

    /// How long a core is not scheduled at most.
    pub(crate) fn pause_max(&self) -> u64 {
        let pauses = self.faults.iter().any(|(fault, _)| matches!(fault, Fault::Pause));
        if pauses { PAUSE_MAX } else { 0 }
    }

    /// How far the wall clock may be wrong, in all.
    pub(crate) fn clock_slack(&self) -> u64 {
        let steps = self.faults.iter().any(|(fault, _)| matches!(fault, Fault::ClockStep));
        if steps { 2 * self.step_ms * MS } else { 0 }
    }
}

fn plan(dice: &mut Dice, calm: bool, shards: u16, forgets: bool) -> Plan {
    let carriers = dice.within((1, 3));
    let carriers: Vec<_> = (0..carriers).map(|place| carrier(dice, calm, place)).collect();
    let all: Vec<u16> = (0_u16..).take(carriers.len()).collect();
    let mut turned = all.clone();
    turned.rotate_left(1);
    let routes =
        vec![Route { prefix: None, carriers: all }, Route { prefix: "49152".parse().ok(), carriers: turned }];
    let tight = !calm && dice.chance(150);
    let accounts = ["acme", "beta", "citrus"].map(|name| Account {
        id: AccountId::of_name(name),
        name: name.into(),
        class: Class::Transactional,
        sender: "Sim".into(),
        senders: Vec::new(),
        open_messages_max: if tight { 3 } else { 10_000 },
        keys_max: if tight { 16 } else { usize::MAX },
        rate: None,
    });
    Plan {
        node: NodeId(1),
        founders: vec![Member::of(NodeId(1))],
        is_clustered: false,
        shards,
        partitions: PartitionCount::new(16).expect("the least"),
        accounts: accounts.into(),
        carriers,
        routes: Routes::new(routes),
        classes: Class::ALL.map(|class| policy(dice, calm, class)),
        open_messages_max: if tight { 6 } else { 10_000 },
        keys_max: if tight { 64 } else { 100_000 },
        retention: Duration::from_secs(if forgets { dice.within((1, 8)) } else { 86_400 }),
        finished_max: if forgets { dice.pick(&[32, 1_000]) } else { 100_000 },
        inbound: Inbound::default(),
    }
}

/// Whose the messages of handsets are: by number, by word, and one that is nobody's. Drawn apart, so that worlds without
/// handsets are what they were.
fn inbound(dice: &mut Dice, accounts: &[Account]) -> Inbound {
    let rule = |to: &str, keyword: &str, account: usize| InboundRule {
        to: to.parse().expect("digits"),
        keyword: shards::inbound::words(keyword).collect(),
        account: accounts[account].id,
        carriers: Vec::new(),
    };
    let mut inbound =
        Inbound::new(vec![rule("12345", "", 0), rule("12345", "stop", 1), rule("777", "join", 2)]);
    inbound.parts_wait = Duration::from_millis(dice.within((1_000, 20_000)));
    inbound.known_for = Duration::from_millis(dice.pick(&[0, 3_000, 60_000]));
    inbound
}

/// Fewer binds than cores, so that shards lend each other links, and rates that are low for so many shards. Drawn apart, so
/// that worlds without them are what they were before there was such a thing. Whether all texts are short.
fn share(dice: &mut Dice, calm: bool, plan: &mut Plan) -> bool {
    for carrier in &mut plan.carriers {
        if dice.chance(400) {
            carrier.binds = Binds::OfNode(u16::try_from(dice.within((1, 2))).unwrap_or(1));
        }
        if !calm && dice.chance(100) {
            carrier.profile.rate_per_s = Some(u32::try_from(dice.within((1, 9))).unwrap_or(1));
        }
    }
    if !calm && dice.chance(200) {
        for account in &mut plan.accounts {
            account.rate = Some(dice.pick(&[1, 5, 40]));
        }
    }
    dice.chance(400)
}

fn carrier(dice: &mut Dice, calm: bool, place: u64) -> Carrier {
    let name = format!("carrier-{place}");
    let (response, receipt) = dice.pick(&[
        (IdForm::Exact, IdForm::Exact),
        (IdForm::Folded, IdForm::Folded),
        (IdForm::Hexadecimal, IdForm::Decimal),
    ]);
    let rate = if dice.chance(300) { Some(dice.within((10, 100))) } else { None };
    let binds = Binds::PerShard(u16::try_from(dice.within((1, 2))).unwrap_or(1));
    let mut profile = Profile {
        window_pdus: u16::try_from(dice.skewed((1, 40))).unwrap_or(1),
        rate_per_s: rate.and_then(|rate| u32::try_from(rate).ok()),
        ids: Ids { response, receipt_tlv: receipt, receipt_text: receipt, scope: IdScope::Carrier },
        ..Profile::GENERIC
    };
    profile.timers.response = Duration::from_millis(if calm { 10_000 } else { dice.within((800, 3_000)) });
    profile.timers.enquire_link_idle = Duration::from_millis(dice.within((500, 5_000)));
    profile.receipts.sign = dice.pick(&[ReceiptSign::EsmClass, ReceiptSign::EsmClassOrBody]);
    Carrier {
        id: CarrierId::of_name(&name),
        name,
        system_id: "switchyard".into(),
        password: "secret".into(),
        system_type: String::new(),
        binds,
        profile,
    }
}

/// Carriers that want to be spoken to otherwise. Drawn apart, so that worlds of before are what they were.
fn dialects(dice: &mut Dice, plan: &mut Plan) {
    for carrier in &mut plan.carriers {
        if dice.chance(500) {
            dialect(dice, &mut carrier.profile);
        }
    }
}

fn dialect(dice: &mut Dice, of: &mut Profile) {
    let (narrow, concatenation) = (&mut of.texts.style.narrow, &mut of.texts.style.concatenation);
    *narrow = dice.pick(&[Narrow::Gsm7, Narrow::Gsm7Packed, Narrow::Latin1]);
    *concatenation =
        dice.pick(&[Concatenation::Udh8, Concatenation::Udh16, Concatenation::Sar, Concatenation::Payload]);
    of.texts.typography = dice.pick(&[Typography::Kept, Typography::Plain]);
    of.interface_version = dice.pick(&[INTERFACE_VERSION_3_4, INTERFACE_VERSION_5_0]);
    of.binds = dice.pick(&[profile::Binds::Transceiver, profile::Binds::Pair]);
    of.validity = dice.pick(&[Validity::Omitted, Validity::Relative, Validity::Absolute]);
    of.recipient.spelling = dice.pick(&[Spelling::Plain, Spelling::Plus, Spelling::DoubleZero]);
    if dice.chance(300) {
        let hex = Profile::hex_responses().ids;
        of.ids = Ids { scope: of.ids.scope, ..hex };
        of.receipts.source = dice.pick(&[ReceiptSource::TlvsThenText, ReceiptSource::Text]);
    }
    if dice.chance(300) {
        of.ids.scope = IdScope::Bind;
    }
    if dice.chance(300) {
        let rules = [(0x45, Verdict::Permanent), (0x417, Verdict::Permanent), (0x0B, Verdict::Temporary)];
        let rules = rules.map(|(status, verdict)| StatusRule::of(status, verdict)).to_vec();
        of.statuses.rules = rules.into();
    }
    if dice.chance(200) {
        of.tlvs = vec![0x14, 0x03, 0, 1, 9].into();
    }
    if dice.chance(200) {
        let Profile { interface_version, binds, receipts, .. } = Profile::v33();
        (of.interface_version, of.binds, of.receipts) = (interface_version, binds, receipts);
        of.texts.style.concatenation = dice.pick(&[Concatenation::Udh8, Concatenation::Udh16]);
        of.tlvs = Vec::new().into();
    }
    assert_eq!(of.check(), Ok(()), "a dialect that can be");
}

fn policy(dice: &mut Dice, calm: bool, class: Class) -> ClassPolicy {
    let ms = |dice: &mut Dice, range| Duration::from_millis(dice.within(range));
    let doubt = ClassPolicy::default_of(class).doubt;
    if calm {
        let minute = Duration::from_secs(60);
        return ClassPolicy { validity: minute, receipt_wait: minute, doubt_wait: minute, doubt };
    }
    let doubt_wait = if class == Class::Otp { Duration::ZERO } else { ms(dice, (0, 2_000)) };
    ClassPolicy {
        validity: ms(dice, (1_000, 8_000)),
        receipt_wait: ms(dice, (500, 6_000)),
        doubt_wait,
        doubt,
    }
}

fn habits(dice: &mut Dice, calm: bool) -> Vec<Habit> {
    if calm || dice.chance(150) {
        return Vec::new();
    }
    let strength = dice.pick(&[20, 80, 250]);
    let chosen: Vec<_> = KINDS.iter().copied().filter(|_| dice.chance(250)).collect();
    chosen.into_iter().map(|kind| Habit { kind, per_mille: strength }).collect()
}

fn customer(dice: &mut Dice, calm: bool, accounts: usize) -> CustomerTraits {
    CustomerTraits {
        account: dice.index(accounts),
        gap: dice.pick(&[(MS, 50 * MS), (20 * MS, 500 * MS)]),
        burst: dice.skewed((1, 12)),
        subscribes: dice.chance(700),
        is_mute: false,
        credits: u32::try_from(dice.skewed((1, 100))).unwrap_or(1),
        disconnects_per_mille: if calm { 0 } else { dice.pick(&[0, 10, 60]) },
        boasts_per_mille: if calm { 0 } else { dice.pick(&[0, 600]) },
    }
}

fn disk(dice: &mut Dice, calm: bool) -> DiskTraits {
    let has = |dice: &mut Dice, per_mille| !calm && dice.chance(per_mille);
    DiskTraits {
        sync: dice.pick(&[(50_000, 300_000), (MS, 5 * MS), (5 * MS, 30 * MS)]),
        slow_per_mille: if has(dice, 300) { dice.within((1, 30)) } else { 0 },
        slow: dice.pick(&[200 * MS, 2 * S, 12 * S]),
        fail_per_mille: if has(dice, 150) { dice.within((1, 5)) } else { 0 },
        snapshots: Snapshots {
            every_bytes: dice.pick(&[16 << 10, 64 << 10, 256 << 10, 1 << 20, 1 << 40]),
            piece_bytes: dice.pick(&[300, 300, 2 << 10, 64 << 10]),
        },
        prepare: (MS, 300 * MS),
        no_room_per_mille: if has(dice, 150) { dice.within((50, 500)) } else { 0 },
        again_per_mille: dice.pick(&[0, 500, 1_000]),
    }
}

fn net(dice: &mut Dice, calm: bool) -> NetTraits {
    NetTraits {
        delay: dice.pick(&[(20_000, 200_000), (MS, 20 * MS), (20 * MS, 150 * MS)]),
        chunk_bytes: dice.pick(&[7, 64, 1_460, 65_536]),
        kernel_bytes: dice.pick(&[200, 4_096, 65_536]),
        refuse_per_mille: if !calm && dice.chance(300) { dice.within((50, 500)) } else { 0 },
        stall: dice.pick(&[200 * MS, 3 * S, 20 * S]),
    }
}

fn faults(dice: &mut Dice, calm: bool) -> Vec<(Fault, u64)> {
    let every = |dice: &mut Dice| dice.pick(&[800 * MS, 3 * S, 8 * S]);
    if calm {
        return if dice.chance(400) { vec![(Fault::Drain, 5 * S)] } else { Vec::new() };
    }
    let kinds = [
        (Fault::Kill, 350),
        (Fault::PowerCut, 350),
        (Fault::Drain, 250),
        (Fault::Pause, 200),
        (Fault::ClockStep, 200),
        (Fault::Reset, 450),
        (Fault::HalfOpen, 200),
        (Fault::Stall, 300),
    ];
    let chosen: Vec<_> = kinds.into_iter().filter(|&(_, per_mille)| dice.chance(per_mille)).collect();
    chosen.into_iter().map(|(fault, _)| (fault, every(dice))).collect()
}

/// Numbers of few partitions in half of the worlds, so that much meets in one place.
fn recipients(dice: &mut Dice, partitions: PartitionCount) -> Vec<String> {
    let crowded = dice.chance(500);
    let wanted = dice.index(20) + 5;
    let mut numbers = Vec::new();
    for _ in 0..10_000 {
        let number = format!("4915{}{:07}", dice.within((1, 2)), dice.below(10_000_000));
        let partition = number.parse().map_or(0, |number| partitions.partition_of(number).0);
        if !crowded || partition < 2 {
            numbers.push(number);
        }
        if numbers.len() == wanted {
            break;
        }
    }
    numbers
}
