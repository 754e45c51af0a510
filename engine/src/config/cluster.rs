//! `[cluster]`: which nodes make one cluster, where they hear each other, and how each is known by the others.
//!
//! The same on all nodes but for `listen` and the files. A file without the section is that of a node alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use replication::limits::VOTERS_MAX;
use rustls::pki_types::ServerName;
use toml::de::DeValue;
use wire::id::{NodeId, PartitionCount};

use super::error::ConfigError;
use super::limits;
use super::section::{Located, Section};
use super::secured::{self, Claim};
use super::types::{Cluster, HostPort, Listen, Member, Node};
use super::value::{self, Expected, Parsed};
use crate::net::tls::PeerFiles;

/// `[cluster]`, for this node with its listeners; `None` when it is not there.
pub(super) fn cluster(
    section: &Section<'_>,
    node: &Node,
    others: &Listen,
) -> Result<Option<Cluster>, ConfigError> {
    if !section.is_there() {
        return Ok(None);
    }
    let name = section.required("name", "the cluster's name, the same on all its nodes", value::name)?;
    let listen = listen(section, others, node.cores.count_at_least())?;
    let partitions = section.optional("partitions", partitions)?;
    let tls = tls(section)?;
    let members = members(section, tls.as_ref())?;
    section.end()?;
    this_node_is_one(section, node, &members)?;
    let members = members.into_iter().map(|(_, member)| member).collect();
    let partitions = partitions.unwrap_or(limits::CLUSTER_PARTITIONS_DEFAULT);
    Ok(Some(Cluster { name: name.value, listen, partitions, tls, members }))
}

/// Where shard 0 hears the others; the shards after it on the ports that follow.
fn listen(section: &Section<'_>, others: &Listen, shards: usize) -> Result<SocketAddr, ConfigError> {
    let what =
        "an IP address and a port, as \"10.0.0.1:7900\"; not port 0, since the other nodes must know it";
    let Located { line, value: address } = section.required("listen", what, |address| {
        let found = value::socket(address).ok().filter(|address| address.port() != 0);
        found.ok_or_else(|| Expected(what.to_owned()))
    })?;
    let more = shards - 1;
    if usize::from(address.port()) + more > usize::from(u16::MAX) {
        let room = format!("a port with {more} more above it, one for each shard");
        return Err(section.wrong(line, "listen", room, address.to_string()));
    }
    let claim = Claim { key: "listen", line, address, more };
    match secured::claims(others, line, shards).iter().find(|other| other.meets(&claim)) {
        None => Ok(address),
        Some(other) => {
            let expected = "ports that no other listener has, one for each shard";
            Err(section.wrong(
                line,
                "listen",
                expected,
                format!("{address}, which meets listen.{}", other.key),
            ))
        }
    }
}

fn partitions(count: &DeValue<'_>) -> Parsed<PartitionCount> {
    let count = value::whole_u16(count, PartitionCount::MIN..=PartitionCount::MAX)?;
    Ok(PartitionCount::new(count).expect("its bounds are the type's own"))
}

/// All three files, or none.
fn tls(section: &Section<'_>) -> Result<Option<PeerFiles>, ConfigError> {
    let certificate = section.located("certificate", value::path)?;
    let key = section.located("key", value::path)?;
    let ca = section.located("ca", value::path)?;
    match (certificate, key, ca) {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(ca)) => {
            Ok(Some(PeerFiles { certificate: certificate.value, key: key.value, ca: ca.value }))
        }
        (certificate, key, ca) => {
            let missing = match (&certificate, &key) {
                (None, _) => "certificate",
                (_, None) => "key",
                _ => "ca",
            };
            let lines = [certificate, key, ca].into_iter().flatten().map(|file| file.line);
            let line = lines.min().unwrap_or_else(|| section.line());
            let expected = "certificate, key and ca, all three files or none";
            Err(section.wrong(line, missing, expected, "nothing: the key is missing in this section"))
        }
    }
}

