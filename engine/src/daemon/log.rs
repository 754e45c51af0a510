//! One shard's log on its disk: what is gathered while a batch is in flight goes out as the next one.
//!
//! ```text
//!   brain ──poll_append──▶ batch ──seal──▶ one write, one fdatasync ──▶ Appended ──▶ handle_durable
//! ```
//!
//! The bytes are `wal`'s, the file is `ShardIo`'s; here is when. At most one batch is in flight, which is what lets a scan
//! tell a torn tail from damage.

use std::path::Path;

use shards::{LogRoom, Shard};
use wal::{Batch, Identity, Log, LogConfig, Lsn, Scan, Start, Tail};
use wire::id::{Partition, ShardId};
use wire::time::{Instant, Now};

use crate::files::{LogError, segment_path};
use crate::runtime::AgedFile;
use crate::shard_io::ShardIo;

use super::error::ShardError;
use super::limits::{RESERVED_BYTES_PER_OPEN, ROOM_WAIT, SEGMENT_RETRY};
use super::retained::{Retained, Retention};

/// The writing end of a shard's log. Lives on the shard's thread.
#[derive(Debug)]
pub(super) struct LogWriter {
    log: Log,
    segment_bytes: u64,
    batch: Batch,
    /// The end of the batch that is being written.
    in_flight: Option<Lsn>,
    /// The first frame of this process, until it is in a batch.
    start: Option<Start>,
    /// The oldest segment that a start would read, and the first that is needed: those between are to be aged.
    oldest: u64,
    first_needed: u64,
    /// One could not be aged: when that is tried again.
    retire_at: Option<Instant>,
    retained: Retained,
    /// A segment could not be prepared: when that is tried again.
    retry_at: Option<Instant>,
}

/// A log that was read back.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Where the log goes on.
    pub(super) tail: Tail,
    /// The oldest segment.
    oldest: u64,
}

