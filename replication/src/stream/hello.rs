//! Who speaks: the first frame of a connection, in both directions, and whether the two may go on.

use wire::id::{NodeId, PartitionCount, ShardId};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::StreamError;

/// The first bytes: so that a stranger's protocol is told from ours.
const MAGIC: [u8; 8] = *b"SWYDPEER";

/// The version of what crosses between nodes. Both must speak it. Version 1 had no number of the data directory.
pub const STREAM_VERSION: u16 = 2;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    magic: [u8; 8],
    version: U16,
    shard: U16,
    shards: U16,
    partitions: U16,
    cluster: [u8; 16],
    node: U32,
    reserved: U32,
    process: U64,
    directory: U64,
}

/// One shard of a node, as it presents itself to a shard of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The cluster's number.
    pub cluster: u128,
    /// The node.
    pub node: NodeId,
    /// Which of its shards.
    pub shard: ShardId,
    /// How many it has.
    pub shards: u16,
    /// How many partitions the cluster has.
    pub partitions: PartitionCount,
    /// When its process started, in milliseconds since 1970.
    pub process: u64,
    /// The number of its data directory.
    pub directory: u64,
}

/// Why two nodes do not speak with each other, in words for the operators of both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another version of the stream.
    #[error(
        "it speaks version {theirs} of the stream between nodes, and this node version {ours}: upgrade the older one"
    )]
    Version {
        /// Its version.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// Another cluster.
    #[error("it is of cluster {theirs:032x}, and this node of {ours:032x}: cluster.name differs")]
    Cluster {
        /// Its number.
        theirs: u128,
        /// Ours.
        ours: u128,
    },
    /// Another number of partitions.
    #[error("its cluster has {theirs} partitions, and this node's {ours}: cluster.partitions differs")]
    Partitions {
        /// Its number.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// Another node than the one that was dialled.
    #[error(
        "it is node {theirs}, and node {dialled} was dialled: a cluster.member has the address of another"
    )]
    Dialled {
        /// Who it is.
        theirs: u32,
        /// Who was dialled.
        dialled: u32,
    },
    /// It is no member, or calls itself what this node is called.
    #[error("it is node {theirs}, which is no other member of this cluster")]
    Stranger {
        /// Who it is.
        theirs: u32,
    },
    /// It was a member.
    #[error(
        "node {theirs} was removed from this cluster, and its number is never used again: it comes back as a new member \
         (switchyard ctl cluster join) with an empty data directory"
    )]
    Removed {
        /// Who it is.
        theirs: u32,
    },
    /// It has another data directory than the cluster has seen: its disk was lost, or is another's. What it had promised with the old one it does not know.
    #[error(
        "node {theirs} has data directory {found:016x}, and the cluster knows it with {known:016x}: a node that has lost its \
         disk is removed, and a new member takes its place (switchyard ctl cluster remove {theirs}, then join)"
    )]
    Directory {
        /// Who it is.
        theirs: u32,
        /// Its directory's number.
        found: u64,
        /// The one that the table of members has.
        known: u64,
    },
    /// Its numbers make no sense.
    #[error("it says that it is shard {shard} of {shards}")]
    Shards {
        /// Which it says it is.
        shard: u16,
        /// Of how many.
        shards: u16,
    },
}

