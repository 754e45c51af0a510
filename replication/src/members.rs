//! Who belongs to a group, and one change of that at a time.
//!
//! A change is an entry of the group's log, and takes effect when it is committed (Raft's thesis §4.1). It lies on disks and
//! crosses to peers as eight bytes of our own:
//!
//! ```text
//! | what u8 | 0 0 0 | node u32 |
//! ```

use bytes::Bytes;
use raft::eraftpb::{ConfChange, ConfChangeType, ConfState, Entry, EntryType};
use wire::id::NodeId;

use crate::config::raft_id;
use crate::limits::VOTERS_MAX;

/// The bytes of a [`Change`].
pub(crate) const CHANGE_BYTES: usize = 8;

/// The members of a group at a place of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those whose disks make a majority, by number.
    pub voters: Vec<NodeId>,
    /// Those that get all entries and have no vote yet, by number.
    pub learners: Vec<NodeId>,
}

/// One step from some members to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node is to get the group's entries.
    Learn(NodeId),
    /// A learner has them, and votes from now on.
    Vote(NodeId),
    /// A node is no member any more.
    Leave(NodeId),
}

impl Members {
    /// The members of a group of voters.
    #[must_use]
    pub fn voting(nodes: &[NodeId]) -> Self {
        let mut voters = nodes.to_vec();
        voters.sort_unstable();
        Self { voters, learners: Vec::new() }
    }

    /// Whether a node is one.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.learners.contains(&node)
    }

    /// Whether a node makes a majority by itself, and nobody else is told anything.
    #[must_use]
    pub fn is_only(&self, node: NodeId) -> bool {
        self.voters == [node] && self.learners.is_empty()
    }

    /// The members after a change; `None` when it changes nothing, or would leave nobody who votes or too many.
    #[must_use]
    pub fn after(&self, change: Change) -> Option<Self> {
        let mut next = self.clone();
        match change {
            Change::Learn(node) => (!self.contains(node)).then(|| next.learners.push(node))?,
            Change::Vote(node) => {
                next.learners.retain(|&learner| learner != node);
                let is_learner = next.learners.len() < self.learners.len();
                (is_learner && self.voters.len() < VOTERS_MAX).then(|| next.voters.push(node))?;
            }
            Change::Leave(node) => {
                next.learners.retain(|&learner| learner != node);
                next.voters.retain(|&voter| voter != node);
                (self.contains(node) && !next.voters.is_empty()).then_some(())?;
            }
        }
        next.learners.sort_unstable();
        next.voters.sort_unstable();
        Some(next)
    }

    /// As the library has them.
    pub(crate) fn conf_state(&self) -> ConfState {
        let ids = |nodes: &[NodeId]| nodes.iter().map(|&node| raft_id(node)).collect::<Vec<_>>();
        let mut state = ConfState::default();
        state.set_voters(ids(&self.voters));
        state.set_learners(ids(&self.learners));
        state
    }
}

impl Change {
    /// Whom it is about.
    #[must_use]
    pub const fn node(self) -> NodeId {
        match self {
            Self::Learn(node) | Self::Vote(node) | Self::Leave(node) => node,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; CHANGE_BYTES] {
        let what = match self {
            Self::Learn(_) => 1,
            Self::Vote(_) => 2,
            Self::Leave(_) => 3,
        };
        let [a, b, c, d] = self.node().0.to_le_bytes();
        [what, 0, 0, 0, a, b, c, d]
    }

    /// `None` when the bytes are none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[what, 0, 0, 0, a, b, c, d] = bytes else { return None };
        let node = NodeId(u32::from_le_bytes([a, b, c, d]));
        match what {
            _ if node.0 == 0 => None,
            1 => Some(Self::Learn(node)),
            2 => Some(Self::Vote(node)),
            3 => Some(Self::Leave(node)),
            _ => None,
        }
    }

    /// As the library has it.
    pub(crate) fn to_raft(self) -> ConfChange {
        let mut change = ConfChange { node_id: raft_id(self.node()), ..ConfChange::default() };
        change.set_change_type(match self {
            Self::Learn(_) => ConfChangeType::AddLearnerNode,
            Self::Vote(_) => ConfChangeType::AddNode,
            Self::Leave(_) => ConfChangeType::RemoveNode,
        });
        change
    }

    /// The entry of a change. The library reads its own form where it is proposed; ours goes beside it, and is all that leaves the node.
    pub(crate) fn to_entry(self) -> Entry {
        let mut entry = Entry::default();
        entry.set_entry_type(EntryType::EntryConfChange);
        entry.context = Bytes::copy_from_slice(&self.to_bytes());
        // Protobuf's fields 2 and 3, both varints: `ConfChange.change_type` and `ConfChange.node_id`.
        let mut data = vec![0x10, self.to_raft().get_change_type() as u8, 0x18];
        let mut rest = self.node().0;
        while rest >= 0x80 {
            data.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        data.push(rest.to_le_bytes()[0]);
        entry.data = data.into();
        entry
    }

    /// The change of an entry that is one.
    pub(crate) fn of_entry(entry: &Entry) -> Option<Self> {
        let is_one = entry.get_entry_type() == EntryType::EntryConfChange;
        if is_one { Self::from_bytes(&entry.context) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(voters: &[u32], learners: &[u32]) -> Members {
        let nodes = |numbers: &[u32]| numbers.iter().copied().map(NodeId).collect();
        Members { voters: nodes(voters), learners: nodes(learners) }
    }

    #[test]
    fn a_node_learns_before_it_votes_and_somebody_always_votes() {
        let first = members(&[2], &[]);
        let learning = first.after(Change::Learn(NodeId(1))).unwrap();
        assert_eq!(learning, members(&[2], &[1]));
        assert_eq!(first.after(Change::Vote(NodeId(1))), None, "who is no learner does not vote");
        let both = learning.after(Change::Vote(NodeId(1))).unwrap();
        assert_eq!(both, members(&[1, 2], &[]));
        assert_eq!(both.after(Change::Learn(NodeId(2))), None, "it is a member already");
        assert_eq!(both.after(Change::Leave(NodeId(2))), Some(members(&[1], &[])));
        assert_eq!(first.after(Change::Leave(NodeId(2))), None, "nobody would vote");
        assert_eq!(both.after(Change::Leave(NodeId(3))), None, "it is no member");
        let many = members(&[1, 2, 3, 4, 5, 6, 7], &[8]);
        assert_eq!(many.after(Change::Vote(NodeId(8))), None, "too many would vote");
    }

    #[test]
    fn a_change_reads_as_it_was_written() {
        for node in [1, 127, 128, 70_000, u32::MAX] {
            for change in [Change::Learn, Change::Vote, Change::Leave].map(|change| change(NodeId(node))) {
                assert_eq!(Change::from_bytes(&change.to_bytes()), Some(change));
                assert_eq!(Change::of_entry(&change.to_entry()), Some(change));
            }
        }
        for wrong in
            [&[][..], &[1, 0, 0, 0, 1, 0, 0], &[4, 0, 0, 0, 1, 0, 0, 0], &[1, 1, 0, 0, 1, 0, 0, 0], &[1; 8]]
        {
            assert_eq!(Change::from_bytes(wrong), None, "{wrong:?}");
        }
        assert_eq!(Change::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0]), None, "no node has the number 0");
    }
}
