//! The data directory: whose it is, and that it is ours.

use std::path::{Path, PathBuf};

use wire::id::{NodeId, PartitionCount, ShardId};

use crate::files::{DirError, Identity};

use super::DaemonError;
use super::limits::PARTITIONS_PER_SHARD;
use super::newcomer::random_u64;

/// What a directory says about the node that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Belonging {
    /// The cluster's random number.
    pub(super) cluster: u128,
    /// The node.
    pub(super) node: NodeId,
    /// The cluster's partitions.
    pub(super) partitions: PartitionCount,
    /// The shards of this start.
    pub(super) shards: u16,
    /// The shards that wrote its logs.
    pub(super) written_by: u16,
    /// How often partitions were dealt to shards, from 1.
    pub(super) deal: u32,
}

impl Belonging {
    /// Reads a directory's identity, or gives a new one to a directory that has none.
    ///
    /// # Errors
    /// When it is another node's.
    pub(super) fn establish(data: &Path, node: NodeId, shards: u16) -> Result<Self, DaemonError> {
        let path = data.join("identity");
        let Some(identity) = Identity::read(data)? else {
            return Self::found(data, node, shards);
        };
        let differs = |what, found: String, ours: String, advice| {
            Err(DaemonError::Identity { path: path.clone(), what, found, ours, advice })
        };
        if identity.node != node.0 {
            let advice = "set node.id back, or give another directory with --data";
            return differs("node", identity.node.to_string(), node.0.to_string(), advice);
        }
        let Some(partitions) = PartitionCount::new(identity.partitions) else {
            let advice = "the file was changed by hand; set it back";
            return differs("partitions", identity.partitions.to_string(), "16 to 512".to_owned(), advice);
        };
        let Ok(cluster) = u128::from_str_radix(&identity.cluster, 16) else {
            let advice = "the file was changed by hand; set it back";
            return differs("cluster", identity.cluster, "32 hexadecimal digits".to_owned(), advice);
        };
        if shards > partitions.count() {
            let advice = "a shard needs a partition, and their number stays; set node.cores to fewer cores";
            return differs("partitions", partitions.count().to_string(), format!("{shards} shards"), advice);
        }
        let (written_by, deal) = (identity.shards, identity.deal);
        Ok(Self { cluster, node, partitions, shards, written_by, deal })
    }

    /// A new cluster of one node.
    fn found(data: &Path, node: NodeId, shards: u16) -> Result<Self, DaemonError> {
        let random = || {
            random_u64().map(u128::from).map_err(|error| DaemonError::File {
                path: data.join("identity"),
                doing: "drawing the cluster's number",
                error,
            })
        };
        let cluster = random()? << 64 | random()?;
        let count =
            shards.saturating_mul(PARTITIONS_PER_SHARD).clamp(PartitionCount::MIN, PartitionCount::MAX);
        let partitions = PartitionCount::new(count).expect("clamped to what there may be");
        let belonging = Self { cluster, node, partitions, shards, written_by: shards, deal: 1 };
        belonging.write(data)?;
        Ok(belonging)
    }

    /// Writes it down, durably.
    ///
    /// # Errors
    /// When a file operation fails.
    pub(super) fn write(&self, data: &Path) -> Result<(), DirError> {
        let identity = Identity {
            cluster: format!("{:032x}", self.cluster),
            node: self.node.0,
            partitions: self.partitions.count(),
            shards: self.shards,
            deal: self.deal,
        };
        identity.write(data)
    }

    /// Where the log of one of the shards lies.
    pub(super) fn log_dir(&self, data: &Path, shard: ShardId) -> PathBuf {
        match self.deal {
            1 => data.join(format!("shard-{}", shard.0)),
            deal => data.join(format!("shard-{}.{deal}", shard.0)),
        }
    }

    /// What the log of one of the shards belongs to.
    pub(super) const fn log_of(&self, shard: ShardId) -> wal::Identity {
        wal::Identity {
            cluster: self.cluster,
            node: self.node,
            shard,
            shards: self.shards,
            partitions: self.partitions.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_cluster_and_refuses_another_node_and_too_many_cores() {
        let data = tempfile::tempdir().unwrap();
        let first = Belonging::establish(data.path(), NodeId(1), 2).unwrap();
        assert_eq!(first.partitions.count(), 16);
        assert_eq!(Belonging::establish(data.path(), NodeId(1), 2).unwrap(), first);
        let said = Belonging::establish(data.path(), NodeId(2), 2).unwrap_err().to_string();
        assert!(said.contains("node = 1 in this directory, and 2 in this start"), "{said}");
        let other = Belonging::establish(data.path(), NodeId(1), 4).unwrap();
        assert_eq!((other.shards, other.written_by), (4, 2));
        let said = Belonging::establish(data.path(), NodeId(1), 17).unwrap_err().to_string();
        assert!(said.contains("partitions = 16 in this directory, and 17 shards in this start"), "{said}");
    }
}
