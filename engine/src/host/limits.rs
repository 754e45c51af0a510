//! What the host should give, and where each number comes from.

use core::time::Duration;

/// The first kernel on which this is tested: multishot receive came with 6.0, and 6.1 is the first long-term one with it.
pub(crate) const KERNEL_WANTED: (u32, u32) = (6, 1);

/// Open files below which a start warns: a connection is one.
pub(crate) const OPEN_FILES_WANTED: u64 = 4096;

/// Free space below which a start warns: an hour of a busy node's log.
pub(crate) const FREE_BYTES_WANTED: u64 = 10 << 30;

/// No wall clock that is right says less: 2026-01-01, before which this program was not written.
pub(crate) const WALL_LEAST: Duration = super::days(20_454);

/// How far the data may have been written after now: what a clock that is being set right moves at most in one step.
pub(crate) const CLOCK_BACK_MAX: Duration = Duration::from_secs(60);
