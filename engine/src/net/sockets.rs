//! The driver: owns every connection of the shard and turns the ring's completions into events.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use core::time::Duration;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

mod secured;

use super::conn::{Conn, Phase, Reading, Secured, Untold};
use super::faulty::{Faulty, Piece};
use super::limits::{
    CONNECT_WAIT, CONNECTIONS_MAX, HELLOS_PER_TURN, LINGER, SEND_BYTES_MAX, SEND_QUEUE_BYTES_HARD,
};
use super::listeners::Listeners;
use super::metrics::TlsCounts;
use super::tls::{ClientTls, Guard, ServerTls};
use super::{CloseReason, ConnId, How, ListenerTag, NetError, SocketEvent};
use crate::faults::{Dice, SocketFaults};
use crate::ring::{Chunk, Completion, Held, Ring, Tag, What};

/// The sockets of one shard. It lives on the shard's thread, beside the ring that every call is given.
#[derive(Debug, Default)]
pub struct Sockets {
    conns: Vec<Conn>,
    free: Vec<u32>,
    listeners: Listeners,
    /// Connections with something to send, each once.
    dirty: Vec<ConnId>,
    /// Connections whose receive is to be armed.
    rearm: Vec<ConnId>,
    /// What happened without the kernel saying so.
    pending: VecDeque<SocketEvent<'static>>,
    /// What the last event lent to the owner.
    lent: Option<Lent>,
    faulty: Option<Box<Faulty>>,
    /// What callers' sessions begin with.
    server_tls: Option<ServerTls>,
    /// What those of the cluster's other nodes begin with.
    peer_tls: Option<ServerTls>,
    /// Callers whose first words wait for their turn.
    hellos: VecDeque<ConnId>,
    /// How many of them may still be read in this turn.
    hellos_left: u32,
    /// Callers whose hand-shake is under way.
    shaking: usize,
    counts: TlsCounts,
}

#[derive(Debug)]
enum Lent {
    Chunk(Chunk),
    Bytes(Vec<u8>),
}

impl Sockets {
    /// Sockets that break as `faults` say, and as the dice fall.
    pub(crate) fn with_faults(faults: SocketFaults, dice: Dice) -> Self {
        Self { faulty: Some(Box::new(Faulty::new(faults, dice))), ..Self::default() }
    }

    pub(crate) fn listen(
        &mut self,
        ring: &mut Ring,
        address: SocketAddr,
        tag: ListenerTag,
        guard: Guard,
    ) -> Result<SocketAddr, NetError> {
        self.listeners.add(ring, address, tag, guard)
    }

    /// What callers' sessions begin with from now on.
    pub(crate) fn secure(&mut self, tls: Option<ServerTls>) {
        self.server_tls = tls;
    }

    /// The same, for [`Guard::TlsPeer`].
    pub(crate) fn secure_peers(&mut self, tls: Option<ServerTls>) {
        self.peer_tls = tls;
    }

    /// Whether a connection is open, has TLS, and its peer has shown a certificate that carries a name.
    #[must_use]
    pub fn peer_is_named(&self, id: ConnId, name: &ServerName<'_>) -> bool {
        let conn = self.conns.get(id.index()).filter(|conn| conn.is(id) && conn.phase == Phase::Open);
        conn.and_then(|conn| conn.tls.as_ref()).is_some_and(|tls| tls.session.peer_is_named(name))
    }

    /// What was counted about TLS.
    #[must_use]
    pub const fn tls_counts(&self) -> &TlsCounts {
        &self.counts
    }

    pub(crate) fn stop_listening(&mut self, ring: &mut Ring) {
        self.listeners.stop(ring);
    }

