//! One connection: what is in flight for it, and the phases of its life.
//!
//! ```text
//!   Connecting ──▶ Open ──▶ Flushing ──▶ Lingering ──▶ Dying ──▶ Free
//!        │           │         (sends the rest)  (waits for   (waits for the
//!        └───────────┴──────────────────────────▶ the peer)    kernel to let go)
//! ```
//!
//! A connection with TLS is `Shaking` before it is `Open`, whoever has dialled; its owner hears of it when it is open.
//!
//! Bytes are gathered in one buffer while the kernel sends another; when that is sent, they change places.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use std::net::SocketAddr;

use rustls::AlertDescription;

use super::ListenerTag;
use super::limits::SEND_BUFFER_KEEP_BYTES;
use super::tls::{Guard, Session, TlsError};
use crate::ring::Op;

/// A connection of this shard, told from earlier ones in the same place by its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl ConnId {
    /// The connection's place, below [`super::limits::CONNECTIONS_MAX`]; used again after it is closed.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The id as one number, different for each connection of a shard.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    pub(crate) fn from_u64(id: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("32 bits are left");
        Self { index: half(id), generation: half(id >> 32) }
    }
}

/// Why a connection is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The peer reset it, or was found gone.
    Reset,
    /// It took its bytes so slowly that [`super::limits::SEND_QUEUE_BYTES_HARD`] were waiting.
    TooSlow,
    /// The kernel reported another error.
    Error(io::ErrorKind),
    /// A fault that was asked for.
    Fault,
    /// The peer ended TLS with this alert (RFC 8446 §6).
    Alert(AlertDescription),
    /// What came could not be opened, or nothing could be sealed any more.
    Tls,
}

/// How to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Send what waits, tell the peer, and wait a little for it to close its side.
    AfterSending,
    /// At once; what waits is lost, and the peer sees a reset.
    Now,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Free,
    Connecting,
    /// The hand-shake of TLS is under way.
    Shaking,
    Open,
    Flushing,
    Lingering,
    Dying(CloseReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The receive is armed, or will be at the next turn.
    On,
    /// The owner does not want more for now.
    Paused,
    /// The peer has ended its side.
    Ended,
}

/// What lies between a connection and its owner when it has TLS.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) session: Session,
    /// What its owner has not been told yet.
    pub(super) untold: Untold,
    /// It waits for its turn to have its caller's first words read.
    pub(super) waits: bool,
    /// Why it ends.
    pub(super) failure: Option<TlsError>,
}

/// What the owner of a connection is told when the hand-shake is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// It came to a listener.
    Called { listener: ListenerTag, guard: Guard, peer: SocketAddr },
    /// It was dialled.
    Dialled,
    /// All was told.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) fd: Option<OwnedFd>,
    /// The owner's number, while connecting.
    pub(super) connect_tag: Option<u64>,
    /// Operations that the kernel still has. The descriptor is closed at zero.
    pub(super) in_flight: u32,
    pub(super) connect: Option<Op>,
    pub(super) receive: Option<Op>,
    pub(super) send: Option<Op>,
    /// The timer that ends a closing connection or a hand-shake. It needs no descriptor, so it is not in flight.
    pub(super) linger: Option<Op>,
    pub(super) reading: Reading,
    pub(super) gather: Vec<u8>,
    /// The buffer that is not gathering, while the kernel does not have it.
    pub(super) spare: Vec<u8>,
    /// Of the buffer in flight: bytes already sent, and bytes in all.
    pub(super) flying: (usize, usize),
    pub(super) sent_total: u64,
    /// It is in the list of connections with something to send.
    pub(super) dirty: bool,
    /// Something was received on it.
    pub(super) heard: bool,
    /// `None`: it is plain.
    pub(super) tls: Option<Box<Secured>>,
}

impl Conn {
    pub(super) fn free() -> Self {
        Self {
            generation: 0,
            phase: Phase::Free,
            fd: None,
            connect_tag: None,
            in_flight: 0,
            connect: None,
            receive: None,
            send: None,
            linger: None,
            reading: Reading::On,
            gather: Vec::new(),
            spare: Vec::new(),
            flying: (0, 0),
            sent_total: 0,
            dirty: false,
            heard: false,
            tls: None,
        }
    }

    /// Takes the place of a connection that is gone.
    pub(super) fn begin(&mut self, fd: OwnedFd, phase: Phase) {
        assert!(self.phase == Phase::Free && self.in_flight == 0 && self.fd.is_none(), "the place is free");
        let generation = self.generation.wrapping_add(1);
        let (gather, spare) = (core::mem::take(&mut self.gather), core::mem::take(&mut self.spare));
        *self = Self { generation, phase, fd: Some(fd), gather, spare, dirty: self.dirty, ..Self::free() };
    }

    /// Whether `id` names this connection, and not an earlier one in its place.
    pub(super) fn is(&self, id: ConnId) -> bool {
        self.generation == id.generation && self.phase != Phase::Free
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        self.fd.as_ref().expect("a connection has its descriptor until it is buried")
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd().as_raw_fd()
    }

    /// The bytes to send next: the rest of those in flight, or what gathered, sealed where that is asked for. `flying` says
    /// which part.
    pub(super) fn load(&mut self) -> Vec<u8> {
        assert!(self.send.is_none(), "one send at a time");
        let spare = core::mem::take(&mut self.spare);
        if self.flying.0 < self.flying.1 {
            return spare;
        }
        let full = match &mut self.tls {
            None => core::mem::replace(&mut self.gather, spare),
            Some(tls) => {
                let mut sealed = spare;
                tls.session.seal(&mut self.gather, &mut sealed);
                sealed
            }
        };
        self.flying = (0, full.len());
        full
    }

    /// The kernel has nothing of it left: closes the descriptor. Its place stays taken until its end was heard.
    pub(super) fn bury(&mut self) {
        assert!(self.in_flight == 0 && self.send.is_none() && self.receive.is_none(), "nothing is in flight");
        self.phase = Phase::Free;
        self.fd = None;
        self.connect_tag = None;
        self.tls = None;
        self.gather.clear();
        self.gather.shrink_to(SEND_BUFFER_KEEP_BYTES);
        let spare = core::mem::take(&mut self.spare);
        self.put_away(spare);
    }

    /// Bytes that the kernel has not taken yet.
    pub(super) fn queued_bytes(&self) -> usize {
        let sealed = self.tls.as_ref().map_or(0, |tls| tls.session.outgoing_bytes());
        self.gather.len() + (self.flying.1 - self.flying.0) + sealed
    }

    /// Whether bytes may still be added.
    pub(super) fn takes_bytes(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Connecting | Phase::Shaking)
    }

    /// Whether received bytes still mean something: to its owner, or to its hand-shake.
    pub(super) fn hears(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Shaking)
    }

    /// Puts a buffer away whose bytes are sent or lost.
    pub(super) fn put_away(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        bytes.shrink_to(SEND_BUFFER_KEEP_BYTES);
        self.spare = bytes;
        self.flying = (0, 0);
    }
}
