//! One `GET /v1/events`: a subscription that lasts as long as its request.
//!
//! The cursor acknowledges what came before it. Then fates are gathered until there are as many as were wanted, or a
//! moment after the first, or the wait is over. What comes beyond the limit is let go: nobody acknowledged it, so the next
//! request is told it again.

use shards::api::{FateEvent, HandsetMessage, Subscription};
use shards::plan::Plan;
use wire::id::{AccountId, Partition};
use wire::time::{Instant, WallMs};

use super::cursor::Cursor;
use super::problem::{Kind, Problem};
use super::target::EventsQuery;
use crate::customers::ask::Ask;
use crate::customers::context::Context;
use crate::customers::limits::{EVENTS_LINGER, EVENTS_TEXT_BYTES_MAX};

/// What an account is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// What became of a message.
    Fate(FateEvent),
    /// A message of a handset.
    Handset(Box<HandsetMessage>),
}

impl Event {
    /// Its partition, and its number there.
    pub(crate) const fn place(&self) -> (Partition, u64) {
        match self {
            Self::Fate(fate) => (fate.id.partition(), fate.sequence),
            Self::Handset(message) => (message.id.partition(), message.sequence),
        }
    }

    /// When it happened.
    pub(crate) const fn at(&self) -> WallMs {
        match self {
            Self::Fate(fate) => fate.at,
            Self::Handset(message) => message.at,
        }
    }

    const fn text_bytes(&self) -> usize {
        match self {
            Self::Fate(_) => 0,
            Self::Handset(message) => message.text.len(),
        }
    }
}

/// A poll that waits for fates and messages.
#[derive(Debug)]
pub(crate) struct Poll {
    account: AccountId,
    cursor: Cursor,
    events: Vec<Event>,
    /// Room for texts.
    bytes_left: usize,
    limit: usize,
    until: Instant,
}

impl Poll {
    /// Acknowledges what the cursor says and subscribes.
    ///
    /// # Errors
    /// The problem of a cursor that is none.
    pub(crate) fn begin(
        query: EventsQuery<'_>,
        account: AccountId,
        request: u64,
        cx: &mut Context<'_>,
    ) -> Result<Self, Problem> {
        let cursor = match query.after {
            None => Cursor::default(),
            Some(text) => Cursor::parse(text.as_bytes(), account).ok_or_else(|| {
                Problem::new(Kind::Cursor, "expected a cursor that an earlier answer gave to this account")
            })?,
        };
        let origin = cx.origin(request);
        for &(partition, sequence) in cursor.positions() {
            (cx.ask)(Ask::Acknowledge { origin, account, partition, sequence });
        }
        // Each shard has its share: what came beyond the limit would only be told again.
        let credits = u32::from(query.limit).div_ceil(u32::from(cx.settings.plan.shards));
        let subscription = Subscription { account, credits, positions: cursor.positions().to_vec() };
        (cx.ask)(Ask::Subscribe { origin, subscription: &subscription });
        let until = cx.now.mono.plus(query.wait);
        Ok(Self {
            account,
            cursor,
            events: Vec::new(),
            bytes_left: EVENTS_TEXT_BYTES_MAX,
            limit: usize::from(query.limit),
            until,
        })
    }

    /// Takes an event in.
    pub(crate) fn take(&mut self, event: Event, now: Instant) {
        let (partition, sequence) = event.place();
        if self.is_full() || !self.cursor.advance(partition, sequence) {
            return;
        }
        self.bytes_left = self.bytes_left.saturating_sub(event.text_bytes());
        self.events.push(event);
        self.until = if self.is_full() { now } else { self.until.min(now.plus(EVENTS_LINGER)) };
    }

    /// What comes now is let go: it is told to the next request.
    const fn is_full(&self) -> bool {
        self.events.len() == self.limit || self.bytes_left == 0
    }

    /// Waits no longer.
    pub(crate) const fn end(&mut self, now: Instant) {
        self.until = now;
    }

    /// When it answers at the latest.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Appends the answer's body.
    pub(crate) fn put(&self, plan: &Plan, out: &mut Vec<u8>) {
        super::view::put_events(&self.events, &self.cursor, self.account, plan, out);
    }

    /// How many fates it has.
    pub(crate) const fn events_count(&self) -> usize {
        self.events.len()
    }
}
