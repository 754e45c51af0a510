//! For tests: a customers' side with a brain that writes down what it is asked and answers what the test says.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use shards::api::{Acceptance, Cancellation, Origin, Refusal, Reply, Subscription};
use shards::plan::{Account, ClassPolicy, Plan};
use shards::routes::Routes;
use wire::id::{AccountId, Class, MessageId, NodeId, Partition, PartitionCount, ShardId};
use wire::time::{Instant, Now, WallMs};

use super::ask::Ask;
use super::credentials::{Credential, Credentials};
use super::passwords::{Check, Pepper, Verdict};
use super::smpp::binds::BindLimits;
use super::smpp::exchange::{Exchange, Keys, SmppAccount};
use super::smpp::lobby::Lobby;
use super::{Customers, Ending, Protocol, Readiness, Settings};

/// The connection of tests that have one.
pub(super) const CONNECTION: u64 = 1;
/// The account's key.
pub(super) const KEY: &str = "the-key";

/// What the brain was asked, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Submit {
        origin: Origin,
        to: String,
        text: String,
        key: String,
        class: Option<Class>,
        validity: Option<Duration>,
    },
    Query(Origin, MessageId),
    Cancel(Origin, Cancellation),
    Subscribe(Origin, Subscription),
    Unsubscribe(Origin),
    Acknowledge(Partition, u64),
}

/// The side, its time, and what it asked.
pub(super) struct Probe {
    pub(super) customers: Customers,
    pub(super) now: Now,
    pub(super) asked: Vec<Asked>,
    /// From where connections come.
    pub(super) from: IpAddr,
}

/// An exchange of one account, for two shards.
pub(super) fn exchange(account: SmppAccount) -> Exchange {
    Exchange::new(vec![account], Arc::new(Lobby::new(2, Pepper::new([1; 4]))))
}

/// The account of the tests.
pub(super) fn account() -> AccountId {
    AccountId::of_name("dev")
}

/// The id of the nth message of a test.
pub(super) fn id(n: u64) -> MessageId {
    MessageId::mint(WallMs(1_795_402_975_120), Partition(3), 1, n)
}

/// The account, as it may bind.
pub(super) fn smpp_account() -> SmppAccount {
    SmppAccount {
        binds_max: BindLimits { all: 3, transmitters: 3, receivers: 3, transceivers: 3 },
        window_pdus_max: 4,
        keys: Keys::UserMessageReference,
        ..SmppAccount::sample("dev", "secret")
    }
}

fn plan() -> Plan {
    Plan {
        node: NodeId(1),
        founders: vec![shards::members::Member::of(NodeId(1))],
        is_clustered: false,
        shards: 2,
        partitions: PartitionCount::new(16).unwrap(),
        accounts: vec![Account {
            id: account(),
            name: "dev".into(),
            class: Class::Transactional,
            sender: String::new(),
            senders: Vec::new(),
            open_messages_max: 1000,
            keys_max: 1000,
            rate: None,
        }],
        carriers: Vec::new(),
        routes: Routes::new(Vec::new()),
        classes: Class::ALL.map(ClassPolicy::default_of),
        open_messages_max: 1000,
        keys_max: 1000,
        retention: Duration::from_secs(60),
        finished_max: 1000,
        inbound: shards::inbound::Inbound::default(),
    }
}

impl Probe {
    /// A side that is ready, without connections.
    pub(super) fn new() -> Self {
        Self::with_account(smpp_account())
    }

    /// The same with another account that may bind.
    pub(super) fn with_account(account: SmppAccount) -> Self {
        Self::of_shard(0, Arc::new(exchange(account)))
    }

