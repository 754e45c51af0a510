//! One connection's TLS as a machine over bytes: ciphertext in and plaintext out, plaintext in and ciphertext out.
//!
//! ```text
//!   receive(bytes) ─▶ incoming ─▶ rustls ─▶ opened ─▶ take_opened()
//!                                   │
//!                                   └─ hand-shake, alerts ─▶ outgoing ─┐
//!   seal(plain, out): the owner's bytes ─▶ records ────────────────────┴▶ out ─▶ sent(position)
//! ```
//!
//! What is sealed goes out in the order in which it was sealed, and [`Session::seal`] is the only way out, so the numbers of
//! records are right. Nothing here knows a socket or a clock; whoever owns the connection bounds its time.

use core::fmt;
use std::collections::VecDeque;
use std::sync::Arc;

use rustls::client::{UnbufferedClientConnection, verify_server_name};
use rustls::pki_types::ServerName;
use rustls::server::{ParsedCertificate, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, Error, InvalidMessage, ServerConfig};

use super::TlsError;
use crate::net::limits::{SEND_BUFFER_KEEP_BYTES, TLS_INCOMING_BYTES_MAX, TLS_RECORD_BYTES};

/// The first byte of a record of the hand-shake (RFC 8446 §5.1): what a client of TLS begins with.
const HANDSHAKE_RECORD: u8 = 22;

/// What a record adds to its plaintext, at most: head, explicit nonce, type and tag. A guess; rustls says when it is too small.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// One connection's TLS.
#[derive(Debug)]
pub(in crate::net) struct Session {
    side: Side,
    is_established: bool,
    /// Something was said to the peer: what a caller sends before costs a signature.
    has_spoken: bool,
    /// Ciphertext that is not opened: the unfinished end of a record, or a hand-shake that waits for its turn.
    incoming: Vec<u8>,
    /// Plaintext that its owner has not heard.
    opened: Vec<u8>,
    /// Records of the hand-shake and alerts, to go out before what is sealed next.
    outgoing: Vec<u8>,
    /// The records of the buffer in flight.
    marks: VecDeque<Mark>,
    /// Plaintext that was sealed since the connection began.
    sealed_bytes: u64,
    peer_end: PeerEnd,
    goodbye: Goodbye,
    /// Nothing can be sealed any more.
    is_spent: bool,
    /// Something came that is wrong: nothing more is read or sealed. rustls must not be asked again then.
    is_broken: bool,
}

enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "Client(…)",
            Self::Server(_) => "Server(…)",
        })
    }
}

/// Where a record ends in the buffer in flight, and its plaintext in the stream.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: usize,
    total: u64,
}

/// Whether the peer has said that it sends no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeerEnd {
    NotYet,
    /// It has, and the owner does not know.
    Said,
    Told,
}

/// Our own `close_notify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goodbye {
    NotYet,
    /// It goes out behind what is sealed next.
    Wanted,
    Said,
}

/// What to do after a step of the hand-shake or the stream.
enum Next {
    Again,
    /// More bytes are needed.
    Waits,
    PeerEnded,
    Over,
}

/// What is sealed.
#[derive(Clone, Copy)]
enum Content<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

/// Why a buffer was not filled.
enum Unfilled {
    /// It needs as many bytes.
    Room(usize),
    Failed,
}

