//! One shard's log on its disk: what is gathered while a batch is in flight goes out as the next one.
//!
//! ```text
//!   brain ──poll_append──▶ batch ──seal──▶ one write, one fdatasync ──▶ Appended ──▶ handle_durable
//! ```
//!
//! The bytes are `wal`'s, the file is `ShardIo`'s; here is when. At most one batch is in flight, which is what lets a scan
//! tell a torn tail from damage.

use std::path::Path;

use shards::Shard;
use wal::{Batch, Log, LogConfig, Lsn, Scan, Start, Tail};
use wire::time::Now;

use crate::files::{LogError, segment_path};
use crate::shard_io::ShardIo;

use super::error::ShardError;

/// The writing end of a shard's log. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct LogWriter {
    log: Log,
    batch: Batch,
    /// The end of the batch that is being written.
    in_flight: Option<Lsn>,
    /// The first frame of this process, until it is in a batch.
    start: Option<Start>,
}

/// Reads a shard's log back into its brain. `None`: there is no log yet.
///
/// # Errors
/// When a segment cannot be read, is damaged or is not this shard's.
pub(super) async fn recover(
    io: &ShardIo,
    log_dir: &Path,
    config: LogConfig,
    brain: &mut Shard,
) -> Result<Option<Tail>, ShardError> {
    let mut scan = Scan::new(config);
    for segment in io.log_segments()? {
        let bytes = io.read_segment(segment.seq).await?;
        let mut refused = None;
        let scanned = scan.segment(segment.seq, &bytes, |_, item| {
            if refused.is_none() {
                refused = brain.handle_recovered(&item).err();
            }
        });
        let file = || segment_path(log_dir, segment.seq);
        scanned.map_err(|error| ShardError::Scan { file: file(), error: Box::new(error) })?;
        if let Some(error) = refused {
            return Err(ShardError::Recovery { file: file(), error: Box::new(error) });
        }
    }
    let tail = scan.finish();
    if let Some(tail) = &tail {
        // What was read may have been in the kernel's memory only, if it was the process that died.
        let path = segment_path(log_dir, tail.segment);
        let synced = std::fs::File::open(&path).and_then(|file| file.sync_data());
        synced.map_err(|source| LogError::io(path, "syncing what was recovered", source))?;
    }
    Ok(tail)
}

impl LogWriter {
    /// Goes on behind `tail`, or makes a new log whose batches carry `salt`, and has the first segment prepared.
    ///
    /// # Errors
    /// When the disk does not take a segment.
    pub(super) async fn open(
        io: &mut ShardIo,
        config: LogConfig,
        tail: Option<&Tail>,
        salt: u64,
        start: Start,
    ) -> Result<Self, ShardError> {
        let mut log = tail.map_or_else(|| Log::create(config, salt), |tail| Log::resume(config, tail));
        if tail.is_none() {
            let first = log.wanted_segment().expect("a new log wants its first segment");
            io.prepare_segment(first, &log.segment_header(first)).await?;
            log.handle_prepared(first);
        }
        Ok(Self { log, batch: Batch::new(), in_flight: None, start: Some(start) })
    }

    /// Writes what the brain has decided meanwhile, unless a batch is in flight or no segment is ready; then it gathers
    /// on. `true` when a write began.
    pub(super) fn gather(&mut self, io: &mut ShardIo, brain: &mut Shard, now: Now) -> bool {
        if self.in_flight.is_some() || self.log.begin(&mut self.batch).is_err() {
            return false;
        }
        if let Some(start) = &self.start {
            self.batch.push_start(start);
        }
        brain.poll_append(now, &mut self.batch);
        if self.batch.is_empty() {
            return false;
        }
        self.start = None;
        let write = self.log.seal(&mut self.batch);
        io.append(write.segment, write.offset, write.bytes);
        self.in_flight = Some(write.end);
        true
    }

    /// The batch in flight is durable; the log up to its end.
    pub(super) fn appended(&mut self) -> Lsn {
        self.in_flight.take().expect("one batch was in flight")
    }

    /// A segment was prepared.
    pub(super) fn prepared(&mut self, segment: u64) {
        self.log.handle_prepared(segment);
    }

    /// Has the next segment prepared while the shard works.
    pub(super) fn prepare_ahead(&self, io: &mut ShardIo) {
        if let Some(segment) = self.log.wanted_segment().filter(|_| !io.preparing()) {
            io.prepare_in_background(segment, &self.log.segment_header(segment));
        }
    }

    /// Whether nothing is in flight.
    pub(super) const fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }
}
