//! The customers' side of one shard: all connections of customers, HTTP, native and SMPP, as machines over bytes.
//!
//! ```text
//!   sockets (the shell)      Customers                       brain
//!   bytes ──handle_received─▶ http · native ──Ask (closure)──▶
//!   bytes ◀──take_output───── (per connection) ◀─handle_reply──
//! ```
//!
//! No socket, no clock and no lock is in here: the shell brings bytes and `now`, and is told which connection has output,
//! which may be read again and which is to be closed. So every exchange is tested with bytes, split wherever one likes.
//!
//! A turn of the shell: what came in (`handle_received`, `handle_reply`, `handle_timeout`), then [`Customers::settle`]
//! once, then the polls. Only `settle` writes answers, so that all answers of a turn leave together.

pub mod ask;
mod connection;
mod context;
pub mod credentials;
mod http;
pub mod limits;
pub mod metrics;
mod native;
pub mod openmetrics;
pub mod passwords;
#[cfg(test)]
mod probe;
pub mod smpp;
mod timers;

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use shards::api::{Origin, Reply};
use shards::plan::Plan;
use wire::id::ShardId;
use wire::time::{Instant, Now};

use self::ask::Ask;
use self::connection::{Connection, Machine};
use self::context::Context;
use self::credentials::Credentials;
use self::http::{DateText, HttpConnection, date_text};
pub(crate) use self::http::{ToldEvent, put_event};
use self::limits::{CONNECTIONS_MAX, LAST_WORDS_WAIT, OUTPUT_BYTES_MAX};
use self::metrics::Counts;
use self::native::{Liveness, NativeSession, Ports};
use self::openmetrics::Sample;
use self::passwords::{Check, Verdict};
use self::smpp::exchange::Exchange;
use self::smpp::{Call, OUTLETS, Outlets, SmppSession};
use self::timers::Timers;

/// The connection of origins that are subscriptions of webhooks, which the daemon hears; the shell numbers connections from zero.
pub(crate) const WEBHOOKS: u64 = OUTLETS - 1;

/// What a connection speaks; its listener knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with JSON.
    Http,
    /// The native frames.
    Native,
    /// The same over TLS: the hand-shake names the ports of TLS.
    NativeTls,
    /// SMPP, in the role of the MC.
    Smpp,
}

/// Whether what customers send is heard as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It is.
    Now,
    /// It waits, in the shell or in the kernel: their silence says nothing.
    Later,
}

/// Whether the node takes messages, as `GET /readyz` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not every partition decides yet.
    Starting,
    /// Every partition decides.
    Ready,
    /// The node drains: open requests are answered, then connections end.
    Stopping,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After what was taken of its output is sent. Shut the writing side down and read on until the end comes, so that
    /// unread input does not reset the connection before the customer has read the last answer.
    AfterOutput,
    /// At once: the customer takes nothing, or is gone.
    AtOnce,
}

/// What one shard's customers' side is told about the world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shard.
    pub shard: ShardId,
    /// The native port of each shard of the node, for the hand-shake.
    pub native_ports: Vec<u16>,
    /// The same over TLS; empty when there are none.
    pub native_tls_ports: Vec<u16>,
    /// Unanswered submissions of one native session; [`limits::CREDITS_DEFAULT`] unless configured.
    pub credits: u32,
    /// Names of carriers; the node and its partitions.
    pub plan: Arc<Plan>,
    /// Who may come in.
    pub credentials: Arc<Credentials>,
    /// The same over SMPP.
    pub smpp: Arc<Exchange>,
}

/// All connections of customers of one shard.
pub struct Customers {
    settings: Settings,
    readiness: Readiness,
    connections: HashMap<u64, Connection, foldhash::fast::FixedState>,
    timers: Timers,
    outlets: Outlets,
    /// Connections that have something to settle.
    touched: Vec<u64>,
    with_output: VecDeque<u64>,
    resumed: VecDeque<u64>,
    endings: VecDeque<(u64, Ending)>,
    scrapes: VecDeque<Origin>,
    checks: VecDeque<Check>,
    nudges: Vec<ShardId>,
    /// How full the shard is, in percent.
    fullness: u8,
    /// Accounts whose SMPP sessions somebody looks at.
    tapped: Vec<String>,
    /// Since when customers are heard as they speak; `None`: they are not now.
    hears_since: Option<Instant>,
    date: DateText,
    /// The second that [`Customers::date`] says.
    date_s: u64,
    counts: Counts,
}

