//! Bounds of a shard's executor and of its slow files.

use core::time::Duration;

/// Bytes of one write that prepares a segment. Small enough that an append waits half a millisecond for one of them on a
/// disk of 1 GB/s; large enough that a busy shard, which starts one each [`PASS_EVERY`] or two, prepares faster than it fills.
pub(super) const PREPARE_PIECE_BYTES: usize = 512 * 1024;

/// Bytes of one read of a segment: large enough that a disk streams.
pub(super) const READ_PIECE_BYTES: usize = 1 << 20;

/// Memory that an executor registers with the kernel for its own files. It counts against `ulimit -l`, and our files
/// use little of it.
pub(super) const EXECUTOR_MEMORY_BYTES: usize = 512 * 1024;

/// How often an executor is woken for no reason: the longest that a wake-up which glommio forgot stays forgotten.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// Locked memory that a daemon needs, in bytes, for each shard: glommio refuses to start below it.
pub(crate) const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// How much a thread that steps aside is to step aside, in the kernel's words: a tenth of a shard's share of a core.
pub(super) const NICENESS: i32 = 10;

/// How often a hot shard lets the executor look at its own rings when something slow is in flight there.
pub(crate) const PASS_EVERY: Duration = Duration::from_micros(500);
