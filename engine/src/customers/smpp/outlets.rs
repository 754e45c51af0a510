//! Fates, and messages of handsets, on their way to SMPP customers: which are told on which bind, which are answered, and what is acknowledged.
//!
//! ```text
//!   subscription ─▶ told, by partition:  [done done SENT done ready ready]     acknowledged: up to here
//!                                              └─▶ binds of this shard              ▲
//!                        deliver_sm_resp ──▶ done ── the front is done ─────────────┘
//! ```
//!
//! An outlet is one account's on one shard. The shard that holds the account ([`Exchange`]) subscribes for it and sends each
//! fate on one of its binds, whichever has room. A fate is acknowledged when its `deliver_sm_resp` has come and those of all
//! before it in its partition: what is not acknowledged is told again, on another bind, by another shard, by another process.
//! A fate that nobody wants a receipt of is acknowledged in its turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use shards::api::{FateEvent, HandsetMessage, Origin, Subscription};
use wire::id::{Partition, ShardId};
use wire::time::Instant;

use super::super::ask::Ask;
use super::super::limits::{SMPP_CLAIM_EVERY, SMPP_FATE_CREDITS, SMPP_RECEIPT_AGAIN, SMPP_RECEIPT_TRIES_MAX};
use super::exchange::{Exchange, Place};

/// The connection of origins that are outlets' subscriptions; the shell numbers connections from zero.
pub(in super::super) const OUTLETS: u64 = u64::MAX;

/// All outlets of one shard.
#[derive(Debug)]
pub(in super::super) struct Outlets {
    shard: ShardId,
    exchange: Arc<Exchange>,
    partitions: usize,
    /// Of accounts that have a receiving bind on this shard.
    open: BTreeMap<Place, Outlet>,
    /// Outlets whose binds are to be looked after.
    ready: Vec<Place>,
    /// Outlets that have something to acknowledge.
    moved: Vec<Place>,
    /// When the first of all is due: never later than that.
    due: Instant,
}

#[derive(Debug)]
struct Outlet {
    /// Of this shard, each bound to receive.
    binds: Vec<Listener>,
    /// Who is looked after first next time.
    turn: usize,
    /// Since when it is not this shard that tells, and when to ask again; `None`: it is.
    claim_at: Option<Instant>,
    /// By partition.
    told: Vec<Told>,
    /// Tokens of fates that wait for a bind.
    ready: VecDeque<u64>,
    /// Those that were refused for now, in the order of their times.
    paused: VecDeque<(Instant, u64)>,
    /// Partitions with something to acknowledge.
    moved: Vec<u16>,
    is_listed: bool,
}

/// A bind that receives.
#[derive(Debug)]
struct Listener {
    connection: u64,
    hearing: Hearing,
}

/// Whether a bind answers what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// It does, as far as is known.
    Good,
    /// It left something unanswered, and has answered nothing since.
    Deaf,
}

/// The fates of a partition from the first that is not acknowledged.
#[derive(Debug, Default)]
struct Told {
    fates: VecDeque<Telling>,
    /// The last that may be acknowledged.
    done: u64,
    is_listed: bool,
}

/// What an account is told over SMPP.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// What became of a message: a receipt.
    Fate(FateEvent),
    /// A message of a handset.
    Handset(Arc<HandsetMessage>),
}

impl Event {
    fn sequence(&self) -> u64 {
        match self {
            Self::Fate(fate) => fate.sequence,
            Self::Handset(message) => message.sequence,
        }
    }

    fn partition(&self) -> Partition {
        match self {
            Self::Fate(fate) => fate.id.partition(),
            Self::Handset(message) => message.id.partition(),
        }
    }
}

/// Something that is not acknowledged.
#[derive(Debug)]
struct Telling {
    event: Event,
    stand: Stand,
    /// How often its customer did not take it.
    tries: u16,
}

/// How far one fate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// In [`Outlet::ready`].
    Ready,
    /// On a bind, unanswered.
    Sent,
    /// In [`Outlet::paused`].
    Paused,
    /// The customer has it, or does not want it.
    Done,
}

/// Whether a fate will not be told again although nobody took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    Yes,
    No,
}

