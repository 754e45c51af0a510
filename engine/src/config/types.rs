//! What a configuration says, as types.

use core::fmt;
use core::time::Duration;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use shards::inbound::Inbound;
use shards::plan::{Binds, ClassPolicy, Doubt, Route, SenderPattern};
use wire::id::{AccountId, CarrierId, Class, NodeId, PartitionCount};
use wire::smpp::profile::Profile;
use wire::text::Alphabet;

use crate::customers::passwords::Password;
use crate::customers::smpp::binds::BindLimits;
use crate::customers::smpp::exchange::{Keys, Receipts};
use crate::customers::smpp::network::Network;

use super::limits;
use crate::customers::credentials::KeyDigest;
use crate::logging::LogFormat;
use crate::net::tls::{ClientFiles, PeerFiles, ServerFiles};
use crate::webhooks::Webhook;

/// All that the operator decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// Where customers connect.
    pub listen: Listen,
    /// What this node shows to those who connect with TLS.
    pub tls: Option<ServerFiles>,
    /// The cluster of which this node is a member; `None`: it is alone.
    pub cluster: Option<Cluster>,
    /// How much is held.
    pub limits: Limits,
    /// How the log lies on the disk.
    pub log: Log,
    /// How the daemon's own log lines look.
    pub log_output: LogOutput,
    /// What each class is promised, at [`Class::index`].
    pub classes: [ClassPolicy; 4],
    /// Who may submit; at least one.
    pub accounts: Vec<Account>,
    /// Who delivers; at least one.
    pub carriers: Vec<Carrier>,
    /// Who delivers to whom; at least one, each prefix once.
    pub routes: Vec<Route>,
    /// Whose the messages of handsets are.
    pub inbound: Inbound,
}

/// This node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number in the cluster.
    pub id: NodeId,
    /// The label of nodes that fail together.
    pub region: String,
    /// The cores on which shards run.
    pub cores: Cores,
    /// The data directory.
    pub data: PathBuf,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: NodeId(1), region: "local".to_owned(), cores: Cores::All, data: PathBuf::from("data") }
    }
}

/// Which cores run a shard each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// All that this process may use.
    All,
    /// These, in the order of the shards.
    Listed(Vec<u16>),
}

impl Cores {
    /// How many there are at least: all of them may be one.
    pub(super) const fn count_at_least(&self) -> usize {
        match self {
            Self::All => 1,
            Self::Listed(cores) => cores.len(),
        }
    }
}

/// Where customers connect. Port 0: the system chooses, and `DIR/ports` says what it chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// HTTP.
    pub http: SocketAddr,
    /// The native protocol, any shard; shard `i` alone listens on the port `1 + i` beyond.
    pub native: SocketAddr,
    /// SMPP; `None`: not at all.
    pub smpp: Option<SocketAddr>,
    /// HTTP over TLS; `None`: not at all.
    pub https: Option<SocketAddr>,
    /// The native protocol over TLS, with a port for each shard beyond, as `native`.
    pub native_tls: Option<SocketAddr>,
    /// SMPP over TLS.
    pub smpp_tls: Option<SocketAddr>,
}

impl Listen {
    /// Whether anybody is served over TLS.
    pub(crate) const fn has_tls(&self) -> bool {
        self.https.is_some() || self.native_tls.is_some() || self.smpp_tls.is_some()
    }
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            http: SocketAddr::new(loopback, 8080),
            native: SocketAddr::new(loopback, 7700),
            smpp: None,
            https: None,
            native_tls: None,
            smpp_tls: None,
        }
    }
}

/// Which nodes make one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name, the same on all nodes.
    pub name: String,
    /// Where shard 0 hears the other nodes; shard `i` on the port `i` beyond. Never port 0.
    pub listen: SocketAddr,
    /// Its partitions, for its whole life.
    pub partitions: PartitionCount,
    /// By which files the nodes know each other; `None`: they speak without TLS.
    pub tls: Option<PeerFiles>,
    /// All of them, this node too, each once.
    pub members: Vec<Member>,
}

