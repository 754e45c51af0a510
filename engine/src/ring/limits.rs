//! Bounds of a shard's ring, and where each comes from.

/// Entries of the submission queue: more than one turn of 256 busy connections with a send and a re-arm each; a turn
/// that needs more enters the kernel twice.
pub(super) const SUBMISSIONS: u32 = 1024;

/// Entries of the completion queue. Multishot receives answer more than they are asked; beyond this the kernel keeps
/// completions in a list of its own and hands them over at the next turn, so this bounds speed, not safety.
pub(super) const COMPLETIONS: u32 = 8192;

/// Bytes of one provided receive buffer. Half a native window of 256 submissions of 200 octets: two buffers a turn for
/// the busiest customer, one for all others.
pub(super) const BUFFER_BYTES: usize = 32 * 1024;

/// Provided receive buffers of a shard, 8 MiB in all. A burst beyond them ends in ENOBUFS, and the connections wait in
/// their sockets until the next turn. The kernel wants a power of two.
pub(super) const BUFFERS: u16 = 256;

/// How many of them the kernel has at first. It doubles each time the kernel runs out.
pub(super) const BUFFERS_AT_FIRST: u16 = 16;

const _: () = assert!(BUFFERS.is_power_of_two() && BUFFERS_AT_FIRST <= BUFFERS);
const _: () = assert!(COMPLETIONS >= 4 * SUBMISSIONS, "a turn's answers fit in the queue");

/// How long a ring that is dropped waits for the kernel to let go of its memory before it leaks it instead.
pub(super) const DROP_WAIT_MS: u64 = 500;
