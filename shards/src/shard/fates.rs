//! Fates, and messages of handsets, are told: to subscribers, at least once, until they are acknowledged.

use wal::Record;
use wal::record::Acknowledged;
use wire::id::{AccountId, Partition, ShardId};
use wire::time::Now;

use super::cross::Cross;
use super::{Phase, Shard};
use crate::api::{FateEvent, HandsetMessage, Origin, Reply, State, Subscription};
use crate::limits::{SUBSCRIBERS_MAX, SUBSCRIPTION_CREDITS_MAX};
use crate::state::message::Message;

/// Who wants to be told an account's fates.
#[derive(Debug)]
pub(super) struct Subscriber {
    origin: Origin,
    account: AccountId,
    credits: u32,
    outstanding: u32,
    /// For each cell, the last fate that was told and the last that is acknowledged.
    places: Vec<Told>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
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
        let places = self.cells.iter().map(|cell| {
            let named =
                subscription.positions.iter().find(|(partition, _)| *partition == cell.state.partition);
            let acknowledged = cell.state.fates.of(account).map_or(0, |fates| fates.acknowledged);
            // A position from another life of this partition (its data was replaced) begins where it can be told.
            let released = cell.released_through(account);
            let from = named.map_or(acknowledged, |&(_, sequence)| sequence.min(released));
            Told { told: from, acknowledged: from }
        });
        let credits = subscription.credits.min(SUBSCRIPTION_CREDITS_MAX);
        let subscriber = Subscriber { origin, account, credits, outstanding: 0, places: places.collect() };
        self.subscribers.push(subscriber);
        self.tell_all(self.subscribers.len() - 1);
    }

    pub(super) fn unsubscribe_here(&mut self, origin: Origin) {
        self.subscribers.retain(|subscriber| subscriber.origin != origin);
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
        let cell = &mut self.cells[place];
        // Nobody acknowledges what was not told yet.
        let sequence = sequence.min(cell.released_through(account));
        let acknowledged = cell.state.fates.of(account).map_or(0, |fates| fates.acknowledged);
        if sequence > acknowledged && cell.decides {
            let at = self.clock.read(now);
            cell.decide(at, &Record::Acknowledged(Acknowledged { account, sequence }));
        }
        let found = self.subscribers.iter().position(|subscriber| subscriber.origin == origin);
        if let Some(found) = found {
            self.subscribers[found].acknowledge(place, sequence);
            self.tell_all(found);
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

    /// Another node tells the fates of a partition from now on, and is told what is acknowledged.
    pub(super) fn tell_no_more(&mut self, place: usize) {
        for subscriber in &mut self.subscribers {
            subscriber.acknowledge(place, u64::MAX);
        }
    }

    /// This node tells the fates of a partition from now on.
    pub(super) fn tell_from_here(&mut self, place: usize) {
        let fates = &self.cells[place].state.fates;
        for subscriber in &mut self.subscribers {
            let acknowledged = fates.of(subscriber.account).map_or(0, |fates| fates.acknowledged);
            subscriber.places[place] = Told { told: acknowledged, acknowledged };
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
                || sequence > cell.released_through(subscriber.account)
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
    fn acknowledge(&mut self, place: usize, sequence: u64) {
        let told = &mut self.places[place];
        let through = sequence.min(told.told);
        let count = through.saturating_sub(told.acknowledged);
        told.acknowledged = told.acknowledged.max(through);
        self.outstanding = self.outstanding.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
    }
}
