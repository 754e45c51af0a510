//! Between a shard's sockets and those who use them: customers and links to carriers.
//!
//! Customers are machines over bytes (`customers`), links are the brain's; here is only which bytes belong to whom, and
//! when a connection is read, filled and closed.

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam::channel::Sender;
use shards::api::Reply;
use shards::members::{Act, NotDone};
use shards::plan::Plan;
use shards::{LinkAction, LinkId, LinkInput, Shard};
use wire::id::NodeId;
use wire::time::{Instant, Now};

use crate::customers::ask::Ask;
use crate::customers::credentials::Credentials;
use crate::customers::passwords::Verdict;
use crate::customers::smpp::exchange::Exchange;
use crate::customers::{Customers, Ending, Hearing, Protocol, Readiness};
use crate::net::limits::SEND_QUEUE_BYTES_MAX;
use crate::net::tls::alert_words;
use crate::net::{CloseReason, ConnId, How, ListenerTag, SocketEvent};
use crate::runtime::WakeHandle;
use crate::shard_io::ShardIo;

use super::acts::Acts;
use super::archive::{Answer, Asked, Client, Outcome};
use super::board::Board;
use super::doorkeeper;
use super::held::{Held, Piece};
use super::nodes::{self, Nodes};
use super::parties::{Parties, Party};
use super::secure::Secure;
use super::strangers::Strangers;
use super::webhooks::{self, Order};

/// The listeners of HTTP, with TLS and without.
pub(super) const HTTP: ListenerTag = ListenerTag(0);
/// The listeners of the native protocol, the node's and the shard's own.
pub(super) const NATIVE: ListenerTag = ListenerTag(1);

/// The listeners of SMPP, with TLS and without.
pub(super) const SMPP: ListenerTag = ListenerTag(2);

/// The listeners of the native protocol over TLS, the node's and the shard's own.
pub(super) const NATIVE_TLS: ListenerTag = ListenerTag(3);

/// A carrier to dial.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    /// Its name, for the log.
    pub(super) name: String,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

/// What is to be done to a connection when its event has been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// Read no more for now.
    Pause(ConnId),
    /// Close it.
    Close(ConnId, How),
    /// Ask whether its customer has more output.
    Offer(u64),
    /// Another node has called.
    Greet(ConnId),
}

/// All connections of one shard and their owners. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct Desk {
    customers: Customers,
    /// Who knows of messages that the brains do not have any more.
    archive: Client,
    /// Who looks at passwords.
    doorkeeper: doorkeeper::Client,
    /// Accounts that are told over webhooks.
    webhooks: webhooks::Client,
    /// What wakes this shard.
    waker: WakeHandle,
    /// What wakes each shard.
    wakers: Arc<[WakeHandle]>,
    parties: Parties,
    /// The other nodes of the cluster.
    nodes: Nodes,
    acts: Acts,
    /// In the order of the plan's carriers.
    carriers: Arc<[Dial]>,
    /// Certificates and keys.
    secure: Arc<Secure>,
    /// Why the last dial of each link failed.
    troubles: Vec<Option<String>>,
    strangers: Strangers,
    /// What customers sent while too much waited for the log.
    held: Held,
    /// Links whose session wanted no more bytes.
    paused: Vec<LinkId>,
    /// Output on its way from a session to a connection that has some already.
    scratch: Vec<u8>,
    dials_failed: u64,
}

impl Desk {
    /// A desk without connections.
    pub(super) fn new(
        customers: Customers,
        (archive, doorkeeper, webhooks): (Client, doorkeeper::Client, webhooks::Client),
        (waker, wakers): (WakeHandle, Arc<[WakeHandle]>),
        (carriers, secure): (Arc<[Dial]>, Arc<Secure>),
        nodes: Nodes,
    ) -> Self {
        Self {
            customers,
            archive,
            doorkeeper,
            webhooks,
            waker,
            wakers,
            parties: Parties::default(),
            nodes,
            acts: Acts::default(),
            carriers,
            secure,
            troubles: Vec::new(),
            strangers: Strangers::default(),
            held: Held::default(),
            paused: Vec::new(),
            scratch: Vec::new(),
            dials_failed: 0,
        }
    }

    /// The customers' side.
    pub(super) const fn customers(&self) -> &Customers {
        &self.customers
    }

    /// The same, for whoever looks on.
    pub(super) const fn customers_mut(&mut self) -> &mut Customers {
        &mut self.customers
    }

    /// The shard's end of the archive.
    pub(super) const fn archive(&self) -> &Client {
        &self.archive
    }