    /// The side of one shard of several, which share an exchange.
    pub(super) fn of_shard(shard: u16, smpp: Arc<Exchange>) -> Self {
        let settings = Settings {
            shard: ShardId(shard),
            native_ports: vec![7701, 7702],
            native_tls_ports: vec![7801, 7802],
            credits: 4,
            plan: Arc::new(plan()),
            smpp,
            credentials: Arc::new(Credentials::new(
                [KEY, "secret"]
                    .map(|key| Credential { account: account(), name: "dev".into(), key: key.into() })
                    .into(),
            )),
        };
        let mut customers = Customers::new(settings);
        customers.handle_readiness(Readiness::Ready);
        let now = Now { mono: Instant(1_000_000_000), wall: WallMs(784_111_777_000) };
        Self { customers, now, asked: Vec::new(), from: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    /// The same, with [`CONNECTION`].
    pub(super) fn connected(protocol: Protocol) -> Self {
        let mut probe = Self::new();
        probe.accept(CONNECTION, protocol);
        probe
    }

    pub(super) fn accept(&mut self, connection: u64, protocol: Protocol) {
        let Self { customers, now, asked, from } = self;
        let caller = (protocol, *from);
        customers.handle_accepted(*now, connection, caller, &mut |ask| asked.push(kept(ask)));
    }

    /// Bytes come on [`CONNECTION`], and the turn ends.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.send_on(CONNECTION, bytes);
    }

    /// The same on another connection.
    pub(super) fn send_on(&mut self, connection: u64, bytes: &[u8]) {
        let Self { customers, now, asked, .. } = self;
        customers.handle_received(*now, connection, bytes, &mut |ask| asked.push(kept(ask)));
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        let Self { customers, now, asked, .. } = self;
        customers.settle(*now, &mut |ask| asked.push(kept(ask)));
    }

    /// What it shares with other shards.
    pub(super) fn exchange(&self) -> &Exchange {
        self.customers.exchange()
    }

    /// Another configuration is in force.
    pub(super) fn renew(&mut self, exchange: Arc<Exchange>) {
        let nobody = Arc::new(Credentials::new(Vec::new()));
        self.customers.handle_credentials(nobody, exchange);
    }

    /// A password that the side wants to have looked at.
    pub(super) fn check(&mut self) -> Option<Check> {
        self.customers.poll_check()
    }

    /// It was looked at.
    pub(super) fn checked(&mut self, check: &Check, verdict: Verdict) {
        let Self { customers, now, asked, .. } = self;
        customers.handle_checked(*now, check, verdict, &mut |ask| asked.push(kept(ask)));
        self.settle();
    }

    pub(super) fn end_input(&mut self) {
        let Self { customers, now, asked, .. } = self;
        customers.handle_received_end(*now, CONNECTION, &mut |ask| asked.push(kept(ask)));
        self.settle();
    }

    pub(super) fn close(&mut self) {
        self.close_on(CONNECTION);
    }

    /// The same on another connection.
    pub(super) fn close_on(&mut self, connection: u64) {
        let Self { customers, now, asked, .. } = self;
        customers.handle_closed(*now, connection, &mut |ask| asked.push(kept(ask)));
        self.settle();
    }

    /// Time passes; every timer goes off when it is due.
    pub(super) fn wait(&mut self, by: Duration) {
        let end = self.now.mono.plus(by);
        loop {
            let at = self.customers.timeout().unwrap_or(Instant::FAR_FUTURE).max(self.now.mono);
            if at > end {
                break;
            }
            self.now.mono = at;
            let Self { customers, now, asked, .. } = self;
            customers.handle_timeout(*now, &mut |ask| asked.push(kept(ask)));
            self.settle();
        }
        self.now.mono = end;
    }

    /// The brain answers a submission; the turn does not end.
    pub(super) fn answer(&mut self, origin: Origin, outcome: Result<Acceptance, Refusal>) {
        self.customers.handle_reply(self.now, Reply::Answer { origin, outcome });
    }

    /// The brain takes it as the nth message.
    pub(super) fn accept_message(&mut self, origin: Origin, n: u64) {
        self.answer(origin, Ok(Acceptance { id: id(n), known: false }));
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        self.customers.handle_reply(self.now, reply);
    }

    pub(super) fn refuse_query(&mut self, origin: Origin) {
        self.customers.handle_query_refused(self.now, origin);
    }

    /// The origins of all submissions so far.
    pub(super) fn submissions(&self) -> Vec<Origin> {
        let origins = self.asked.iter().filter_map(|asked| match asked {
            Asked::Submit { origin, .. } => Some(*origin),
            _ => None,
        });
        origins.collect()
    }

    /// What [`CONNECTION`] has to send, as the shell would take it.
    pub(super) fn output(&mut self) -> Vec<u8> {
        self.output_of(CONNECTION)
    }

    /// The same on another connection.
    pub(super) fn output_of(&mut self, connection: u64) -> Vec<u8> {
        while self.customers.poll_output().is_some() {}
        let mut out = Vec::new();
        self.customers.take_output(self.now, connection, &mut out);
        out
    }

    /// The same, as text.
    pub(super) fn text(&mut self) -> String {
        String::from_utf8(self.output()).unwrap()
    }

    pub(super) fn ending(&mut self) -> Option<Ending> {
        self.customers.poll_close().map(|(_, ending)| ending)
    }
}

fn kept(ask: Ask<'_>) -> Asked {
    match ask {
        Ask::Submit { origin, submission } => {
            assert_eq!(submission.account, account());
            Asked::Submit {
                origin,
                to: submission.recipient.to_string(),
                text: submission.text.into(),
                key: String::from_utf8(submission.key.into()).unwrap_or_default(),
                class: submission.class,
                validity: submission.validity,
            }
        }
        Ask::Query { origin, id, .. } => Asked::Query(origin, id),
        Ask::Cancel { origin, cancellation } => Asked::Cancel(origin, *cancellation),
        Ask::Subscribe { origin, subscription } => Asked::Subscribe(origin, subscription.clone()),
        Ask::Unsubscribe { origin } => Asked::Unsubscribe(origin),
        Ask::Acknowledge { partition, sequence, .. } => Asked::Acknowledge(partition, sequence),
    }
}
