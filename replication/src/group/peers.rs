//! What a group says to the same group on other nodes. A group of one voter says nothing.

use raft::eraftpb::{Entry, EntryType, MessageType};
use wal::limits::BATCH_SLACK_BYTES;

use super::{Group, HARD_STATE_FRAME_BYTES, frames_bytes};
use crate::message::{Message, Unsteppable};

impl Group {
    /// A message of another member has come.
    ///
    /// # Errors
    /// When it is dropped. Raft allows any message to be lost.
    pub fn handle_message(&mut self, message: Message) -> Result<(), Unsteppable> {
        let Message(message) = message;
        if message.get_msg_type() == MessageType::MsgPropose {
            return Err(Unsteppable::Kind);
        }
        // What is stored is applied one day, and cannot be refused then.
        let records = message.entries.iter().filter(|entry| entry.get_entry_type() == EntryType::EntryNormal);
        for entry in records {
            if let Some(Err(error)) = wal::Records::new(&entry.data).find(Result::is_err) {
                return Err(Unsteppable::Records { index: entry.index, error });
            }
        }
        // All that waits goes into one batch, which has at least this much room.
        let bytes = frames_bytes(&message.entries);
        let waiting = frames_bytes(self.raw.raft.raft_log.unstable_entries());
        let room = self.records_bytes_max + BATCH_SLACK_BYTES - 2 * HARD_STATE_FRAME_BYTES;
        if bytes > 0 && waiting + bytes > room {
            return Err(Unsteppable::Room { bytes });
        }
        match self.raw.step(message) {
            Ok(()) => Ok(()),
            Err(raft::Error::StepLocalMsg) => Err(Unsteppable::Kind),
            Err(_) => Err(Unsteppable::Sender),
        }
    }

    /// The next message that may leave; call until `None`.
    pub fn poll_message(&mut self) -> Option<Message> {
        self.outbox.poll()
    }

    /// Entries from this index on, which this node had applied as home, were replaced by another home. The partition's
    /// state is to be rebuilt from its snapshot and log, up to what [`Group::poll_committed`] has told.
    pub fn poll_overruled(&mut self) -> Option<u64> {
        self.overruled.take()
    }

    /// Entries are about to be stored: do they replace some that are applied?
    pub(super) fn note_overruled(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index > self.told_index, "what is committed is never replaced");
        if first.index <= self.applied_index && !self.proposed_here(first) {
            self.overruled = Some(self.overruled.map_or(first.index, |index| index.min(first.index)));
            self.applied_index = self.told_index;
        }
    }

    /// Whether an entry is one of this home's own, which are applied before they are stored.
    fn proposed_here(&self, entry: &Entry) -> bool {
        self.is_home() && entry.term == self.term()
    }
}