impl Cluster {
    /// The members with which it began.
    pub fn founders(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.joins)
    }

    /// What an operator should know about it.
    pub(super) fn warning(&self) -> Option<String> {
        let far = self.members.iter().find(|member| !member.address.is_this_machine())?;
        let HostPort { host, port } = &far.address;
        self.tls.is_none().then(|| {
            format!(
                "cluster: without TLS, what goes to {host}:{port} and between the other nodes is neither secret nor proven to \
                 be theirs: set certificate, key and ca"
            )
        })
    }
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its `node.id`.
    pub node: NodeId,
    /// Its `node.region`.
    pub region: String,
    /// Where its shard 0 is reached; shard `i` on the port `i` beyond.
    pub address: HostPort,
    /// The name that its certificate must carry; there whenever the nodes speak TLS.
    pub tls_name: Option<ServerName<'static>>,
    /// It was not there when the cluster began: the cluster was told of it later (`switchyard ctl cluster join`).
    pub joins: bool,
    /// It votes, and is home of nothing for longer than it takes to hand it on.
    pub votes_only: bool,
}

/// How much this node holds, on all its shards together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages without a fate.
    pub open_messages: u64,
    /// Remembered idempotency keys; `None`: what fits into a quarter of the memory.
    pub keys: Option<u64>,
    /// How long a message with a fate can be asked for.
    pub retention: Duration,
    /// Messages with a fate, whatever their age.
    pub finished: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            open_messages: limits::OPEN_MESSAGES_DEFAULT,
            keys: None,
            retention: limits::RETENTION_DEFAULT,
            finished: limits::FINISHED_DEFAULT,
        }
    }
}

/// How the log lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Bytes of a segment: a whole number of MiB. A log keeps the size that it began with.
    pub segment_bytes: u64,
    /// A shard's log, in bytes, after which the partition that needs its oldest part has its snapshot taken. A start
    /// reads about as much.
    pub snapshot_every_bytes: u64,
    /// How long a segment that no start needs is kept, so that messages in it can be asked for; zero: not at all.
    pub retention: Duration,
    /// What these segments of a shard may take, in bytes.
    pub retained_bytes: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            segment_bytes: wal::limits::SEGMENT_BYTES_DEFAULT,
            snapshot_every_bytes: limits::SNAPSHOT_BYTES_DEFAULT,
            retention: limits::LOG_RETENTION_DEFAULT,
            retained_bytes: limits::RETAINED_GIB_DEFAULT << 30,
        }
    }
}

/// How the daemon's own log lines look, and which there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOutput {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which lines, as `info`.
    pub filter: String,
}

impl Default for LogOutput {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, once.
    pub name: String,
    /// What it proves itself with, any of them; at least one. Several while keys are rotated.
    pub keys: Vec<AccountKey>,
    /// The class of a submission that names none.
    pub class: Class,
    /// The sender of a submission that names none.
    pub sender: String,
    /// The senders that a submission may name beside this one; empty: any.
    pub senders: Vec<SenderPattern>,
    /// Open messages of it on the node; `None`: as many as the node has room for.
    pub open_messages: Option<u64>,
    /// Idempotency keys of it that are remembered on the node; `None`: as many as the node has room for.
    pub idempotency_keys: Option<u64>,
    /// Segments a second that it may submit to the node; `None`: any.
    pub rate_per_s: Option<u32>,
    /// How it may bind over SMPP; `None`: not at all.
    pub smpp: Option<SmppAccess>,
    /// Where it is told what becomes of its messages; `None`: it asks.
    pub webhook: Option<Webhook>,
}

