//! The log's hot end: one append in flight, a write and then a sync of the file's data.
//!
//! ```text
//!   begin ──▶ [write]─link─▶[fdatasync] ──▶ both answered ──▶ Appended, or LogError
//! ```
//!
//! The pair is one chain of the ring, so a shard learns of it once, without a turn in between. A fault-injecting run may
//! hold the bytes back, pretend, fail or wait; the answer looks the same.

use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{LogError, segment_path};
use crate::faults::{FileFaults, SyncFault};
use crate::ring::{BLOCK_BYTES, Blocks, Completion, Held, Ring, Tag, What};

/// An append is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The segment.
    pub segment: u64,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How many bytes, a multiple of the block.
    pub bytes: usize,
    /// From asking to knowing: the write and its sync.
    pub took: Duration,
}

/// One shard's appends.
#[derive(Debug)]
pub(crate) struct Appender {
    dir: PathBuf,
    /// Direct IO, where the file system has it.
    direct: bool,
    /// The segment that was appended to last.
    open: Option<(u64, File)>,
    /// The memory of the next append, while no append has it.
    blocks: Blocks,
    flying: Option<Flying>,
    faults: Option<FileFaults>,
    /// Appends that were begun, for the faults that count.
    count: u64,
}

#[derive(Debug)]
struct Flying {
    segment: u64,
    offset: u64,
    bytes: usize,
    since: Instant,
    written: Option<io::Result<usize>>,
    synced: Option<io::Result<()>>,
}

impl Appender {
    pub(crate) fn new(dir: &Path, direct: bool, faults: Option<FileFaults>) -> Self {
        let dir = dir.to_owned();
        Self { dir, direct, open: None, blocks: Blocks::default(), flying: None, faults, count: 0 }
    }

    /// Whether an append is in flight.
    pub(crate) fn busy(&self) -> bool {
        self.flying.is_some()
    }

    /// Begins an append: copies `bytes`, which the caller may change from here on.
    ///
    /// # Panics
    ///
    /// When an append is in flight, or place or length are not whole blocks: both are bugs of ours.
    pub(crate) fn begin(
        &mut self,
        ring: &mut Ring,
        segment: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        assert!(self.flying.is_none(), "one append at a time: the next one waits for the sync of the last");
        let block = u64::try_from(BLOCK_BYTES).expect("a block is small");
        assert!(offset.is_multiple_of(block), "an append starts at a block, not at {offset}");
        assert!(!bytes.is_empty() && bytes.len().is_multiple_of(BLOCK_BYTES), "an append is whole blocks");
        let fd = self.file(segment)?.as_raw_fd();
        self.count += 1;
        self.blocks.fill(bytes);
        self.flying = Some(Flying {
            segment,
            offset,
            bytes: bytes.len(),
            since: Instant::now(),
            written: None,
            synced: None,
        });
        if self.faults.is_some() {
            self.begin_faulty(ring, fd);
        } else {
            ring.write_and_sync(fd, core::mem::take(&mut self.blocks), offset);
        }
        Ok(())
    }

    /// Takes a completion of the log; the append's end comes with the last of them.
    pub(crate) fn handle(&mut self, ring: &mut Ring, done: Completion) -> Option<Result<Appended, LogError>> {
        let flying = self.flying.as_mut().expect("only an append in flight is answered");
        match done.tag.what {
            What::LogWrite => {
                flying.written = Some(done.result.map(|count| usize::try_from(count).expect("32 bits fit")));
                if let Held::Blocks(blocks) = done.held {
                    self.blocks = blocks;
                }
            }
            What::LogSync => flying.synced = Some(done.result.map(drop)),
            What::LogPause => return self.after_pause(ring),
            other => unreachable!("{other:?} is not the log's"),
        }
        if flying.written.is_none() || flying.synced.is_none() {
            return None;
        }
        let Some(faults) = &self.faults else { return Some(self.end()) };
        if self.count == faults.fail_sync_after && matches!(flying.synced, Some(Ok(()))) {
            flying.synced = Some(Err(io::Error::from_raw_os_error(libc::EIO)));
        }
        // Held bytes have had their pause before they were written.
        if faults.slow_sync_ms == 0 || faults.hold_writes {
            return Some(self.end());
        }
        ring.timer(Duration::from_millis(faults.slow_sync_ms), PAUSE);
        None
    }

    fn end(&mut self) -> Result<Appended, LogError> {
        let Flying { segment, offset, bytes, since, written, synced } =
            self.flying.take().expect("an append that ends is in flight");
        let file = segment_path(&self.dir, segment);
        match (written, synced) {
            (Some(Ok(count)), _) if count != bytes => {
                Err(LogError::Short { file, offset, written: count, bytes })
            }
            (Some(Ok(_)), Some(Ok(()))) => Ok(Appended { segment, offset, bytes, took: since.elapsed() }),
            (Some(Err(source)), _) => Err(LogError::Io { file, offset, what: "write", source }),
            (_, Some(Err(source))) => Err(LogError::Io { file, offset, what: "fdatasync", source }),
            (None, _) | (_, None) => unreachable!("an append ends when both are answered"),
        }
    }

    /// The segment's file; opens it when the log has moved on to it. The previous one has nothing in flight.
    fn file(&mut self, segment: u64) -> Result<&File, LogError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != segment) {
            let path = segment_path(&self.dir, segment);
            let flags = if self.direct { libc::O_DIRECT } else { 0 };
            let file = OpenOptions::new().write(true).custom_flags(flags).open(&path);
            self.open =
                Some((segment, file.map_err(|source| LogError::io(&path, "opening for append", source))?));
        }
        Ok(&self.open.as_ref().expect("opened above").1)
    }

    fn begin_faulty(&mut self, ring: &mut Ring, fd: std::os::fd::RawFd) {
        let faults = self.faults.as_ref().expect("asked only with faults");
        let flying = self.flying.as_mut().expect("begun above");
        let failed = || io::Error::from_raw_os_error(libc::EIO);
        if self.count == faults.fail_write_after {
            flying.written = Some(Err(failed()));
            flying.synced = Some(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
        } else if faults.sync == SyncFault::Noop {
            flying.written = Some(Ok(flying.bytes));
            flying.synced = Some(Ok(()));
        } else if !faults.hold_writes {
            ring.write_and_sync(fd, core::mem::take(&mut self.blocks), flying.offset);
            return;
        }
        // Held or already decided: the pause is where a SIGKILL can come between.
        ring.timer(Duration::from_millis(faults.slow_sync_ms), PAUSE);
    }

    /// A pause of [`Appender::begin_faulty`] or of a slow sync is over.
    fn after_pause(&mut self, ring: &mut Ring) -> Option<Result<Appended, LogError>> {
        let flying = self.flying.as_mut().expect("a pause belongs to an append");
        if flying.written.is_none() {
            let (_, file) = self.open.as_ref().expect("the append opened it");
            ring.write_and_sync(file.as_raw_fd(), core::mem::take(&mut self.blocks), flying.offset);
            return None;
        }
        Some(self.end())
    }
}

const PAUSE: Tag = Tag { what: What::LogPause, id: 0 };
