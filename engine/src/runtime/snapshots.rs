//! The snapshots of a node's partitions: a file each, which has its name when it is whole.
//!
//! ```text
//!   DIR/snapshots/p00003.snap.new   piece, piece, … ─▶ fdatasync ─▶ rename ─▶ sync of the directory
//!   DIR/snapshots/p00003.snap
//! ```
//!
//! They lie beside the logs and not in them, since a partition can move to another shard's log.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{File, at, failed, sync_dir};
use crate::files::LogError;

/// The bytes of one piece of a partition's snapshot.
#[derive(Debug)]
pub struct SnapshotWrite {
    /// Whose snapshot.
    pub partition: u16,
    /// Whole blocks of 4096 bytes.
    pub bytes: Vec<u8>,
    /// They begin a file.
    pub is_first: bool,
    /// They end it.
    pub is_last: bool,
}

/// A node's snapshots, as one of its shards writes them.
#[derive(Debug)]
pub(crate) struct SnapshotDir {
    dir: PathBuf,
    direct: bool,
    open: Option<Open>,
}

/// A snapshot that is being written.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl SnapshotDir {
    /// Opens the directory, made if it is missing.
    pub(crate) fn open(dir: &Path, direct: bool) -> Result<Self, LogError> {
        std::fs::create_dir_all(dir)
            .map_err(|source| LogError::io(dir, "creating the directory of snapshots", source))?;
        Ok(Self { dir: dir.to_owned(), direct, open: None })
    }

    /// Writes a piece behind the one before it. The last one makes the snapshot durable and gives it its name. After an
    /// error, what was written is removed.
    pub(crate) async fn write(&mut self, piece: &SnapshotWrite) -> Result<(), LogError> {
        let result = self.try_write(piece).await;
        if result.is_err()
            && let Some(open) = self.open.take()
        {
            // It frees its room, if that was what was missing; a leftover is removed by the next start.
            let _ = open.file.close().await;
            let _ = std::fs::remove_file(&open.path);
        }
        result
    }

    async fn try_write(&mut self, piece: &SnapshotWrite) -> Result<(), LogError> {
        let path = snapshot_path(&self.dir, piece.partition);
        let new = path.with_extension("snap.new");
        if piece.is_first {
            let file = File::create(&new, self.direct).await.map_err(failed(&new, "creating"))?;
            if let Some(before) = self.open.replace(Open { file, path: new.clone(), bytes: 0 }) {
                before.file.close().await.map_err(failed(&before.path, "closing"))?;
            }
        }
        let open = self.open.as_mut().expect("a first piece begins a snapshot");
        assert_eq!(open.path, new, "one snapshot is written at a time");
        let memory = open.file.piece(piece.bytes.len(), &piece.bytes);
        open.file.write(&memory, open.bytes).await.map_err(at(&new, open.bytes))?;
        open.bytes += u64::try_from(piece.bytes.len()).expect("a length fits");
        if piece.is_last {
            open.file.sync().await.map_err(failed(&new, "fdatasync"))?;
            let open = self.open.take().expect("written to above");
            open.file.close().await.map_err(failed(&new, "closing"))?;
            std::fs::rename(&new, &path).map_err(|source| LogError::io(&new, "renaming", source))?;
            sync_dir(&self.dir).await?;
        }
        Ok(())
    }
}

/// The snapshot of a partition, whole; `None` when there is none. What is left of one that did not end is removed.
pub(crate) fn read_snapshot(dir: &Path, partition: u16) -> Result<Option<Vec<u8>>, LogError> {
    let path = snapshot_path(dir, partition);
    let new = path.with_extension("snap.new");
    match std::fs::remove_file(&new) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(LogError::io(new, "removing", source));
        }
        _ => {}
    }
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LogError::io(path, "reading", source)),
    }
}

/// The file of a partition's snapshot.
pub(crate) fn snapshot_path(dir: &Path, partition: u16) -> PathBuf {
    dir.join(format!("p{partition:05}.snap"))
}