    pub(crate) fn connect(
        &mut self,
        ring: &mut Ring,
        address: SocketAddr,
        tag: u64,
        tls: Option<&ClientTls>,
    ) -> Result<ConnId, NetError> {
        let session = tls.map(ClientTls::session).transpose();
        let session = session.map_err(|source| NetError::Tls { address, source })?;
        let refused = |source| NetError::Socket { address, source };
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).map_err(refused)?;
        socket.set_tcp_nodelay(true).map_err(refused)?;
        let fd = socket.as_raw_fd();
        let id = self.begin(socket.into(), Phase::Connecting).ok_or(NetError::Full)?;
        let op = ring.connect(fd, address, CONNECT_WAIT, Tag { what: What::Connect, id: id.as_u64() });
        let conn = &mut self.conns[id.index()];
        (conn.connect, conn.connect_tag, conn.in_flight) = (Some(op), Some(tag), 1);
        conn.tls = session.map(|session| Secured::new(session, Untold::Dialled));
        Ok(id)
    }

    /// Where to append bytes for a connection; `None` when it is gone or closing. They leave with the next turn.
    pub(crate) fn send_buffer(&mut self, id: ConnId) -> Option<&mut Vec<u8>> {
        let conn = self.conns.get_mut(id.index()).filter(|conn| conn.is(id) && conn.takes_bytes())?;
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push(id);
        }
        Some(&mut conn.gather)
    }

    /// Bytes that the kernel has not taken yet; 0 for a connection that is gone.
    #[must_use]
    pub fn queued_bytes(&self, id: ConnId) -> usize {
        self.conns.get(id.index()).filter(|conn| conn.is(id)).map_or(0, Conn::queued_bytes)
    }

    /// Connections that are not gone yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// Whether there is no connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn pause_reading(&mut self, ring: &mut Ring, id: ConnId) {
        let Some(conn) = self.open(id) else { return };
        if conn.reading == Reading::On {
            conn.reading = Reading::Paused;
            if let Some(op) = conn.receive {
                ring.cancel(op);
            }
        }
    }

    pub(crate) fn resume_reading(&mut self, id: ConnId) {
        let Some(conn) = self.open(id) else { return };
        if conn.reading == Reading::Paused {
            conn.reading = Reading::On;
            self.rearm.push(id);
        }
    }

    pub(crate) fn close(&mut self, ring: &mut Ring, id: ConnId, how: How) {
        let Some(conn) = self.conns.get_mut(id.index()).filter(|conn| conn.is(id)) else { return };
        match (how, conn.phase) {
            (How::AfterSending, Phase::Open) => {
                if let Some(tls) = &mut conn.tls {
                    tls.session.say_goodbye();
                }
                self.begin_flushing(ring, id);
            }
            (How::AfterSending, Phase::Connecting | Phase::Shaking) | (How::Now, _) => {
                self.reset(ring, id, CloseReason::Local)
            }
            (How::AfterSending, _) => {}
        }
    }

    /// Sends what is left, and waits for the peer's end.
    fn begin_flushing(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        conn.phase = Phase::Flushing;
        conn.linger = Some(ring.timer(LINGER, Tag { what: What::Linger, id: id.as_u64() }));
        if conn.reading == Reading::Paused {
            // Its end is to be noticed; what comes before it is thrown away.
            conn.reading = Reading::On;
            self.rearm.push(id);
        }
        if self.conns[id.index()].tls.is_some() {
            self.send(ring, id);
        }
        self.flushed(ring, id);
    }

    /// Hands everything that gathered to the ring. The next turn of the ring submits it.
    pub(crate) fn flush(&mut self, ring: &mut Ring) {
        self.hellos_left = HELLOS_PER_TURN;
        for id in core::mem::take(&mut self.rearm) {
            self.arm(ring, id);
        }
        let mut dirty = core::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.conns[id.index()].dirty = false;
            self.send(ring, id);
        }
        if self.dirty.is_empty() {
            self.dirty = dirty; // keeps its memory
        }
    }

    /// Whether there is an event that no completion has to bring.
    pub(crate) fn has_events(&self) -> bool {
        !self.pending.is_empty()
            || !self.hellos.is_empty()
            || self.faulty.as_ref().is_some_and(|faulty| faulty.has_pieces())
    }

    /// The owner is through with the last event.
    pub(crate) fn take_back(&mut self, ring: &mut Ring) {
        if let Some(Lent::Chunk(chunk)) = self.lent.take() {
            ring.give_back(chunk);
        }
    }

    /// The next event that no completion has to bring.
    pub(crate) fn next(&mut self, ring: &mut Ring) -> Option<SocketEvent<'static>> {
        loop {
            while let Some(event) = self.pending.pop_front() {
                if let Some(event) = self.checked(event) {
                    return Some(event);
                }
            }
            if self.read_hello(ring) {
                continue;
            }
            let (conn, piece) = self.faulty.as_mut()?.next()?;
            let asked = &self.conns[conn.index()];
            if !asked.is(conn) || !asked.hears() {
                continue;
            }
            match piece {
                Piece::End if asked.tls.is_some() => self.tls_ended(ring, conn),
                Piece::End => return Some(SocketEvent::Finished { conn }),
                Piece::Bytes(bytes) if asked.tls.is_some() => {
                    let heard = self.tls_receives(conn, &bytes);
                    self.tls_heard(ring, conn, heard);
                }
                Piece::Bytes(bytes) => {
                    self.lent = Some(Lent::Bytes(bytes));
                    return Some(SocketEvent::Received { conn, bytes: &[] });
                }
            }
        }
    }

    /// An event that was pending, unless its connection does not tell any more; its place is free when it was its last.
    fn checked(&mut self, event: SocketEvent<'static>) -> Option<SocketEvent<'static>> {
        match event {
            SocketEvent::Closed { conn, .. }
            | SocketEvent::ConnectFailed { conn, .. }
            | SocketEvent::HandshakeFailed { conn: Some(conn), .. } => self.free.push(conn.index),
            SocketEvent::Received { conn, .. } => {
                let opened = self.open(conn)?.tls.as_mut()?.session.take_opened();
                self.lent = Some(Lent::Bytes(opened));
            }
            SocketEvent::Finished { conn } => {
                self.open(conn)?;
            }
            _ => {}
        }
        Some(event)
    }

    /// Puts the bytes that an event speaks of into it.
    pub(crate) fn lend<'a>(&'a self, ring: &'a Ring, event: SocketEvent<'a>) -> SocketEvent<'a> {
        match (event, &self.lent) {
            (SocketEvent::Received { conn, .. }, Some(Lent::Chunk(chunk))) => {
                SocketEvent::Received { conn, bytes: ring.bytes(chunk) }
            }
            (SocketEvent::Received { conn, .. }, Some(Lent::Bytes(bytes))) => {
                SocketEvent::Received { conn, bytes }
            }
            (event, _) => event,
        }
    }

    /// Takes a completion of a socket; the event that it makes, if any, goes through [`Sockets::lend`]. Others may
    /// have become pending.
    pub(crate) fn handle(&mut self, ring: &mut Ring, done: Completion) -> Option<SocketEvent<'static>> {
        match done.tag.what {
            What::Accept => self.accepted(ring, done),
            What::AcceptLater => {
                self.listeners.pause_over(ring, done.tag.id);
                None
            }
            What::Receive => self.received(ring, done),
            What::Send => self.sent(ring, done),
            What::Connect => self.connected(ring, done),
            What::Linger => {
                let id = ConnId::from_u64(done.tag.id);
                if self.conns[id.index()].is(id) && done.result.is_err_and(|error| expired(&error)) {
                    self.reset(ring, id, CloseReason::Local);
                }
                None
            }
            What::Handshake => {
                let id = ConnId::from_u64(done.tag.id);
                if self.conns[id.index()].is(id) && done.result.is_err_and(|error| expired(&error)) {
                    self.handshake_expired(ring, id);
                }
                None
            }
            What::Stall => {
                let faulty = self.faulty.as_mut().expect("only faults stall");
                faulty.stall_over(ConnId::from_u64(done.tag.id));
                None
            }
            What::LogWrite | What::LogSync | What::LogPause | What::Wake | What::Nobody => {
                unreachable!("only the sockets' completions come here")
            }
        }
    }

    fn accepted(&mut self, ring: &mut Ring, done: Completion) -> Option<SocketEvent<'static>> {
        let (listener, guard) = self.listeners.tag(done.tag.id);
        self.listeners.answered(ring, done.tag.id, done.result.as_ref().err(), done.more);
        let Held::Socket(socket) = done.held else { return None };
        // Either fails when the peer is gone already: then there is nobody to tell.
        let peer = SockRef::from(&socket).peer_addr().ok()?.as_socket()?;
        SockRef::from(&socket).set_tcp_nodelay(true).ok()?;
        if guard != Guard::Plain {
            self.called(ring, socket, Untold::Called { listener, guard, peer });
            return None;
        }
        // A shard that is full closes at once: the peer sees a reset, and tries another node.
        let conn = self.begin(socket, Phase::Open)?;
        self.arm(ring, conn);
        Some(SocketEvent::Accepted { listener, conn, peer })
    }

    fn connected(&mut self, ring: &mut Ring, done: Completion) -> Option<SocketEvent<'static>> {
        let id = ConnId::from_u64(done.tag.id);
        let conn = &mut self.conns[id.index()];
        (conn.connect, conn.in_flight) = (None, conn.in_flight - 1);
        if conn.tls.is_some() && conn.phase == Phase::Connecting && done.result.is_ok() {
            self.begin_shaking(ring, id);
            self.send(ring, id);
            return None;
        }
        let tag = conn.connect_tag.take().expect("a connection that is made has its owner's number");
        match (conn.phase, done.result) {
            (Phase::Connecting, Ok(_)) => {
                conn.phase = Phase::Open;
                self.arm(ring, id);
                self.send(ring, id);
                Some(SocketEvent::Connected { conn: id, tag })
            }
            (Phase::Connecting, Err(error)) => {
                let error = match error.raw_os_error() {
                    Some(libc::ECANCELED) => io::ErrorKind::TimedOut.into(),
                    _ => error,
                };
                conn.bury();
                self.pending.push_back(SocketEvent::ConnectFailed { conn: id, tag, error });
                None
            }
            (_, _) => {
                self.let_go(id);
                None
            }
        }
    }

    fn received(&mut self, ring: &mut Ring, done: Completion) -> Option<SocketEvent<'static>> {
        let id = ConnId::from_u64(done.tag.id);
        let conn = &mut self.conns[id.index()];
        assert!(conn.is(id), "a place is not used again while an operation is in flight");
        if !done.more {
            (conn.receive, conn.in_flight) = (None, conn.in_flight - 1);
            self.rearm.push(id);
        }
        let event = match (done.result, done.chunk) {
            (Ok(_), Some(chunk)) if chunk.len() > 0 => self.delivered(ring, id, chunk),
            (Ok(_), chunk) => {
                chunk.into_iter().for_each(|chunk| ring.give_back(chunk));
                self.ended(ring, id)
            }
            (Err(error), _) => {
                // Out of buffers or paused: it goes on when it is armed again.
                if !matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ECANCELED)) {
                    self.kill(ring, id, reason(&error));
                }
                None
            }
        };
        self.let_go(id);
        event
    }

    fn delivered(&mut self, ring: &mut Ring, id: ConnId, chunk: Chunk) -> Option<SocketEvent<'static>> {
        let conn = &mut self.conns[id.index()];
        if !conn.hears() {
            ring.give_back(chunk);
            return None;
        }
        let Some(faulty) = &mut self.faulty else {
            if conn.tls.is_some() {
                let heard = self.tls_receives(id, ring.bytes(&chunk));
                ring.give_back(chunk);
                self.tls_heard(ring, id, heard);
                return None;
            }
            if !conn.heard {
                conn.heard = true;
                if let Some(stranger) = self.speaks_tls(id, ring.bytes(&chunk)) {
                    self.lent = Some(Lent::Chunk(chunk));
                    self.pending.push_back(stranger);
                    return Some(SocketEvent::Received { conn: id, bytes: &[] });
                }
            }
            self.lent = Some(Lent::Chunk(chunk));
            return Some(SocketEvent::Received { conn: id, bytes: &[] });
        };
        if faulty.takes(id, ring.bytes(&chunk)) {
            let stall = Duration::from_millis(faulty.faults.stall_ms);
            ring.timer(stall, Tag { what: What::Stall, id: id.as_u64() });
        }
        let over = faulty.spends(id, chunk.len());
        ring.give_back(chunk);
        if over {
            self.reset(ring, id, CloseReason::Fault);
        }
        None
    }

    fn ended(&mut self, ring: &mut Ring, id: ConnId) -> Option<SocketEvent<'static>> {
        let conn = &mut self.conns[id.index()];
        conn.reading = Reading::Ended;
        match (conn.phase, &mut self.faulty) {
            (Phase::Open | Phase::Shaking, Some(faulty)) => faulty.ends(id),
            (Phase::Open | Phase::Shaking, None) if conn.tls.is_some() => self.tls_ended(ring, id),
            (Phase::Open, None) => return Some(SocketEvent::Finished { conn: id }),
            (Phase::Lingering, _) => self.kill(ring, id, CloseReason::Local),
            _ => {}
        }
        None
    }

    fn sent(&mut self, ring: &mut Ring, done: Completion) -> Option<SocketEvent<'static>> {
        let id = ConnId::from_u64(done.tag.id);
        let conn = &mut self.conns[id.index()];
        (conn.send, conn.in_flight) = (None, conn.in_flight - 1);
        let Held::Bytes(bytes) = done.held else { unreachable!("a send holds its bytes") };
        let event = match done.result {
            Ok(count) => {
                let count = usize::try_from(count).expect("32 bits fit");
                conn.flying.0 += count;
                conn.sent_total += u64::try_from(count).expect("a length fits");
                let total = match &mut conn.tls {
                    None => Some(conn.sent_total),
                    Some(tls) => tls.session.sent(conn.flying.0),
                };
                if conn.flying.0 == conn.flying.1 {
                    conn.put_away(bytes)
                } else {
                    conn.spare = bytes
                }
                if self.faulty.as_mut().is_some_and(|faulty| faulty.spends(id, count)) {
                    self.reset(ring, id, CloseReason::Fault);
                }
                self.send(ring, id);
                self.flushed(ring, id);
                // Also while the connection closes or dies: its owner must know of every byte that may have left.
                total.map(|total| SocketEvent::Sent { conn: id, total })
            }
            Err(error) => {
                conn.put_away(bytes);
                self.kill(ring, id, reason(&error));
                None
            }
        };
        self.let_go(id);
        event
    }

    /// A closing connection that has nothing left to send tells its peer.
    fn flushed(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        if conn.phase != Phase::Flushing || conn.queued_bytes() > 0 {
            return;
        }
        conn.phase = Phase::Lingering;
        let told = SockRef::from(conn.fd()).shutdown(std::net::Shutdown::Write);
        if conn.reading == Reading::Ended || told.is_err() {
            self.kill(ring, id, CloseReason::Local);
        }
    }

    fn send(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        let sends = matches!(conn.phase, Phase::Open | Phase::Shaking | Phase::Flushing);
        if !conn.is(id) || !sends || conn.send.is_some() {
            return;
        }
        if conn.queued_bytes() > SEND_QUEUE_BYTES_HARD {
            self.reset(ring, id, CloseReason::TooSlow);
            return;
        }
        let bytes = conn.load();
        if bytes.is_empty() {
            conn.spare = bytes;
            return;
        }
        let (from, until) = conn.flying;
        let len = (until - from).min(SEND_BYTES_MAX);
        let len = self.faulty.as_mut().map_or(len, |faulty| faulty.cut(len));
        let tag = Tag { what: What::Send, id: id.as_u64() };
        conn.send = Some(ring.send(conn.raw_fd(), bytes, from..from + len, tag));
        conn.in_flight += 1;
        if conn.tls.is_some() {
            self.tls_sealed(ring, id);
        }
    }

    fn arm(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        let alive = matches!(conn.phase, Phase::Shaking | Phase::Open | Phase::Flushing | Phase::Lingering);
        if !conn.is(id) || !alive || conn.receive.is_some() || conn.reading != Reading::On {
            return;
        }
        conn.receive = Some(ring.receive(conn.raw_fd(), Tag { what: What::Receive, id: id.as_u64() }));
        conn.in_flight += 1;
    }

    /// As [`Sockets::kill`], and the peer sees a reset instead of an end.
    fn reset(&mut self, ring: &mut Ring, id: ConnId, reason: CloseReason) {
        let conn = &self.conns[id.index()];
        if conn.is(id) && !matches!(conn.phase, Phase::Dying(_)) {
            // It fails on a socket that is broken already, which is as good.
            let _ = SockRef::from(conn.fd()).set_linger(Some(Duration::ZERO));
            self.kill(ring, id, reason);
        }
    }

    /// Takes everything back from the kernel; the connection ends when it has let go.
    fn kill(&mut self, ring: &mut Ring, id: ConnId, reason: CloseReason) {
        let conn = &mut self.conns[id.index()];
        if matches!(conn.phase, Phase::Free | Phase::Dying(_)) {
            return;
        }
        if conn.phase == Phase::Shaking {
            self.shaking_ends(id, reason);
        }
        let conn = &mut self.conns[id.index()];
        let reason = if conn.takes_bytes() { reason } else { CloseReason::Local };
        conn.phase = Phase::Dying(reason);
        let ops = [conn.connect, conn.receive, conn.send, conn.linger];
        ops.into_iter().flatten().for_each(|op| ring.cancel(op));
        self.let_go(id);
    }

    /// Ends a dying connection of which the kernel has nothing left.
    fn let_go(&mut self, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        if let (Phase::Dying(reason), 0) = (conn.phase, conn.in_flight) {
            let last = match conn.tls.take() {
                None => SocketEvent::Closed { conn: id, reason },
                Some(tls) => tls.last_words(id, conn.connect_tag, reason),
            };
            conn.bury();
            self.pending.push_back(last);
        }
    }

    fn begin(&mut self, fd: OwnedFd, phase: Phase) -> Option<ConnId> {
        let index = self.free.pop().or_else(|| {
            let index = u32::try_from(self.conns.len()).ok()?;
            (self.conns.len() < CONNECTIONS_MAX).then(|| self.conns.push(Conn::free()))?;
            Some(index)
        })?;
        let conn = self.conns.get_mut(usize::try_from(index).expect("an index fits"))?;
        conn.begin(fd, phase);
        let id = ConnId { index, generation: conn.generation };
        if let Some(faulty) = &mut self.faulty {
            faulty.begin(id);
        }
        Some(id)
    }

    fn open(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.index()).filter(|conn| conn.is(id) && conn.phase == Phase::Open)
    }
}

fn expired(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ETIME)
}

fn reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            CloseReason::Reset
        }
        kind => CloseReason::Error(kind),
    }
}
