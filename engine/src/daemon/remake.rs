//! A partition's state made anew from what is on disk, off the shard's thread: the shard goes on with all others meanwhile.
//!
//! It is rare (a home was deposed while it held what nobody will commit), and it reads as much as a start does for one partition. What is
//! read may be written to at its end: a batch that is not whole yet is the log's tail, as after a crash, and what is needed lies before it.

use std::path::{Path, PathBuf};
use std::{fs, io, thread};

use crossbeam::channel::{Receiver, Sender, bounded};
use shards::Rebuild;
use wal::{LogConfig, Scan};

use crate::files::{LogError, segment_path};
use crate::runtime::{WakeHandle, segments_in, snapshot_path};

use super::error::ShardError;

/// A shard's end: at most one state is made anew at a time.
#[derive(Debug)]
pub(super) struct Remaker {
    log_dir: PathBuf,
    snapshot_dir: PathBuf,
    config: LogConfig,
    waker: WakeHandle,
    sender: Sender<Result<Rebuild, ShardError>>,
    done: Receiver<Result<Rebuild, ShardError>>,
    is_working: bool,
}

impl Remaker {
    pub(super) fn new(
        (log_dir, snapshot_dir): (PathBuf, PathBuf),
        config: LogConfig,
        waker: WakeHandle,
    ) -> Self {
        let (sender, done) = bounded(1);
        Self { log_dir, snapshot_dir, config, waker, sender, done, is_working: false }
    }

    /// Whether a state is being made anew: no segment may be aged meanwhile.
    pub(super) const fn is_working(&self) -> bool {
        self.is_working
    }

    /// Whether [`Remaker::poll`] has something.
    pub(super) fn is_done(&self) -> bool {
        !self.done.is_empty()
    }

    /// Makes a state anew.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub(super) fn begin(&mut self, mut rebuild: Rebuild) -> Result<(), ShardError> {
        assert!(!self.is_working, "one state at a time");
        self.is_working = true;
        let (log_dir, snapshot_dir) = (self.log_dir.clone(), self.snapshot_dir.clone());
        let (config, sender, waker) = (self.config, self.sender.clone(), self.waker.clone());
        let remake = move || {
            let made = remake(&log_dir, &snapshot_dir, config, &mut rebuild).map(|()| rebuild);
            // The shard may be gone by now.
            let _ = sender.send(made);
            waker.wake();
        };
        let started = thread::Builder::new().name("remake".to_owned()).spawn(remake);
        started.map(drop).map_err(ShardError::Ring)
    }

    /// The state, once it is made.
    pub(super) fn poll(&mut self) -> Option<Result<Rebuild, ShardError>> {
        let made = self.done.try_recv().ok()?;
        self.is_working = false;
        Some(made)
    }
}

fn remake(
    log_dir: &Path,
    snapshot_dir: &Path,
    config: LogConfig,
    rebuild: &mut Rebuild,
) -> Result<(), ShardError> {
    let snapshot = snapshot_path(snapshot_dir, rebuild.partition().0);
    match fs::read(&snapshot) {
        Ok(bytes) => rebuild
            .handle_snapshot(&bytes)
            .map_err(|error| ShardError::Recovery { file: snapshot, error: Box::new(error) })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(LogError::io(snapshot, "reading", error).into()),
    }
    let mut scan = Scan::new(config);
    for segment in segments_in(log_dir)? {
        let file = segment_path(log_dir, segment.seq);
        let bytes = fs::read(&file).map_err(|error| LogError::io(&file, "reading", error))?;
        let mut refused = None;
        let scanned = scan.segment(segment.seq, &bytes, |lsn, item| {
            if refused.is_none() {
                refused = rebuild.handle_recovered(lsn, &item).err();
            }
        });
        scanned.map_err(|error| ShardError::Scan { file: file.clone(), error: Box::new(error) })?;
        if let Some(error) = refused {
            return Err(ShardError::Recovery { file, error: Box::new(error) });
        }
    }
    Ok(())
}
