//! One shard's end of the webhooks that it hosts: their subscriptions, what they are told, and what they acknowledge.
//!
//! A webhook is hosted by one shard, whichever its account falls to, and told the events of all shards, as any reader of them is. So much
//! may be told and not acknowledged that one post is under way and the next one is there.

use std::collections::BTreeMap;
use std::mem;

use crossbeam::channel::{Receiver, Sender, TrySendError};
use shards::api::{Origin, Reply, Subscription};
use wire::id::{AccountId, ShardId};
use wire::time::Instant;

use crate::customers::ask::Ask;
use crate::customers::{ToldEvent, WEBHOOKS};
use crate::webhooks::courier::Word;
use crate::webhooks::limits::{EVENTS_HELD_MAX, STOP_WAIT};

/// What the control thread wants of a shard's webhooks.
#[derive(Clone, Debug)]
pub(in super::super) enum Order {
    /// Tell a courier the events of an account.
    Open {
        /// The courier's number, which no other has.
        courier: u64,
        /// The account.
        account: AccountId,
        /// The way to it.
        events: Sender<Vec<ToldEvent>>,
    },
    /// Tell this courier nothing more.
    Close {
        /// Its number.
        courier: u64,
    },
}

/// The webhooks of one shard. Lives on the shard's thread.
#[derive(Debug)]
pub(in super::super) struct Client {
    shard: ShardId,
    /// Events that each shard may tell one courier ahead of its acknowledgements.
    credits: u32,
    hosted: BTreeMap<u64, Hosted>,
    /// Couriers with something to be sent to them.
    ready: Vec<u64>,
    words: Receiver<Word>,
    /// Since when the shard drains.
    draining: Option<Instant>,
}

#[derive(Debug)]
struct Hosted {
    account: AccountId,
    /// `None`: it was hung up on, and finishes what is under way.
    events: Option<Sender<Vec<ToldEvent>>>,
    /// Told in this turn, or while the way was full.
    pending: Vec<ToldEvent>,
}

impl Client {
    /// The end of a shard of so many.
    pub(super) fn new(shard: u16, shards: u16, words: Receiver<Word>) -> Self {
        Self {
            shard: ShardId(shard),
            credits: EVENTS_HELD_MAX.div_ceil(u32::from(shards)),
            hosted: BTreeMap::new(),
            ready: Vec::new(),
            words,
            draining: None,
        }
    }