    /// Whether something waits for this shard's customers that came neither from a socket nor from a brain.
    pub(super) fn has_answers(&self) -> bool {
        self.archive.has_answers()
            || self.doorkeeper.has_answers()
            || self.webhooks.has_words()
            || self.customers.has_calls()
            || self.nodes.has_answers()
    }

    /// Connections to carriers that could not be made.
    pub(super) const fn dials_failed(&self) -> u64 {
        self.dials_failed
    }

    /// Why the last dial of each link failed, by the link's number; shorter when none of the last ones has.
    pub(super) fn troubles(&self) -> &[Option<String>] {
        &self.troubles
    }

    /// Something happened to a socket.
    pub(super) fn hear(&mut self, brain: &mut Shard, now: Now, event: SocketEvent<'_>) -> Then {
        match event {
            SocketEvent::Accepted { listener: nodes::PEERS, conn, .. } => Then::Greet(conn),
            SocketEvent::Accepted { listener, conn, peer } => {
                let caller = (protocol_of(listener), peer.ip());
                self.parties.insert(conn, Party::Customer);
                self.customers.handle_accepted(now, conn.as_u64(), caller, &mut asking(brain, now));
                Then::Nothing
            }
            SocketEvent::Connected { conn, .. } => match self.parties.party(conn) {
                Some(Party::Peer(line)) => {
                    self.nodes.handle_connected(now, line);
                    Then::Nothing
                }
                _ => self.tell_link(brain, now, conn, LinkInput::Connected),
            },
            SocketEvent::ConnectFailed { conn, tag, error } => {
                self.parties.remove(conn);
                match nodes::dialled_line(tag) {
                    Some(line) => self.nodes.handle_unreachable(now, line, &error),
                    None => self.dial_failed(brain, now, tag, &error),
                }
                Then::Nothing
            }
            SocketEvent::HandshakeFailed { listener, peer, error, .. } => {
                self.strangers.failed(now, listener, peer, &error);
                Then::Nothing
            }
            SocketEvent::SpeaksTls { conn, peer } => {
                let carrier = match self.parties.party(conn) {
                    Some(Party::Link(link)) => self.carrier_of(brain, link).map(|dial| dial.name.clone()),
                    _ => None,
                };
                self.strangers.spoke_tls(now, peer, carrier.as_deref());
                Then::Nothing
            }
            SocketEvent::Received { conn, bytes } => self.received(brain, now, conn, bytes),
            SocketEvent::Finished { conn } => match self.parties.party(conn) {
                Some(Party::Customer) => {
                    if self.held.holds() {
                        self.held.keep(conn, Piece::End);
                    } else {
                        self.customers.handle_received_end(now, conn.as_u64(), &mut asking(brain, now));
                    }
                    Then::Nothing
                }
                Some(Party::Link(_) | Party::Peer(_)) => Then::Close(conn, How::AfterSending),
                None => Then::Nothing,
            },
            SocketEvent::Sent { conn, total } => match self.parties.party(conn) {
                Some(Party::Customer) => Then::Offer(conn.as_u64()),
                _ => self.tell_link(brain, now, conn, LinkInput::Written { total }),
            },
            SocketEvent::Closed { conn, reason } => {
                match self.parties.remove(conn) {
                    Some(Party::Customer) => {
                        self.held.forget(conn);
                        self.customers.handle_closed(now, conn.as_u64(), &mut asking(brain, now));
                    }
                    Some(Party::Link(link)) => {
                        self.link_closed(brain, link, reason);
                        brain.handle_link(now, link, LinkInput::Closed);
                    }
                    Some(Party::Peer(line)) => self.nodes.handle_closed(now, line),
                    None => {}
                }
                Then::Nothing
            }
        }
    }

    fn received(&mut self, brain: &mut Shard, now: Now, conn: ConnId, bytes: &[u8]) -> Then {
        match self.parties.party(conn) {
            Some(Party::Customer) => {
                if self.held.holds() && !self.held.passes(conn, bytes) {
                    self.held.keep(conn, Piece::Bytes(bytes.to_vec()));
                    return Then::Pause(conn);
                }
                self.hear_customer(brain, now, conn, bytes);
                if self.customers.wants_reading(conn.as_u64()) { Then::Nothing } else { Then::Pause(conn) }
            }
            Some(Party::Link(link)) => {
                brain.handle_link(now, link, LinkInput::Received(bytes));
                if brain.link_wants_bytes(link) {
                    return Then::Nothing;
                }
                self.paused.push(link);
                Then::Pause(conn)
            }
            Some(Party::Peer(line)) => {
                self.nodes.handle_received(now, line, bytes);
                Then::Nothing
            }
            None => Then::Nothing,
        }
    }

