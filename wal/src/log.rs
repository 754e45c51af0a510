//! Where the next batch goes.
//!
//! ```text
//!  wanted_segment() ──▶ whoever holds the files writes header and zeros ──▶ handle_prepared()
//!  begin(batch) ──▶ push, push, push ──▶ seal(batch) ──▶ one write, one sync ──▶ durable up to Write::end
//! ```
//!
//! The place of a batch is known when it is begun, so that what it holds can be tied to it while it gathers; hence a
//! batch's room is whatever its segment has left, and a segment with too little left is done with.
//!
//! At most one batch is in flight: the bytes of [`Log::seal`] are written only after the sync of those before them has
//! returned. Recovery rests on that.

use crate::batch::{Batch, Link, Spot};
use crate::limits::{BLOCK_BYTES, SEGMENT_HEADER_BYTES, SEGMENTS_AHEAD};
use crate::place::{Layout, Lsn};
use crate::scan::Tail;
use crate::segment::{Header, Identity};

/// Whose log it is, and how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Whose log.
    pub identity: Identity,
    /// The sizes of its parts.
    pub layout: Layout,
}

/// The end of one shard's log. One per shard.
#[derive(Debug)]
pub struct Log {
    config: LogConfig,
    salt: u64,
    /// The segment that is written to.
    segment: u64,
    /// Where in it the next batch goes.
    offset: u64,
    /// How many segments are prepared, counted from 0 (also those long written and gone).
    prepared_count: u64,
    previous: Link,
}

/// The next batch has no place until this segment is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {0:016x} is not prepared yet")]
pub struct NeedSegment(pub u64);

/// A batch to be written: all of its bytes in one write, then one sync.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Into which segment.
    pub segment: u64,
    /// From which byte of it; a multiple of a block.
    pub offset: u64,
    /// What; whole blocks, at an address that suits direct IO.
    pub bytes: &'a [u8],
    /// Up to where the log is durable once these bytes are synced.
    pub end: Lsn,
}

impl Log {
    /// A log that has nothing yet. The salt is drawn at random by the caller.
    #[must_use]
    pub fn create(config: LogConfig, salt: u64) -> Self {
        let offset = SEGMENT_HEADER_BYTES as u64;
        Self { config, salt, segment: 0, offset, prepared_count: 0, previous: Link::default() }
    }

    /// The log that a scan found, to go on at its tail.
    #[must_use]
    pub fn resume(config: LogConfig, tail: &Tail) -> Self {
        assert!(tail.offset.is_multiple_of(BLOCK_BYTES as u64), "a batch begins at a block");
        assert!(tail.segments_count > tail.segment, "the tail lies in a segment that exists");
        Self {
            config,
            salt: tail.salt,
            segment: tail.segment,
            offset: tail.offset,
            prepared_count: tail.segments_count,
            previous: tail.previous,
        }
    }

    /// The segment that should be prepared next, `None` while there are enough. Preparing means: a file of the
    /// layout's size, [`Log::segment_header`] in its first block and zeros behind it, all synced, and its name too.
    #[must_use]
    pub fn wanted_segment(&self) -> Option<u64> {
        (self.prepared_count <= self.segment + SEGMENTS_AHEAD).then_some(self.prepared_count)
    }

    /// The first block of a segment that is being prepared.
    #[must_use]
    pub fn segment_header(&self, seq: u64) -> [u8; SEGMENT_HEADER_BYTES] {
        let LogConfig { identity, layout } = self.config;
        Header { identity, salt: self.salt, seq, layout }.encode()
    }

    /// The wanted segment is prepared, and durable.
    ///
    /// # Panics
    /// When another one was wanted.
    pub fn handle_prepared(&mut self, seq: u64) {
        assert_eq!(seq, self.prepared_count, "segments are prepared in order");
        self.prepared_count += 1;
    }

    /// Empties `batch` and gives it the next place, which it returns. Beginning again before sealing gives the same.
    ///
    /// # Errors
    /// When that place lies in a segment that is not prepared.
    pub fn begin(&mut self, batch: &mut Batch) -> Result<Lsn, NeedSegment> {
        let layout = self.config.layout;
        let (mut segment, mut offset) = (self.segment, self.offset);
        if layout.segment_bytes() - offset < layout.room_bytes_min() as u64 {
            (segment, offset) = (segment + 1, SEGMENT_HEADER_BYTES as u64);
        }
        if segment >= self.prepared_count {
            return Err(NeedSegment(segment));
        }
        (self.segment, self.offset) = (segment, offset);
        let left = usize::try_from(layout.segment_bytes() - offset).unwrap_or(usize::MAX);
        let lsn = layout.lsn(segment, offset);
        let room_bytes = left.min(layout.batch_bytes_max());
        batch.begin(Spot { lsn, salt: self.salt, previous: self.previous, room_bytes });
        Ok(lsn)
    }

    /// Closes the batch. The log goes on behind it, whether or not it is written yet.
    ///
    /// # Panics
    /// When the batch is empty or was not begun here.
    pub fn seal<'b>(&mut self, batch: &'b mut Batch) -> Write<'b> {
        let lsn = self.config.layout.lsn(self.segment, self.offset);
        assert_eq!(batch.lsn(), lsn, "a batch is sealed where it was begun");
        let (bytes, link) = batch.seal();
        let write = Write { segment: self.segment, offset: self.offset, bytes, end: lsn.plus(bytes.len()) };
        self.previous = link;
        self.offset += bytes.len() as u64;
        assert!(self.offset <= self.config.layout.segment_bytes(), "a batch ends within its segment");
        write
    }

    /// The first segment that is needed while nothing before `needed` is: those before it may be released, and their files
    /// used again. The one with the last batch stays, since the next batch names that one.
    #[must_use]
    pub fn first_needed(&self, needed: Lsn) -> u64 {
        let segment_of = |lsn: Lsn| lsn.0 / self.config.layout.segment_bytes();
        segment_of(needed).min(segment_of(self.previous.lsn)).min(self.segment)
    }

    /// What the prepared segments still hold, in bytes.
    #[must_use]
    pub fn room_bytes(&self) -> u64 {
        let segment_bytes = self.config.layout.segment_bytes();
        (self.prepared_count * segment_bytes).saturating_sub(self.segment * segment_bytes + self.offset)
    }

    /// Where the log ends: every batch that was sealed lies before this place.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.config.layout.lsn(self.segment, self.offset)
    }
}
