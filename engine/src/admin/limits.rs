//! Bounds of the admin socket, and where each comes from.

use core::time::Duration;

/// The longest request: the longest there is, for a message, has 80 bytes.
pub(crate) const REQUEST_BYTES_MAX: u64 = 4096;

/// The longest response that a client reads: all links of a shard's 16 bits, at 400 bytes each.
pub(crate) const RESPONSE_BYTES_MAX: u64 = 32 << 20;

/// How long a connection may be silent. The next operator waits behind it.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(2);

/// How long the control thread may take for an answer: a reload looks at every message that waits.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// How long a shard may take for its part: it answers within a turn, and a turn takes milliseconds.
pub(crate) const SHARD_WAIT: Duration = Duration::from_secs(5);

/// Requests that wait for the control thread: connections are served one at a time, so there is one.
pub(crate) const ASKED_MAX: usize = 1;

const _: () = assert!(SHARD_WAIT.as_secs() < ANSWER_WAIT.as_secs());