impl Session {
    /// The side that dials. Its first record is there at once.
    pub(in crate::net) fn client(
        config: &Arc<ClientConfig>,
        name: &ServerName<'static>,
    ) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(Arc::clone(config), name.clone())?;
        let mut session = Self::new(Side::Client(Box::new(connection)));
        session.drive()?;
        Ok(session)
    }

    /// The side that is called.
    pub(in crate::net) fn server(config: &Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Self::new(Side::Server(Box::new(connection))))
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            is_established: false,
            has_spoken: false,
            incoming: Vec::new(),
            opened: Vec::new(),
            outgoing: Vec::new(),
            marks: VecDeque::new(),
            sealed_bytes: 0,
            peer_end: PeerEnd::NotYet,
            goodbye: Goodbye::NotYet,
            is_spent: false,
            is_broken: false,
        }
    }

    /// Whether the hand-shake is done.
    pub(in crate::net) fn is_established(&self) -> bool {
        self.is_established
    }

    /// Whether the caller's first words are still to be read, which costs a signature.
    pub(in crate::net) fn awaits_hello(&self) -> bool {
        matches!(self.side, Side::Server(_)) && !self.has_spoken
    }

    /// Whether the certificate that the peer has shown carries a name; not if it has shown none. Who has signed it was looked at in the
    /// hand-shake, where the files ask for that.
    pub(in crate::net) fn peer_is_named(&self, name: &ServerName<'_>) -> bool {
        let shown = match &self.side {
            Side::Client(client) => client.peer_certificates(),
            Side::Server(server) => server.peer_certificates(),
        };
        let own = shown.and_then(|chain| chain.first());
        let own = own.and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
        self.is_established && own.is_some_and(|own| verify_server_name(&own, name).is_ok())
    }

    /// Keeps bytes of a hand-shake that waits for its turn; [`Session::receive`] without bytes reads them.
    pub(in crate::net) fn keep(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.incoming.extend_from_slice(bytes);
        self.bounded()
    }

    /// Takes ciphertext in. Plaintext is there for [`Session::take_opened`], and what is to be answered goes out with the next
    /// [`Session::seal`], after an error too: the alert that tells the peer.
    pub(in crate::net) fn receive(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        if self.peer_end != PeerEnd::NotYet || self.is_broken {
            return Ok(());
        }
        self.incoming.extend_from_slice(bytes);
        if self.awaits_hello() && self.incoming.first().is_some_and(|&first| first != HANDSHAKE_RECORD) {
            self.is_broken = true;
            return Err(TlsError::NotTls);
        }
        let was_established = self.is_established;
        let driven = self.drive();
        self.has_spoken |= !self.outgoing.is_empty();
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        match driven {
            Ok(()) => self.bounded(),
            Err(Error::InvalidMessage(InvalidMessage::InvalidContentType)) if !was_established => {
                Err(TlsError::NotTls)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn bounded(&self) -> Result<(), TlsError> {
        match self.incoming.len() {
            bytes if bytes > TLS_INCOMING_BYTES_MAX => Err(TlsError::TooMuch { bytes }),
            _ => Ok(()),
        }
    }

    /// Plaintext that came, in exchange for nothing.
    pub(in crate::net) fn take_opened(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.opened)
    }

    /// Whether there is plaintext that was not taken.
    pub(in crate::net) fn has_opened(&self) -> bool {
        !self.opened.is_empty()
    }

    /// Whether the peer has said, since this was last asked, that it sends no more.
    pub(in crate::net) fn take_peer_end(&mut self) -> bool {
        let said = self.peer_end == PeerEnd::Said;
        if said {
            self.peer_end = PeerEnd::Told;
        }
        said
    }

    /// Whether the peer's end of the connection comes in order: it has said so before.
    pub(in crate::net) fn peer_has_ended(&self) -> bool {
        self.peer_end != PeerEnd::NotYet
    }

    /// Says `close_notify` behind all that is sealed until then.
    pub(in crate::net) fn say_goodbye(&mut self) {
        if self.is_established && self.goodbye == Goodbye::NotYet {
            self.goodbye = Goodbye::Wanted;
        }
    }

    /// Bytes that go out with the next [`Session::seal`], beside its plaintext.
    pub(in crate::net) fn outgoing_bytes(&self) -> usize {
        self.outgoing.len() + usize::from(self.goodbye == Goodbye::Wanted)
    }

    /// Answers a caller that does not speak TLS in its own words.
    pub(in crate::net) fn answer_plainly(&mut self, words: &[u8]) {
        self.outgoing.extend_from_slice(words);
    }

    /// Fills an empty buffer with what is to be sent: what the session has to say, then `plain` in records, then the end. Before the
    /// hand-shake is done `plain` stays where it is. When the keys are used up, the rest is lost and [`Session::is_spent`].
    pub(in crate::net) fn seal(&mut self, plain: &mut Vec<u8>, out: &mut Vec<u8>) {
        assert!(out.is_empty() && self.marks.is_empty(), "one buffer is in flight at a time");
        out.append(&mut self.outgoing);
        if !self.is_established || self.is_broken {
            return;
        }
        for piece in plain.chunks(TLS_RECORD_BYTES) {
            if self.seal_content(Content::Data(piece), out).is_none() {
                self.is_spent = true;
                self.gather_alert();
                out.append(&mut self.outgoing);
                break;
            }
            self.sealed_bytes += u64::try_from(piece.len()).expect("a length fits");
            self.marks.push_back(Mark { end: out.len(), total: self.sealed_bytes });
        }
        plain.clear();
        plain.shrink_to(SEND_BUFFER_KEEP_BYTES);
        if self.goodbye == Goodbye::Wanted {
            self.goodbye = Goodbye::Said;
            self.is_spent |= self.seal_content(Content::CloseNotify, out).is_none();
        }
    }

    /// Whether the keys are used up, which only those of TLS 1.2 can be.
    pub(in crate::net) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// The kernel has the buffer in flight up to `position`: how much plaintext has left since the connection began, if that is
    /// more than was known. Nobody can open a part of a record, so only whole ones count.
    pub(in crate::net) fn sent(&mut self, position: usize) -> Option<u64> {
        let mut total = None;
        while let Some(mark) = self.marks.front().filter(|mark| mark.end <= position) {
            total = Some(mark.total);
            self.marks.pop_front();
        }
        total
    }

    /// Lets rustls go on until it needs more bytes.
    fn drive(&mut self) -> Result<(), Error> {
        let (mut used, mut result) = (0, Ok(()));
        loop {
            let incoming = &mut self.incoming[used..];
            let (discard, next) = match &mut self.side {
                Side::Client(client) => {
                    step(client.process_tls_records(incoming), &mut self.opened, &mut self.outgoing)
                }
                Side::Server(server) => {
                    step(server.process_tls_records(incoming), &mut self.opened, &mut self.outgoing)
                }
            };
            used += discard;
            match next {
                Ok(Next::Again) => {}
                Ok(Next::PeerEnded) => self.peer_end = PeerEnd::Said,
                // A server may speak before it knows that its client has understood, and does not.
                Ok(Next::Waits | Next::Over) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.incoming.drain(..used);
        let is_handshaking = match &self.side {
            Side::Client(client) => client.is_handshaking(),
            Side::Server(server) => server.is_handshaking(),
        };
        if result.is_err() {
            self.is_broken = true;
            self.gather_alert();
        }
        self.is_established |= !is_handshaking && result.is_ok();
        if self.peer_end != PeerEnd::NotYet || result.is_err() {
            // Nothing that comes after is read.
            self.incoming.clear();
        }
        result
    }

    /// After an error: the alert that rustls has for the peer. It is asked no more than it has, since it reads on what it could not
    /// read otherwise.
    fn gather_alert(&mut self) {
        loop {
            let (opened, outgoing) = (&mut Vec::new(), &mut self.outgoing);
            let (_, next) = match &mut self.side {
                Side::Client(client) if client.wants_write() => {
                    step(client.process_tls_records(&mut self.incoming), opened, outgoing)
                }
                Side::Server(server) if server.wants_write() => {
                    step(server.process_tls_records(&mut self.incoming), opened, outgoing)
                }
                _ => return,
            };
            if next.is_err() {
                return;
            }
        }
    }

    fn seal_content(&mut self, content: Content<'_>, out: &mut Vec<u8>) -> Option<()> {
        // The unfinished record is shown too: rustls keeps places in it.
        match &mut self.side {
            Side::Client(client) => put(client.process_tls_records(&mut self.incoming), content, out),
            Side::Server(server) => put(server.process_tls_records(&mut self.incoming), content, out),
        }
    }
}

/// Does what a state of rustls asks for; also how many bytes it has used.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    opened: &mut Vec<u8>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Next, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    opened.extend_from_slice(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Next::Again),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let encoded = append(outgoing, RECORD_OVERHEAD_BYTES, |room| {
                data.encode(room).map_err(|error| match error {
                    EncodeError::InsufficientSize(size) => Unfilled::Room(size.required_size),
                    EncodeError::AlreadyEncoded => Unfilled::Failed,
                })
            });
            encoded.map(|()| Next::Again).ok_or_else(|| Error::General("a record was lost".to_owned()))
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is in `outgoing`, in its place.
            data.done();
            Ok(Next::Again)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Next::Waits),
        Ok(ConnectionState::PeerClosed) => Ok(Next::PeerEnded),
        Ok(ConnectionState::Closed) => Ok(Next::Over),
        // Early data is not offered, and no other state is known.
        Ok(_) => Err(Error::General("an unexpected state".to_owned())),
        Err(error) => Err(error),
    };
    (discard, next)
}