impl Hello {
    /// Appends it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let raw = Raw {
            magic: MAGIC,
            version: U16::new(STREAM_VERSION),
            shard: U16::new(self.shard.0),
            shards: U16::new(self.shards),
            partitions: U16::new(self.partitions.count()),
            cluster: self.cluster.to_le_bytes(),
            node: U32::new(self.node.0),
            reserved: U32::ZERO,
            process: U64::new(self.process),
            directory: U64::new(self.directory),
        };
        out.extend_from_slice(raw.as_bytes());
    }

    /// Reads another's, and sees whether this one may go on with it.
    ///
    /// # Errors
    /// The outer when it is no hello at all, the inner when it is one that does not fit.
    pub(super) fn meet(
        &self,
        bytes: &[u8],
        dialled: Option<NodeId>,
    ) -> Result<Result<Self, Mismatch>, StreamError> {
        let raw = Raw::ref_from_bytes(bytes).ok().filter(|raw| raw.magic == MAGIC);
        let raw = raw.ok_or(StreamError::NoHello)?;
        Ok(self.fits(raw, dialled))
    }

    fn fits(&self, raw: &Raw, dialled: Option<NodeId>) -> Result<Self, Mismatch> {
        let version = raw.version.get();
        if version != STREAM_VERSION {
            return Err(Mismatch::Version { theirs: version, ours: STREAM_VERSION });
        }
        let cluster = u128::from_le_bytes(raw.cluster);
        if cluster != self.cluster {
            return Err(Mismatch::Cluster { theirs: cluster, ours: self.cluster });
        }
        let partitions = raw.partitions.get();
        if partitions != self.partitions.count() {
            return Err(Mismatch::Partitions { theirs: partitions, ours: self.partitions.count() });
        }
        let (shard, shards, node) = (raw.shard.get(), raw.shards.get(), raw.node.get());
        if shard >= shards || shards > partitions {
            return Err(Mismatch::Shards { shard, shards });
        }
        if let Some(dialled) = dialled.filter(|dialled| dialled.0 != node) {
            return Err(Mismatch::Dialled { theirs: node, dialled: dialled.0 });
        }
        let (node, shard) = (NodeId(node), ShardId(shard));
        let (process, directory) = (raw.process.get(), raw.directory.get());
        Ok(Self { cluster, node, shard, shards, partitions: self.partitions, process, directory })
    }

    /// Whether both own a copy of some partition: one with the number of each modulo its node's shards.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        shares(self.partitions, (self.shard, self.shards), (other.shard, other.shards))
    }
}

/// Whether two shards, each of so many, share a partition; the system partition is the one behind the last.
pub(super) fn shares(partitions: PartitionCount, one: (ShardId, u16), other: (ShardId, u16)) -> bool {
    (0..=partitions.count()).any(|number| number % one.1 == one.0.0 && number % other.1 == other.0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn hello(node: u32, shard: u16, shards: u16) -> Hello {
        let partitions = PartitionCount::new(16).unwrap();
        let (node, shard) = (NodeId(node), ShardId(shard));
        Hello { cluster: 7, node, shard, shards, partitions, process: 99, directory: 98 }
    }

    fn met(ours: &Hello, theirs: &Hello, dialled: Option<NodeId>) -> Result<Hello, Mismatch> {
        let mut bytes = Vec::new();
        theirs.encode(&mut bytes);
        ours.meet(&bytes, dialled).unwrap()
    }

    #[test]
    fn a_hello_says_who_speaks() {
        let (ours, theirs) = (hello(1, 0, 2), hello(2, 2, 3));
        assert_eq!(met(&ours, &theirs, Some(NodeId(2))), Ok(theirs));
        assert_eq!(ours.meet(b"GET / HTTP/1.1\r\n", None), Err(StreamError::NoHello));
    }

    #[test]
    fn who_does_not_fit_is_told_why() {
        let ours = hello(1, 0, 2);
        let partitions = PartitionCount::new(32).unwrap();
        let said = |theirs: Hello, dialled| met(&ours, &theirs, dialled).unwrap_err();
        assert_eq!(
            said(Hello { cluster: 8, ..hello(2, 0, 1) }, None),
            Mismatch::Cluster { theirs: 8, ours: 7 }
        );
        assert_eq!(
            said(Hello { partitions, ..hello(2, 0, 1) }, None),
            Mismatch::Partitions { theirs: 32, ours: 16 }
        );
        assert_eq!(said(hello(3, 0, 1), Some(NodeId(2))), Mismatch::Dialled { theirs: 3, dialled: 2 });
        assert_eq!(said(hello(2, 4, 4), None), Mismatch::Shards { shard: 4, shards: 4 });
        let mut bytes = Vec::new();
        hello(2, 0, 1).encode(&mut bytes);
        bytes[8] = 9;
        assert_eq!(ours.meet(&bytes, None), Ok(Err(Mismatch::Version { theirs: 9, ours: 2 })));
    }

    #[test]
    fn shards_meet_where_they_own_the_same_partition() {
        assert!(hello(1, 0, 2).shares_with(&hello(2, 0, 2)) && !hello(1, 0, 2).shares_with(&hello(2, 1, 2)));
        assert!(hello(1, 1, 2).shares_with(&hello(2, 0, 3)) && hello(1, 3, 4).shares_with(&hello(2, 1, 2)));
    }
}