/// Reads a shard's snapshots and log back into its brain. `None`: there is no log yet.
///
/// # Errors
/// When a snapshot or segment cannot be read, is damaged or is not this shard's.
pub(super) async fn recover(
    io: &ShardIo,
    (log_dir, snapshot_dir): (&Path, &Path),
    config: LogConfig,
    brain: &mut Shard,
) -> Result<Option<Recovered>, ShardError> {
    let Identity { shard, shards, partitions, .. } = config.identity;
    for partition in (0..partitions).map(Partition).filter(|&it| ShardId::owner_of(it, shards) == shard) {
        let Some(bytes) = io.read_snapshot(partition.0)? else { continue };
        let refused = |error| ShardError::Recovery { file: snapshot_dir.to_owned(), error: Box::new(error) };
        brain.handle_snapshot(partition, &bytes).map_err(refused)?;
    }
    let (mut scan, mut oldest) = (Scan::new(config), None);
    for segment in io.log_segments()? {
        oldest.get_or_insert(segment.seq);
        let bytes = io.read_segment(segment.seq).await?;
        let mut refused = None;
        let scanned = scan.segment(segment.seq, &bytes, |lsn, item| {
            if refused.is_none() {
                refused = brain.handle_recovered(lsn, &item).err();
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
    Ok(tail.map(|tail| Recovered { tail, oldest: oldest.unwrap_or_default() }))
}

impl LogWriter {
    /// Goes on behind `tail`, or makes a new log whose batches carry `salt`, and has the first segment prepared.
    ///
    /// # Errors
    /// When the disk does not take a segment.
    pub(super) async fn open(
        io: &mut ShardIo,
        (config, retention): (LogConfig, Retention),
        recovered: Option<&Recovered>,
        salt: u64,
        start: Start,
    ) -> Result<Self, ShardError> {
        let resume = |recovered: &Recovered| Log::resume(config, &recovered.tail);
        let mut log = recovered.map_or_else(|| Log::create(config, salt), resume);
        if recovered.is_none() {
            let first = log.wanted_segment().expect("a new log wants its first segment");
            io.prepare_segment(first, &log.segment_header(first)).await?;
            log.handle_prepared(first);
        }
        let oldest = recovered.map_or(0, |recovered| recovered.oldest);
        let segment_bytes = config.layout.segment_bytes();
        Ok(Self {
            log,
            segment_bytes,
            batch: Batch::new(),
            in_flight: None,
            start: Some(start),
            oldest,
            first_needed: oldest,
            retire_at: None,
            retained: Retained::new(retention, segment_bytes, io.aged_segments()?),
            retry_at: None,
        })
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

    /// Nothing before this place is needed to recover. Asked when nothing is in flight, so that the batch which the next
    /// one names is on disk.
    pub(super) fn release(&mut self, needed_from: Lsn) {
        self.first_needed = self.log.first_needed(needed_from);
    }

    /// Up to where the log is on disk.
    pub(super) fn end(&self) -> Lsn {
        assert!(self.is_idle(), "what is being written is not on disk");
        self.log.end()
    }

    /// The oldest segment is aged.
    pub(super) fn retired(&mut self, segment: AgedFile) {
        assert_eq!(segment.seq, self.oldest, "segments age in order");
        self.oldest += 1;
        self.retained.push(segment);
    }

    /// A segment could not be aged, or an aged one not be removed: it takes its room for longer, and that is all.
    pub(super) fn segment_kept(&mut self, error: &LogError, now: Now) {
        tracing::warn!(event = "log.segment_kept", %error, "a segment that is not needed stays for now");
        self.retire_at = Some(now.mono.plus(SEGMENT_RETRY));
    }

    /// A snapshot could not be written. Without snapshots the log only grows, so aged segments give way to them.
    pub(super) fn snapshot_failed(&mut self, error: &LogError) {
        if error.is_full() {
            self.retained.call_for_room();
        }
    }

    /// The aged segments.
    pub(super) const fn retained(&self) -> &Retained {
        &self.retained
    }

    /// A segment was prepared.
    pub(super) fn prepared(&mut self, segment: u64) {
        if self.retry_at.take().is_some() {
            tracing::info!(event = "log.has_room", segment, "the log goes on");
        }
        self.log.handle_prepared(segment);
    }

    /// A segment could not be prepared. On a full disk aged ones give way, of all shards, and if there is one here the segment
    /// is made of that. If not, what is there is written to; when little is left of it, no new messages are taken, until
    /// there is room again.
    pub(super) fn segment_failed(&mut self, error: &LogError, now: Now) {
        if error.is_full() {
            self.retained.call_for_room();
            if self.retained.make_room() {
                tracing::warn!(event = "log.gives_way", %error, "the oldest aged segment is used again");
                return;
            }
        }
        let wait = if self.retry_at.is_none() { ROOM_WAIT } else { SEGMENT_RETRY };
        if self.retry_at.is_none() {
            tracing::error!(event = "log.no_room", %error, "no segment can be prepared; tried again each second");
        }
        self.retry_at = Some(now.mono.plus(wait));
    }

    /// Has the next segment prepared while the shard works, of an aged one whose time is over if there is one; has segments
    /// aged that no start needs, unless the log is read just now, and removes those that are too many.
    pub(super) fn tend(&mut self, io: &mut ShardIo, brain: &mut Shard, may_age: bool, now: Now) {
        let reserved = self.segment_bytes / 2 + brain.open_messages() * RESERVED_BYTES_PER_OPEN;
        let is_short = self.retry_at.is_some() && self.log.room_bytes() < reserved;
        brain.handle_log_room(if is_short { LogRoom::Short } else { LogRoom::Enough });
        if self.retained.hear() {
            tracing::warn!(
                event = "log.gives_way",
                "half of the aged segments are removed: the disk is full"
            );
        }
        if io.works_on_segments() {
            return;
        }
        let is_over = |at: &Option<Instant>| at.is_none_or(|at| at <= now.mono);
        let wanted = self.log.wanted_segment().filter(|_| is_over(&self.retry_at));
        let spare = wanted.and_then(|_| self.retained.take_expired(now.wall));
        let may_age = may_age && self.oldest < self.first_needed && is_over(&self.retire_at);
        match wanted {
            // What is aged now may be what the next segment is made of.
            _ if spare.is_none() && may_age => {
                self.retire_at = None;
                io.retire_in_background(self.oldest);
            }
            Some(segment) => {
                io.prepare_in_background(segment, &self.log.segment_header(segment), spare);
                self.retry_at = self.retry_at.map(|_| now.mono.plus(SEGMENT_RETRY));
            }
            None => {
                if let Some(excess) = self.retained.take_excess(now.wall) {
                    io.remove_in_background(excess);
                }
            }
        }
    }

    /// When [`LogWriter::tend`] has something to try again.
    pub(super) const fn timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether nothing is in flight.
    pub(super) const fn is_idle(&self) -> bool {
        self.in_flight.is_none()
    }
}
