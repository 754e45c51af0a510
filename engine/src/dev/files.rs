//! What the nodes of a cluster for trying things out are told: a configuration file for each region.

use std::fmt::Write as _;
use std::net::SocketAddr;

use replication::limits::VOTERS_MAX;

use super::limits::MESSAGES_MAX;
use crate::config::is_name;
use crate::customers::credentials::KeyDigest;

/// The name of the cluster.
const CLUSTER: &str = "dev";

/// All nodes.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    /// By number, from 1.
    pub(super) all: Vec<Node>,
    /// The account's key.
    pub(super) key: KeyDigest,
    /// Where the carrier of all of them listens.
    pub(super) sandbox: SocketAddr,
}

/// One node, on one core.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its region, which also names its files.
    pub(super) region: String,
    /// Its core.
    pub(super) core: usize,
    /// Where it listens for customers.
    pub(super) http: SocketAddr,
    /// Where its shard hears the other nodes.
    pub(super) peers: SocketAddr,
}

/// The regions of a list with commas between them.
///
/// # Errors
/// What is wrong with it.
pub(super) fn regions(list: &str) -> Result<Vec<String>, String> {
    let regions: Vec<String> = list.split(',').map(|region| region.trim().to_owned()).collect();
    // They are names of files, too.
    if let Some(wrong) = regions.iter().find(|region| !is_name(region) || region.starts_with(['.', '-'])) {
        return Err(format!(
            "expected regions with commas between them, as sin,fra,iad, each of letters, digits, '-', '_' or '.' and not with \
             '.' or '-' first; found {wrong:?}"
        ));
    }
    if let Some((_, twice)) = regions.iter().enumerate().find(|(at, region)| regions[..*at].contains(region))
    {
        return Err(format!("expected each region once; found {twice} again"));
    }
    match regions.len() {
        2..=VOTERS_MAX => Ok(regions),
        count => Err(format!("expected 2 to {VOTERS_MAX} regions with commas between them; found {count}")),
    }
}

impl Nodes {
    /// The configuration file of the node in a place.
    pub(super) fn file(&self, place: usize, account: &str) -> String {
        let Node { region, core, http, peers } = &self.all[place];
        let mut text = format!(
            "# Written by `switchyard dev` at each of its starts.\n\n\
             [node]\nid = {id}\nregion = \"{region}\"\ncores = [{core}]\n\n\
             [listen]\nhttp = \"{http}\"\nnative = \"{any}\"\n\n\
             [cluster]\nname = \"{CLUSTER}\"\nlisten = \"{peers}\"\n\n",
            id = place + 1,
            any = SocketAddr::new(http.ip(), 0),
        );
        for (id, node) in (1..).zip(&self.all) {
            let (region, address): (_, u32) = (&node.region, id);
            let head = format!("[[cluster.member]]\nnode = {address}\nregion = \"{region}\"");
            writeln!(text, "{head}\naddress = \"{}\"\n", node.peers).expect("a String takes all");
        }
        let (key, sandbox) = (self.key, self.sandbox);
        let rest = format!(
            "[limits]\nopen_messages = {MESSAGES_MAX}\nkeys = {MESSAGES_MAX}\nfinished = {MESSAGES_MAX}\n\n\
             [log]\nsegment_mib = 16\nsnapshot_mib = 64\nretained_gib = 1\n\n\
             [[account]]\nname = \"{account}\"\nkey_hash = \"{key}\"\nsender = \"Switchyard\"\n\n\
             [[carrier]]\nname = \"sandbox\"\naddress = \"{sandbox}\"\nsystem_id = \"switchyard\"\n\n\
             [[route]]\nprefix = \"\"\ncarriers = [\"sandbox\"]\n"
        );
        text + &rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Cores, Host};
    use wire::id::{NodeId, PartitionCount};

    fn nodes(regions: &[&str]) -> Nodes {
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let node = |(place, region): (u16, &&str)| Node {
            region: (*region).to_owned(),
            core: usize::from(place % 2),
            http: address(8000 + place),
            peers: address(7000 + place),
        };
        let key = KeyDigest::from("0123456789abcdef");
        Nodes { all: (0..).zip(regions).map(node).collect(), key, sandbox: address(2775) }
    }

    #[test]
    fn each_region_has_a_file_that_is_taken_and_names_all_as_members() {
        let nodes = nodes(&["sin", "fra", "iad"]);
        for (place, region) in ["sin", "fra", "iad"].into_iter().enumerate() {
            let config = Config::parse("dev", &nodes.file(place, "dev")).unwrap();
            assert_eq!((config.node.region.as_str(), config.node.id.0 as usize), (region, place + 1));
            assert_eq!(config.node.cores, Cores::Listed(vec![u16::try_from(place % 2).unwrap()]));
            assert_eq!((config.listen.http, config.listen.native.port()), (nodes.all[place].http, 0));
            assert!(config.warnings().is_empty(), "{:?}", config.warnings());
            assert_eq!(config.accounts[0].keys[0].digest(), nodes.key);
            let partitions = PartitionCount::new(16).unwrap();
            let plan = config.plan(Host { shards: 1, partitions, memory_bytes: 1 << 30 });
            assert_eq!(plan.founding().voters, [1, 2, 3].map(NodeId));
            let cluster = config.cluster.unwrap();
            assert_eq!(cluster.listen, nodes.all[place].peers);
            let reached: Vec<u16> = cluster.members.iter().map(|member| member.address.port).collect();
            assert_eq!((reached, cluster.partitions), (vec![7000, 7001, 7002], partitions));
        }
    }

    #[test]
    fn regions_are_names_each_once_and_as_many_as_a_cluster_has_members() {
        assert_eq!(regions("sin, fra,iad").unwrap(), ["sin", "fra", "iad"]);
        for (wrong, said) in [
            ("sin", "expected 2 to 7 regions with commas between them; found 1"),
            ("a,b,c,d,e,f,g,h", "found 8"),
            ("sin,fra,sin", "expected each region once; found sin again"),
            ("sin,", "found \"\""),
            ("sin,..", "not with '.' or '-' first; found \"..\""),
            ("sin,a/b", "found \"a/b\""),
        ] {
            let error = regions(wrong).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
