//! The ending: everything heals, and then everything must come to rest.
//!
//! ```text
//!   living ─▶ settling ─▶ probing ─▶ asking ─▶ over
//!             all fates    new messages are    every acknowledged message
//!             are there    delivered at once   is known, told, and in the log
//! ```

use shards::api::{Fate, MessageView, Refusal, Retry, State};
use wire::id::{Class, MessageId, Partition};

use super::World;
use crate::event::Event;
use crate::judge::chronicle::Chronicle;
use crate::judge::pace::patience_with;
use crate::judge::{DECENCY, DRAINS, Intent, NEVER_FORGOTTEN, ONE_FATE, TOLD};
use crate::parcel;
use crate::swarm::{MS, Mode, S};

/// Within this everything that was accepted has its fate and all links are up: the longest validity and wait for a
/// receipt that a world draws, on a slow clock, behind the longest pause between two dials.
const SETTLES_WITHIN: u64 = 100 * S;
/// Within this a new message is delivered in a world that has settled, however many it waits behind.
const PROBED_WITHIN: u64 = 80 * S;
/// Within this all questions are answered and all fates are told.
const ASKED_WITHIN: u64 = 60 * S;
/// How often the world is looked at.
const LOOK_EVERY: u64 = 300 * MS;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Living,
    Settling { until: u64 },
    Probing { until: u64 },
    Asking { until: u64 },
    Over,
}

impl World {
    pub(super) fn heal(&mut self) {
        self.stage = Stage::Settling { until: self.now + SETTLES_WITHIN };
        self.heal_network();
        self.heal_wires();
        self.heal_carriers();
        self.heal_members();
        // Connections that were breaking must have broken.
        self.queue.at(self.now + S, Event::Watch);
    }

    pub(super) fn watch(&mut self) {
        match self.stage {
            Stage::Living | Stage::Over => return,
            Stage::Settling { until } if self.is_operating() && self.now < until => self.repeat_act(),
            Stage::Settling { until } => {
                if self.has_settled() {
                    self.probe();
                    self.stage = Stage::Probing { until: self.now + PROBED_WITHIN };
                } else if until <= self.now {
                    self.tell_what_is_open();
                    self.stage = Stage::Over;
                }
            }
            Stage::Probing { until } => {
                if self.probes_arrived() {
                    self.ask_about_all();
                    self.stage = Stage::Asking { until: self.now + ASKED_WITHIN };
                } else if until <= self.now {
                    self.tell_what_probes_did();
                    self.stage = Stage::Over;
                }
            }
            Stage::Asking { until } => {
                let is_quiet =
                    self.nodes.iter().flat_map(|node| &node.cores).all(crate::node::Core::is_quiet);
                if is_quiet && self.has_settled() && self.untold().is_none() {
                    self.judge_all();
                    self.stage = Stage::Over;
                } else if until <= self.now {
                    match self.untold() {
                        Some(what) => self.judge.fail(self.now, TOLD, what),
                        None => self.judge.fail(self.now, DECENCY, "questions are not answered".into()),
                    }
                    self.stage = Stage::Over;
                }
            }
        }
        self.queue.at(self.now + LOOK_EVERY, Event::Watch);
    }

    fn has_settled(&mut self) -> bool {
        let is_up =
            self.members_there().iter().all(|&node| self.nodes[node].is_up() && !self.nodes[node].draining);
        let is_at_rest = is_up
            && self.nodes.iter_mut().flat_map(|node| &mut node.cores).all(|core| {
                let is_ready = core.brain.is_ready();
                let counts = core.brain.observe();
                let nothing_waits = counts.open_messages == 0 && counts.handset_parts_waiting == 0;
                is_ready && nothing_waits && counts.links_up == counts.links
            });
        let nobody_goes = !self.is_somebody_going();
        let is_all_brought = self.carriers.iter().all(|carrier| carrier.handsets.is_empty());
        is_at_rest
            && nobody_goes
            && self.replicas_agree()
            && is_all_brought
            && self.customers.iter().all(super::Customer::is_idle)
    }

