//! The driver's part of TLS: when a session is fed, when its connection is told of, and how it ends.
//!
//! ```text
//!   accepted or dialled ─▶ Shaking ─┬─ done ──▶ Accepted or Connected, then plain bytes
//!                                   └─ failed ─▶ alert, end ─▶ HandshakeFailed or ConnectFailed
//! ```
//!
//! What a caller sends first costs a signature, so it waits in a queue of which a turn reads a few.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::SockRef;

use super::super::conn::{ConnId, Phase, Secured, Untold};
use super::super::limits::{HANDSHAKE_WAIT, HANDSHAKES_MAX};
use super::super::tls::{Guard, Session, TlsError};
use super::super::{CloseReason, SocketEvent};
use super::Sockets;
use crate::ring::{Ring, Tag, What};

/// What a caller of the HTTPS port is told in plain HTTP, when that is what it speaks.
const PLAIN_HTTP_ANSWER: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 36\r\n\r\nThis port speaks HTTPS: use https://\n";

impl Secured {
    pub(super) fn new(session: Session, untold: Untold) -> Box<Self> {
        Box::new(Self { session, untold, waits: false, failure: None })
    }

    /// The last event of its connection.
    pub(super) fn last_words(
        self,
        conn: ConnId,
        tag: Option<u64>,
        reason: CloseReason,
    ) -> SocketEvent<'static> {
        match (self.untold, self.failure, tag) {
            (Untold::Called { listener, peer, .. }, failure, _) => {
                let error = failure.unwrap_or(TlsError::Closed);
                SocketEvent::HandshakeFailed { listener, conn: Some(conn), peer, error }
            }
            (Untold::Dialled, Some(error), Some(tag)) => {
                SocketEvent::ConnectFailed { conn, tag, error: std::io::Error::other(error) }
            }
            (Untold::Nothing, Some(error), _) => SocketEvent::Closed {
                conn,
                reason: error.alert().map_or(CloseReason::Tls, CloseReason::Alert),
            },
            (Untold::Dialled | Untold::Nothing, ..) => SocketEvent::Closed { conn, reason },
        }
    }
}

impl Sockets {
    /// Somebody called at a guarded listener.
    pub(super) fn called(&mut self, ring: &mut Ring, socket: OwnedFd, untold: Untold) {
        let Untold::Called { listener, guard, peer } = untold else { unreachable!("a caller has called") };
        let material = if guard == Guard::TlsPeer { &self.peer_tls } else { &self.server_tls };
        let session = match material {
            _ if self.shaking >= HANDSHAKES_MAX => Err(TlsError::Crowded { most: HANDSHAKES_MAX }),
            None => Err(TlsError::Closed),
            Some(tls) => tls.session(guard),
        };
        let session = match session {
            Ok(session) => session,
            Err(error) => {
                self.counts.handshakes_failed += 1;
                self.pending.push_back(SocketEvent::HandshakeFailed { listener, conn: None, peer, error });
                return;
            }
        };
        // A shard that is full closes at once, as at a plain listener.
        let Some(id) = self.begin(socket, Phase::Shaking) else { return };
        self.conns[id.index()].tls = Some(Secured::new(session, untold));
        self.begin_shaking(ring, id);
    }

    pub(super) fn begin_shaking(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        conn.phase = Phase::Shaking;
        conn.linger = Some(ring.timer(HANDSHAKE_WAIT, Tag { what: What::Handshake, id: id.as_u64() }));
        self.shaking += 1;
        self.arm(ring, id);
    }

    /// Ciphertext came. A caller's first words wait for their turn.
    pub(super) fn tls_receives(&mut self, id: ConnId, bytes: &[u8]) -> Result<(), TlsError> {
        let tls = self.conns[id.index()].tls.as_mut().expect("only a connection with TLS is asked");
        if !tls.session.awaits_hello() {
            return tls.session.receive(bytes);
        }
        tls.session.keep(bytes)?;
        if !tls.waits {
            tls.waits = true;
            self.hellos.push_back(id);
        }
        Ok(())
    }

    /// Reads one caller's first words, if any wait and this turn may. `true` when it did.
    pub(super) fn read_hello(&mut self, ring: &mut Ring) -> bool {
        if self.hellos_left == 0 {
            return false;
        }
        let Some(id) = self.hellos.pop_front() else { return false };
        let conn = &mut self.conns[id.index()];
        if conn.is(id) && conn.phase == Phase::Shaking {
            let tls = conn.tls.as_mut().expect("only a connection with TLS waits");
            tls.waits = false;
            self.hellos_left -= 1;
            let heard = tls.session.receive(&[]);
            self.tls_heard(ring, id, heard);
        }
        true
    }

