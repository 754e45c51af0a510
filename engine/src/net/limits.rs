//! Bounds of a shard's sockets, and where each comes from.

use core::time::Duration;

/// Connections of one shard, both directions. A customer's pool has tens; ten thousand is a listener under attack, and
/// more than the default limit of open files in any case.
pub const CONNECTIONS_MAX: usize = 10_000;

/// Bytes that wait to be sent on one connection, from which on its owner stops reading it: a native window of answers
/// is 16 KiB, so this is a reader that has stopped.
pub const SEND_QUEUE_BYTES_MAX: usize = 1 << 20;

/// Bytes that wait to be sent on one connection, from which on it is closed as too slow. What was already accepted for
/// it when its owner stopped reading must fit: a full window of the largest answers.
pub const SEND_QUEUE_BYTES_HARD: usize = 16 << 20;

const _: () = assert!(SEND_QUEUE_BYTES_MAX < SEND_QUEUE_BYTES_HARD);

/// A connection's send buffers keep this much memory when they are empty, and give the rest back.
pub(super) const SEND_BUFFER_KEEP_BYTES: usize = 64 * 1024;

/// The most bytes in one send, so that a large queue neither pins much memory nor starves other connections.
pub(super) const SEND_BYTES_MAX: usize = 1 << 20;

/// Connections that wait to be accepted by the kernel's side. The kernel cuts it to `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 4096;

/// How long making a connection may take: three retransmissions of a SYN.
pub const CONNECT_WAIT: Duration = Duration::from_secs(7);

/// How long a connection that is closed after sending may take to send and to be closed by the peer.
pub(super) const LINGER: Duration = Duration::from_secs(3);

/// How long a listener pauses when the process has no descriptor left for a connection.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Plaintext in one record of TLS: the most that there may be (RFC 8446 §5.1).
pub(super) const TLS_RECORD_BYTES: usize = 1 << 14;

/// Ciphertext of one connection that cannot be opened yet: a message of the hand-shake of the most that rustls joins (64 KiB), in
/// records, and the record behind it.
pub(super) const TLS_INCOMING_BYTES_MAX: usize = (64 << 10) + 2 * (TLS_RECORD_BYTES + 2048);

const _: () = assert!(TLS_INCOMING_BYTES_MAX < SEND_QUEUE_BYTES_MAX);

/// How long a hand-shake of TLS may take: two round trips of a satellite, lost and sent again, twice.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Hand-shakes of callers under way on a shard: a tenth of its connections, so that those who never finish theirs leave room for
/// those who have.
pub const HANDSHAKES_MAX: usize = CONNECTIONS_MAX / 10;

/// Callers' first words that are read in one turn. Each costs a signature: 50 us with a key of P-256, 700 us with one of RSA 2048,
/// and the messages of a turn wait for it.
pub(super) const HELLOS_PER_TURN: u32 = 2;