    fn what_is_open(&mut self) -> String {
        let (mut what, mut homeless) = (Vec::new(), None);
        let nodes = self.nodes.iter_mut().enumerate();
        let cores = nodes
            .flat_map(|(node, it)| it.cores.iter_mut().enumerate().map(move |(core, it)| ((node, core), it)));
        for (shard, core) in cores {
            let is_ready = core.brain.is_ready();
            homeless = homeless.or_else(|| {
                let place = core.brain.home_views().position(|view| view.home.is_none())?;
                let number = place * usize::from(core.shards) + shard.1;
                u16::try_from(number).ok().map(Partition)
            });
            let counts = core.brain.observe();
            what.push(format!(
                "shard {shard:?}: ready {is_ready}, {} open, {} parts of handsets, {} of {} links up",
                counts.open_messages, counts.handset_parts_waiting, counts.links_up, counts.links
            ));
        }
        if let Some(partition) = homeless {
            what.push(format!("partition {} has no home: {:?}", partition.0, self.replicas_of(partition)));
        }
        let waiting = self.customers.iter().map(super::Customer::is_idle).collect::<Vec<_>>();
        what.push(format!("customers idle: {waiting:?}"));
        what.push(format!("nodes: {:?}", self.nodes.iter().map(|node| node.standing).collect::<Vec<_>>()));
        for (place, carrier) in self.carriers.iter().enumerate() {
            if let Some((number, part)) = carrier.handsets.first_key_value() {
                what.push(format!("carrier {place} still has part {number} of a handset: {part:?}"));
            }
        }
        what.join("; ")
    }

    fn tell_what_is_open(&mut self) {
        self.tell_where_replicas_differ();
        let what = self.what_is_open();
        let open = Chronicle::read(&self.nodes).map(|chronicle| {
            let open = chronicle.messages.iter().find(|(_, life)| life.fates.is_empty());
            open.map(|(id, life)| format!("{id} has no fate, its deadline was {}: {life:?}", life.deadline))
        });
        if let Ok(Some(open)) = open {
            self.judge.fail(self.now, ONE_FATE, open);
        }
        let what = format!("the world does not come to rest: {what}");
        self.judge.fail(self.now, DRAINS, what);
    }

    /// New messages in a healed world.
    fn probe(&mut self) {
        // Where few keys are remembered, only one probe has one: it must find room again.
        let has_room = self.swarm.plan.keys_max > 1_000;
        let first = self.judge.intents.len() as u64;
        for customer in 0..self.customers.len() {
            for _ in 0..2 {
                let dice = &mut self.dice.customers;
                let recipient = self.swarm.recipients[dice.index(self.swarm.recipients.len())].clone();
                let class = dice.pick(&Class::ALL);
                let account = self.customers[customer].traits.account;
                let nonce = self.judge.intend(|nonce| Intent {
                    account,
                    recipient: recipient.parse().expect("drawn from digits"),
                    key: (nonce == first || has_room).then(|| format!("probe-{nonce}")),
                    text: parcel::text_of(nonce, 1, false),
                    class,
                    validity_ms: Some(60_000),
                    rival_of: None,
                    is_probe: true,
                    first_sent: None,
                    sends: 0,
                    acked: None,
                    refused: None,
                });
                self.probes.push((customer, nonce));
                self.submit(customer, nonce);
            }
        }
    }

    /// Whether all probes have arrived. One that was refused for now is sent again.
    fn probes_arrived(&mut self) -> bool {
        for (customer, nonce) in self.probes.clone() {
            let intent = self.judge.intent_mut(nonce);
            let is_due = intent.acked.is_none() && self.customers[customer].is_idle();
            // Elsewhere is nowhere in a world of one node.
            let again = |refusal: Refusal| refusal.retry() != Retry::Never;
            if is_due && intent.refused.take().is_some_and(again) {
                self.submit(customer, nonce);
            }
        }
        let reported =
            |nonce: u64| self.judge.passages.get(&(nonce, 0)).is_some_and(|passage| passage.taken > 0);
        self.probes.iter().all(|&(_, nonce)| self.judge.intent(nonce).acked.is_some() && reported(nonce))
            && self.has_settled()
    }

    fn tell_what_probes_did(&mut self) {
        let of = |&(_, nonce): &(usize, u64)| {
            let intent = self.judge.intent(nonce);
            let taken = self.judge.passages.get(&(nonce, 0)).map_or(0, |passage| passage.taken);
            format!(
                "intent {nonce}: acknowledged {:?}, refused {:?}, taken {taken}",
                intent.acked, intent.refused
            )
        };
        let what = self.probes.iter().map(of).collect::<Vec<_>>().join("; ");
        let rest = self.what_is_open();
        let what = format!("in a healed world new messages do not arrive: {rest}; {what}");
        self.judge.fail(self.now, DRAINS, what);
    }

    fn ask_about_all(&mut self) {
        let asks: Vec<(usize, MessageId)> = self
            .judge
            .intents
            .iter()
            .filter_map(|intent| {
                let of_account = |customer: &super::Customer| customer.traits.account == intent.account;
                Some((self.customers.iter().position(of_account)?, intent.acked?))
            })
            .collect();
        for (customer, id) in asks {
            self.ask_about(customer, id, true);
        }
    }

