//! What a group says to the same group on other nodes. A group of one voter says nothing.

use raft::eraftpb::{Entry, EntryType, MessageType};
use wal::limits::BATCH_SLACK_BYTES;

use super::{Group, HARD_STATE_FRAME_BYTES, frames_bytes};
use wire::id::NodeId;

use crate::message::{Install, Installs, Message, Unsteppable};

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
        // A heartbeat's commit is what this member has acknowledged, or less; the library would panic.
        let (acknowledged, last) = (message.commit, self.last_index());
        if message.get_msg_type() == MessageType::MsgHeartbeat && acknowledged > last {
            return Err(Unsteppable::Forgotten { acknowledged, last });
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

    /// Bytes of entries that came from the home, or were decided here, and are in no batch yet.
    #[must_use]
    pub fn unwritten_bytes(&self) -> usize {
        self.raw.raft.raft_log.unstable.entries_size
    }

    /// What was sent to a member may be lost: it is asked what it has before it is sent more.
    pub fn report_unreachable(&mut self, member: NodeId) {
        self.raw.report_unreachable(u64::from(member.0));
    }

    /// The member that needs a snapshot, since what it misses is not held any more.
    #[must_use]
    pub fn poll_snapshot_wanted(&mut self) -> Option<NodeId> {
        let wanted_by = self.raw.store().take_wanted().filter(|_| self.is_home())?;
        u32::try_from(wanted_by).ok().map(NodeId)
    }

    /// A snapshot for a member ends at an index: what is behind it is kept meanwhile. `None`: it is not needed any more.
    pub fn keep_behind(&mut self, index: Option<u64>) {
        self.raw.mut_store().pin(index);
    }

    /// Whether a member has all up to an index.
    #[must_use]
    pub fn has_matched(&self, member: NodeId, index: u64) -> bool {
        let progress = self.raw.raft.prs().get(u64::from(member.0));
        progress.is_none_or(|progress| progress.matched >= index)
    }

    /// How many of this home's entries each other member is not known to have; `None`: it has not said what it has since this node became home.
    pub fn lags(&self) -> impl Iterator<Item = (NodeId, Option<u64>)> + '_ {
        let (own, last) = (self.raw.raft.id, self.last_index());
        let others = self.raw.raft.prs().iter().filter(move |(id, _)| self.is_home() && **id != own);
        others.filter_map(move |(id, progress)| {
            let lag = (progress.matched > 0).then(|| last.saturating_sub(progress.matched));
            Some((NodeId(u32::try_from(*id).ok()?), lag))
        })
    }

    /// How many entries are known to be committed and not applied here.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.raw.raft.raft_log.committed.saturating_sub(self.applied_index)
    }

    /// Whether a snapshot of the home is to take the place of this member's log. Never one from a home that was, nor one that
    /// would take back what this member may have acknowledged.
    pub fn installs(&mut self, install: &Install) -> Installs {
        let (term, index) = install.last;
        if install.term < self.term() || self.is_home() || index <= self.told_index {
            return Installs::No;
        }
        if self.raw.store().term_of(index) == Some(term) && self.raw.raft.raft_log.persisted >= index {
            self.say_matched(install);
            return Installs::Known;
        }
        Installs::Yes
    }

    /// Tells the home that this member has all up to the end of its snapshot.
    pub fn say_matched(&mut self, install: &Install) {
        let mut message = raft::eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgAppendResponse);
        (message.from, message.to) = (self.raw.raft.id, u64::from(install.from.0));
        (message.term, message.index, message.commit) = (install.term, install.last.1, self.told_index);
        self.outbox.send(vec![message]);
    }

    /// The hard state with which a member's log begins anew behind a snapshot: it has seen the home's term, and votes once in a term.
    #[must_use]
    pub fn hard_state_behind(&self, install: &Install) -> wal::HardState {
        let written = self.hard_state;
        let vote = if install.term > written.term { 0 } else { written.vote };
        wal::HardState { term: install.term.max(written.term), vote, commit: install.last.1, ..written }
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