    /// A session has taken bytes in: tells the owner what is to be told, and the peer.
    pub(super) fn tls_heard(&mut self, ring: &mut Ring, id: ConnId, heard: Result<(), TlsError>) {
        if let Err(error) = heard {
            return self.tls_failed(ring, id, error);
        }
        let conn = &mut self.conns[id.index()];
        let tls = conn.tls.as_mut().expect("it has taken bytes in");
        if conn.phase == Phase::Shaking && tls.session.is_established() {
            conn.phase = Phase::Open;
            conn.linger.take().into_iter().for_each(|timer| ring.cancel(timer));
            let told = match std::mem::replace(&mut tls.untold, Untold::Nothing) {
                Untold::Called { listener, peer, .. } => SocketEvent::Accepted { listener, conn: id, peer },
                Untold::Dialled | Untold::Nothing => {
                    let tag = conn
                        .connect_tag
                        .take()
                        .expect("a connection that was dialled has its owner's number");
                    SocketEvent::Connected { conn: id, tag }
                }
            };
            self.shaking -= 1;
            self.counts.handshakes += 1;
            self.pending.push_back(told);
        }
        if tls.session.has_opened() {
            self.pending.push_back(SocketEvent::Received { conn: id, bytes: &[] });
        }
        if tls.session.take_peer_end() {
            self.pending.push_back(SocketEvent::Finished { conn: id });
        }
        self.send(ring, id);
    }

    /// The peer's end of the connection came. In order it has said so before; if not, what it has sent may be cut off, which every
    /// protocol of ours notices by itself.
    pub(super) fn tls_ended(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &self.conns[id.index()];
        let tls = conn.tls.as_ref().expect("only a connection with TLS is asked");
        if conn.phase == Phase::Shaking {
            self.kill(ring, id, CloseReason::Reset);
        } else if !tls.session.peer_has_ended() {
            self.counts.truncated += 1;
            self.pending.push_back(SocketEvent::Finished { conn: id });
        }
    }

    /// A session is over before its time: the peer gets the alert that says why, and the connection ends.
    pub(super) fn tls_failed(&mut self, ring: &mut Ring, id: ConnId, error: TlsError) {
        let conn = &mut self.conns[id.index()];
        let tls = conn.tls.as_mut().expect("only a session fails so");
        match conn.phase {
            Phase::Shaking => {
                if error == TlsError::NotTls
                    && matches!(tls.untold, Untold::Called { guard: Guard::TlsHttp, .. })
                {
                    tls.session.answer_plainly(PLAIN_HTTP_ANSWER);
                }
                tls.failure = Some(error);
                conn.linger.take().into_iter().for_each(|timer| ring.cancel(timer));
                self.shaking_ends(id, CloseReason::Tls);
            }
            Phase::Open => {
                self.counts.broken += 1;
                tls.failure = Some(error);
            }
            _ => return,
        }
        // What gathered cannot be sealed any more.
        self.conns[id.index()].gather.clear();
        self.begin_flushing(ring, id);
    }

    /// A hand-shake ends without a session: counts it, and keeps why.
    pub(super) fn shaking_ends(&mut self, id: ConnId, reason: CloseReason) {
        let tls = self.conns[id.index()].tls.as_mut().expect("only a connection with TLS shakes hands");
        self.shaking -= 1;
        if reason == CloseReason::Local {
            return; // Its owner has thought better of it.
        }
        let failure = tls.failure.get_or_insert(TlsError::Closed);
        self.counts.plain_on_tls += u64::from(*failure == TlsError::NotTls);
        self.counts.handshakes_failed += 1;
    }

    pub(super) fn handshake_expired(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        if conn.phase == Phase::Shaking {
            let tls = conn.tls.as_mut().expect("only a connection with TLS shakes hands");
            tls.failure = Some(TlsError::TimedOut(HANDSHAKE_WAIT));
            self.reset(ring, id, CloseReason::Tls);
        }
    }

    /// Bytes were sealed: the keys may be used up by it.
    pub(super) fn tls_sealed(&mut self, ring: &mut Ring, id: ConnId) {
        let conn = &self.conns[id.index()];
        if conn.phase == Phase::Open && conn.tls.as_ref().is_some_and(|tls| tls.session.is_spent()) {
            self.tls_failed(ring, id, TlsError::Exhausted);
        }
    }

    /// Whether the first bytes of a plain connection are a record of TLS: a hand-shake or an alert (RFC 8446 §5.1).
    pub(super) fn speaks_tls(&mut self, id: ConnId, bytes: &[u8]) -> Option<SocketEvent<'static>> {
        let [21 | 22, 3, 0..=4, ..] = bytes else { return None };
        let peer: SocketAddr = SockRef::from(self.conns[id.index()].fd()).peer_addr().ok()?.as_socket()?;
        self.counts.tls_on_plain += 1;
        Some(SocketEvent::SpeaksTls { conn: id, peer })
    }
}
