//! Another number of shards than the logs were written by: the partitions are dealt anew before any shard starts.
//!
//! ```text
//!   each old log ─▶ the state of its partitions ─▶ their snapshots at the last entry
//!                                                       └▶ identity: new number of shards, next deal ─▶ old logs removed
//! ```
//!
//! The identity is the turning point. Before it has changed, the old logs count, and a start that was cut off begins again;
//! the snapshots it wrote hold no more than those logs. Behind it, the snapshots have all there is, and new logs begin.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shards::{Shard, ShardConfig};
use wal::{Layout, LogConfig, Scan};
use wire::id::{Partition, ShardId};

use crate::config::{Config, Host};
use crate::files::{LogError, segment_path};

use super::directory::Belonging;
use super::error::{DaemonError, ShardError};
use super::{clock, host};

/// Deals the partitions of a directory to the shards of this start. Does nothing when they are dealt so.
///
/// # Errors
/// When an old log cannot be read back, as a start with the old number of shards would say; when a file operation fails.
pub(super) fn redeal(data: &Path, belonging: &mut Belonging, config: &Config) -> Result<(), DaemonError> {
    if belonging.written_by != belonging.shards {
        tracing::info!(
            event = "redeal",
            from = belonging.written_by,
            to = belonging.shards,
            "dealing partitions anew"
        );
        let before = Belonging { shards: belonging.written_by, ..belonging.clone() };
        for shard in (0..before.shards).map(ShardId) {
            export(data, &before, shard, config)
                .map_err(|error| DaemonError::Shard { shard: shard.0, error })?;
        }
        belonging.deal += 1;
        belonging.written_by = belonging.shards;
        belonging.write(data)?;
    }
    remove_old_logs(data, belonging)
}

/// Reads one of the old logs, and writes the snapshots of its partitions.
fn export(data: &Path, before: &Belonging, shard: ShardId, config: &Config) -> Result<(), ShardError> {
    let host =
        Host { shards: before.shards, partitions: before.partitions, memory_bytes: host::memory_bytes() };
    // What a log holds depends on neither, and it sends nothing.
    let alone = Config { carriers: Vec::new(), accounts: Vec::new(), ..config.clone() };
    let plan = alone.plan(host);
    let layout = Layout::new(config.log.segment_bytes).map_err(|error| other(data, &error))?;
    let log = LogConfig { identity: before.log_of(shard), layout };
    let shard_config = ShardConfig {
        id: shard,
        process: clock::now().wall.0,
        seed: 0,
        records_bytes_max: layout.records_bytes_max(),
        cluster: before.cluster,
        directory: before.directory(),
        snapshot_every_bytes: config.log.snapshot_every_bytes,
        snapshot_piece_bytes: shards::limits::SNAPSHOT_PIECE_BYTES,
    };
    let mut brain = Shard::new(shard_config, Arc::new(plan));
    let snapshots = data.join("snapshots");
    fs::create_dir_all(&snapshots).map_err(|error| LogError::io(&snapshots, "creating", error))?;
    read_snapshots(&snapshots, before, shard, &mut brain)?;
    read_log(&before.log_dir(data, shard), log, &mut brain)?;
    let refused = |error| ShardError::Recovery { file: before.log_dir(data, shard), error: Box::new(error) };
    for (partition, bytes) in brain.export_snapshots().map_err(refused)? {
        write_snapshot(&crate::runtime::snapshot_path(&snapshots, partition.0), &bytes)?;
    }
    sync_dir(&snapshots)
}

fn read_snapshots(
    dir: &Path,
    before: &Belonging,
    shard: ShardId,
    brain: &mut Shard,
) -> Result<(), ShardError> {
    let all = (0..before.partitions.count()).map(Partition);
    for partition in all.filter(|&partition| ShardId::owner_of(partition, before.shards) == shard) {
        if let Some(bytes) = crate::runtime::read_snapshot(dir, partition.0)? {
            let file = crate::runtime::snapshot_path(dir, partition.0);
            let refused = |error| ShardError::Recovery { file, error: Box::new(error) };
            brain.handle_snapshot(partition, &bytes).map_err(refused)?;
        }
    }
    Ok(())
}

fn read_log(dir: &Path, config: LogConfig, brain: &mut Shard) -> Result<(), ShardError> {
    let mut scan = Scan::new(config);
    for seq in segments(dir)? {
        let file = segment_path(dir, seq);
        let bytes = fs::read(&file).map_err(|error| LogError::io(&file, "reading", error))?;
        let mut refused = None;
        let scanned = scan.segment(seq, &bytes, |lsn, item| {
            if refused.is_none() {
                refused = brain.handle_recovered(lsn, &item).err();
            }
        });
        scanned.map_err(|error| ShardError::Scan { file: file.clone(), error: Box::new(error) })?;
        if let Some(error) = refused {
            return Err(ShardError::Recovery { file, error: Box::new(error) });
        }
    }
    Ok(())
}

/// The numbers of a log's segments, in order; none when there is no log.
fn segments(dir: &Path) -> Result<Vec<u64>, ShardError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LogError::io(dir, "listing", error).into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| LogError::io(dir, "listing", error))?.path();
        found.extend(crate::runtime::segment_seq(&path));
    }
    found.sort_unstable();
    Ok(found)
}

/// A whole snapshot, durable when its name is.
fn write_snapshot(path: &Path, bytes: &[u8]) -> Result<(), ShardError> {
    let new = path.with_extension("snap.new");
    let failed = |what| {
        let new = new.clone();
        move |error| LogError::io(new, what, error)
    };
    let mut file = File::create(&new).map_err(failed("creating"))?;
    file.write_all(bytes).map_err(failed("writing"))?;
    file.sync_all().map_err(failed("syncing"))?;
    fs::rename(&new, path).map_err(failed("renaming"))?;
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<(), ShardError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| LogError::io(dir, "syncing the directory", error).into())
}

/// Removes the logs of earlier deals, whose partitions have snapshots.
fn remove_old_logs(data: &Path, belonging: &Belonging) -> Result<(), DaemonError> {
    let failed = |path: &Path, doing| {
        let path = path.to_owned();
        move |error| DaemonError::File { path, doing, error }
    };
    let current: Vec<PathBuf> =
        (0..belonging.shards).map(|shard| belonging.log_dir(data, ShardId(shard))).collect();
    for entry in fs::read_dir(data).map_err(failed(data, "listing"))? {
        let path = entry.map_err(failed(data, "listing"))?.path();
        let is_log =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("shard-"));
        if is_log && !current.contains(&path) {
            fs::remove_dir_all(&path)
                .map_err(failed(&path, "removing a log whose partitions were dealt anew"))?;
        }
    }
    Ok(())
}

fn other(data: &Path, error: &dyn std::error::Error) -> ShardError {
    LogError::io(data, "reading the log's layout", io::Error::other(error.to_string())).into()
}
