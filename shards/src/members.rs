//! The nodes of the cluster: a table that the system partition holds, one row for each number that was ever given.

use wal::Record;
use wal::record::Member as Row;
use wire::id::{NodeId, PartitionCount};
use wire::time::WallMs;

use crate::limits::{MEMBER_TEXT_BYTES_MAX, MEMBERS_MAX};
use crate::state::digest::Digest;

/// Whether a node belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Standing {
    /// It does.
    In = Row::IN,
    /// It does, and is not to be home of anything.
    Drained = Row::DRAINED,
    /// It does no more, and never will again.
    Removed = Row::REMOVED,
}

impl Standing {
    /// Its name in JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::In => "member",
            Self::Drained => "drained",
            Self::Removed => "removed",
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            Row::IN => Some(Self::In),
            Row::DRAINED => Some(Self::Drained),
            Row::REMOVED => Some(Self::Removed),
            _ => None,
        }
    }
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// Whether it belongs to the cluster.
    pub standing: Standing,
    /// It votes, and is home of nothing for longer than it takes to hand it on.
    pub votes_only: bool,
    /// The number of its data directory; 0: it has not been seen.
    pub directory: u64,
    /// Where it is.
    pub region: String,
    /// Where its first shard listens for other nodes: `host:port`.
    pub address: String,
    /// The name in its certificate; empty: none is asked for.
    pub tls_name: String,
}

impl Member {
    /// A member of which nothing is known but its number.
    #[must_use]
    pub const fn of(node: NodeId) -> Self {
        Self {
            node,
            standing: Standing::In,
            votes_only: false,
            directory: 0,
            region: String::new(),
            address: String::new(),
            tls_name: String::new(),
        }
    }

    /// Whether it is to be home of its share.
    #[must_use]
    pub fn takes_homes(&self) -> bool {
        self.standing == Standing::In && !self.votes_only
    }

    pub(crate) fn record(&self) -> Record<'_> {
        Record::Member(Row {
            node: self.node,
            standing: self.standing as u8,
            votes_only: u8::from(self.votes_only),
            directory: self.directory,
            region: self.region.as_bytes(),
            address: self.address.as_bytes(),
            tls_name: self.tls_name.as_bytes(),
        })
    }

    fn read(row: &Row<'_>) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Self {
            node: row.node,
            standing: Standing::from_byte(row.standing)?,
            votes_only: row.votes_only != 0,
            directory: row.directory,
            region: text(row.region),
            address: text(row.address),
            tls_name: text(row.tls_name),
        })
    }
}

/// All nodes that are or were members, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(Vec<Member>);

impl Members {
    /// The rows, by number.
    #[must_use]
    pub fn rows(&self) -> &[Member] {
        &self.0
    }

    /// A node's row.
    #[must_use]
    pub fn find(&self, node: NodeId) -> Option<&Member> {
        self.0.binary_search_by_key(&node, |member| member.node).ok().map(|place| &self.0[place])
    }

    /// Whether a node was removed.
    #[must_use]
    pub fn is_removed(&self, node: NodeId) -> bool {
        self.find(node).is_some_and(|member| member.standing == Standing::Removed)
    }

    /// Whether a node is to be home of its share. One that is not in the table is: it may be stale.
    #[must_use]
    pub fn takes_homes(&self, node: NodeId) -> bool {
        self.find(node).is_none_or(Member::takes_homes)
    }