/// How an account may bind over SMPP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmppAccess {
    /// Its name in binds.
    pub system_id: String,
    /// What it proves itself with, any of them; at least one.
    pub passwords: Vec<Password>,
    /// From where it may bind; empty: from anywhere.
    pub addresses: Vec<Network>,
    /// The values of `system_type` that it may say; empty: any.
    pub system_types: Vec<String>,
    /// Binds on all shards together.
    pub binds_max: BindLimits,
    /// Unanswered submissions of one bind, and unanswered receipts.
    pub window_pdus: u32,
    /// Submissions a second over one bind; `None`: any.
    pub bind_rate_per_s: Option<u32>,
    /// Which receipts it is sent.
    pub receipts: Receipts,
    /// What makes two of its submissions one message.
    pub keys: Keys,
    /// What `data_coding` 0 means to it.
    pub default_alphabet: Alphabet,
    /// The class of each `priority_flag`; `None`: all messages have the account's.
    pub priorities: Option<[Class; 4]>,
}

impl Account {
    /// Its id, made from its name.
    #[must_use]
    pub fn id(&self) -> AccountId {
        AccountId::of_name(&self.name)
    }
}

/// One of an account's keys, as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountKey {
    /// The key itself: whoever reads the file can use it.
    Plain(ApiKey),
    /// Its hash, of which nobody gets the key.
    Hashed(KeyDigest),
}

impl AccountKey {
    /// Its hash.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        match self {
            Self::Plain(key) => KeyDigest::from(key.expose()),
            Self::Hashed(digest) => *digest,
        }
    }
}

/// The secret of an account. It is never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key of 16 to 255 characters of visible ASCII, else `None`.
    #[must_use]
    pub fn new(key: &str) -> Option<Self> {
        let fits = (limits::KEY_BYTES_MIN..=limits::KEY_BYTES_MAX).contains(&key.len());
        (fits && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(key.to_owned()))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A carrier: how it is reached and how it is spoken to.
#[derive(Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Its name, once.
    pub name: String,
    /// Where it listens.
    pub address: HostPort,
    /// `system_id` of the bind.
    pub system_id: String,
    /// `password` of the bind; may be empty.
    pub password: String,
    /// `system_type` of the bind; may be empty.
    pub system_type: String,
    /// How TLS is spoken with it; `None`: not at all.
    pub tls: Option<ClientFiles>,
    /// How many connections.
    pub binds: Binds,
    /// How it is spoken to.
    pub profile: Profile,
}

impl Carrier {
    /// A carrier with the defaults of everything that has one.
    #[must_use]
    pub fn new(name: &str, address: HostPort, system_id: &str) -> Self {
        Self {
            name: name.to_owned(),
            address,
            system_id: system_id.to_owned(),
            password: String::new(),
            system_type: String::new(),
            tls: None,
            binds: Binds::PerShard(1),
            profile: Profile::GENERIC,
        }
    }

    /// Its id, made from its name.
    #[must_use]
    pub fn id(&self) -> CarrierId {
        CarrierId::of_name(&self.name)
    }
}

impl fmt::Debug for Carrier {
    /// Without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Where another program listens, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Reads `smpp.example.net:2775`, `192.0.2.1:2775` or `[2001:db8::1]:2775`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|&port| port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let fits = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self { host: host.to_owned(), port })
    }

    /// Whether what goes there stays on this machine.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

/// The words of an account's `smpp_receipts`.
pub(super) const RECEIPTS: [(&str, Receipts); 2] = [("asked", Receipts::Asked), ("all", Receipts::All)];

/// The words of an account's `smpp_keys`.
pub(super) const KEYS: [(&str, Keys); 2] =
    [("none", Keys::None), ("user-message-reference", Keys::UserMessageReference)];

/// The words of an account's `smpp_default_alphabet`.
pub(super) const ALPHABETS: [(&str, Alphabet); 2] = [("gsm7", Alphabet::Gsm7), ("latin1", Alphabet::Latin1)];

/// The words of a class's `doubt`.
pub(super) const DOUBTS: [(&str, Doubt); 3] =
    [("send-again", Doubt::SendAgain), ("ask", Doubt::Ask), ("give-up", Doubt::GiveUp)];