/// Each node once, each at an address of its own, in the order of the file, with the line of its region.
fn members(section: &Section<'_>, tls: Option<&PeerFiles>) -> Result<Vec<(usize, Member)>, ConfigError> {
    let sections = section.sections("member", VOTERS_MAX)?;
    if sections.len() < limits::MEMBERS_MIN {
        let (least, most) = (limits::MEMBERS_MIN, VOTERS_MAX);
        let expected = format!("{least} to {most} sections [[cluster.member]], one of them for this node");
        return Err(section.wrong(section.line(), "member", expected, sections.len().to_string()));
    }
    let (mut nodes, mut addresses) = (BTreeMap::new(), BTreeMap::new());
    let mut members = Vec::with_capacity(sections.len());
    for section in &sections {
        let node = section.required("node", "the node.id of the member", |id| {
            let id = value::whole(id, 1..=u64::from(u32::MAX))?;
            Ok(NodeId(u32::try_from(id).expect("its bounds have 32 bits")))
        })?;
        let region = section.required("region", "the node.region of the member", value::name)?;
        let what = "where its shard 0 is reached, as \"sin.example:7900\"";
        let address = section.required("address", what, |address| {
            let parsed = value::text(address).ok().and_then(HostPort::parse);
            parsed.ok_or_else(|| {
                Expected("a host and a port, as \"sin.example:7900\" or \"10.0.0.1:7900\"".to_owned())
            })
        })?;
        let tls_name = tls_name(section, &address, tls)?;
        let joins = section.optional("joins", value::flag)?.unwrap_or(false);
        let votes_only = section.optional("votes_only", value::flag)?.unwrap_or(false);
        section.end()?;
        if let Some(first) = nodes.insert(node.value, node.line) {
            let found = format!("that of line {first} again");
            return Err(section.wrong(node.line, "node", "each node once", found));
        }
        let place = (address.value.host.clone(), address.value.port);
        if let Some(first) = addresses.insert(place, address.line) {
            let found = format!("that of line {first} again");
            return Err(section.wrong(address.line, "address", "an address of its own", found));
        }
        let region_line = region.line;
        let (node, region, address) = (node.value, region.value, address.value);
        let member = Member { node, region, address, tls_name, joins, votes_only };
        members.push((region_line, member));
    }
    if !members.iter().any(|(_, member)| !member.joins && !member.votes_only) {
        let expected = "a member with neither joins nor votes_only: somebody began the cluster and sends";
        return Err(section.wrong(section.line(), "member", expected, "none"));
    }
    Ok(members)
}

/// The name in a member's certificate. Without the files nobody asks for one.
fn tls_name(
    section: &Section<'_>,
    address: &Located<HostPort>,
    tls: Option<&PeerFiles>,
) -> Result<Option<ServerName<'static>>, ConfigError> {
    let name = section.located("tls_name", |name| {
        let name = name.as_str().and_then(|text| ServerName::try_from(text.to_owned()).ok());
        name.ok_or_else(|| Expected("the name in the member's certificate, as \"sin.example\"".to_owned()))
    })?;
    match (name, tls) {
        (None, None) => Ok(None),
        (Some(Located { line, .. }), None) => {
            let expected = "certificate, key and ca in [cluster] wherever a member has a tls_name";
            Err(section.wrong(line, "tls_name", expected, "none: nodes speak without TLS"))
        }
        (Some(name), Some(_)) => Ok(Some(name.value)),
        (None, Some(_)) => match ServerName::try_from(address.value.host.clone()) {
            Ok(name) => Ok(Some(name)),
            Err(_) => {
                let expected = "a host whose name can be in a certificate, or tls_name beside it";
                Err(section.wrong(address.line, "address", expected, address.value.host.clone()))
            }
        },
    }
}

/// This node is a member, in the region that it says it is in.
fn this_node_is_one(
    section: &Section<'_>,
    node: &Node,
    members: &[(usize, Member)],
) -> Result<(), ConfigError> {
    let own = node.id.0;
    let Some((line, member)) = members.iter().find(|(_, member)| member.node == node.id) else {
        let expected = format!("a member with node = {own}, which is node.id of this node");
        let nodes: Vec<String> = members.iter().map(|(_, member)| member.node.0.to_string()).collect();
        let found = format!("the nodes {}", nodes.join(", "));
        return Err(section.wrong(section.line(), "member", expected, found));
    };
    if member.region != node.region {
        let expected = format!("\"{}\" for node {own}, as node.region of this node", node.region);
        return Err(section.wrong(*line, "member.region", expected, format!("\"{}\"", member.region)));
    }
    Ok(())
}
