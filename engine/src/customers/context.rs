//! What a connection may touch beside itself while it handles something.

use std::collections::VecDeque;

use shards::api::Origin;
use wire::id::ShardId;
use wire::time::{Instant, Now};

use super::ask::Ask;
use super::http::DateText;
use super::metrics::Counts;
use super::passwords::Check;
use super::smpp::Outlets;
use super::{Readiness, Settings};

/// Lent to a connection for the length of one call.
pub(super) struct Context<'c> {
    pub(super) now: Now,
    /// The connection itself.
    pub(super) connection: u64,
    pub(super) settings: &'c Settings,
    pub(super) readiness: Readiness,
    pub(super) date: &'c DateText,
    pub(super) counts: &'c mut Counts,
    /// Requests for metrics, for the shell to answer.
    pub(super) scrapes: &'c mut VecDeque<Origin>,
    /// Passwords to be looked at off the shard.
    pub(super) checks: &'c mut VecDeque<Check>,
    /// Shards that are to be woken, since they were left a call.
    pub(super) nudges: &'c mut Vec<ShardId>,
    /// How full the shard is, in percent.
    pub(super) fullness: u8,
    /// Since when customers are heard as they speak; `None`: they are not now.
    pub(super) hears_since: Option<Instant>,
    /// Fates on their way to SMPP customers.
    pub(super) outlets: &'c mut Outlets,
    /// What is sent to the customer.
    pub(super) out: &'c mut Vec<u8>,
    pub(super) ask: &'c mut dyn FnMut(Ask<'_>),
}

impl Context<'_> {
    /// The origin of one of the connection's requests.
    pub(super) const fn origin(&self, request: u64) -> Origin {
        Origin { shard: self.settings.shard, connection: self.connection, request }
    }
}