/// Seals content behind what is in `out`; `None` when the keys are used up.
fn put<Data>(status: UnbufferedStatus<'_, '_, Data>, content: Content<'_>, out: &mut Vec<u8>) -> Option<()> {
    let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else { return None };
    let unfilled = |error| match error {
        EncryptError::InsufficientSize(size) => Unfilled::Room(size.required_size),
        EncryptError::EncryptExhausted => Unfilled::Failed,
    };
    match content {
        Content::Data(data) => append(out, data.len() + RECORD_OVERHEAD_BYTES, |room| {
            traffic.encrypt(data, room).map_err(unfilled)
        }),
        Content::CloseNotify => {
            append(out, RECORD_OVERHEAD_BYTES, |room| traffic.queue_close_notify(room).map_err(unfilled))
        }
    }
}

/// Lets `fill` write behind what is in `out`, with as much room as it asks for.
fn append(
    out: &mut Vec<u8>,
    guess: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, Unfilled>,
) -> Option<()> {
    let (start, mut room) = (out.len(), guess);
    loop {
        out.resize(start + room, 0);
        match fill(&mut out[start..]) {
            Ok(count) => {
                out.truncate(start + count);
                return Some(());
            }
            Err(Unfilled::Room(needed)) if needed > room => room = needed,
            Err(_) => {
                out.truncate(start);
                return None;
            }
        }
    }
}
