//! `[cluster]`.

use wire::id::NodeId;

use super::{Config, LEAST, complaint, host};

/// Lines of a cluster of three; a test changes some.
const CLUSTER: &str = r#"[node]
id = 2
region = "fra"
cores = [0, 1]

[cluster]
name = "acme"
listen = "10.0.0.2:7900"
certificate = "node.pem"
key = "node.key"
ca = "ca.pem"

[[cluster.member]]
node = 2
region = "fra"
address = "fra.example:7900"

[[cluster.member]]
node = 3
region = "iad"
address = "10.0.0.3:7900"
tls_name = "iad.example"

[[cluster.member]]
node = 1
region = "sin"
address = "sin.example:7900"
"#;

/// The file of a member with `from` replaced by `to`.
fn member_file(from: &str, to: &str) -> String {
    assert!(CLUSTER.contains(from), "{from}");
    CLUSTER.replacen(from, to, 1) + LEAST
}

#[test]
fn a_cluster_is_its_members_and_each_is_known_by_a_name() {
    let alone = Config::parse("x", LEAST).unwrap();
    assert_eq!((alone.cluster.as_ref(), alone.plan(host(1)).founding().voters), (None, vec![NodeId(1)]));
    let config = Config::parse("x", &member_file("name", "name")).unwrap();
    assert!(config.warnings().iter().all(|warning| !warning.contains("cluster")));
    assert_eq!(config.plan(host(2)).founding().voters, [1, 2, 3].map(NodeId));
    let cluster = config.cluster.unwrap();
    assert_eq!((cluster.name.as_str(), cluster.partitions.count()), ("acme", 16));
    assert_eq!(cluster.listen.to_string(), "10.0.0.2:7900");
    let files = cluster.tls.unwrap();
    assert_eq!(
        [files.certificate, files.key, files.ca].map(|path| path.display().to_string()),
        ["node.pem", "node.key", "ca.pem"]
    );
    let known =
        cluster.members.iter().map(|member| (member.node.0, member.tls_name.as_ref().unwrap().to_str()));
    assert_eq!(
        known.collect::<Vec<_>>(),
        [(2, "fra.example".into()), (3, "iad.example".into()), (1, "sin.example".into())]
    );
    assert_eq!((cluster.members[1].region.as_str(), cluster.members[1].address.port), ("iad", 7900));
    let more = Config::parse("x", &member_file("name = \"acme\"\n", "name = \"acme\"\npartitions = 512\n"));
    assert_eq!(more.unwrap().cluster.unwrap().partitions.count(), 512);
}

#[test]
fn nodes_that_speak_plainly_are_warned_of_unless_all_are_on_this_machine() {
    let files = "certificate = \"node.pem\"\nkey = \"node.key\"\nca = \"ca.pem\"\n";
    let plain = member_file(files, "").replace("tls_name = \"iad.example\"\n", "");
    let config = Config::parse("x", &plain).unwrap();
    let warned = config.warnings().into_iter().find(|warning| warning.starts_with("cluster: without TLS"));
    assert!(warned.is_some_and(|warning| warning.contains("fra.example:7900")));
    assert!(config.cluster.unwrap().members.iter().all(|member| member.tls_name.is_none()));
    let near = plain
        .replace("fra.example:7900", "127.0.0.1:1")
        .replace("sin.example:7900", "localhost:2")
        .replace("10.0.0.3:7900", "[::1]:3");
    let config = Config::parse("x", &near).unwrap();
    assert!(config.warnings().iter().all(|warning| !warning.starts_with("cluster")));
}

#[test]
fn a_cluster_that_cannot_be_is_refused_with_its_line() {
    let said = |from, to| complaint(&member_file(from, to)).replacen("switchyard.toml:", "", 1);
    let cases = [
        ("name = \"acme\"\n", "", "6: cluster.name: expected the cluster's name, the same on all its nodes"),
        ("10.0.0.2:7900\"", "10.0.0.2:0\"", "8: cluster.listen: expected an IP address and a port"),
        (
            "10.0.0.2:7900\"",
            "10.0.0.2:65535\"",
            "8: cluster.listen: expected a port with 1 more above it, one for each",
        ),
        (
            "10.0.0.2:7900\"",
            "127.0.0.1:7702\"",
            "8: cluster.listen: expected ports that no other listener has, one for each shard, found 127.0.0.1:7702, \
             which meets listen.native",
        ),
        ("10.0.0.2:7900\"", "127.0.0.1:8079\"", "found 127.0.0.1:8079, which meets listen.http"),
        (
            "name = \"acme\"",
            "name = \"acme\"\npartitions = 8",
            "expected a whole number from 16 to 512, found 8",
        ),
        ("ca = \"ca.pem\"\n", "", "9: cluster.ca: expected certificate, key and ca, all three files or none"),
        (
            "certificate = \"node.pem\"\nkey = \"node.key\"\nca = \"ca.pem\"\n",
            "",
            "19: cluster.member.tls_name: expected certificate, key and ca in [cluster]",
        ),
        (
            "node = 3",
            "node = 2",
            "19: cluster.member.node: expected each node once, found that of line 14 again",
        ),
        (
            "10.0.0.3:7900",
            "fra.example:7900",
            "21: cluster.member.address: expected an address of its own, found that of line 16 again",
        ),
        ("10.0.0.3:7900", "10.0.0.3", "21: cluster.member.address: expected a host and a port"),
        ("fra.example:7900", "fra_1!:7900", "16: cluster.member.address: expected a host whose name can be"),
        (
            "id = 2",
            "id = 4",
            "6: cluster.member: expected a member with node = 4, which is node.id of this node, found the nodes 2, 3, 1",
        ),
        (
            "region = \"fra\"",
            "region = \"ham\"",
            "15: cluster.member.region: expected \"ham\" for node 2, as node.region of this node, found \"fra\"",
        ),
        ("node = 1", "node = 1\njoins = 1", "cluster.member.joins: expected true or false"),
        (
            "node = 1",
            "node = 1\nweight = 1",
            "expected one of node, region, address, tls_name, joins, votes_only, found a key",
        ),
    ];
    for (from, to, expected) in cases {
        let said = said(from, to);
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let one = format!("[cluster]\nname = \"a\"\nlisten = \"127.0.0.1:7900\"\n{LEAST}");
    assert!(
        complaint(&one).contains("1 to 7 sections [[cluster.member]], one of them for this node, found 0")
    );
}
