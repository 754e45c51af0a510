//! A message that is no longer in memory, made again from its records in the log.
//!
//! The records go through the one function that changes state, over a partition that has nothing else. So what is told of
//! an aged message is what was told of it while it was kept.

use core::time::Duration;

use wal::Record;
use wire::id::{AccountId, MessageId};
use wire::time::WallMs;

use crate::api::MessageView;
use crate::state::{PartitionState, Retention};

/// One message, from its records. Give them in the order of the log, then ask for the [`Aged::view`].
#[derive(Debug)]
pub struct Aged {
    id: MessageId,
    state: PartitionState,
}

impl Aged {
    /// A message of which nothing is known yet.
    #[must_use]
    pub fn new(id: MessageId) -> Self {
        let for_ever = Retention { finished_for: Duration::MAX, finished_max: usize::MAX };
        Self { id, state: PartitionState::new(id.partition(), for_ever) }
    }

    /// Which message.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// One record. Those of other messages change nothing, and neither does one that cannot be this one's next: what a
    /// disk says is no reason to stop.
    pub fn apply(&mut self, at: WallMs, record: &Record<'_>) {
        let is_repeated =
            matches!(record, Record::Accepted(_)) && self.state.messages.find(self.id).is_some();
        if record.message() == Some(self.id) && at >= self.state.time && !is_repeated {
            self.state.apply(at, record);
        }
    }

    /// Whose it is; `None` when its acceptance was not among the records.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        let slot = self.state.messages.find(self.id)?;
        Some(self.state.messages.at(slot).account)
    }

    /// What became of it; `None` when it is not this account's, or its acceptance was not among the records.
    #[must_use]
    pub fn view(&self, account: AccountId) -> Option<Box<MessageView>> {
        let slot = self.state.messages.find(self.id)?;
        let message = self.state.messages.at(slot);
        (message.account == account).then(|| Box::new(message.view()))
    }
}
