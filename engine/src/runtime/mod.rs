//! The executor's fence: the only folder that names glommio.
//!
//! What the rest of the engine may want of an executor is here under our own names: threads pinned to cores, sleeping
//! until something happens, and the files of the log that are not hot. Another runtime would be a change of this folder
//! (docs/adr/0004). Known traps of glommio 0.9.0, and where they are kept out:
//!
//! - dropped tasks leak, and spawning takes a process-wide lock: a few long-lived tasks on a shard, none per message;
//! - the first direct file that an executor opens on a device must not be empty ([`LogDir::open`]);
//! - an executor may go to sleep with a runnable task when its preemption timer fires between two looks at it, as
//!   after a pause of the machine: a heartbeat wakes it within a second ([`spawn_shards`]).

mod disk;
mod event;
mod limits;
mod nice;
mod park;
mod shards;
mod snapshots;
#[cfg(test)]
mod tests;
mod worker;

pub use disk::{AgedFile, LogDir, SegmentFile};
pub(crate) use disk::{numbered, segment_seq, segments_in};
pub use event::WakeHandle;
pub(crate) use limits::{MEMLOCK_BYTES_MIN, PASS_EVERY};
pub(crate) use nice::step_aside;
pub(crate) use park::Parker;
pub use shards::{RuntimeError, ShardSeat, Shards, spawn_shards};
pub use snapshots::SnapshotWrite;
pub(crate) use snapshots::{SnapshotDir, read_snapshot, snapshot_path};
pub(crate) use worker::Worker;

use core::time::Duration;

pub use crate::ring::RingError;

/// Waits, on a shard's thread, while other tasks of the shard run. Never for one message: the shard has a wheel.
pub async fn sleep(duration: Duration) {
    glommio::timer::sleep(duration).await;
}
