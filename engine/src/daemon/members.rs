//! How the cluster stands: as one shard of this node sees it, and as all of them do together.

use replication::stream::Standing;
use shards::Shard;
use shards::members::Member as Row;
use wire::id::NodeId;

use crate::admin::words;
use crate::config::{Config, Member};

/// Another member, as one shard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberView {
    pub(super) node: NodeId,
    /// With how many of its shards this one speaks, and with how many it is to; `None`: the member has not said how many it has.
    pub(super) shards: (u64, Option<u64>),
    /// Partitions of this shard that it decides.
    pub(super) homes: u64,
    /// Of the partitions that are decided here: the most entries that it is not known to have.
    pub(super) lag: Option<u64>,
    /// Of how many of them it has not said what it has.
    pub(super) unheard: u64,
    /// Of the partitions that it decides: the most entries that are known to be committed and not applied here.
    pub(super) behind: Option<u64>,
    /// Partitions of this shard in which it votes, and in which it learns.
    pub(super) votes: u64,
    pub(super) learns: u64,
}

/// The cluster, as one shard sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClusterView {
    /// The shard's partitions.
    pub(super) partitions: u64,
    /// Of these, decided here.
    pub(super) homes: u64,
    /// Decided by nobody who is known.
    pub(super) without_home: u64,
    /// Whose state is made anew.
    pub(super) being_remade: u64,
    /// The home of the system partition, if it is this shard's and has one.
    pub(super) system_home: Option<NodeId>,
    /// The table of members, as this shard knows it.
    pub(super) table: Vec<Row>,
    /// The other members.
    pub(super) members: Vec<MemberView>,
    /// Partitions of this shard in which this node votes, and in which it learns.
    pub(super) votes: u64,
    pub(super) learns: u64,
}

impl MemberView {
    /// One of which nothing is known.
    const fn of(node: NodeId) -> Self {
        let (homes, unheard, votes, learns) = (0, 0, 0, 0);
        Self { node, shards: (0, None), homes, lag: None, unheard, behind: None, votes, learns }
    }
}

impl ClusterView {
    /// What there is about these members, in their order: those of which metrics were begun.
    pub(super) fn of(&self, others: &[Member]) -> Vec<MemberView> {
        let find = |other: &Member| self.members.iter().find(|view| view.node == other.node);
        others
            .iter()
            .map(|other| find(other).copied().unwrap_or_else(|| MemberView::of(other.node)))
            .collect()
    }
}

/// The cluster as a shard sees it now, which speaks with the others like this.
pub(super) fn of_shard(own: NodeId, standings: impl Iterator<Item = Standing>, brain: &Shard) -> ClusterView {
    let count = |count: usize| count as u64;
    let member = |Standing { node, shards: (up, wanted) }| MemberView {
        shards: (count(up), wanted.map(count)),
        ..MemberView::of(node)
    };
    let members = standings.map(member).collect();
    let table = brain.members().rows().to_vec();
    let mut view = ClusterView { members, table, ..ClusterView::default() };
    for home in brain.home_views() {
        if home.is_system {
            view.system_home = home.home;
            continue;
        }
        view.partitions += 1;
        view.being_remade += u64::from(home.is_remade);
        let member = home.home.and_then(|node| view.members.iter_mut().find(|member| member.node == node));
        match (home.home, member) {
            (None, _) => view.without_home += 1,
            (Some(_), None) => view.homes += 1,
            (Some(_), Some(member)) => {
                member.homes += 1;
                member.behind = member.behind.max(Some(home.behind));
            }
        }
    }
    for (group, is_system) in brain.groups() {
        let count = |nodes: &[NodeId], node| u64::from(!is_system && nodes.contains(&node));
        view.votes += count(&group.voters, own);
        view.learns += count(&group.learners, own);
        for member in &mut view.members {
            member.votes += count(&group.voters, member.node);
            member.learns += count(&group.learners, member.node);
        }
    }
    for (node, lag) in brain.lags() {
        if let Some(member) = view.members.iter_mut().find(|member| member.node == node) {
            member.lag = member.lag.max(lag);
            member.unheard += u64::from(lag.is_none());
        }
    }
    view
}

