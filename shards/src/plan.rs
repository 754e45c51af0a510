//! The plan: accounts, carriers, routes and the policy of each class, as one value that is checked once.
//!
//! The shell parses its configuration file into a [`Plan`] and hands every shard the same one. The brain reads it and
//! never changes it; another plan replaces it whole.

use core::time::Duration;

use wire::id::{AccountId, CarrierId, Class, NodeId, PartitionCount, ShardId};
use wire::msisdn::Msisdn;
use wire::smpp::profile::{self, Profile};

use crate::inbound::Inbound;
use crate::members::Member;
use crate::routes::Routes;

/// All that a shard is told about the world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This node.
    pub node: NodeId,
    /// The members with which the cluster began; this node alone, if it has none. They vote in every partition's group until the
    /// table of members says otherwise.
    pub founders: Vec<Member>,
    /// Whether the node belongs to a cluster: others may come, if there are none.
    pub is_clustered: bool,
    /// How many shards this node has.
    pub shards: u16,
    /// How many partitions the cluster has.
    pub partitions: PartitionCount,
    /// Who may submit.
    pub accounts: Vec<Account>,
    /// Who delivers.
    pub carriers: Vec<Carrier>,
    /// Which carriers take which recipients.
    pub routes: Routes,
    /// Whose the messages of handsets are.
    pub inbound: Inbound,
    /// What each class is promised, at [`Class::index`].
    pub classes: [ClassPolicy; 4],
    /// How many open messages a shard holds.
    pub open_messages_max: usize,
    /// How many keys a shard remembers.
    pub keys_max: usize,
    /// How long a finished message can be asked for, and a fate be told.
    pub retention: Duration,
    /// How many finished messages a partition keeps at most, whatever their age.
    pub finished_max: usize,
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Made from the name.
    pub id: AccountId,
    /// The name in configuration, JSON and metrics.
    pub name: String,
    /// The class of a submission that names none.
    pub class: Class,
    /// The sender of a submission that names none.
    pub sender: String,
    /// The senders that a submission may name, its own among them; empty: any.
    pub senders: Vec<SenderPattern>,
    /// How many open messages it has on a shard at most.
    pub open_messages_max: usize,
    /// How many keys of it are remembered on a shard at most.
    pub keys_max: usize,
    /// How many segments a second it may submit to the node; `None`: any.
    pub rate: Option<u32>,
}

impl Plan {
    /// The members that each partition's group began with.
    #[must_use]
    pub fn founding(&self) -> replication::Members {
        let nodes: Vec<_> = self.founders.iter().map(|founder| founder.node).collect();
        replication::Members::voting(&nodes)
    }

    /// The members of a partition's group at its snapshot: an old one has none, and they were the founders.
    pub(crate) fn members_in(&self, head: &wal::snapshot::Head) -> replication::Members {
        if head.voters.is_empty() {
            return self.founding();
        }
        replication::Members { voters: head.voters.clone(), learners: head.learners.clone() }
    }
}

impl Account {
    /// Whether its submissions may name a sender; an empty one stands for its own.
    #[must_use]
    pub fn may_name(&self, sender: &str) -> bool {
        sender.is_empty() || self.senders.is_empty() || self.senders.iter().any(|pattern| pattern.has(sender))
    }
}

/// A sender that an account may name, or all that begin alike. A number is the same with its `+` and without, and what begins
/// with digits are numbers: `4930*` lets nobody be `4930 Taxi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderPattern {
    text: Box<str>,
    extent: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    Beginning,
}

impl SenderPattern {
    /// One sender.
    #[must_use]
    pub fn whole(sender: &str) -> Self {
        Self { text: sender.into(), extent: Extent::Whole }
    }

    /// All senders that begin with these characters.
    #[must_use]
    pub fn beginning(first: &str) -> Self {
        Self { text: first.into(), extent: Extent::Beginning }
    }

    /// Whether a sender is one of them.
    #[must_use]
    pub fn has(&self, sender: &str) -> bool {
        let (own, other) = match (digits_of(&self.text), digits_of(sender)) {
            (Some(own), Some(other)) => (own, other),
            (Some(_), None) => return false,
            (None, _) => (&*self.text, sender),
        };
        match self.extent {
            Extent::Whole => own == other,
            Extent::Beginning => other.starts_with(own),
        }
    }
}

/// The digits of a sender that is a number.
fn digits_of(sender: &str) -> Option<&str> {
    let digits = sender.strip_prefix('+').unwrap_or(sender);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(digits)
}

/// How many binds a carrier is given; a pair of a transmitter and a receiver counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binds {
    /// So many by each shard.
    PerShard(u16),
    /// So many by all shards together, dealt one by one; a shard that gets none borrows from others.
    OfNode(u16),
}

/// A carrier, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Made from the name.
    pub id: CarrierId,
    /// The name in configuration, JSON and metrics.
    pub name: String,
    /// `system_id` of the bind (SMPP 3.4 §5.2.1), at most 15 octets.
    pub system_id: String,
    /// `password` of the bind (§5.2.2), at most 8 octets in the standard.
    pub password: String,
    /// `system_type` of the bind (§5.2.3), at most 12 octets.
    pub system_type: String,
    /// How many binds there are.
    pub binds: Binds,
    /// How it is spoken to: window, rate, timers, ids, texts and what its answers mean.
    pub profile: Profile,
}