    /// Those that belong to the cluster.
    pub fn present(&self) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(|member| member.standing != Standing::Removed)
    }

    /// These founders, with what the table says of them and all others.
    #[must_use]
    pub fn over(&self, founders: &[Member]) -> Self {
        let mut all = Self::default();
        founders.iter().chain(&self.0).for_each(|member| all.set(member.clone()));
        all
    }

    /// Takes from another node's table what never changes again: who was removed, and that there is somebody whom this table does not know.
    pub(crate) fn heed(&mut self, heard: &Self) {
        for member in &heard.0 {
            let is_news = self.find(member.node).is_none() || member.standing == Standing::Removed;
            if is_news && self.find(member.node) != Some(member) {
                self.set(member.clone());
            }
        }
    }

    pub(crate) fn set(&mut self, member: Member) {
        match self.0.binary_search_by_key(&member.node, |member| member.node) {
            Ok(place) => self.0[place] = member,
            Err(place) => self.0.insert(place, member),
        }
    }

    /// What a record says. One that makes no sense to this program says nothing: it was looked through when it was decided.
    pub(crate) fn apply(&mut self, row: &Row<'_>) {
        if let Some(member) = Member::read(row) {
            self.set(member);
        }
    }

    /// All rows as records.
    pub(crate) fn to_records(&self, at: WallMs) -> Vec<u8> {
        let mut records = Vec::new();
        self.0.iter().for_each(|member| member.record().encode(at, &mut records));
        records
    }

    /// The rows of a run of records; `None` when they are none.
    pub(crate) fn from_records(records: &[u8]) -> Option<Self> {
        let mut members = Self::default();
        for record in wal::Records::new(records) {
            let Ok((_, Record::Member(row))) = record else { return None };
            members.set(Member::read(&row)?);
        }
        Some(members)
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.bytes(&self.to_records(WallMs(0)));
    }

    /// What an act makes of the table: the row that changes.
    ///
    /// # Errors
    /// Says why it cannot be done.
    pub fn after(&self, act: &Act) -> Result<Member, NotDone> {
        let row = |node: NodeId| {
            let found = self.find(node).ok_or(NotDone::Nobody(node))?;
            if found.standing == Standing::Removed { Err(NotDone::Removed(node)) } else { Ok(found.clone()) }
        };
        match act {
            Act::Join { region, address, tls_name, votes_only } => {
                if let Some(there) = self.present().find(|member| member.address == *address) {
                    // Said again, or by whoever did not hear the answer.
                    let is_same = (&there.region, there.votes_only) == (region, *votes_only);
                    return if is_same { Ok(there.clone()) } else { Err(NotDone::Taken(there.node)) };
                }
                let is_text =
                    |text: &str| text.len() <= MEMBER_TEXT_BYTES_MAX && !text.contains(char::is_control);
                if region.is_empty()
                    || address.is_empty()
                    || ![region, address, tls_name].iter().all(|text| is_text(text))
                {
                    return Err(NotDone::Text);
                }
                if self.present().count() >= MEMBERS_MAX {
                    return Err(NotDone::Many);
                }
                let last = self.0.last().map_or(0, |member| member.node.0);
                let node = NodeId(last.checked_add(1).ok_or(NotDone::Many)?);
                let (region, address, tls_name) = (region.clone(), address.clone(), tls_name.clone());
                Ok(Member { votes_only: *votes_only, region, address, tls_name, ..Member::of(node) })
            }
            Act::Drain(node) => Ok(Member { standing: Standing::Drained, ..row(*node)? }),
            Act::Return(node) => Ok(Member { standing: Standing::In, ..row(*node)? }),
            Act::Remove(node) => {
                if let Some(removed) = self.find(*node).filter(|_| self.is_removed(*node)) {
                    return Ok(removed.clone());
                }
                let member = row(*node)?;
                if !self.present().any(|other| other.node != *node && !other.votes_only) {
                    return Err(NotDone::Last);
                }
                Ok(Member { standing: Standing::Removed, ..member })
            }
        }
    }
}

/// What an operator does with the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A node that was never there becomes a member.
    Join {
        /// Where it is.
        region: String,
        /// Where its first shard listens for other nodes: `host:port`.
        address: String,
        /// The name in its certificate; empty: none is asked for.
        tls_name: String,
        /// It votes, and is home of nothing.
        votes_only: bool,
    },
    /// A node is to be home of nothing.
    Drain(NodeId),
    /// A node that was drained is to be home of its share again.
    Return(NodeId),
    /// A node is no member any more.
    Remove(NodeId),
}

/// Why an act was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The node has no cluster.
    #[error("this node is alone: it has no [cluster] in its configuration")]
    Alone,
    /// There is no such node.
    #[error("the cluster has no node {}", .0.0)]
    Nobody(NodeId),
    /// It was removed, and its number is never used again.
    #[error("node {} was removed; a node that comes back is a new member: join it", .0.0)]
    Removed(NodeId),
    /// Another member has this address.
    #[error("node {} has this address already", .0.0)]
    Taken(NodeId),
    /// Nobody would be left who sends.
    #[error("no member would be left that can be home of anything")]
    Last,
    /// There are as many members as there may be.
    #[error("the cluster has {MEMBERS_MAX} members, and may not have more: remove one first")]
    Many,
    /// A text is empty, too long, or has characters that no line can show.
    #[error(
        "region and address are to have 1 to {MEMBER_TEXT_BYTES_MAX} bytes, a certificate's name at most as many, and all characters that can be shown"
    )]
    Text,
    /// The system partition has no home in reach.
    #[error(
        "the system partition has no home in reach, so nobody can decide it: see `ctl cluster status`, and try again"
    )]
    NoHome,
}

impl NotDone {
    /// Its number between nodes, and the node that it names.
    pub(crate) const fn code(self) -> (u8, u32) {
        match self {
            Self::Alone => (1, 0),
            Self::Nobody(node) => (2, node.0),
            Self::Removed(node) => (3, node.0),
            Self::Taken(node) => (4, node.0),
            Self::Last => (5, 0),
            Self::Many => (6, 0),
            Self::Text => (7, 0),
            Self::NoHome => (8, 0),
        }
    }

