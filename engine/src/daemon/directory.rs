//! The data directory: whose it is, and that it is ours.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wire::id::{NodeId, PartitionCount, ShardId};

use crate::config::Cluster;
use crate::files::{DirError, Identity, Membership};

use super::DaemonError;
use super::limits::PARTITIONS_PER_SHARD;
use super::newcomer::random_u64;

/// What a directory says about the node that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Belonging {
    /// The cluster's number: drawn by a node alone, made of the name of a cluster of several.
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
    /// The cluster of several nodes of which this one is a member.
    pub(super) membership: Option<Membership>,
}

/// What a start says about the node that the directory must be that of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimed<'a> {
    /// The node.
    pub(crate) node: NodeId,
    /// The cluster of which it is a member; `None`: it is alone.
    pub(crate) cluster: Option<&'a Cluster>,
    /// Its shards.
    pub(crate) shards: u16,
}

impl Belonging {
    /// Reads a directory's identity, or gives a new one to a directory that has none.
    ///
    /// # Errors
    /// When it is another node's or another cluster's.
    pub(super) fn establish(data: &Path, claimed: Claimed<'_>) -> Result<Self, DaemonError> {
        match Identity::read(data)? {
            Some(identity) => Self::of(&data.join("identity"), identity, claimed),
            None => Self::found(data, claimed),
        }
    }

    fn of(path: &Path, identity: Identity, claimed: Claimed<'_>) -> Result<Self, DaemonError> {
        let Claimed { node, shards, .. } = claimed;
        refuse_another(path, &identity, claimed)?;
        let differs = |what, found: String, ours: &str| {
            let advice = "the file was changed by hand; set it back";
            DaemonError::Identity { path: path.to_owned(), what, found, ours: ours.to_owned(), advice }
        };
        let partitions = PartitionCount::new(identity.partitions)
            .ok_or_else(|| differs("partitions", identity.partitions.to_string(), "16 to 512"))?;
        let named = claimed.cluster.map(|cluster| number_of(&cluster.name));
        let cluster = match (u128::from_str_radix(&identity.cluster, 16), named) {
            (Ok(number), None) => number,
            (Ok(number), Some(named)) if number == named => number,
            (_, None) => return Err(differs("cluster", identity.cluster, "32 hexadecimal digits")),
            (_, Some(named)) => return Err(differs("cluster", identity.cluster, &format!("{named:032x}"))),
        };
        enough_partitions(path, partitions, shards)?;
        let (written_by, deal) = (identity.shards, identity.deal);
        Ok(Self { cluster, node, partitions, shards, written_by, deal, membership: identity.membership })
    }

