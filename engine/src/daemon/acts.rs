//! What operators have decided about the cluster's members, and who waits to hear what came of it.

use std::collections::BTreeMap;

use crossbeam::channel::Sender;
use shards::api::Origin;
use shards::members::NotDone;
use wire::id::{NodeId, ShardId};

/// No customer's connection has this number: theirs are counted up from 1.
const OPERATOR: u64 = u64::MAX;

/// Acts of one shard that are not answered. The control thread asks one thing at a time, so there are few.
#[derive(Debug, Default)]
pub(super) struct Acts {
    asked: BTreeMap<u64, Sender<Result<NodeId, NotDone>>>,
    next: u64,
}

impl Acts {
    /// One more: as whose it is asked.
    pub(super) fn begin(&mut self, shard: ShardId, to: Sender<Result<NodeId, NotDone>>) -> Origin {
        self.next += 1;
        self.asked.insert(self.next, to);
        Origin { shard, connection: OPERATOR, request: self.next }
    }

    /// What came of one.
    pub(super) fn done(&mut self, origin: Origin, outcome: Result<NodeId, NotDone>) {
        if let Some(to) = self.asked.remove(&origin.request) {
            // Whoever asked may have waited long enough.
            let _ = to.try_send(outcome);
        }
    }
}
