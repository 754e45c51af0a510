//! A shard's connections to the other nodes of its cluster: which bytes are whose, and what they say to the brain.
//!
//! The stream is a machine over bytes ([`Peers`]); here it gets its sockets. A node alone has none of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use replication::stream::{Event, Hello, LineAction, LineId, Peers, Proven, Standing};
use rustls::pki_types::ServerName;
use shards::Shard;
use shards::members::Member as Row;
use wire::id::{NodeId, ShardId};
use wire::time::{Instant, Now};

use crate::config::{Config, HostPort, Member};
use crate::net::limits::SEND_QUEUE_BYTES_MAX;
use crate::net::tls::Guard;
use crate::net::{ConnId, How, ListenerTag};
use crate::runtime::WakeHandle;
use crate::shard_io::ShardIo;

use super::limits::TROUBLE_EVERY;
use super::lookups::Lookups;
use super::secure::Secure;

/// The listeners of peers, with TLS and without.
pub(super) const PEERS: ListenerTag = ListenerTag(4);

/// All members but this node, as the configuration has them.
pub(super) fn others(config: &Config) -> Arc<[Member]> {
    let members = config.cluster.iter().flat_map(|cluster| &cluster.members);
    members.filter(|member| member.node != config.node.id).cloned().collect()
}

/// Another node, and where its shard 0 listens, once that is known.
#[derive(Debug)]
struct Other {
    node: NodeId,
    host_port: HostPort,
    address: Option<SocketAddr>,
    /// The name in its certificate, if it has one.
    tls_name: Option<ServerName<'static>>,
}

impl Other {
    fn of(member: &Member) -> Self {
        let (host_port, tls_name) = (member.address.clone(), member.tls_name.clone());
        Self { node: member.node, host_port, address: None, tls_name }
    }

    /// As the table of members has it; `None` when its address is none.
    fn of_row(row: &Row) -> Option<Self> {
        let host_port = HostPort::parse(&row.address)?;
        let name = if row.tls_name.is_empty() { &host_port.host } else { &row.tls_name };
        let tls_name = ServerName::try_from(name.clone()).ok();
        Some(Self { node: row.node, host_port, address: None, tls_name })
    }
}

/// How the listener of peers is guarded.
pub(super) const fn guard(secure: &Secure) -> Guard {
    if secure.peers.is_some() { Guard::TlsPeer } else { Guard::Plain }
}

/// A shard's end of the stream, with its sockets. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct Nodes {
    /// `None`: the node is alone.
    peers: Option<Peers>,
    others: Vec<Other>,
    lookups: Lookups,
    secure: Arc<Secure>,
    conns: BTreeMap<LineId, ConnId>,
    /// Until when nothing more is said about a node, and how much was not said.
    quiet: BTreeMap<Option<NodeId>, (Instant, u64)>,
}

impl Nodes {
    /// A shard that speaks with nobody yet.
    pub(super) fn new(
        own: Option<Hello>,
        is_founder: bool,
        others: &[Member],
        secure: Arc<Secure>,
        waker: WakeHandle,
    ) -> Self {
        let nodes = others.iter().map(|other| other.node);
        let peers = own.map(|own| {
            let nodes: Vec<_> = nodes.chain(is_founder.then_some(own.node)).collect();
            Peers::new(own, &nodes)
        });
        let (others, lookups) = (others.iter().map(Other::of).collect(), Lookups::new(waker));
        Self { peers, others, lookups, secure, conns: BTreeMap::new(), quiet: BTreeMap::new() }
    }

    /// What sessions begin with from now on.
    pub(super) fn handle_secure(&mut self, secure: Arc<Secure>) {
        self.secure = secure;
    }

    /// Somebody has called; `None`: this node has no peers.
    pub(super) fn handle_accepted(&mut self, io: &ShardIo, now: Now, conn: ConnId) -> Option<LineId> {
        let proven = if self.secure.peers.is_none() {
            Proven::Nothing
        } else {
            let names = self.others.iter().filter_map(|other| Some((other, other.tls_name.as_ref()?)));
            let shown = names.filter(|(_, name)| io.peer_is_named(conn, name));
            Proven::To(shown.map(|(other, _)| other.node).collect())
        };
        let line = self.peers.as_mut()?.handle_accepted(now.mono, proven);
        self.conns.insert(line, conn);
        Some(line)
    }