    fn hear_customer(&mut self, brain: &mut Shard, now: Now, conn: ConnId, bytes: &[u8]) {
        self.customers.handle_received(now, conn.as_u64(), bytes, &mut asking(brain, now));
        if !brain.wants_submissions() {
            self.held.hold();
        }
    }

    /// Goes on with what was kept, as far as the log keeps up, and reads on behind it.
    fn hear_held(&mut self, brain: &mut Shard, io: &mut ShardIo, now: Now) {
        while brain.wants_submissions() {
            match self.held.next() {
                Some((conn, Piece::Bytes(bytes))) => self.hear_customer(brain, now, conn, &bytes),
                Some((conn, Piece::End)) => {
                    self.customers.handle_received_end(now, conn.as_u64(), &mut asking(brain, now));
                }
                None => break,
            }
        }
        while let Some(conn) = self.held.resume() {
            if self.customers.wants_reading(conn.as_u64()) {
                io.resume_reading(conn);
            }
        }
    }

    fn tell_link(&self, brain: &mut Shard, now: Now, conn: ConnId, input: LinkInput<'_>) -> Then {
        if let Some(Party::Link(link)) = self.parties.party(conn) {
            brain.handle_link(now, link, input);
        }
        Then::Nothing
    }

    /// Gives the customers what the brain has for them, and the sockets what the customers have.
    pub(super) fn serve_customers(&mut self, brain: &mut Shard, io: &mut ShardIo, now: Now) {
        if self.held.holds() {
            self.hear_held(brain, io, now);
        }
        while let Some(answer) = self.archive.poll() {
            self.tell_from_archive(now, answer);
        }
        while let Some((check, verdict)) = self.doorkeeper.poll() {
            self.customers.handle_checked(now, &check, verdict, &mut asking(brain, now));
        }
        self.webhooks.serve(&mut asking(brain, now));
        self.customers.handle_fullness(brain.fullness_percent());
        // Settling reads on where it had stopped, and what it asks may be refused at once.
        loop {
            while let Some(reply) = brain.poll_reply() {
                self.tell(now, reply);
            }
            if self.customers.timeout() != Some(Instant(0)) {
                break;
            }
            self.customers.settle(now, &mut asking(brain, now));
            self.have_passwords_looked_at(brain, now);
        }
        self.webhooks.flush();
        let hearing = if self.held.holds() { Hearing::Later } else { Hearing::Now };
        self.customers.handle_hearing(now, hearing);
        while let Some(shard) = self.customers.poll_nudge() {
            self.wakers[usize::from(shard.0)].wake();
        }
        while let Some(number) = self.customers.poll_output() {
            self.offer(io, now, number);
        }
        while let Some(number) = self.customers.poll_resume() {
            match self.parties.numbered(number) {
                Some(conn) if self.held.holds() => self.held.pause(conn),
                Some(conn) => io.resume_reading(conn),
                None => {}
            }
        }
        while let Some((number, ending)) = self.customers.poll_close() {
            if let Some(conn) = self.parties.numbered(number) {
                let how = if ending == Ending::AtOnce { How::Now } else { How::AfterSending };
                io.close(conn, how);
            }
        }
    }

    fn have_passwords_looked_at(&mut self, brain: &mut Shard, now: Now) {
        while let Some(check) = self.customers.poll_check() {
            if let Err(check) = self.doorkeeper.ask(check, &self.waker) {
                self.customers.handle_checked(now, &check, Verdict::Busy, &mut asking(brain, now));
            }
        }
    }

    /// Gives a reply of the brain to its customer. Of a message that the brain does not have, the archive is asked first.
    fn tell(&mut self, now: Now, reply: Reply) {
        if webhooks::Client::is_for_one(&reply) {
            return self.webhooks.take(reply);
        }
        if let Reply::Done { origin, outcome } = reply {
            return self.acts.done(origin, outcome);
        }
        if let Reply::Message { origin, account, id, view: None } = reply {
            match self.archive.ask(origin, account, id, &self.waker) {
                Asked::Waits => return,
                Asked::Refused => return self.customers.handle_query_refused(now, origin),
                Asked::Nobody => {}
            }
        }
        self.customers.handle_reply(now, reply);
    }

    fn tell_from_archive(&mut self, now: Now, answer: Answer) {
        let Answer { origin, account, id, outcome } = answer;
        let view = match outcome {
            Outcome::Found(_, view) => Some(view),
            Outcome::Unknown => None,
            Outcome::Failed => return self.customers.handle_query_refused(now, origin),
        };
        self.customers.handle_reply(now, Reply::Message { origin, account, id, view });
    }

