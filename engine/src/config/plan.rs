//! From what the operator decided to what a shard is told, on a host of some size.

use shards::members::Member;
use shards::plan::{self as brain, Plan};
use shards::routes::Routes;
use wire::id::PartitionCount;

use super::limits;
use super::types::Config;

/// What the plan depends on and the configuration does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Shards of this node; at least one.
    pub shards: u16,
    /// Partitions of the cluster, as its identity says.
    pub partitions: PartitionCount,
    /// Memory of this machine, in bytes.
    pub memory_bytes: u64,
}

impl Config {
    /// The plan of every shard of this host. How many messages and keys there may be is divided evenly; a rate is one for all.
    #[must_use]
    pub fn plan(&self, host: Host) -> Plan {
        assert!(host.shards >= 1, "a node has a shard");
        let accounts = self.accounts.iter().map(|account| plan_account(account, host.shards));
        let fits_memory = host.memory_bytes / limits::KEYS_MEMORY_DIVISOR / limits::KEY_TABLE_BYTES;
        let keys = self.limits.keys.unwrap_or(fits_memory);
        Plan {
            node: self.node.id,
            founders: self.founders(),
            is_clustered: self.cluster.is_some(),
            shards: host.shards,
            partitions: host.partitions,
            accounts: accounts.collect(),
            carriers: self.carriers.iter().map(plan_carrier).collect(),
            routes: Routes::new(self.routes.clone()),
            inbound: self.inbound.clone(),
            classes: self.classes,
            open_messages_max: share(self.limits.open_messages, host.shards),
            keys_max: share(keys, host.shards),
            retention: self.limits.retention,
            finished_max: share(self.limits.finished, 1),
        }
    }
}

impl Config {
    /// The members with which the cluster began, by number: or this node alone.
    fn founders(&self) -> Vec<Member> {
        let Some(cluster) = &self.cluster else { return vec![Member::of(self.node.id)] };
        let founder = |member: &super::Member| {
            let super::HostPort { host, port } = &member.address;
            let tls_name =
                member.tls_name.as_ref().map_or_else(String::new, |name| name.to_str().into_owned());
            let (region, address) = (member.region.clone(), format!("{host}:{port}"));
            let votes_only = member.votes_only;
            Member { votes_only, region, address, tls_name, ..Member::of(member.node) }
        };
        let mut founders: Vec<_> = cluster.founders().map(founder).collect();
        founders.sort_unstable_by_key(|founder| founder.node);
        founders
    }
}

/// One of `parts` equal shares, rounded up, so that a small number is not rounded to nothing.
fn share(whole: u64, parts: u16) -> usize {
    usize::try_from(whole.div_ceil(u64::from(parts))).unwrap_or(usize::MAX)
}

fn plan_account(account: &super::Account, shards: u16) -> brain::Account {
    let own = account.senders.first().map(|_| brain::SenderPattern::whole(&account.sender));
    let share_of = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| share(limit, shards));
    brain::Account {
        id: account.id(),
        name: account.name.clone(),
        class: account.class,
        sender: account.sender.clone(),
        senders: own.into_iter().chain(account.senders.iter().cloned()).collect(),
        open_messages_max: share_of(account.open_messages),
        keys_max: share_of(account.idempotency_keys),
        rate: account.rate_per_s,
    }
}

fn plan_carrier(carrier: &super::Carrier) -> brain::Carrier {
    brain::Carrier {
        id: carrier.id(),
        name: carrier.name.clone(),
        system_id: carrier.system_id.clone(),
        password: carrier.password.clone(),
        system_type: carrier.system_type.clone(),
        binds: carrier.binds,
        profile: carrier.profile.clone(),
    }
}
