//! The hot sockets of one shard: connections as numbers, bytes in and out, everything bounded.
//!
//! Native customers, SMPP and peers come in here; HTTP may. The owner hears [`SocketEvent`]s and writes into
//! [`Sockets::send_buffer`]; frames, sessions and time-outs are its business. Nothing here parses.
//!
//! What it promises: each connection that was accepted or made ends with exactly one [`SocketEvent::Closed`], the last
//! thing said about it, and its place is used again only after that was heard; bytes leave in order, and
//! [`SocketEvent::Sent`] never counts a byte that the kernel has not taken, and before the end every byte is counted that
//! it has taken. Received bytes are in a buffer that the kernel gets back at the next poll.
//!
//! Bounds are in [`limits`]. A peer that does not read is the owner's to notice ([`Sockets::queued_bytes`]), and is
//! closed as too slow beyond a hard bound.
//!
//! A connection may have TLS ([`tls`]): its owner hears of it when the hand-shake is done, and of plain bytes only. Then `Sent` counts
//! plaintext, and a byte only when the kernel has the whole of its record.

mod carry;
mod conn;
mod faulty;
pub mod limits;
mod listeners;
mod metrics;
mod sockets;
#[cfg(test)]
mod tests;
pub mod tls;

use std::io;
use std::net::SocketAddr;

pub use carry::{Carry, CarryFull};
pub use conn::{CloseReason, ConnId, How};
pub use metrics::TlsCounts;
pub use sockets::Sockets;

/// The owner's number for a listener; it comes back with every connection that the listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerTag(pub u16);

/// What happened to a socket.
#[derive(Debug)]
pub enum SocketEvent<'a> {
    /// A listener took a connection.
    Accepted {
        /// Which listener.
        listener: ListenerTag,
        /// The new connection, which is open.
        conn: ConnId,
        /// Who called.
        peer: SocketAddr,
    },
    /// A connection that was asked for is open.
    Connected {
        /// The connection.
        conn: ConnId,
        /// The owner's number from [`Sockets::connect`].
        tag: u64,
    },
    /// A connection that was asked for is not to be had. No other event follows for it.
    ConnectFailed {
        /// The connection, which is gone.
        conn: ConnId,
        /// The owner's number from [`Sockets::connect`].
        tag: u64,
        /// Why.
        error: io::Error,
    },
    /// A caller's hand-shake of TLS failed: nobody was told of the connection, and it is gone.
    HandshakeFailed {
        /// Which listener.
        listener: ListenerTag,
        /// The connection; `None`: it never was one.
        conn: Option<ConnId>,
        /// Who called.
        peer: SocketAddr,
        /// Why.
        error: tls::TlsError,
    },
    /// The first bytes of a plain connection, which were told just now, are TLS. Its protocol refuses them.
    SpeaksTls {
        /// The connection.
        conn: ConnId,
        /// Who is at its other end.
        peer: SocketAddr,
    },
    /// Bytes came, in any split.
    Received {
        /// From whom.
        conn: ConnId,
        /// Some of the stream's next bytes, valid until the next poll.
        bytes: &'a [u8],
    },
    /// The peer will send no more; it may still read. Most owners close after sending now.
    Finished {
        /// Whose peer.
        conn: ConnId,
    },
    /// The kernel took bytes to send.
    Sent {
        /// To whom.
        conn: ConnId,
        /// Bytes since the connection began, 1 more than the position of the last.
        total: u64,
    },
    /// The connection is no more.
    Closed {
        /// Which.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
}

/// A socket could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The listening address is not to be had.
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No socket for an outgoing connection.
    #[error("no socket for a connection to {address}: {source}; look at `ulimit -n`")]
    Socket {
        /// Where to.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A session of TLS cannot begin.
    #[error("no TLS for a connection to {address}: {source}")]
    Tls {
        /// Where to.
        address: SocketAddr,
        /// Why.
        source: tls::TlsError,
    },
    /// [`limits::CONNECTIONS_MAX`] connections are open.
    #[error("this shard has {} connections, the most that it takes", limits::CONNECTIONS_MAX)]
    Full,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program listens there: stop it, or configure another port",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or take another port"
        }
        io::ErrorKind::AddrNotAvailable => "; this host has no such address",
        _ => "",
    }
}