    /// A line that was dialled is there.
    pub(super) fn handle_connected(&mut self, now: Now, line: LineId) {
        if let Some(peers) = &mut self.peers {
            peers.handle_connected(now.mono, line);
        }
    }

    /// Bytes came on a line.
    pub(super) fn handle_received(&mut self, now: Now, line: LineId, bytes: &[u8]) {
        if let Some(peers) = &mut self.peers {
            peers.handle_received(now.mono, line, bytes);
        }
    }

    /// A line that was dialled is not to be had.
    pub(super) fn handle_unreachable(&mut self, now: Now, line: LineId, error: &std::io::Error) {
        let node = self.peers.as_ref().and_then(|peers| peers.node_of(line));
        if let Some(other) = self.others.iter_mut().find(|other| Some(other.node) == node) {
            // Its name may have another address by now.
            other.address = None;
        }
        self.tell_trouble(now, node, &error.to_string());
        self.handle_closed(now, line);
    }

    /// A line is gone, or was not to be had.
    pub(super) fn handle_closed(&mut self, now: Now, line: LineId) {
        self.conns.remove(&line);
        if let Some(peers) = &mut self.peers {
            peers.handle_closed(now.mono, line);
        }
    }

    /// Gives the brain what the other nodes have said. `true` when there was something.
    pub(super) fn hear(&mut self, brain: &mut Shard, now: Now) -> bool {
        self.take_looked_up(now);
        self.take_members(brain, now);
        let Some(peers) = &mut self.peers else { return false };
        if peers.timeout().is_some_and(|due| due <= now.mono) {
            peers.handle_timeout(now.mono);
        }
        let mut any = false;
        while let Some(event) = self.peers.as_mut().and_then(Peers::poll_event) {
            any = true;
            match event {
                Event::Message(partition, message) => {
                    brain.handle_peer(now, partition, message);
                }
                Event::Word(from, word) => brain.handle_word(now, &from, &word),
                Event::Install(partition, install) => {
                    if let Err(error) = brain.handle_install(partition, install) {
                        tracing::error!(event = "state-refused", partition = partition.0, %error);
                    }
                }
                Event::Up(hello) => {
                    tracing::info!(event = "peer-up", node = hello.node.0, shard = hello.shard.0);
                    brain.handle_peer_up(&hello);
                }
                Event::Down(hello) => {
                    tracing::warn!(event = "peer-down", node = hello.node.0, shard = hello.shard.0);
                    brain.handle_peer_down(&hello);
                }
                Event::Trouble { node, what } => self.tell_trouble(now, node, &what),
            }
        }
        any
    }

    /// The table of members has changed: who is new is known from now on, and who was removed is spoken to no more.
    fn take_members(&mut self, brain: &mut Shard, now: Now) {
        let Some(table) = brain.poll_members() else { return };
        for row in brain.members().rows() {
            if !self.others.iter().any(|other| other.node == row.node) {
                self.others.extend(Other::of_row(row));
            }
        }
        if let Some(peers) = &mut self.peers {
            peers.set_members(now.mono, table);
        }
    }

    fn take_looked_up(&mut self, now: Now) {
        while let Some((node, found)) = self.lookups.poll() {
            let Some(other) = self.others.iter_mut().find(|other| other.node == node) else { continue };
            match found {
                Ok(address) => other.address = Some(address),
                Err(error) => {
                    let what = format!("no address is known for {}: {error}", other.host_port.host);
                    self.tell_trouble(now, Some(node), &what);
                }
            }
        }
    }

    /// Whether something waits that came from no socket.
    pub(super) fn has_answers(&self) -> bool {
        self.lookups.has_found()
    }