    pub(crate) const fn from_code((code, node): (u8, u32)) -> Option<Self> {
        let node = NodeId(node);
        Some(match code {
            1 => Self::Alone,
            2 => Self::Nobody(node),
            3 => Self::Removed(node),
            4 => Self::Taken(node),
            5 => Self::Last,
            6 => Self::Many,
            7 => Self::Text,
            8 => Self::NoHome,
            _ => return None,
        })
    }
}

/// A member's place in the order of preferred homes of a partition: those that take homes by number, begun with another one for each partition, then
/// the others. All members of a group have different ones.
pub(crate) fn rank(table: &Members, voters: &[NodeId], node: NodeId, partition: u16) -> usize {
    let takers = || voters.iter().filter(|&&voter| table.takes_homes(voter));
    let count = takers().count();
    if let Some(place) = takers().position(|&voter| voter == node) {
        let first = usize::from(partition) % count;
        return (place + count - first) % count;
    }
    let mut others = voters.iter().filter(|&&voter| !table.takes_homes(voter));
    count + others.position(|&voter| voter == node).unwrap_or(voters.len())
}

/// The node that is to be home of a partition when all are well.
pub(crate) fn preferred(table: &Members, voters: &[NodeId], partition: u16) -> Option<NodeId> {
    voters
        .iter()
        .copied()
        .find(|&voter| table.takes_homes(voter) && rank(table, voters, voter, partition) == 0)
}

/// The system partition: behind the last, so that no recipient hashes to it.
pub(crate) const fn system(partitions: PartitionCount) -> wire::id::Partition {
    wire::id::Partition(partitions.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Members {
        let mut table = Members::default();
        [3, 1, 2]
            .into_iter()
            .for_each(|node| table.set(Member { address: format!("n{node}:1"), ..Member::of(NodeId(node)) }));
        table
    }

    fn join(address: &str) -> Act {
        let (region, address) = ("fra".to_owned(), address.to_owned());
        Act::Join { region, address, tls_name: String::new(), votes_only: false }
    }

    #[test]
    fn numbers_are_never_given_twice_and_a_repetition_changes_nothing() {
        let mut table = table();
        let fourth = table.after(&join("n4:1")).unwrap();
        assert_eq!((fourth.node, fourth.standing), (NodeId(4), Standing::In));
        table.set(fourth.clone());
        assert_eq!(table.after(&join("n4:1")), Ok(fourth), "said twice");
        let removed = table.after(&Act::Remove(NodeId(4))).unwrap();
        table.set(removed.clone());
        assert_eq!(table.after(&Act::Remove(NodeId(4))), Ok(removed), "said twice");
        assert_eq!(table.after(&Act::Drain(NodeId(4))), Err(NotDone::Removed(NodeId(4))));
        assert_eq!(
            table.after(&join("n4:1")).unwrap().node,
            NodeId(5),
            "the number of who was removed is gone"
        );
        assert_eq!(table.after(&join("n1:1")), Err(NotDone::Taken(NodeId(1))));
        assert_eq!(table.after(&join("two\nlines")), Err(NotDone::Text));
        assert_eq!(table.after(&Act::Remove(NodeId(9))), Err(NotDone::Nobody(NodeId(9))));
    }

    #[test]
    fn somebody_is_left_who_sends() {
        let mut table = table();
        table.set(Member { votes_only: true, ..Member::of(NodeId(3)) });
        table.set(table.after(&Act::Remove(NodeId(1))).unwrap());
        assert_eq!(table.after(&Act::Remove(NodeId(2))), Err(NotDone::Last));
    }

    #[test]
    fn the_table_survives_its_records() {
        let mut table = table();
        table.set(Member { directory: 7, votes_only: true, ..Member::of(NodeId(9)) });
        assert_eq!(Members::from_records(&table.to_records(WallMs(5))), Some(table));
        assert_eq!(Members::from_records(b"not records"), None);
    }

    #[test]
    fn ranks_differ_and_who_takes_no_homes_comes_last() {
        let mut table = table();
        table.set(table.after(&Act::Drain(NodeId(2))).unwrap());
        let voters = [1, 2, 3].map(NodeId);
        for partition in 0..8 {
            let mut ranks = voters.map(|node| rank(&table, &voters, node, partition));
            assert_eq!(ranks[1], 2, "the drained one");
            let first = preferred(&table, &voters, partition).unwrap();
            assert_eq!(first, voters[usize::from(partition % 2) * 2]);
            ranks.sort_unstable();
            assert_eq!(ranks, [0, 1, 2]);
        }
    }

    #[test]
    fn reasons_cross_between_nodes() {
        for code in 1..=8 {
            let reason = NotDone::from_code((code, 7)).unwrap();
            assert_eq!(reason.code().0, code);
        }
        assert_eq!(NotDone::from_code((9, 0)), None);
    }
}