impl Customers {
    /// A side without connections, of a node that is starting.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let partitions = settings.plan.partitions.count();
        Self {
            outlets: Outlets::new(settings.shard, Arc::clone(&settings.smpp), partitions),
            settings,
            readiness: Readiness::Starting,
            connections: HashMap::with_hasher(foldhash::fast::FixedState::default()),
            timers: Timers::default(),
            touched: Vec::new(),
            with_output: VecDeque::new(),
            resumed: VecDeque::new(),
            endings: VecDeque::new(),
            scrapes: VecDeque::new(),
            checks: VecDeque::new(),
            nudges: Vec::new(),
            fullness: 0,
            tapped: Vec::new(),
            hears_since: Some(Instant(0)),
            date: date_text(wire::time::WallMs(0)),
            date_s: 0,
            counts: Counts::default(),
        }
    }

    /// Tells whether the node takes messages. [`Readiness::Stopping`] ends connections as they become idle.
    pub fn handle_readiness(&mut self, readiness: Readiness) {
        if self.readiness == readiness {
            return;
        }
        self.readiness = readiness;
        if readiness == Readiness::Stopping {
            let Self { connections, touched, .. } = self;
            let mut all: Vec<u64> = connections.keys().copied().collect();
            all.sort_unstable();
            for id in all {
                connections.get_mut(&id).expect("just listed").touch(id, touched);
            }
        }
    }

    /// How full the shard is, in percent: customers of SMPP 5.0 are told with each answer.
    pub const fn handle_fullness(&mut self, percent: u8) {
        self.fullness = percent;
    }

    /// Whether customers are heard as they speak. Once a turn, when all was heard that could be.
    pub const fn handle_hearing(&mut self, now: Now, hearing: Hearing) {
        self.hears_since = match (hearing, self.hears_since) {
            (Hearing::Later, _) => None,
            (Hearing::Now, None) => Some(now.mono),
            (Hearing::Now, since) => since,
        };
    }

    /// Works by another plan from now on.
    pub fn handle_plan(&mut self, plan: Arc<Plan>) {
        self.settings.plan = plan;
    }

    /// Lets others in from now on. A session that was let in stays: what its account may do is the brain's to say.
    pub fn handle_credentials(&mut self, credentials: Arc<Credentials>, smpp: Arc<Exchange>) {
        self.settings.credentials = credentials;
        self.outlets.handle_exchange(Arc::clone(&smpp));
        self.settings.smpp = smpp;
    }

    /// Whether no request waits for the brain and no output for the shell.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let busy = |connection: &Connection| !connection.output.is_empty() || connection.machine.is_busy();
        !self.connections.values().any(busy)
    }

    /// A connection came from somewhere. `connection` is the shell's name for it and is not used again before its end.
    pub fn handle_accepted(
        &mut self,
        now: Now,
        connection: u64,
        (protocol, from): (Protocol, IpAddr),
        ask: &mut dyn FnMut(Ask<'_>),
    ) {
        let machine = match protocol {
            Protocol::Http => {
                self.counts.http_connections += 1;
                Machine::Http(Box::new(HttpConnection::new(now.mono)))
            }
            Protocol::Native | Protocol::NativeTls => {
                let ports = if protocol == Protocol::Native { Ports::Plain } else { Ports::Tls };
                self.counts.native_connections += 1;
                Machine::Native(Box::new(NativeSession::new(now.mono, ports)))
            }
            Protocol::Smpp => {
                self.counts.smpp_connections += 1;
                let mut session = SmppSession::new(now.mono, from);
                session.set_tapped(&self.tapped, &self.settings.smpp);
                Machine::Smpp(Box::new(session))
            }
        };
        let turn_away = self.connections.len() >= CONNECTIONS_MAX;
        let earlier = self.connections.insert(connection, Connection::new(machine, now.mono));
        assert!(earlier.is_none(), "connection {connection} was accepted twice");
        self.with(now, connection, ask, |machine, cx| {
            if turn_away {
                machine.turn_away(cx);
            }
        });
    }

    /// Bytes came.
    pub fn handle_received(&mut self, now: Now, connection: u64, bytes: &[u8], ask: &mut dyn FnMut(Ask<'_>)) {
        self.with(now, connection, ask, |machine, cx| machine.receive(bytes, cx));
    }

    /// The customer closed its side: nothing more will come, and what it asked is still answered.
    pub fn handle_received_end(&mut self, now: Now, connection: u64, ask: &mut dyn FnMut(Ask<'_>)) {
        self.with(now, connection, ask, |machine, cx| machine.receive_end(cx));
    }

    /// The connection is gone. To be told once for each that was accepted, also after [`Customers::poll_close`].
    pub fn handle_closed(&mut self, now: Now, connection: u64, ask: &mut dyn FnMut(Ask<'_>)) {
        self.with(now, connection, ask, |machine, cx| machine.abandon(cx));
        if let Some(closed) = self.connections.remove(&connection) {
            self.timers.disarm(connection, closed.armed);
        }
    }

    /// An answer of the brain. One for a connection that is gone is let go: what it says is in the log.
    pub fn handle_reply(&mut self, now: Now, reply: Reply) {
        let origin = match &reply {
            Reply::Answer { origin, .. }
            | Reply::Message { origin, .. }
            | Reply::CannotTell { origin }
            | Reply::Done { origin, .. }
            | Reply::Cancelled { origin, .. } => *origin,
            Reply::Fate { subscriber, .. } | Reply::Handset { subscriber, .. } => *subscriber,
        };
        assert_eq!(origin.shard, self.settings.shard, "a reply came to another shard than its request's");
        let reply = match (origin.connection, reply) {
            (OUTLETS, Reply::Fate { event, .. }) => return self.outlets.handle_fate(origin.request, event),
            (OUTLETS, Reply::Handset { message, .. }) => {
                return self.outlets.handle_handset(origin.request, *message);
            }
            (_, reply) => reply,
        };
        self.with(now, origin.connection, &mut |_| {}, |machine, cx| {
            machine.reply(origin, reply, cx);
        });
    }

    /// A query cannot be answered now: its customer is told to ask again.
    pub fn handle_query_refused(&mut self, now: Now, origin: Origin) {
        self.with(now, origin.connection, &mut |_| {}, |machine, cx| match machine {
            Machine::Http(http) => http.refuse_query(origin.request),
            Machine::Native(native) => native.refuse_query(origin.request, cx),
            Machine::Smpp(smpp) => smpp.refuse_query(origin.request),
        });
    }

    /// Passwords to be looked at by somebody who has the time: answer each with [`Customers::handle_checked`].
    pub fn poll_check(&mut self) -> Option<Check> {
        self.checks.pop_front()
    }

    /// A password was looked at.
    pub fn handle_checked(
        &mut self,
        now: Now,
        check: &Check,
        verdict: Verdict,
        ask: &mut dyn FnMut(Ask<'_>),
    ) {
        self.with(now, check.connection, ask, |machine, cx| {
            if let Machine::Smpp(smpp) = machine {
                smpp.checked(check, verdict, cx);
            }
        });
    }

    /// A shard to be woken: it was left a call.
    pub fn poll_nudge(&mut self) -> Option<ShardId> {
        self.nudges.pop()
    }

    /// Whether other shards have left calls for this one: [`Customers::settle`] has work then.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.settings.smpp.lobby().has_calls(self.settings.shard)
    }

    /// Does what other shards ask about binds.
    fn handle_calls(&mut self, now: Now, ask: &mut dyn FnMut(Ask<'_>)) {
        if !self.has_calls() {
            return;
        }
        for call in self.settings.smpp.lobby().take_calls(self.settings.shard) {
            let (Call::Probe(connection) | Call::Settled(connection)) = call;
            self.with(now, connection, ask, |machine, cx| {
                let Machine::Smpp(smpp) = machine else { return };
                match call {
                    Call::Probe(_) => smpp.probe(cx),
                    Call::Settled(_) => smpp.settled(cx),
                }
            });
        }
    }

    /// Requests for metrics: answer each with [`Customers::handle_scrape`].
    pub fn poll_scrape(&mut self) -> Option<Origin> {
        self.scrapes.pop_front()
    }

    /// The node's metrics for one request.
    pub fn handle_scrape(&mut self, now: Now, origin: Origin, samples: &[Sample<'_>]) {
        let mut text = String::new();
        openmetrics::render(samples, &mut text);
        self.with(now, origin.connection, &mut |_| {}, |machine, _| {
            if let Machine::Http(http) = machine {
                http.scrape(origin.request, text);
            }
        });
    }

    /// When [`Customers::handle_timeout`] is due; in the past when [`Customers::settle`] has work.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        if !self.touched.is_empty() || self.has_calls() {
            return Some(Instant(0));
        }
        self.timers.next().into_iter().chain(self.outlets.timeout()).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, ask: &mut dyn FnMut(Ask<'_>)) {
        while let Some(id) = self.timers.pop_due(now.mono) {
            let connection =
                self.connections.get_mut(&id).expect("a connection that ends takes its timer along");
            connection.armed = Instant::FAR_FUTURE;
            let stalled = connection.stall_deadline() <= now.mono;
            let lingers = connection.ending.is_some_and(|since| since.plus(LAST_WORDS_WAIT) <= now.mono);
            let mut liveness = Liveness::Alive;
            self.with(now, id, ask, |machine, cx| liveness = machine.handle_timeout(cx));
            self.counts.timeouts += u64::from(stalled);
            if stalled || lingers || liveness == Liveness::Gone {
                self.end_at_once(id);
            }
        }
        self.outlets.handle_timeout(now.mono, ask);
    }

    /// Writes the answers of this turn and reads what had to wait for them. Once a turn, before the polls.
    pub fn settle(&mut self, now: Now, ask: &mut dyn FnMut(Ask<'_>)) {
        self.handle_calls(now, ask);
        let Self { connections, touched, outlets, .. } = self;
        outlets.poll_ready(|id| {
            connections.get_mut(&id).expect("a bind that goes leaves its outlet").touch(id, touched);
        });
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            self.with(now, id, ask, |machine, cx| machine.settle(cx));
            self.settled(now, id);
        }
        assert!(self.touched.is_empty(), "settling touches nobody else");
        self.touched = touched;
        self.outlets.flush(ask);
    }

    /// A connection that has output. Take it with [`Customers::take_output`], at once or when the socket takes more.
    pub fn poll_output(&mut self) -> Option<u64> {
        loop {
            let id = self.with_output.pop_front()?;
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.listed = false;
                if !connection.output.is_empty() {
                    return Some(id);
                }
            }
        }
    }

    /// Gives a connection's output away in exchange for an empty buffer, whose capacity is used again. `false`: there is
    /// none. Whoever has bytes of it under way asks again when they have left: what comes meanwhile gathers here, and a
    /// customer that takes nothing is not read.
    pub fn take_output(&mut self, now: Now, connection: u64, empty: &mut Vec<u8>) -> bool {
        assert!(empty.is_empty(), "output is exchanged for an empty buffer");
        let Some(taken) = self.connections.get_mut(&connection) else { return false };
        if taken.output.is_empty() {
            return false;
        }
        let was_full = taken.output.len() >= OUTPUT_BYTES_MAX;
        std::mem::swap(&mut taken.output, empty);
        taken.output_since = now.mono;
        if was_full {
            taken.touch(connection, &mut self.touched);
        }
        if taken.ending.is_some() {
            self.endings.push_back((connection, Ending::AfterOutput));
        }
        true
    }

    /// Whether a connection may be read. Ask after each piece of input; after a no, [`Customers::poll_resume`] says when.
    pub fn wants_reading(&mut self, connection: u64) -> bool {
        let Some(asked) = self.connections.get_mut(&connection) else { return false };
        asked.paused = !asked.has_room();
        !asked.paused
    }

    /// A connection that may be read again.
    pub fn poll_resume(&mut self) -> Option<u64> {
        self.resumed.pop_front()
    }

    /// A connection to close, and how. Its end is still to be told by [`Customers::handle_closed`].
    pub fn poll_close(&mut self) -> Option<(u64, Ending)> {
        self.endings.pop_front()
    }

    /// What was counted since the process began.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What it shares with other shards, for tests.
    #[cfg(test)]
    pub(crate) fn exchange(&self) -> &Exchange {
        &self.settings.smpp
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections_count(&self) -> usize {
        self.connections.len()
    }

    /// Lends a connection all that it may touch; nothing when it is gone.
    fn with(
        &mut self,
        now: Now,
        id: u64,
        ask: &mut dyn FnMut(Ask<'_>),
        act: impl FnOnce(&mut Machine, &mut Context<'_>),
    ) {
        let second = now.wall.0 / 1000;
        if second != self.date_s {
            self.date_s = second;
            self.date = date_text(now.wall);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.touch(id, &mut self.touched);
        if connection.output.is_empty() {
            connection.output_since = now.mono;
        }
        let mut cx = Context {
            now,
            connection: id,
            settings: &self.settings,
            readiness: self.readiness,
            date: &self.date,
            counts: &mut self.counts,
            scrapes: &mut self.scrapes,
            checks: &mut self.checks,
            nudges: &mut self.nudges,
            fullness: self.fullness,
            hears_since: self.hears_since,
            outlets: &mut self.outlets,
            out: &mut connection.output,
            ask,
        };
        act(&mut connection.machine, &mut cx);
    }

    fn end_at_once(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.given_up = true;
            self.endings.push_back((id, Ending::AtOnce));
        }
    }

    /// Lists what the shell has to know of a connection that was just settled, and sets its timer.
    fn settled(&mut self, now: Now, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.touched = false;
        if !connection.output.is_empty() && !connection.listed {
            connection.listed = true;
            self.with_output.push_back(id);
        }
        if connection.paused && connection.has_room() {
            connection.paused = false;
            self.resumed.push_back(id);
        }
        if connection.ending.is_none() && !connection.given_up && connection.machine.is_over() {
            connection.ending = Some(now.mono);
            if connection.output.is_empty() {
                self.endings.push_back((id, Ending::AfterOutput));
            }
        }
        let deadline = connection.deadline();
        if deadline < connection.armed {
            self.timers.arm(id, connection.armed, deadline);
            connection.armed = deadline;
        }
    }
}

impl fmt::Debug for Customers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customers").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}
