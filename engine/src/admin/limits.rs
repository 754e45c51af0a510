//! Bounds of the admin socket, and where each comes from.

use core::time::Duration;

/// The longest request: the longest there is, for a message, has 80 bytes.
pub(crate) const REQUEST_BYTES_MAX: u64 = 4096;

/// The longest response that a client reads: all links of a shard's 16 bits, at 400 bytes each.
pub(crate) const RESPONSE_BYTES_MAX: u64 = 32 << 20;

/// Traces at once: each costs the shards a copy of what it looks at.
pub(crate) const TRACES_MAX: usize = 4;

/// Pieces of a trace that wait to be made into lines, each what passed over a session in one turn. At a thousand turns a second
/// of one busy link this is four seconds.
pub(crate) const TRACE_PIECES_MAX: usize = 4096;

/// How often an idle trace looks whether its reader is still there, and for new PDUs.
pub(crate) const TRACE_LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the reader of a trace may read nothing: it may be stopped on a terminal.
pub(crate) const TRACE_STALL_MAX: Duration = Duration::from_secs(60);

/// How long a connection may be silent. The next operator waits behind it.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(2);

/// How long the control thread may take for an answer: a reload looks at every message that waits.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// How long a shard may take for its part: it answers within a turn, and a turn takes milliseconds.
pub(crate) const SHARD_WAIT: Duration = Duration::from_secs(5);

/// How long a decision about the cluster's members may take: the shard gives up by itself sooner ([`shards::limits::ASKED_WAIT`]).
pub(crate) const ACT_WAIT: Duration = Duration::from_secs(8);

/// Requests that wait for the control thread: connections are served one at a time, so there is one.
pub(crate) const ASKED_MAX: usize = 1;

const _: () = assert!(SHARD_WAIT.as_secs() < ANSWER_WAIT.as_secs());
const _: () = assert!(
    shards::limits::ASKED_WAIT.as_secs() < ACT_WAIT.as_secs() && ACT_WAIT.as_secs() < ANSWER_WAIT.as_secs()
);