    /// The last answer about a message.
    pub(super) fn final_view(&mut self, id: MessageId, view: Option<&MessageView>) {
        match view.map(|view| view.state) {
            None if !self.swarm.forgets => self.judge.view_missing(self.now, id),
            None | Some(State::Final(_)) => {}
            Some(state) => {
                let what = format!("{id} is {state:?} when all should be over");
                self.judge.fail(self.now, ONE_FATE, what);
            }
        }
    }

    /// An acknowledged message of a subscribing account whose fate was not told, if there is one.
    fn untold(&self) -> Option<String> {
        if let Some(unheard) = self.unheard() {
            return Some(unheard);
        }
        if self.swarm.forgets {
            return None;
        }
        self.judge.intents.iter().enumerate().find_map(|(nonce, intent)| {
            let id = intent.acked?;
            let is_owed = self.listens(intent.account) && !self.boasts.contains(&intent.account);
            let is_told = self.judge.told.contains_key(&id);
            (is_owed && !is_told).then(|| format!("the fate of {id}, intent {nonce}, was never told"))
        })
    }

    /// The end: the logs, the shards, and the whole of what was seen.
    fn judge_all(&mut self) {
        for core in (0..self.nodes.len()).flat_map(|node| self.seats_of(node)).collect::<Vec<_>>() {
            self.check_replay(core);
        }
        let chronicle = match Chronicle::read(&self.nodes) {
            Ok(chronicle) => chronicle,
            Err(what) => return self.judge.fail(self.now, NEVER_FORGOTTEN, what),
        };
        self.judge.check_chronicle(self.now, &self.swarm, &chronicle);
        // Limits and rates are each node's, for now.
        if self.nodes.len() == 1 {
            self.judge.check_open(self.now, &self.swarm, &chronicle);
            self.judge.check_pace(self.now, &self.swarm, self.sights.deaths + 1, &chronicle);
        }
        for (id, life) in &chronicle.messages {
            let Some(last) = life.fates.last() else {
                self.judge.fail(self.now, ONE_FATE, format!("{id} has no fate: {life:?}"));
                continue;
            };
            self.sights.fates[Fate::ALL.iter().position(|fate| *fate == last.fate).unwrap_or(0)] += 1;
            self.sights.doubts += life.doubts.len() as u64;
            let late = last.at.0.saturating_sub(life.deadline.0);
            // A restart forgets a fate whose sync was slow, and decides it again when a home is elected.
            let turns = (1_500 + self.swarm.disk.slow / MS) * (1 + self.sights.deaths)
                + 3_000 * self.sights.taken_over;
            let excuse_ms = (self.excuse + self.swarm.clock_slack()) / MS * 3 / 2 + turns;
            if late > excuse_ms {
                let what =
                    format!("{id} ended {late} ms after its deadline; {excuse_ms} are excused: {life:?}");
                self.judge.fail(self.now, ONE_FATE, what);
            }
        }
        self.judge_calm(&chronicle);
    }

    /// Nothing was in the way: everything must have arrived, once.
    fn judge_calm(&mut self, chronicle: &Chronicle) {
        self.sights.acknowledged =
            self.judge.intents.iter().filter(|intent| intent.acked.is_some()).count() as u64;
        let must_arrive = |nonce: Option<u64>| {
            self.swarm.mode == Mode::Calm || nonce.is_some_and(|nonce| self.judge.intent(nonce).is_probe)
        };
        let failed = chronicle.messages.iter().find(|(_, life)| {
            must_arrive(life.nonce)
                && (life.fates.last().is_none_or(|last| last.fate != Fate::Delivered)
                    || !life.doubts.is_empty())
        });
        if let Some((id, life)) = failed {
            let what = format!("nothing stood in the way of {id}: {life:?}");
            self.judge.fail(self.now, DECENCY, what);
        }
        if self.swarm.mode == Mode::Calm {
            let run = (self.now, &self.swarm, self.sights.deaths + 1);
            let all: u64 =
                self.carriers.iter().filter_map(|it| it.capacity.as_ref()).map(patience_with).sum();
            for (place, carrier) in self.carriers.iter().enumerate() {
                if let Some(capacity) = carrier.capacity.as_ref().filter(|_| self.nodes.len() == 1) {
                    let others = all - patience_with(capacity);
                    self.judge.check_capacity(run, place, capacity, others);
                }
            }
            let segments: u64 = chronicle.messages.values().map(|life| u64::from(life.segments)).sum();
            if segments != self.sights.taken {
                let what = format!("{segments} segments make {} PDUs in a calm world", self.sights.taken);
                self.judge.fail(self.now, DECENCY, what);
            }
        }
    }
}