    /// Does what the control thread wants.
    pub(in super::super) fn handle_orders(&mut self, orders: Vec<Order>, ask: &mut dyn FnMut(Ask<'_>)) {
        for order in orders {
            match order {
                Order::Open { courier, account, events } if self.draining.is_none() => {
                    let hosted = Hosted { account, events: Some(events), pending: Vec::new() };
                    let before = self.hosted.insert(courier, hosted);
                    assert!(before.is_none(), "a courier has a number of its own");
                    let subscription = Subscription { account, credits: self.credits, positions: Vec::new() };
                    ask(Ask::Subscribe { origin: self.origin(courier), subscription: &subscription });
                }
                // It is hung up on before it was told anything.
                Order::Open { .. } => {}
                Order::Close { courier } => self.hang_up(courier, ask),
            }
        }
    }

    /// The shard drains: nothing is told any more, and posts that are under way are waited for.
    pub(in super::super) fn handle_drain(&mut self, now: Instant, ask: &mut dyn FnMut(Ask<'_>)) {
        self.draining = Some(now);
        let all: Vec<u64> = self.hosted.keys().copied().collect();
        for courier in all {
            self.hang_up(courier, ask);
        }
    }

    fn hang_up(&mut self, courier: u64, ask: &mut dyn FnMut(Ask<'_>)) {
        let origin = self.origin(courier);
        let Some(hosted) = self.hosted.get_mut(&courier) else { return };
        if hosted.events.take().is_some() {
            hosted.pending.clear();
            ask(Ask::Unsubscribe { origin });
        }
    }

    /// Whether no courier has anything to say any more, or none is waited for any longer.
    pub(in super::super) fn is_drained(&self, now: Instant) -> bool {
        self.hosted.is_empty() || self.draining.is_some_and(|since| since.plus(STOP_WAIT) <= now)
    }

    /// When [`Client::is_drained`] is to be asked again.
    pub(in super::super) fn timeout(&self, now: Instant) -> Option<Instant> {
        let until = self.draining.filter(|_| !self.hosted.is_empty())?.plus(STOP_WAIT);
        (until > now).then_some(until)
    }

    /// Whether a reply is an event of a webhook's subscription.
    pub(in super::super) const fn is_for_one(reply: &Reply) -> bool {
        match reply {
            Reply::Fate { subscriber, .. } | Reply::Handset { subscriber, .. } => {
                subscriber.connection == WEBHOOKS
            }
            _ => false,
        }
    }

    /// Such an event.
    pub(in super::super) fn take(&mut self, reply: Reply) {
        let (courier, event) = match reply {
            Reply::Fate { subscriber, event } => (subscriber.request, ToldEvent::Fate(event)),
            Reply::Handset { subscriber, message } => (subscriber.request, ToldEvent::Handset(message)),
            _ => return,
        };
        // What was on its way when it was hung up on is told to the next one.
        let Some(hosted) = self.hosted.get_mut(&courier).filter(|hosted| hosted.events.is_some()) else {
            return;
        };
        if hosted.pending.is_empty() {
            self.ready.push(courier);
        }
        hosted.pending.push(event);
    }

    /// Sends the couriers what this turn has for them. Once a turn. What finds no room waits: its courier says something when it has
    /// made some.
    pub(in super::super) fn flush(&mut self) {
        let hosted = &mut self.hosted;
        self.ready.retain(|courier| {
            let Some(hosted) = hosted.get_mut(courier) else { return false };
            let Some(events) = &hosted.events else { return false };
            match events.try_send(mem::take(&mut hosted.pending)) {
                Err(TrySendError::Full(pending)) => {
                    hosted.pending = pending;
                    true
                }
                // A courier ends with us, and not before.
                Ok(()) | Err(TrySendError::Disconnected(_)) => false,
            }
        });
    }

    /// Hears the couriers.
    pub(in super::super) fn serve(&mut self, ask: &mut dyn FnMut(Ask<'_>)) {
        while let Ok(word) = self.words.try_recv() {
            match word {
                Word::Done { courier, positions } => {
                    let origin = self.origin(courier);
                    let Some(account) = self.hosted.get(&courier).map(|hosted| hosted.account) else {
                        continue;
                    };
                    for (partition, sequence) in positions {
                        ask(Ask::Acknowledge { origin, account, partition, sequence });
                    }
                }
                Word::Ended(courier) => {
                    self.hosted.remove(&courier);
                }
            }
        }
    }

    /// Whether [`Client::serve`] has something.
    pub(in super::super) fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    const fn origin(&self, courier: u64) -> Origin {
        Origin { shard: self.shard, connection: WEBHOOKS, request: courier }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;
    use shards::api::{Fate, FateEvent, Sender as From, Why};
    use std::time::Duration;
    use wire::id::{MessageId, Partition};
    use wire::time::WallMs;

    use super::*;

    const ACME: AccountId = AccountId(7);

    fn fate(courier: u64, sequence: u64) -> Reply {
        let event = FateEvent {
            sequence,
            id: MessageId(1),
            at: WallMs(1),
            fate: Fate::Delivered,
            why: Why::Receipt,
            code: 0,
            recipient: "+4915112345678".parse().unwrap(),
            sender: From::new(b"A"),
        };
        let subscriber = Origin { shard: ShardId(1), connection: WEBHOOKS, request: courier };
        Reply::Fate { subscriber, event }
    }

    /// What is asked of the brain, as text.
    fn asked(said: &mut Vec<String>) -> impl FnMut(Ask<'_>) {
        |ask| said.push(format!("{ask:?}"))
    }

    #[test]
    fn a_webhook_is_told_its_events_and_what_it_acknowledges_is() {
        let (words, heard) = bounded(8);
        let mut client = Client::new(1, 4, heard);
        let (events, told) = bounded(1);
        let mut said = Vec::new();
        client.handle_orders(vec![Order::Open { courier: 3, account: ACME, events }], &mut asked(&mut said));
        assert!(said[0].starts_with("Subscribe") && said[0].contains("credits: 128"), "{said:?}");
        client.take(fate(3, 1));
        client.take(fate(3, 2));
        client.flush();
        assert_eq!(told.try_recv().unwrap().len(), 2);
        // Two turns whose events find no room go together when there is some.
        for sequence in 3..6 {
            client.take(fate(3, sequence));
            client.flush();
        }
        assert_eq!(told.try_recv().unwrap().len(), 1);
        client.flush();
        assert_eq!(told.try_recv().unwrap().len(), 2);

        words.send(Word::Done { courier: 3, positions: vec![(Partition(5), 6)] }).unwrap();
        assert!(client.has_words());
        said.clear();
        client.serve(&mut asked(&mut said));
        assert!(said[0].starts_with("Acknowledge") && said[0].contains("sequence: 6"), "{said:?}");
        assert_eq!((said.len(), client.has_words()), (1, false));
    }

    #[test]
    fn other_readers_keep_what_is_theirs_and_a_webhook_that_is_gone_hears_nothing() {
        let (_words, heard) = bounded(1);
        let mut client = Client::new(1, 1, heard);
        let subscriber = Origin { shard: ShardId(1), connection: 3, request: 3 };
        let Reply::Fate { event, .. } = fate(3, 1) else { panic!("a fate") };
        assert!(!Client::is_for_one(&Reply::Fate { subscriber, event }) && Client::is_for_one(&fate(3, 1)));
        client.take(fate(3, 1));
        client.flush();
        assert!(client.hosted.is_empty() && client.ready.is_empty());
    }

    #[test]
    fn one_that_is_closed_finishes_its_post_and_a_stop_waits_for_that_within_bounds() {
        let (words, heard) = bounded(8);
        let mut client = Client::new(1, 1, heard);
        let mut said = Vec::new();
        let open = |courier, events| Order::Open { courier, account: ACME, events };
        let (one, told) = bounded(1);
        client.handle_orders(vec![open(1, one), open(2, bounded(1).0)], &mut |_| {});
        client.handle_orders(vec![Order::Close { courier: 2 }], &mut asked(&mut said));
        assert!(said.len() == 1 && said[0].starts_with("Unsubscribe"), "{said:?}");
        words.send(Word::Done { courier: 2, positions: vec![(Partition(0), 1)] }).unwrap();
        words.send(Word::Ended(2)).unwrap();
        said.clear();
        client.serve(&mut asked(&mut said));
        assert_eq!(said.len(), 1, "what it had under way is acknowledged");
        assert_eq!(client.timeout(Instant(0)), None);

        let now = Instant(1_000_000_000);
        client.take(fate(1, 1));
        client.handle_drain(now, &mut |_| {});
        client.flush();
        assert!(told.try_recv().unwrap_err().is_disconnected());
        assert!(!client.is_drained(now));
        let until = now.plus(STOP_WAIT);
        assert_eq!(client.timeout(now), Some(until));
        assert!(client.is_drained(until) && client.timeout(until).is_none());
        words.send(Word::Ended(1)).unwrap();
        client.serve(&mut |_| {});
        assert!(client.is_drained(now.plus(Duration::from_nanos(1))));
        let (late, told) = bounded(1);
        client.handle_orders(vec![open(3, late)], &mut |_| {});
        assert!(told.try_recv().unwrap_err().is_disconnected());
    }
}
