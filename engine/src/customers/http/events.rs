//! One `GET /v1/events`: a subscription that lasts as long as its request.
//!
//! The cursor acknowledges what came before it. Then fates are gathered until there are as many as were wanted, or a
//! moment after the first, or the wait is over. What comes beyond the limit is let go: nobody acknowledged it, so the next
//! request is told it again.

use shards::api::{FateEvent, Subscription};
use wire::id::AccountId;
use wire::time::Instant;

use super::cursor::Cursor;
use super::problem::{Kind, Problem};
use super::target::EventsQuery;
use crate::customers::ask::Ask;
use crate::customers::context::Context;
use crate::customers::limits::EVENTS_LINGER;

/// A poll that waits for fates.
#[derive(Debug)]
pub(crate) struct Poll {
    account: AccountId,
    cursor: Cursor,
    events: Vec<FateEvent>,
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
        Ok(Self { account, cursor, events: Vec::new(), limit: usize::from(query.limit), until })
    }

    /// Takes a fate in.
    pub(crate) fn take(&mut self, event: FateEvent, now: Instant) {
        if self.events.len() == self.limit || !self.cursor.advance(event.id.partition(), event.sequence) {
            return;
        }
        self.events.push(event);
        self.until = match self.events.len() == self.limit {
            true => now,
            false => self.until.min(now.plus(EVENTS_LINGER)),
        };
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
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        super::view::put_events(&self.events, &self.cursor, self.account, out);
    }

    /// How many fates it has.
    pub(crate) const fn events_count(&self) -> usize {
        self.events.len()
    }
}
