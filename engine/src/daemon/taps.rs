//! The traces that a shard feeds. Without one, a turn looks at an empty list and no more.

use shards::Shard;
use wire::time::Now;

use crate::admin::trace::{Feed, Piece, Subject};
use crate::customers::Customers;

/// Who looks on at this shard.
#[derive(Debug, Default)]
pub(super) struct Taps {
    feeds: Vec<Feed>,
}

impl Taps {
    /// Somebody begins to look on.
    pub(super) fn begin(&mut self, feed: Feed, brain: &mut Shard, customers: &mut Customers) {
        self.feeds.push(feed);
        self.set(brain, customers);
    }

    /// Hands over what has passed, and ends the traces whose readers have gone.
    pub(super) fn carry(&mut self, shard: u16, now: Now, brain: &mut Shard, customers: &mut Customers) {
        if self.feeds.is_empty() {
            return;
        }
        let at_ms = now.wall.0;
        while let Some((link, carrier, tapped)) = brain.poll_tapped() {
            let piece = |tapped| Piece { at_ms, session: format!("link {}", link.0), shard, tapped };
            for feed in self.feeds.iter().filter(|feed| *feed.subject() == Subject::Carrier(carrier)) {
                feed.tell(piece(tapped.clone()));
            }
        }
        customers.tapped(|account, connection, tapped| {
            let subject = Subject::Account(account.to_owned());
            for feed in self.feeds.iter().filter(|feed| *feed.subject() == subject) {
                let session = format!("connection {connection}");
                feed.tell(Piece { at_ms, session, shard, tapped: tapped.clone() });
            }
        });
        let before = self.feeds.len();
        self.feeds.retain(|feed| !feed.is_over());
        if self.feeds.len() < before {
            self.set(brain, customers);
        }
    }

    fn set(&self, brain: &mut Shard, customers: &mut Customers) {
        let carriers = self.feeds.iter().filter_map(|feed| match feed.subject() {
            Subject::Carrier(place) => Some(*place),
            Subject::Account(_) => None,
        });
        brain.handle_tap(&carriers.collect::<Vec<_>>());
        let accounts = self.feeds.iter().filter_map(|feed| match feed.subject() {
            Subject::Account(name) => Some(name.clone()),
            Subject::Carrier(_) => None,
        });
        customers.handle_tap(accounts.collect());
    }
}