impl Carrier {
    /// How many links one of its binds takes: a transmitter and a receiver are two.
    #[must_use]
    pub const fn links_per_bind(&self) -> u16 {
        match self.profile.binds {
            profile::Binds::Transceiver => 1,
            profile::Binds::Pair => 2,
        }
    }
}

/// Which carriers take the recipients of a prefix, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `None`: all recipients that no other route covers.
    pub prefix: Option<Msisdn>,
    /// Places in [`Plan::carriers`], the preferred first; at least one, at most [`crate::limits::ROUTE_CARRIERS_MAX`].
    pub carriers: Vec<u16>,
}

/// What happens to an attempt whose outcome is unknown, once it was waited for a late response or receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Send again.
    SendAgain,
    /// Ask the carrier, where it answers and the message has a name; else send again.
    Ask,
    /// Never send again: ends as unknown.
    GiveUp,
}

/// What a class is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassPolicy {
    /// How long a message may be sent when its submission does not say.
    pub validity: Duration,
    /// How long a receipt is awaited after that.
    pub receipt_wait: Duration,
    /// How long an attempt stays doubtful before it is settled.
    pub doubt_wait: Duration,
    /// How it is settled.
    pub doubt: Doubt,
}

impl ClassPolicy {
    /// The defaults of a class.
    #[must_use]
    pub const fn default_of(class: Class) -> Self {
        const HOUR: u64 = 3600;
        let receipt_wait = Duration::from_secs(12 * HOUR);
        let (validity_s, doubt_wait_s, doubt) = match class {
            Class::Otp => (300, 0, Doubt::SendAgain),
            Class::Transactional => (HOUR, 60, Doubt::Ask),
            Class::Notification => (12 * HOUR, 60, Doubt::Ask),
            Class::Marketing => (12 * HOUR, 60, Doubt::GiveUp),
        };
        Self {
            validity: Duration::from_secs(validity_s),
            receipt_wait,
            doubt_wait: Duration::from_secs(doubt_wait_s),
            doubt,
        }
    }
}

impl Plan {
    /// How many binds a shard has with the carrier of a place. What is left when they are dealt evenly begins with
    /// [`Plan::first_shard_of`], so that carriers with few binds do not meet on one shard.
    #[must_use]
    pub fn binds_of(&self, carrier: u16, shard: ShardId) -> u16 {
        match self.carriers[usize::from(carrier)].binds {
            Binds::PerShard(binds) => binds,
            Binds::OfNode(binds) => {
                let turn = (shard.0 + self.shards - self.first_shard_of(carrier).0) % self.shards;
                binds / self.shards + u16::from(turn < binds % self.shards)
            }
        }
    }

    /// How many links a shard has to the carrier of a place: one or two for each bind. A shard numbers its links carrier by
    /// carrier, in the order of the plan.
    #[must_use]
    pub fn links_of(&self, carrier: u16, shard: ShardId) -> u16 {
        self.binds_of(carrier, shard) * self.carriers[usize::from(carrier)].links_per_bind()
    }

    /// The shard with the first connection to the carrier of a place; it owns the carrier's rate.
    #[must_use]
    pub const fn first_shard_of(&self, carrier: u16) -> ShardId {
        ShardId(carrier % self.shards)
    }

    /// The shard that owns an account's rate.
    #[must_use]
    pub fn rate_owner_of(&self, account: AccountId) -> ShardId {
        let owner = account.0 % u32::from(self.shards);
        ShardId(u16::try_from(owner).expect("less than the shards"))
    }

    /// The account of an id.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// The place of a carrier in [`Plan::carriers`].
    #[must_use]
    pub fn carrier_place(&self, id: CarrierId) -> Option<usize> {
        self.carriers.iter().position(|carrier| carrier.id == id)
    }

    /// The policy of a class.
    #[must_use]
    pub const fn class(&self, class: Class) -> &ClassPolicy {
        &self.classes[class.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_sender_or_the_beginning_of_some() {
        let check = |pattern: &SenderPattern, those: &[&str], others: &[&str]| {
            assert!(those.iter().all(|sender| pattern.has(sender)), "{pattern:?}");
            assert!(!others.iter().any(|sender| pattern.has(sender)), "{pattern:?}");
        };
        check(&SenderPattern::whole("Acme"), &["Acme"], &["acme", "Acme2", "Acm", "", "+Acme"]);
        check(&SenderPattern::beginning("Acme "), &["Acme 2", "Acme "], &["Acme", "Other Acme "]);
        check(&SenderPattern::whole("+4930123"), &["+4930123", "4930123"], &["49301234", "0049301234"]);
        check(&SenderPattern::beginning("4930"), &["+49301", "4930"], &["4930 Taxi", "493", "+", "14930"]);
        check(&SenderPattern::whole("Acme*"), &["Acme*"], &["Acme", "Acme2"]);
    }
}