    /// Moves a customer's output to its connection, unless much is under way: then the next `Sent` asks again.
    pub(super) fn offer(&mut self, io: &mut ShardIo, now: Now, number: u64) {
        let Some(conn) = self.parties.numbered(number) else { return };
        if io.queued_bytes(conn) >= SEND_QUEUE_BYTES_MAX {
            return;
        }
        let Some(buffer) = io.send_buffer(conn) else { return };
        if buffer.is_empty() {
            self.customers.take_output(now, number, buffer);
        } else if self.customers.take_output(now, number, &mut self.scratch) {
            buffer.extend_from_slice(&self.scratch);
            self.scratch.clear();
        }
    }

    /// Answers requests for the node's numbers.
    pub(super) fn answer_scrapes(&mut self, now: Now, board: &Board) {
        while let Some(origin) = self.customers.poll_scrape() {
            board.with_samples(|samples| self.customers.handle_scrape(now, origin, samples));
        }
    }

    /// Dials, closes and fills the links' connections as the brain says.
    pub(super) fn serve_links(&mut self, brain: &mut Shard, io: &mut ShardIo, now: Now) {
        while let Some(action) = brain.poll_link() {
            match action {
                LinkAction::Connect { link, carrier } => self.dial(brain, io, now, link, carrier),
                LinkAction::Close { link } => {
                    self.fill(brain, io, link);
                    if let Some(conn) = self.parties.of_link(link) {
                        io.close(conn, How::AfterSending);
                    }
                }
            }
        }
        while let Some(link) = brain.poll_transmit() {
            self.fill(brain, io, link);
        }
        let parties = &self.parties;
        self.paused.retain(|&link| {
            let wants = brain.link_wants_bytes(link);
            if let Some(conn) = parties.of_link(link).filter(|_| wants) {
                io.resume_reading(conn);
            }
            !wants
        });
    }

    /// An operator has decided something about the cluster's members.
    pub(super) fn act(&mut self, brain: &mut Shard, now: Now, act: Act, to: Sender<Result<NodeId, NotDone>>) {
        let shard = brain.id();
        brain.handle_act(now, self.acts.begin(shard, to), act);
    }

    /// Another node has called.
    pub(super) fn greet(&mut self, io: &mut ShardIo, now: Now, conn: ConnId) {
        match self.nodes.handle_accepted(io, now, conn) {
            Some(line) => self.parties.insert(conn, Party::Peer(line)),
            None => io.close(conn, How::Now),
        }
    }

    /// Gives the brain what the other nodes have said; `true` when there was something.
    pub(super) fn hear_nodes(&mut self, brain: &mut Shard, now: Now) -> bool {
        self.nodes.hear(brain, now)
    }

    /// Gives the other nodes what the brain has for them.
    pub(super) fn serve_nodes(&mut self, brain: &mut Shard, io: &mut ShardIo, now: Now) {
        for (line, conn) in self.nodes.serve(brain, io, now) {
            self.parties.insert(conn, Party::Peer(line));
        }
    }

    /// The other nodes.
    pub(super) const fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    fn dial(&mut self, brain: &mut Shard, io: &mut ShardIo, now: Now, link: LinkId, carrier: u16) {
        let place = usize::from(carrier);
        let (dial, tls) = (&self.carriers[place], self.secure.carriers[place].as_ref());
        match io.connect(dial.address, dial_tag(link, carrier), tls) {
            Ok(conn) => self.parties.insert(conn, Party::Link(link)),
            Err(error) => self.dial_failed(brain, now, dial_tag(link, carrier), &error),
        }
    }

    fn dial_failed(&mut self, brain: &mut Shard, now: Now, tag: u64, error: &dyn std::error::Error) {
        let (link, carrier) = dialled(tag);
        let dial = &self.carriers[usize::from(carrier)];
        self.dials_failed += 1;
        // The brain waits longer from time to time, so this is a line every half a minute at most.
        tracing::warn!(event = "carrier-unreachable", carrier = dial.name, address = %dial.address, link = link.0, %error);
        let place = usize::from(link.0);
        if self.troubles.len() <= place {
            self.troubles.resize(place + 1, None);
        }
        self.troubles[place] = Some(error.to_string());
        brain.handle_link(now, link, LinkInput::ConnectFailed);
    }

    fn carrier_of(&self, brain: &Shard, link: LinkId) -> Option<&Dial> {
        let view = brain.link_views().find(|view| view.link == link)?;
        self.carriers.get(usize::from(view.carrier))
    }

