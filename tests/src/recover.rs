//! From a simulated disk to a shard, by the production code for scanning and replaying.

use std::sync::Arc;

use shards::plan::Plan;
use shards::{Rebuild, Shard, ShardConfig};
use wal::{Identity, Item, Layout, LogConfig, Lsn, Scan, Tail};
use wire::id::ShardId;

use crate::disk::Disk;

/// The layout of all simulated logs: the least segments, so that they are rolled over.
pub(crate) fn layout() -> Layout {
    Layout::new(wal::limits::SEGMENT_BYTES_MIN).expect("the least is allowed")
}

/// Whose log a shard's is.
pub(crate) fn log_config(plan: &Plan, shard: ShardId) -> LogConfig {
    let identity = Identity {
        cluster: 0x5157_1754,
        node: plan.node,
        shard,
        shards: plan.shards,
        partitions: plan.partitions.count(),
    };
    LogConfig { identity, layout: layout() }
}

/// How a shard takes snapshots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshots {
    /// After how many bytes of log.
    pub(crate) every_bytes: u64,
    /// How large a piece is, about.
    pub(crate) piece_bytes: usize,
}

impl Snapshots {
    /// Never.
    pub(crate) const NONE: Self = Self { every_bytes: 1 << 40, piece_bytes: 1 << 20 };
}

/// A shard that has read nothing yet.
pub(crate) fn new_shard(
    plan: &Arc<Plan>,
    id: ShardId,
    (process, directory): (u64, u64),
    snapshots: Snapshots,
    seed: u64,
) -> Shard {
    let records_bytes_max = layout().records_bytes_max();
    let cluster = log_config(plan, id).identity.cluster;
    let Snapshots { every_bytes: snapshot_every_bytes, piece_bytes: snapshot_piece_bytes } = snapshots;
    let config = ShardConfig {
        id,
        process,
        seed,
        records_bytes_max,
        cluster,
        directory,
        snapshot_every_bytes,
        snapshot_piece_bytes,
    };
    Shard::new(config, Arc::clone(plan))
}

/// Scans segments; each item comes with the place of its batch. An error is what an operator would be told.
pub(crate) fn scan<'a>(
    segments: impl Iterator<Item = (u64, &'a [u8])>,
    config: LogConfig,
    mut visit: impl FnMut(Lsn, &Item<'_>),
) -> Result<Option<Tail>, String> {
    let mut scan = Scan::new(config);
    for (seq, bytes) in segments {
        scan.segment(seq, bytes, |lsn, item| visit(lsn, &item)).map_err(|error| error.to_string())?;
    }
    Ok(scan.finish())
}

/// Reads a disk back into a partition's state that is made anew.
pub(crate) fn remake(disk: &Disk, plan: &Plan, shard: ShardId, rebuild: &mut Rebuild) -> Result<(), String> {
    let snapshot = disk.snapshots().find(|(partition, _)| *partition == rebuild.partition());
    if let Some((_, bytes)) = snapshot {
        rebuild.handle_snapshot(bytes).map_err(|error| error.to_string())?;
    }
    let mut refused = None;
    scan(disk.segments(), log_config(plan, shard), |lsn, item| {
        if refused.is_none() {
            refused = rebuild.handle_recovered(lsn, item).err();
        }
    })?;
    refused.map_or(Ok(()), |error| Err(error.to_string()))
}

/// Reads a disk back into a shard.
pub(crate) fn replay(disk: &Disk, config: LogConfig, brain: &mut Shard) -> Result<Option<Tail>, String> {
    for (partition, bytes) in disk.snapshots() {
        brain.handle_snapshot(partition, bytes).map_err(|error| error.to_string())?;
    }
    let mut refused = None;
    let tail = scan(disk.segments(), config, |lsn, item| {
        if refused.is_none() {
            refused = brain.handle_recovered(lsn, item).err();
        }
    })?;
    refused.map_or(Ok(tail), |error| Err(error.to_string()))
}
