//! Fates, and messages of handsets, are told: to subscribers, at least once, until they are acknowledged.
//!
//! Every node that holds a partition knows its fates, so none crosses between nodes: of those with a subscriber of the account one tells, the home
//! if it is among them, else the one with the lowest number. The home is told what is acknowledged. A subscriber that has acknowledged nothing for
//! long keeps no other from being told: its node passes for one without. While nodes do not know of
//! each other, or one of them is passed over, two may tell the same.

use wal::Record;
use wal::record::Acknowledged;
use wire::id::{AccountId, NodeId, Partition, ShardId};
use wire::time::Now;

use super::cross::Cross;
use super::{Phase, Shard};
use crate::api::{FateEvent, HandsetMessage, Origin, Reply, State, Subscription};
use crate::limits::{SILENT_TICKS_MAX, SUBSCRIBERS_MAX, SUBSCRIPTION_CREDITS_MAX};
use crate::state::message::Message;

/// Who wants to be told an account's fates.
#[derive(Debug)]
pub(super) struct Subscriber {
    origin: Origin,
    account: AccountId,
    credits: u32,
    outstanding: u32,
    /// For so many ticks it has owed an acknowledgement and given none.
    silent_ticks: u32,
    /// For each cell, the last fate that was told and the last that is acknowledged.
    places: Vec<Told>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Whether this node tells it.
    is_here: bool,
    told: u64,
    acknowledged: u64,
}

impl Shard {
    /// A customer wants to be told its fates, of all shards of the node. It takes the place of an earlier subscription
    /// of the same origin.
    pub fn handle_subscribe(&mut self, _now: Now, origin: Origin, subscription: &Subscription) {
        for shard in (0..self.plan.shards).map(ShardId).filter(|&shard| shard != self.config.id) {
            self.crosses.push_back((shard, Cross::Subscribe(origin, Box::new(subscription.clone()))));
        }
        self.subscribe_here(origin, subscription);
    }

    /// A customer wants to be told nothing more.
    pub fn handle_unsubscribe(&mut self, origin: Origin) {
        for shard in (0..self.plan.shards).map(ShardId).filter(|&shard| shard != self.config.id) {
            self.crosses.push_back((shard, Cross::Unsubscribe(origin)));
        }
        self.unsubscribe_here(origin);
    }

    pub(super) fn subscribe_here(&mut self, origin: Origin, subscription: &Subscription) {
        self.unsubscribe_here(origin);
        if self.subscribers.len() >= SUBSCRIBERS_MAX {
            return;
        }
        let account = subscription.account;
        let places = (0..self.cells.len()).map(|place| {
            let cell = &self.cells[place];
            let named =
                subscription.positions.iter().find(|(partition, _)| *partition == cell.state.partition);
            let acknowledged = cell.state.fates.of(account).map_or(0, |fates| fates.acknowledged);
            // A position from another life of this partition (its data was replaced) begins where it can be told.
            let from =
                named.map_or(acknowledged, |&(_, sequence)| sequence.min(cell.tellable_through(account)));
            Told { is_here: self.tells(account, place), told: from, acknowledged: from }
        });
        let places = places.collect();
        let credits = subscription.credits.min(SUBSCRIPTION_CREDITS_MAX);
        self.subscribers.push(Subscriber {
            origin,
            account,
            credits,
            outstanding: 0,
            silent_ticks: 0,
            places,
        });
        self.say_who_listens();
        self.tell_all(self.subscribers.len() - 1);
    }

    pub(super) fn unsubscribe_here(&mut self, origin: Origin) {
        let before = self.subscribers.len();
        self.subscribers.retain(|subscriber| subscriber.origin != origin);
        if self.subscribers.len() < before {
            self.say_who_listens();
        }
    }