    /// The end of a link is the brain's to judge; of TLS it knows nothing.
    fn link_closed(&self, brain: &Shard, link: LinkId, reason: CloseReason) {
        let why = match reason {
            CloseReason::Alert(alert) => alert_words(alert),
            CloseReason::Tls => "the session of TLS broke".to_owned(),
            _ => {
                tracing::debug!(event = "link-closed", link = link.0, ?reason);
                return;
            }
        };
        let (carrier, address) =
            self.carrier_of(brain, link).map_or(("", None), |dial| (&dial.name, Some(dial.address)));
        tracing::warn!(
            event = "link-closed",
            carrier,
            address = address.map(tracing::field::display),
            link = link.0,
            why
        );
    }

    /// Moves a link's bytes to its connection, as far as there is room; the rest stays with its session.
    fn fill(&self, brain: &mut Shard, io: &mut ShardIo, link: LinkId) {
        let Some(conn) = self.parties.of_link(link) else { return };
        let room = SEND_QUEUE_BYTES_MAX.saturating_sub(io.queued_bytes(conn));
        let bytes = brain.transmit_bytes(link);
        let count = bytes.len().min(room);
        let Some(buffer) = io.send_buffer(conn).filter(|_| count > 0) else { return };
        buffer.extend_from_slice(&bytes[..count]);
        brain.handle_taken(link, count);
    }

    /// When [`Desk::handle_timeout`] is due, or [`Desk::is_drained`] is to be asked again.
    pub(super) fn timeout(&self, now: Now) -> Option<Instant> {
        let all = self.customers.timeout().into_iter().chain(self.webhooks.timeout(now.mono));
        all.chain(self.nodes.timeout()).min()
    }

    /// Whether nobody here waits for the brain or for the shell.
    pub(super) fn is_drained(&self, now: Now) -> bool {
        self.customers.is_drained() && self.webhooks.is_drained(now.mono)
    }

    /// Which webhooks are told from now on, and which are not.
    pub(super) fn handle_webhooks(&mut self, brain: &mut Shard, now: Now, orders: Vec<Order>) {
        self.webhooks.handle_orders(orders, &mut asking(brain, now));
    }

    /// Tells webhooks nothing more.
    pub(super) fn drain_webhooks(&mut self, brain: &mut Shard, now: Now) {
        self.webhooks.handle_drain(now.mono, &mut asking(brain, now));
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, brain: &mut Shard, now: Now) {
        self.customers.handle_timeout(now, &mut asking(brain, now));
    }

    /// The names of accounts and carriers from now on.
    pub(super) fn handle_plan(&mut self, plan: Arc<Plan>) {
        self.customers.handle_plan(plan);
    }

    /// Who may come in from now on.
    pub(super) fn handle_credentials(&mut self, credentials: Arc<Credentials>, smpp: Arc<Exchange>) {
        self.customers.handle_credentials(credentials, smpp);
    }

    /// What sessions with carriers begin with from now on.
    pub(super) fn handle_secure(&mut self, secure: Arc<Secure>) {
        self.nodes.handle_secure(Arc::clone(&secure));
        self.secure = secure;
    }

    /// Tells the customers whether the node takes messages.
    pub(super) fn handle_readiness(&mut self, readiness: Readiness) {
        self.customers.handle_readiness(readiness);
    }
}

/// Link and carrier in the number that comes back with a connection.
fn dial_tag(link: LinkId, carrier: u16) -> u64 {
    u64::from(carrier) << 16 | u64::from(link.0)
}

fn dialled(tag: u64) -> (LinkId, u16) {
    let half = |bits: u64| u16::try_from(bits & 0xFFFF).expect("sixteen bits are left");
    (LinkId(half(tag)), half(tag >> 16))
}

/// What customers of a listener speak.
const fn protocol_of(listener: ListenerTag) -> Protocol {
    match listener {
        HTTP => Protocol::Http,
        SMPP => Protocol::Smpp,
        NATIVE_TLS => Protocol::NativeTls,
        _ => Protocol::Native,
    }
}

/// What hands the customers' questions to the brain.
fn asking(brain: &mut Shard, now: Now) -> impl FnMut(Ask<'_>) {
    move |ask| match ask {
        Ask::Submit { origin, submission } => brain.handle_submit(now, origin, submission),
        Ask::Query { origin, account, id } => brain.handle_query(now, origin, account, id),
        Ask::Cancel { origin, cancellation } => brain.handle_cancel(now, origin, cancellation),
        Ask::Subscribe { origin, subscription } => brain.handle_subscribe(now, origin, subscription),
        Ask::Unsubscribe { origin } => brain.handle_unsubscribe(origin),
        Ask::Acknowledge { origin, account, partition, sequence } => {
            brain.handle_acknowledge(now, origin, account, partition, sequence);
        }
    }
}