    /// Troubles come with every dial: a line about each node now and then is enough.
    fn tell_trouble(&mut self, now: Now, node: Option<NodeId>, what: &str) {
        let (until, unsaid) = self.quiet.entry(node).or_insert((Instant(0), 0));
        if now.mono < *until {
            *unsaid += 1;
            return;
        }
        tracing::error!(event = "peer-trouble", node = node.map(|node| node.0), what, unsaid = *unsaid);
        (*until, *unsaid) = (now.mono.plus(TROUBLE_EVERY), 0);
    }

    /// Takes what the brain has for other nodes, dials who is missing, and fills the sockets. Returns the lines that were dialled with their
    /// connections.
    pub(super) fn serve(&mut self, brain: &mut Shard, io: &mut ShardIo, now: Now) -> Vec<(LineId, ConnId)> {
        let Some(peers) = &mut self.peers else { return Vec::new() };
        peers.set_room(brain.has_room_for_entries());
        while let Some((partition, message)) = brain.poll_peer() {
            let to = message.to();
            if !peers.push_message(partition, message) {
                brain.handle_unreachable(partition, to);
            }
        }
        // What finds no way is asked for again.
        while let Some((node, partition, word)) = brain.poll_word() {
            peers.push_word(node, partition, word);
        }
        while let Some((partition, install)) = brain.poll_install() {
            peers.push_install(partition, install);
        }
        for (&line, &conn) in &self.conns {
            fill(peers, io, now, line, conn);
        }
        self.act(io, now)
    }

    fn act(&mut self, io: &mut ShardIo, now: Now) -> Vec<(LineId, ConnId)> {
        let mut dialled = Vec::new();
        while let Some(action) = self.peers.as_mut().and_then(Peers::poll_action) {
            match action {
                LineAction::Dial { line, node, shard } => match self.dial(io, node, shard, line) {
                    Some(conn) => {
                        self.conns.insert(line, conn);
                        dialled.push((line, conn));
                    }
                    None => self.handle_closed(now, line),
                },
                LineAction::Close(line) => {
                    if let Some(conn) = self.conns.remove(&line) {
                        io.close(conn, How::AfterSending);
                    }
                }
            }
        }
        dialled
    }

    /// `None`: it cannot be dialled now, and is tried again.
    fn dial(&mut self, io: &mut ShardIo, node: NodeId, shard: ShardId, line: LineId) -> Option<ConnId> {
        let other = self.others.iter_mut().find(|other| other.node == node)?;
        if other.address.is_none() {
            other.address = self.lookups.find(node, &other.host_port);
        }
        let first = other.address?;
        let address = SocketAddr::new(first.ip(), first.port().checked_add(shard.0)?);
        let tls = match &self.secure.peers {
            Some(peers) => Some(peers.client_for(node, other.tls_name.as_ref()?)),
            None => None,
        };
        io.connect(address, dial_tag(line), tls.as_ref()).ok()
    }

    /// When [`Nodes::hear`] is due.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.peers.as_ref().and_then(Peers::timeout)
    }

    /// How it stands with each other node.
    pub(super) fn standings(&self) -> impl Iterator<Item = Standing> + '_ {
        self.peers.iter().flat_map(Peers::standings)
    }
}

/// Moves what a line has to say to its connection, as far as there is room.
fn fill(peers: &mut Peers, io: &mut ShardIo, now: Now, line: LineId, conn: ConnId) {
    while io.queued_bytes(conn) < SEND_QUEUE_BYTES_MAX {
        let Some(buffer) = io.send_buffer(conn) else { return };
        if !peers.poll_output(now.mono, line, buffer) {
            return;
        }
    }
}

/// The bit that tells a dial of a peer from one of a carrier's link.
const PEER_DIAL: u64 = 1 << 63;

const fn dial_tag(line: LineId) -> u64 {
    PEER_DIAL | line.0
}

/// The line of a dial's number, if it is one's.
pub(super) const fn dialled_line(tag: u64) -> Option<LineId> {
    if tag & PEER_DIAL == 0 { None } else { Some(LineId(tag & !PEER_DIAL)) }
}