    /// The accounts with a subscriber that acknowledges what it is told.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = AccountId> + '_ {
        let listens = |subscriber: &&Subscriber| !subscriber.is_silent();
        self.subscribers.iter().filter(listens).map(|subscriber| subscriber.account)
    }

    /// A tick has passed: who has become silent keeps no other node from telling.
    pub(super) fn tend_subscribers(&mut self) {
        let mut is_other = false;
        for subscriber in self.subscribers.iter_mut().filter(|subscriber| subscriber.outstanding > 0) {
            let was_silent = subscriber.is_silent();
            subscriber.silent_ticks = subscriber.silent_ticks.saturating_add(1);
            is_other |= subscriber.is_silent() != was_silent;
        }
        if is_other {
            self.say_who_listens();
        }
    }

    /// Whether this node tells an account, if it has a subscriber, what becomes of it in a partition.
    fn tells(&self, account: AccountId, place: usize) -> bool {
        let cell = &self.cells[place];
        if cell.decides || self.is_alone() {
            return cell.decides;
        }
        let Some(home) = cell.home() else { return false };
        let (own, partition) = (self.plan.node, cell.state.partition);
        let mut before = self.members.present().map(|member| member.node);
        let is_before = |node: NodeId| node != own && (node == home || node < own);
        home != own && !before.any(|node| is_before(node) && self.across.may_listen(node, partition, account))
    }

    /// Whoever is home has changed, or who listens: subscribers are told a partition's fates by this node from now on, or by another.
    pub(super) fn settle_tellers(&mut self, place: usize) {
        for subscriber in 0..self.subscribers.len() {
            let account = self.subscribers[subscriber].account;
            let (is_here, was_here) =
                (self.tells(account, place), self.subscribers[subscriber].places[place].is_here);
            if is_here && !was_here {
                let fates = self.cells[place].state.fates.of(account);
                let acknowledged = fates.map_or(0, |fates| fates.acknowledged);
                self.subscribers[subscriber].places[place] =
                    Told { is_here, told: acknowledged, acknowledged };
                self.tell(subscriber, place);
            } else if was_here && !is_here {
                self.subscribers[subscriber].acknowledge(place, u64::MAX);
                self.subscribers[subscriber].places[place].is_here = false;
            }
        }
    }

    /// What another node has decided is applied here.
    pub(super) fn tell_applied(&mut self, place: usize) {
        for subscriber in 0..self.subscribers.len() {
            self.tell(subscriber, place);
        }
    }

    /// A customer has all fates of a partition up to a number.
    pub fn handle_acknowledge(
        &mut self,
        now: Now,
        origin: Origin,
        account: AccountId,
        partition: Partition,
        sequence: u64,
    ) {
        if partition.0 >= self.plan.partitions.count()
            || matches!(self.phase, Phase::Recovering | Phase::LogFailed)
        {
            return;
        }
        let (owner, place) = self.owner_of(partition);
        if owner != self.config.id {
            let message = Cross::Acknowledge(origin, account, partition, sequence);
            self.crosses.push_back((owner, message));
            return;
        }
        // Nobody acknowledges what was not told yet.
        let sequence = sequence.min(self.cells[place].tellable_through(account));
        if self.cells[place].decides {
            self.acknowledge_here(now, place, account, sequence);
        } else if origin.asked_by().is_none() {
            self.acknowledge_across(place, account, sequence);
        }
        let found = self.subscribers.iter().position(|subscriber| subscriber.origin == origin);
        if let Some(found) = found {
            let subscriber = &mut self.subscribers[found];
            subscriber.acknowledge(place, sequence);
            let was_silent = subscriber.is_silent();
            subscriber.silent_ticks = 0;
            if was_silent {
                self.say_who_listens();
            }
            self.tell_all(found);
        }
    }

    /// The home takes note of what is acknowledged.
    pub(super) fn acknowledge_here(&mut self, now: Now, place: usize, account: AccountId, sequence: u64) {
        let cell = &mut self.cells[place];
        let sequence = sequence.min(cell.tellable_through(account));
        let acknowledged = cell.state.fates.of(account).map_or(0, |fates| fates.acknowledged);
        if sequence > acknowledged {
            let at = self.clock.read(now);
            cell.decide(at, &Record::Acknowledged(Acknowledged { account, sequence }));
        }
    }

    /// Tells an account's subscribers what of a partition may be told.
    pub(super) fn tell_fates(&mut self, account: AccountId, place: usize) {
        for subscriber in 0..self.subscribers.len() {
            if self.subscribers[subscriber].account == account {
                self.tell(subscriber, place);
            }
        }
    }

    fn tell_all(&mut self, subscriber: usize) {
        for place in 0..self.cells.len() {
            self.tell(subscriber, place);
        }
    }

    fn tell(&mut self, subscriber: usize, place: usize) {
        loop {
            let cell = &self.cells[place];
            let subscriber = &mut self.subscribers[subscriber];
            let Some(fates) = cell.state.fates.of(subscriber.account) else { return };
            let Some((sequence, slot)) = fates.from(subscriber.places[place].told + 1) else { return };
            if subscriber.outstanding >= subscriber.credits
                || !subscriber.places[place].is_here
                || sequence > cell.tellable_through(subscriber.account)
            {
                return;
            }
            let Some(reply) = told(subscriber.origin, sequence, cell.state.messages.at(slot)) else { return };
            subscriber.places[place].told = sequence;
            subscriber.outstanding += 1;
            let origin = subscriber.origin;
            match &reply {
                Reply::Handset { .. } => self.counters.handset_told += 1,
                _ => self.counters.fates_told += 1,
            }
            self.reply(origin, reply);
        }
    }
}

/// What a subscriber is told of a message that is over.
fn told(subscriber: Origin, sequence: u64, message: &Message) -> Option<Reply> {
    let State::Final(fate) = message.state else { return None };
    if message.is_received {
        let text = core::str::from_utf8(message.content.text()).expect("it was decoded to a str");
        let message = HandsetMessage {
            sequence,
            id: message.id,
            at: message.due,
            carrier: message.carrier,
            from: message.recipient,
            to: message.sender,
            parts: u8::try_from(message.attempt).unwrap_or(u8::MAX),
            missing: message.code,
            text: text.into(),
        };
        return Some(Reply::Handset { subscriber, message: Box::new(message) });
    }
    let event = FateEvent {
        sequence,
        id: message.id,
        at: message.due,
        fate,
        why: message.why,
        code: message.code,
        recipient: message.recipient,
        sender: message.sender,
    };
    Some(Reply::Fate { subscriber, event })
}

impl Subscriber {
    const fn is_silent(&self) -> bool {
        self.silent_ticks >= SILENT_TICKS_MAX
    }

    fn acknowledge(&mut self, place: usize, sequence: u64) {
        let told = &mut self.places[place];
        let through = sequence.min(told.told);
        let count = through.saturating_sub(told.acknowledged);
        told.acknowledged = told.acknowledged.max(through);
        self.outstanding = self.outstanding.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }
}
