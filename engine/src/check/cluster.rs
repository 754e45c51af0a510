//! What `switchyard check` says of the cluster: who its nodes are, where each is reached, and by what it is known.

use std::fmt::Write as _;

use crate::config::{Cluster, Config};
use crate::daemon::secure::PeerTls;
use crate::table::Table;

/// The section of the report for a member; nothing for a node alone.
pub(super) fn cluster(config: &Config, peers: Option<&PeerTls>, shards: u16, out: &mut String) {
    let Some(cluster) = &config.cluster else { return };
    let mut table = Table::new(&["cluster", &cluster.name]);
    let mut row = |what: &str, is: String| table.row([what.to_owned(), is]);
    row("partitions", cluster.partitions.count().to_string());
    row("hears the others at", heard_at(cluster, shards));
    row(
        "between nodes",
        if peers.is_some() { "TLS, both sides show a certificate" } else { "no TLS" }.to_owned(),
    );
    writeln!(out, "{table}").expect("a String takes all");
    let mut table = Table::new(&["member", "region", "reached at", "its certificate's name", ""]);
    for member in &cluster.members {
        let is_this = member.node == config.node.id;
        let known = peers.and_then(|peers| peers.members.iter().find(|(node, _)| *node == member.node));
        let name = match known {
            Some((_, tls)) => tls.name().to_str().into_owned(),
            None => {
                member.tls_name.as_ref().map_or_else(|| "-".to_owned(), |name| name.to_str().into_owned())
            }
        };
        let this = if is_this { " (this node)" } else { "" };
        let address = format!("{}:{}", member.address.host, member.address.port);
        let kind = match (member.joins, member.votes_only) {
            (false, false) => "",
            (true, false) => "joins",
            (false, true) => "votes only",
            (true, true) => "joins, votes only",
        };
        let node = format!("{}{this}", member.node.0);
        table.row([node, member.region.clone(), address, name, kind.to_owned()]);
    }
    writeln!(out, "{table}").expect("a String takes all");
}

fn heard_at(cluster: &Cluster, shards: u16) -> String {
    let last = u32::from(cluster.listen.port()) + u32::from(shards) - 1;
    match shards {
        1 => cluster.listen.to_string(),
        _ => format!("{}, and shard by shard to {last}", cluster.listen),
    }
}