/// What a customer said to a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has it, or will never take it.
    Done,
    /// Not now.
    Later,
    /// Nothing, for too long.
    Nothing,
    /// Nothing, and its connection is gone.
    Gone,
}

impl Outlets {
    /// The outlets of a shard without binds.
    pub(in super::super) fn new(shard: ShardId, exchange: Arc<Exchange>, partitions: u16) -> Self {
        Self {
            shard,
            exchange,
            partitions: usize::from(partitions),
            open: BTreeMap::new(),
            ready: Vec::new(),
            moved: Vec::new(),
            due: Instant::FAR_FUTURE,
        }
    }

    /// Works by another configuration from now on.
    pub(in super::super) fn handle_exchange(&mut self, exchange: Arc<Exchange>) {
        self.exchange = exchange;
    }

    /// A bind came that receives.
    pub(super) fn bound(
        &mut self,
        place: Place,
        connection: u64,
        now: Instant,
        ask: &mut dyn FnMut(Ask<'_>),
    ) {
        let outlet = self.open.entry(place).or_insert_with(|| Outlet::new(self.partitions, now));
        assert!(outlet.listener_mut(connection).is_none(), "a connection binds once");
        outlet.binds.push(Listener { connection, hearing: Hearing::Good });
        list(&mut self.ready, place, &mut outlet.is_listed);
        self.claim(place, now, ask);
    }

    /// A bind that received is gone; its receipts were given back before.
    pub(super) fn unbound(&mut self, place: Place, connection: u64, ask: &mut dyn FnMut(Ask<'_>)) {
        let Some(outlet) = self.open.get_mut(&place) else { return };
        outlet.binds.retain(|bind| bind.connection != connection);
        if !outlet.binds.is_empty() {
            // Those that were passed over may be needed now.
            return list(&mut self.ready, place, &mut outlet.is_listed);
        }
        if outlet.claim_at.is_none() {
            ask(Ask::Unsubscribe { origin: self.origin(place) });
            self.exchange.release(place, self.shard);
        }
        self.open.remove(&place);
        self.ready.retain(|listed| *listed != place);
        self.moved.retain(|listed| *listed != place);
    }

    /// A fate of the subscription with this number.
    pub(in super::super) fn handle_fate(&mut self, number: u64, event: FateEvent) {
        let Some(place) = Place::of_number(number) else { return };
        let is_wanted = self.open.contains_key(&place) && self.exchange.wants(place, event.id, event.fate);
        self.tell(place, Event::Fate(event), if is_wanted { Stand::Ready } else { Stand::Done });
    }

    /// A message of a handset for the subscription with this number.
    pub(in super::super) fn handle_handset(&mut self, number: u64, message: HandsetMessage) {
        if let Some(place) = Place::of_number(number) {
            self.tell(place, Event::Handset(Arc::new(message)), Stand::Ready);
        }
    }

    fn tell(&mut self, place: Place, event: Event, stand: Stand) {
        // One that was on its way when the last bind went: it is told again to whoever comes.
        let Some(outlet) = self.open.get_mut(&place) else { return };
        let (partition, sequence) = (event.partition(), event.sequence());
        let Some(told) = outlet.told.get_mut(usize::from(partition.0)) else { return };
        if told.fates.back().is_some_and(|last| last.event.sequence() >= sequence) {
            return;
        }
        let token = token_of(&event);
        told.fates.push_back(Telling { event, stand, tries: 0 });
        if stand == Stand::Ready {
            outlet.ready.push_back(token);
            list(&mut self.ready, place, &mut outlet.is_listed);
        } else {
            self.advance(place, partition);
        }
    }

    /// The next fate for a bind of this account, and its token. One that does not answer is passed over while another does.
    pub(super) fn next(&mut self, place: Place, connection: u64) -> Option<(u64, Event)> {
        let outlet = self.open.get_mut(&place)?;
        if outlet.is_passed_over(connection) {
            return None;
        }
        loop {
            let token = outlet.ready.pop_front()?;
            if let Some(telling) = outlet.telling_mut(token)
                && telling.stand == Stand::Ready
            {
                telling.stand = Stand::Sent;
                return Some((token, telling.event.clone()));
            }
        }
    }

    /// A fate that did not fit: the next bind that has room takes it.
    pub(super) fn put_back(&mut self, place: Place, token: u64) {
        let Some(outlet) = self.open.get_mut(&place) else { return };
        if let Some(telling) = outlet.telling_mut(token) {
            telling.stand = Stand::Ready;
            outlet.ready.push_front(token);
        }
    }

    /// What became of a fate that was sent on a bind; whether it is given up.
    pub(super) fn heard(
        &mut self,
        place: Place,
        (connection, token): (u64, u64),
        heard: Heard,
        now: Instant,
    ) -> GivenUp {
        let Some(outlet) = self.open.get_mut(&place) else { return GivenUp::No };
        if let Some(listener) = outlet.listener_mut(connection) {
            let is_deaf = heard == Heard::Nothing;
            let before = listener.hearing;
            listener.hearing = if is_deaf { Hearing::Deaf } else { Hearing::Good };
            if listener.hearing != before {
                list(&mut self.ready, place, &mut outlet.is_listed);
            }
        }
        // Its answer may be late: another bind has been answered for it since.
        let Some(telling) = outlet.telling_mut(token) else { return GivenUp::No };
        let partition = telling.event.partition();
        if heard == Heard::Done {
            telling.stand = Stand::Done;
            self.advance(place, partition);
            return GivenUp::No;
        }
        if telling.stand != Stand::Sent {
            return GivenUp::No;
        }
        telling.tries += u16::from(heard != Heard::Gone);
        if telling.tries >= SMPP_RECEIPT_TRIES_MAX {
            telling.stand = Stand::Done;
            self.advance(place, partition);
            return GivenUp::Yes;
        }
        if heard == Heard::Later {
            telling.stand = Stand::Paused;
            let at = now.plus(SMPP_RECEIPT_AGAIN);
            outlet.paused.push_back((at, token));
            self.due = self.due.min(at);
        } else {
            telling.stand = Stand::Ready;
            outlet.ready.push_back(token);
            list(&mut self.ready, place, &mut outlet.is_listed);
        }
        GivenUp::No
    }

    /// Names each connection that is to be settled since there is something for it.
    pub(in super::super) fn poll_ready(&mut self, mut touch: impl FnMut(u64)) {
        for place in self.ready.drain(..) {
            let Some(outlet) = self.open.get_mut(&place) else { continue };
            outlet.is_listed = false;
            let count = outlet.binds.len();
            (0..count).for_each(|step| touch(outlet.binds[(outlet.turn + step) % count].connection));
            outlet.turn = (outlet.turn + 1) % count;
        }
    }

    /// Acknowledges what the customers have. Once a turn.
    pub(in super::super) fn flush(&mut self, ask: &mut dyn FnMut(Ask<'_>)) {
        let mut moved = std::mem::take(&mut self.moved);
        for place in moved.drain(..) {
            let origin = self.origin(place);
            let account = self.exchange.account(place).account;
            let Some(outlet) = self.open.get_mut(&place) else { continue };
            for partition in outlet.moved.drain(..) {
                let told = &mut outlet.told[usize::from(partition)];
                told.is_listed = false;
                let (partition, sequence) = (Partition(partition), told.done);
                ask(Ask::Acknowledge { origin, account, partition, sequence });
            }
        }
        self.moved = moved;
    }

    /// When [`Outlets::handle_timeout`] is due; in the past when there is something to settle.
    pub(in super::super) fn timeout(&self) -> Option<Instant> {
        if !self.ready.is_empty() || !self.moved.is_empty() {
            return Some(Instant(0));
        }
        (self.due < Instant::FAR_FUTURE).then_some(self.due)
    }

    /// Sends again what was refused for now, and asks whether another shard's account is to be had.
    pub(in super::super) fn handle_timeout(&mut self, now: Instant, ask: &mut dyn FnMut(Ask<'_>)) {
        if self.due > now {
            return;
        }
        self.due = Instant::FAR_FUTURE;
        let claims = self.open.iter().filter(|(_, outlet)| outlet.claim_at.is_some_and(|at| at <= now));
        let claims: Vec<Place> = claims.map(|(place, _)| *place).collect();
        for place in claims {
            self.claim(place, now, ask);
        }
        for (place, outlet) in &mut self.open {
            while let Some((_, token)) = outlet.paused.pop_front_if(|(at, _)| *at <= now) {
                let telling = outlet.telling_mut(token);
                if let Some(telling) = telling.filter(|telling| telling.stand == Stand::Paused) {
                    telling.stand = Stand::Ready;
                    outlet.ready.push_back(token);
                    list(&mut self.ready, *place, &mut outlet.is_listed);
                }
            }
            let paused = outlet.paused.front().map(|(at, _)| *at);
            self.due = paused.into_iter().chain(outlet.claim_at).fold(self.due, Instant::min);
        }
    }

    /// Becomes the shard that tells the account's receipts, unless another is.
    fn claim(&mut self, place: Place, now: Instant, ask: &mut dyn FnMut(Ask<'_>)) {
        let origin = self.origin(place);
        let Some(outlet) = self.open.get_mut(&place).filter(|outlet| outlet.claim_at.is_some()) else {
            return;
        };
        if !self.exchange.hold(place, self.shard) {
            let at = now.plus(SMPP_CLAIM_EVERY);
            outlet.claim_at = Some(at);
            self.due = self.due.min(at);
            return;
        }
        outlet.claim_at = None;
        let account = self.exchange.account(place).account;
        let subscription = Subscription { account, credits: SMPP_FATE_CREDITS, positions: Vec::new() };
        ask(Ask::Subscribe { origin, subscription: &subscription });
    }

    /// Moves on behind what is done at a partition's front.
    fn advance(&mut self, place: Place, partition: Partition) {
        let Some(outlet) = self.open.get_mut(&place) else { return };
        let told = &mut outlet.told[usize::from(partition.0)];
        let before = told.done;
        while let Some(telling) = told.fates.pop_front_if(|telling| telling.stand == Stand::Done) {
            told.done = telling.event.sequence();
        }
        if told.done > before && !std::mem::replace(&mut told.is_listed, true) {
            if outlet.moved.is_empty() {
                self.moved.push(place);
            }
            outlet.moved.push(partition.0);
        }
    }

    const fn origin(&self, place: Place) -> Origin {
        Origin { shard: self.shard, connection: OUTLETS, request: place.number() }
    }
}

impl Outlet {
    fn new(partitions: usize, now: Instant) -> Self {
        Self {
            binds: Vec::new(),
            turn: 0,
            claim_at: Some(now),
            told: (0..partitions).map(|_| Told::default()).collect(),
            ready: VecDeque::new(),
            paused: VecDeque::new(),
            moved: Vec::new(),
            is_listed: false,
        }
    }

    fn listener_mut(&mut self, connection: u64) -> Option<&mut Listener> {
        self.binds.iter_mut().find(|bind| bind.connection == connection)
    }

    /// Whether a bind is told nothing: it answers nothing, and another does.
    fn is_passed_over(&self, connection: u64) -> bool {
        let is_deaf = |bind: &Listener| bind.hearing == Hearing::Deaf;
        let own = self.binds.iter().find(|bind| bind.connection == connection);
        own.is_some_and(is_deaf) && !self.binds.iter().all(is_deaf)
    }

    /// The fate of a token, unless it is acknowledged.
    fn telling_mut(&mut self, token: u64) -> Option<&mut Telling> {
        let partition = usize::try_from(token >> SEQUENCE_BITS).ok()?;
        let sequence = token & SEQUENCE_MASK;
        let fates = &mut self.told.get_mut(partition)?.fates;
        // Fates that were forgotten leave gaps; nearly always there are none.
        let first = fates.front()?.event.sequence();
        let near = usize::try_from(sequence.checked_sub(first)?).ok()?;
        let place = match fates.get(near) {
            Some(telling) if telling.event.sequence() == sequence => near,
            _ => fates.binary_search_by_key(&sequence, |telling| telling.event.sequence()).ok()?,
        };
        fates.get_mut(place)
    }
}

/// Bits of a token that hold a fate's number; its partition has the others.
const SEQUENCE_BITS: u32 = 48;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;

fn token_of(event: &Event) -> u64 {
    u64::from(event.partition().0) << SEQUENCE_BITS | event.sequence() & SEQUENCE_MASK
}

fn list(places: &mut Vec<Place>, place: Place, is_listed: &mut bool) {
    if !std::mem::replace(is_listed, true) {
        places.push(place);
    }
}
