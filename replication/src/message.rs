//! Messages between the members of a group, as the stream to a peer will carry them.
//!
//! A [`Message`] is opaque here: the library's own types neither leave this crate nor cross a socket.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb;
use wire::id::NodeId;

use crate::limits::MESSAGES_WAITING_MAX;

/// One message of a group to the same group on another node.
#[derive(Clone, Debug, PartialEq)]
pub struct Message(pub(crate) eraftpb::Message);

/// A partition's state as it was at an index, for a member that is too far behind for entries: sent by its home.
#[derive(Clone, PartialEq, Eq)]
pub struct Install {
    /// The home that sends it.
    pub from: NodeId,
    /// For whom it is.
    pub to: NodeId,
    /// The home's term.
    pub term: u64,
    /// Term and index of the last entry that is in it.
    pub last: (u64, u64),
    /// The snapshot, as a file has it.
    pub snapshot: Bytes,
}

impl core::fmt::Debug for Install {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { from, to, term, last, snapshot } = self;
        write!(f, "Install {{ {from:?} to {to:?}, term {term}, last {last:?}, {} bytes }}", snapshot.len())
    }
}

/// What a member does with an [`Install`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installs {
    /// Its log is to begin behind it.
    Yes,
    /// It has all of it already, and has said so.
    Known,
    /// It is from a home that was, or it would take something back.
    No,
}

/// Why a message was not taken. Raft allows every message to be lost, so all of these are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsteppable {
    /// It is of a kind that never crosses: proposals go to the home by the native protocol, with an answer.
    #[error("a message of a kind that stays in its node")]
    Kind,
    /// Its sender is no member of the group.
    #[error("a message of a node that is no member")]
    Sender,
    /// A record in it cannot be read by this program: it came from a later one, or is damaged.
    #[error("a record of entry {index} cannot be read: {error}")]
    Records {
        /// The entry's.
        index: u64,
        /// What is wrong with it.
        error: wal::RecordError,
    },
    /// The home says that this member has acknowledged more than its log holds: its disk has lost something, and whoever counted on it may, too.
    #[error(
        "the home counts on entry {acknowledged} of this member, whose log ends at {last}: its disk has lost something"
    )]
    Forgotten {
        /// What the home counts on.
        acknowledged: u64,
        /// The last entry that is here.
        last: u64,
    },
    /// Its entries do not fit beside those that wait to be written; the home sends them again.
    #[error("a message with {bytes} bytes of entries, and no room for them")]
    Room {
        /// What its entries take.
        bytes: usize,
    },
}

impl Message {
    /// For which node it is.
    #[must_use]
    pub fn to(&self) -> NodeId {
        node(self.0.to)
    }

    /// Whether it carries entries.
    pub(crate) fn is_heavy(&self) -> bool {
        !self.0.entries.is_empty()
    }

    /// The bytes of its entries.
    pub(crate) fn entries_bytes(&self) -> usize {
        self.0.entries.iter().map(|entry| entry.data.len()).sum()
    }

    /// Which node sent it.
    #[must_use]
    pub fn from(&self) -> NodeId {
        node(self.0.from)
    }
}

fn node(raft_id: u64) -> NodeId {
    NodeId(u32::try_from(raft_id).expect("Raft ids are node numbers"))
}

/// Messages that wait: some for their sync, all to be polled. One per group.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// With the number of the ready that must be persisted first.
    held: VecDeque<(u64, Message)>,
    ready: VecDeque<Message>,
}

impl Outbox {
    /// These may leave at once: a home's entries are on their way to peers while its own disk works (Raft's thesis
    /// §10.2.1).
    pub(crate) fn send(&mut self, messages: Vec<eraftpb::Message>) {
        self.ready.extend(messages.into_iter().map(Message));
        // The oldest are the least worth: whatever they said is said again.
        let surplus = self.ready.len().saturating_sub(MESSAGES_WAITING_MAX);
        self.ready.drain(..surplus);
    }

    /// These may leave when ready `number`, and all before it, are persisted: they promise what is written there.
    pub(crate) fn hold(&mut self, number: u64, messages: Vec<eraftpb::Message>) {
        assert!(self.held.back().is_none_or(|(before, _)| *before < number), "readies come in order");
        self.held.extend(messages.into_iter().map(|message| (number, Message(message))));
    }

    /// Ready `number` is persisted.
    pub(crate) fn release(&mut self, number: u64) {
        let released = self.held.iter().take_while(|(held, _)| *held <= number).count();
        let messages: Vec<_> = self.held.drain(..released).map(|(_, message)| message.0).collect();
        self.send(messages);
    }

    pub(crate) fn poll(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }
}