    /// A new cluster of one node, or a new member of one of several.
    fn found(data: &Path, claimed: Claimed<'_>) -> Result<Self, DaemonError> {
        let Claimed { node, cluster: member_of, shards } = claimed;
        let (cluster, partitions) = match member_of {
            Some(cluster) => (number_of(&cluster.name), cluster.partitions),
            None => {
                let number = u128::from(drawn(data)?) << 64 | u128::from(drawn(data)?);
                let count = shards.saturating_mul(PARTITIONS_PER_SHARD);
                let count = count.clamp(PartitionCount::MIN, PartitionCount::MAX);
                (number, PartitionCount::new(count).expect("clamped to what there may be"))
            }
        };
        enough_partitions(&data.join("identity"), partitions, shards)?;
        let membership =
            member_of.map(|cluster| Ok::<_, DaemonError>(membership_of(cluster, drawn(data)? | 1)));
        let membership = membership.transpose()?;
        let belonging = Self { cluster, node, partitions, shards, written_by: shards, deal: 1, membership };
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
            membership: self.membership.clone(),
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

    /// The number of the directory, by which other nodes know it; a node alone needs none.
    pub(super) fn directory(&self) -> u64 {
        self.membership.as_ref().map_or(1, |membership| membership.directory)
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

/// The number of a cluster of several nodes: each makes the same of its name.
fn number_of(name: &str) -> u128 {
    let hash = Sha256::new_with_prefix("switchyard cluster ").chain_update(name).finalize();
    let first: [u8; 16] = hash[..16].try_into().expect("a hash of 32 bytes has 16");
    u128::from_be_bytes(first)
}

/// A number that nobody else draws.
fn drawn(data: &Path) -> Result<u64, DaemonError> {
    random_u64().map_err(|error| DaemonError::File {
        path: data.join("identity"),
        doing: "drawing a number for the directory",
        error,
    })
}

fn membership_of(cluster: &Cluster, directory: u64) -> Membership {
    let mut members: Vec<u32> = cluster.founders().map(|member| member.node.0).collect();
    members.sort_unstable();
    Membership { cluster_name: cluster.name.clone(), members, directory }
}

fn enough_partitions(path: &Path, partitions: PartitionCount, shards: u16) -> Result<(), DaemonError> {
    if shards <= partitions.count() {
        return Ok(());
    }
    let advice = "a shard needs a partition, and their number stays; set node.cores to fewer cores";
    Err(DaemonError::Identity {
        path: path.to_owned(),
        what: "partitions",
        found: partitions.count().to_string(),
        ours: format!("{shards} shards"),
        advice,
    })
}

/// Refuses the directory of another node, of another cluster, or of this one when it was cut otherwise.
///
/// # Errors
/// What differs, and what to do.
pub(crate) fn refuse_another(
    path: &Path,
    identity: &Identity,
    claimed: Claimed<'_>,
) -> Result<(), DaemonError> {
    let differs = |what, found: String, ours: String, advice| {
        Err(DaemonError::Identity { path: path.to_owned(), what, found, ours, advice })
    };
    if identity.node != claimed.node.0 {
        let advice = "set node.id back, or give another directory with --data";
        return differs("node", identity.node.to_string(), claimed.node.0.to_string(), advice);
    }
    let (was, cluster) = match (&identity.membership, claimed.cluster) {
        (None, None) => return Ok(()),
        (Some(was), Some(cluster)) => (was, cluster),
        (Some(was), None) => {
            let advice = "put [cluster] back, or give an empty directory with --data: what a member holds is its cluster's";
            return differs("cluster_name", was.cluster_name.clone(), "no [cluster]".to_owned(), advice);
        }
        (None, Some(cluster)) => {
            let advice = "leave [cluster] out, or give an empty directory with --data: what a node alone holds no other has";
            return differs("cluster_name", "none, a node alone,".to_owned(), cluster.name.clone(), advice);
        }
    };
    let is = membership_of(cluster, was.directory);
    if was.cluster_name != is.cluster_name {
        let advice = "set cluster.name back, or give an empty directory with --data";
        return differs("cluster_name", was.cluster_name.clone(), is.cluster_name, advice);
    }
    if identity.partitions != cluster.partitions.count() {
        let (found, ours) = (identity.partitions.to_string(), cluster.partitions.count().to_string());
        let advice = "set cluster.partitions back: their number stays for the cluster's life";
        return differs("partitions", found, ours, advice);
    }
    if was.members != is.members {
        let shown = |members: &[u32]| members.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        // Other voters could form a majority without those who know what is committed.
        let advice = "set the nodes of [[cluster.member]] without joins back: those with which a cluster began stay what they were, and others come and go by \
             switchyard ctl cluster";
        return differs("members", shown(&was.members), shown(&is.members), advice);
    }
    if identity.shards != claimed.shards {
        // To deal them anew, a log is taken as committed to its end, which holds only for a node alone.
        let advice = "set node.cores back to as many cores: a member's partitions are not dealt anew";
        return differs("shards", identity.shards.to_string(), claimed.shards.to_string(), advice);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn alone(node: u32, shards: u16) -> Claimed<'static> {
        Claimed { node: NodeId(node), cluster: None, shards }
    }

    fn member_of(cluster: &Cluster, shards: u16) -> Claimed<'_> {
        Claimed { cluster: Some(cluster), ..alone(1, shards) }
    }

    fn establish(data: &Path, claimed: Claimed<'_>) -> Result<Belonging, String> {
        Belonging::establish(data, claimed).map_err(|error| error.to_string())
    }

    /// What a start says of a directory that it does not take.
    fn said(data: &Path, claimed: Claimed<'_>) -> String {
        establish(data, claimed).unwrap_err()
    }

    #[test]
    fn a_directory_keeps_its_cluster_and_refuses_another_node_and_too_many_cores() {
        let data = tempfile::tempdir().unwrap();
        let first = establish(data.path(), alone(1, 2)).unwrap();
        assert_eq!(first.partitions.count(), 16);
        assert_eq!(establish(data.path(), alone(1, 2)).unwrap(), first);
        let refused = said(data.path(), alone(2, 2));
        assert!(refused.contains("node = 1 in this directory, and 2 in this start"), "{refused}");
        let other = establish(data.path(), alone(1, 4)).unwrap();
        assert_eq!((other.shards, other.written_by), (4, 2));
        let refused = said(data.path(), alone(1, 17));
        assert!(
            refused.contains("partitions = 16 in this directory, and 17 shards in this start"),
            "{refused}"
        );
    }

    /// A cluster with these lines changed.
    fn cluster(from: &str, to: &str) -> Cluster {
        let text = "[cluster]\nname = \"acme\"\nlisten = \"127.0.0.1:7900\"\npartitions = 32\n\
            [[cluster.member]]\nnode = 3\nregion = \"fra\"\naddress = \"127.0.0.1:7910\"\n\
            [[cluster.member]]\nnode = 1\nregion = \"local\"\naddress = \"127.0.0.1:7900\"\n\
            [[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
            [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
            [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n";
        assert!(text.contains(from), "{from}");
        Config::parse("test", &text.replacen(from, to, 1)).unwrap().cluster.unwrap()
    }

    #[test]
    fn all_members_make_the_same_number_of_their_clusters_name() {
        // printf 'switchyard cluster acme' | sha256sum
        assert_eq!(format!("{:032x}", number_of("acme")), "a38ae0a3df3bbd5e421fc2d8139657e2");
        let (data, cluster) = (tempfile::tempdir().unwrap(), cluster("acme", "acme"));
        let claimed = member_of(&cluster, 2);
        let first = establish(data.path(), claimed).unwrap();
        assert_eq!((first.cluster, first.partitions.count()), (number_of("acme"), 32));
        assert_eq!(establish(data.path(), claimed).unwrap(), first);
        let text = std::fs::read_to_string(data.path().join("identity")).unwrap();
        assert!(text.contains("deal = 1\ncluster_name = acme\nmembers = 1, 3\ndirectory = "), "{text}");
        let forged = text.replace(&format!("{:032x}", number_of("acme")), "00");
        std::fs::write(data.path().join("identity"), forged).unwrap();
        assert!(said(data.path(), claimed).contains("the file was changed by hand; set it back"));
    }

    #[test]
    fn a_member_keeps_its_cluster_its_partitions_its_fellows_and_its_shards() {
        let (data, ours) = (tempfile::tempdir().unwrap(), cluster("acme", "acme"));
        establish(data.path(), member_of(&ours, 2)).unwrap();
        let cases = [
            (
                "name = \"acme\"",
                "name = \"other\"",
                "cluster_name = acme in this directory, and other in this start",
            ),
            ("partitions = 32", "partitions = 64", "partitions = 32 in this directory, and 64 in this start"),
            ("node = 3", "node = 4", "members = 1, 3 in this directory, and 1, 4 in this start"),
        ];
        for (from, to, expected) in cases {
            let changed = cluster(from, to);
            let refused = said(data.path(), member_of(&changed, 2));
            assert!(refused.contains(expected) && refused.contains(" back"), "{refused}");
        }
        let refused = said(data.path(), alone(1, 2));
        assert!(
            refused.contains("cluster_name = acme in this directory, and no [cluster] in this start: put")
        );
        let refused = said(data.path(), member_of(&ours, 1));
        assert!(refused.contains("shards = 2 in this directory, and 1 in this start: set node.cores back"));
        let moved = cluster("127.0.0.1:7910", "127.0.0.1:7920");
        establish(data.path(), member_of(&moved, 2)).expect("an address may change");
    }

    #[test]
    fn a_node_alone_does_not_become_a_member_and_a_cluster_has_a_partition_for_each_shard() {
        let (data, cluster) = (tempfile::tempdir().unwrap(), cluster("acme", "acme"));
        establish(data.path(), alone(1, 2)).unwrap();
        let refused = said(data.path(), member_of(&cluster, 2));
        assert!(
            refused.contains("and acme in this start: leave [cluster] out, or give an empty"),
            "{refused}"
        );
        let empty = tempfile::tempdir().unwrap();
        assert!(said(empty.path(), member_of(&cluster, 33)).contains("a shard needs a partition"));
        assert!(!empty.path().join("identity").exists());
    }
}