/// The cluster as all shards of the node see it together.
pub(super) fn together(config: &Config, views: &[ClusterView]) -> words::Cluster {
    let sum = |of: fn(&ClusterView) -> u64| views.iter().map(of).sum();
    let homes = sum(|view| view.homes);
    // All shards know the same, but for a moment.
    let table = views.first().filter(|_| config.cluster.is_some()).map_or(&[][..], |view| &view.table);
    let shown = table.iter().map(|member| {
        let seen = || views.iter().flat_map(|view| &view.members).filter(|view| view.node == member.node);
        let is_this = member.node == config.node.id;
        let of_this = |of: fn(&ClusterView) -> u64| views.iter().map(of).sum();
        words::Member {
            node: member.node.0,
            region: member.region.clone(),
            address: member.address.clone(),
            standing: member.standing.name().to_owned(),
            is_known: member.directory != 0,
            votes_only: member.votes_only,
            votes: if is_this { of_this(|view| view.votes) } else { seen().map(|view| view.votes).sum() },
            learns: if is_this { of_this(|view| view.learns) } else { seen().map(|view| view.learns).sum() },
            is_this,
            shards_up: seen().map(|view| view.shards.0).sum(),
            // One shard that does not know it is enough not to know the sum.
            shards_wanted: if is_this { None } else { seen().map(|view| view.shards.1).sum() },
            homes: if is_this { homes } else { seen().map(|view| view.homes).sum() },
            lag_entries: seen().filter_map(|view| view.lag).max(),
            unheard: seen().map(|view| view.unheard).sum(),
            behind_entries: seen().filter_map(|view| view.behind).max(),
        }
    });
    words::Cluster {
        name: config.cluster.as_ref().map(|cluster| cluster.name.clone()),
        node: config.node.id.0,
        region: config.node.region.clone(),
        partitions: sum(|view| view.partitions),
        homes,
        without_home: sum(|view| view.without_home),
        being_remade: sum(|view| view.being_remade),
        system_home: views.iter().find_map(|view| view.system_home).map(|node| node.0),
        members: shown.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[node]\nid = 1\nregion = \"sin\"\n\
        [cluster]\nname = \"acme\"\nlisten = \"127.0.0.1:7900\"\n\
        [[cluster.member]]\nnode = 1\nregion = \"sin\"\naddress = \"127.0.0.1:7900\"\n\
        [[cluster.member]]\nnode = 2\nregion = \"fra\"\naddress = \"127.0.0.1:7950\"\n\
        [[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
        [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\n\
        [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n";

    fn shard(wanted: Option<u64>, lag: Option<u64>, behind: Option<u64>) -> ClusterView {
        let node = NodeId(2);
        let member = MemberView {
            shards: (1, wanted),
            homes: 3,
            lag,
            unheard: 1,
            behind,
            votes: 8,
            ..MemberView::of(node)
        };
        let table = [NodeId(1), node].map(Row::of).to_vec();
        let (members, votes) = (vec![member], 8);
        ClusterView {
            partitions: 8,
            homes: 4,
            without_home: 1,
            members,
            table,
            votes,
            ..ClusterView::default()
        }
    }

    #[test]
    fn what_shards_see_is_added_up_and_of_distances_the_largest_counts() {
        let config = Config::parse("test", FILE).unwrap();
        let told = together(&config, &[shard(Some(2), Some(7), None), shard(Some(1), None, Some(9))]);
        assert_eq!((told.partitions, told.homes, told.without_home), (16, 8, 2));
        let [this, other] = &told.members[..] else { panic!("{told:?}") };
        assert_eq!((this.is_this, this.homes, this.shards_wanted, this.lag_entries), (true, 8, None, None));
        assert_eq!((other.homes, other.shards_up, other.shards_wanted), (6, 2, Some(3)));
        assert_eq!((this.votes, other.votes, other.standing.as_str()), (16, 16, "member"));
        assert_eq!((other.lag_entries, other.unheard, other.behind_entries), (Some(7), 2, Some(9)));
        let told = together(&config, &[shard(Some(2), None, None), shard(None, None, None)]);
        assert_eq!(told.members[1].shards_wanted, None, "one shard does not know it yet");
    }
}
