//! The sandbox's bounds. It is for a newcomer's first messages; whoever measures brings carriers of their own.

use core::time::Duration;

/// Connections at a time; each has a thread. One for each shard of the largest node.
pub(crate) const CONNECTIONS_MAX: usize = 64;

/// Receipts that wait for their time, or for room in the window; beyond, `submit_sm` gets ESME_RMSGQFUL.
pub(crate) const RECEIPTS_WAITING_MAX: usize = 65_536;

/// Numbers that were throttled and not yet heard of again; beyond, nobody is throttled.
pub(crate) const THROTTLED_MAX: usize = 4_096;

/// From a message to its receipt: long enough for a reader to see `sent`, short enough not to wait for.
pub(crate) const RECEIPT_DELAY: Duration = Duration::from_millis(200);

/// `deliver_sm` unanswered at a time.
pub(crate) const WINDOW_PDUS: u32 = 64;

/// One read of a socket.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// A peer that takes nothing for so long is gone.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest sleep in a read: how late a stop may be noticed.
pub(crate) const READ_TIMEOUT_MAX: Duration = Duration::from_millis(500);
