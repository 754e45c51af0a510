//! A log read back after a crash, segment by segment.
//!
//! The one question is what a bad batch means. Since at most one batch is in flight, everything before the last one was
//! synced:
//!
//! - a bad batch with nothing of this log behind it is a *torn tail*: the write that a crash cut off. Nobody was told of
//!   it, and it is cut;
//! - a bad batch with anything of this log behind it, in its segment or a later one, was synced once: *damage*. The scan
//!   stops and says where, since going on would forget what was acknowledged.
//!
//! Behind a bad batch the scan looks at every block for a whole header with this log's salt and that block's own place. A
//! customer's text cannot imitate one, since nobody knows the salt, and the leftovers of a recycled segment have other
//! places. Between segments, each batch names the one before it, so that a synced batch that rotted to zeros at the end
//! of a segment is missed too.
//!
//! What a visitor was given is worth nothing if the scan then fails. And it is not known to be durable: a batch may have
//! been written and not synced before the crash. So the files are synced once before anything rests on them.

mod error;

use crate::batch::{self, Link, Sealed, SealedError};
use crate::entry::Entry;
use crate::frame::{self, Frame, FrameError, HardState, Start};
use crate::limits::{BLOCK_BYTES, SEGMENT_HEADER_BYTES};
use crate::log::LogConfig;
use crate::place::{Layout, Lsn};
use crate::segment::{Header, HeaderError};

pub use error::{Damage, ScanError};

/// One thing that a scan finds, in the order in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An entry of a partition's group.
    Entry(Entry<'a>),
    /// A group's hard state.
    HardState(HardState),
    /// A start of the process.
    Start(Start),
}

/// Where a log goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The place behind the last whole batch.
    pub lsn: Lsn,
    /// Its segment.
    pub segment: u64,
    /// Its byte in that segment.
    pub offset: u64,
    /// One more than the number of the last segment that has a header.
    pub segments_count: u64,
    /// Whether bytes that are not zeros lie behind it: an unfinished write, which is cut by being written over.
    pub torn: Option<Damage>,
    pub(crate) salt: u64,
    pub(crate) previous: Link,
}

/// A scan of one log. Give it the segments in order with [`Scan::segment`], then ask for the [`Tail`].
#[derive(Debug)]
pub struct Scan {
    config: LogConfig,
    /// Known from the first header.
    salt: Option<u64>,
    next_seq: Option<u64>,
    /// The first place where a batch can be.
    first_lsn: Lsn,
    tail: Option<Tail>,
    /// The first place without a whole batch, until a batch of a later segment shows that its own was just full.
    stop: Option<Damage>,
    /// The first segment without a header.
    unheaded: Option<Damage>,
}

impl Scan {
    /// A scan that expects a log of this identity and layout.
    #[must_use]
    pub const fn new(config: LogConfig) -> Self {
        Self {
            config,
            salt: None,
            next_seq: None,
            first_lsn: Lsn::ZERO,
            tail: None,
            stop: None,
            unheaded: None,
        }
    }

    /// Reads one segment, whole. `visit` gets what it finds, with the place of its batch.
    ///
    /// # Errors
    /// When the log is damaged, or is not this log. Nothing that was visited may be used then.
    pub fn segment(
        &mut self,
        seq: u64,
        bytes: &[u8],
        mut visit: impl FnMut(Lsn, Item<'_>),
    ) -> Result<(), ScanError> {
        if self.next_seq.is_some_and(|expected| expected != seq) {
            return Err(ScanError::MissingSegment { expected: self.next_seq.unwrap_or(seq), found: seq });
        }
        self.next_seq = Some(seq + 1);
        if !self.header(seq, bytes)? {
            return Ok(());
        }
        let segment = Segment { seq, bytes, layout: self.config.layout, salt: self.salt.unwrap_or_default() };
        let mut offset = SEGMENT_HEADER_BYTES;
        while offset < bytes.len() {
            let sealed = match segment.batch_at(offset) {
                Ok(sealed) => sealed,
                Err(error) => {
                    // A torn batch that names one which is not there: that one was synced, or this would not be here.
                    if let SealedError::Broken { previous, .. } = error {
                        self.linked(&segment, offset, previous)?;
                    }
                    self.stop.get_or_insert_with(|| segment.damage(offset, &error));
                    return self.nothing_behind(&segment, offset);
                }
            };
            self.linked(&segment, offset, sealed.previous)?;
            self.stop = None;
            frames(&segment, offset, &sealed, &mut visit)?;
            offset += sealed.bytes_len;
            self.advanced(&segment, offset, sealed.link);
        }
        Ok(())
    }

    /// Ends the scan: where the log goes on, `None` when there is no segment with a header.
    #[must_use]
    pub fn finish(self) -> Option<Tail> {
        let mut tail = self.tail?;
        tail.torn = self.stop.filter(|stop| stop.found != ZEROS && stop.found != END);
        Some(tail)
    }

    /// Checks a segment's header; `false` when it was never headed.
    fn header(&mut self, seq: u64, bytes: &[u8]) -> Result<bool, ScanError> {
        let layout = self.config.layout;
        let damage = |expected: &str, found: &str| {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            Damage { segment: seq, offset: 0, expected, found }
        };
        let header = match Header::decode(bytes) {
            Ok(header) => header,
            Err(HeaderError::OtherFormat(found)) => {
                return Err(ScanError::OtherFormat { segment: seq, found });
            }
            Err(HeaderError::Zeros) if bytes.iter().all(|&byte| byte == 0) => {
                self.unheaded.get_or_insert_with(|| damage("a segment header", ZEROS));
                return Ok(false);
            }
            Err(error) => {
                let expected =
                    if let HeaderError::Damaged(expected) = error { expected } else { "a segment header" };
                // A header is synced before the segment is used, so a bad one is never an unfinished write.
                return Err(ScanError::Damage(damage(expected, "another first block")));
            }
        };
        self.same_log(seq, &header)?;
        // Segments are prepared in order: one without a header before one with it had one once.
        if let Some(unheaded) = self.unheaded.take() {
            return Err(ScanError::Damage(unheaded));
        }
        if bytes.len() as u64 != layout.segment_bytes() {
            let expected = format!("{} bytes", layout.segment_bytes());
            return Err(ScanError::Damage(damage(&expected, &format!("{} bytes", bytes.len()))));
        }
        if self.tail.is_none() {
            let lsn = layout.lsn(seq, SEGMENT_HEADER_BYTES as u64);
            self.first_lsn = lsn;
            self.advance_to(seq, SEGMENT_HEADER_BYTES as u64, lsn, header.salt, Link::default());
        }
        self.salt = Some(header.salt);
        if let Some(tail) = &mut self.tail {
            tail.segments_count = seq + 1;
        }
        Ok(true)
    }

    fn same_log(&self, segment: u64, header: &Header) -> Result<(), ScanError> {
        let (own, other) = (self.config.identity, header.identity);
        let differs = |what, expected: &dyn ToString, found: &dyn ToString| {
            let (expected, found) = (expected.to_string(), found.to_string());
            Err(ScanError::OtherLog { segment, what, expected, found })
        };
        if own.cluster != other.cluster {
            return differs("cluster", &format!("{:032x}", own.cluster), &format!("{:032x}", other.cluster));
        }
        if own.node != other.node {
            return differs("node", &own.node.0, &other.node.0);
        }
        if own.partitions != other.partitions {
            return differs("a partition count of", &own.partitions, &other.partitions);
        }
        if own.shards != other.shards {
            return Err(ScanError::OtherShards { segment, expected: own.shards, found: other.shards });
        }
        if own.shard != other.shard {
            return differs("shard", &own.shard.0, &other.shard.0);
        }
        if header.layout != self.config.layout {
            let (expected, found) = (self.config.layout.segment_bytes(), header.layout.segment_bytes());
            return differs("a segment size of", &expected, &found);
        }
        if self.salt.is_some_and(|salt| salt != header.salt) {
            return differs("salt", &self.salt.unwrap_or_default(), &header.salt);
        }
        if header.seq != segment {
            return differs("number", &segment, &header.seq);
        }
        Ok(())
    }

    /// A batch was found that names `named` as the one before it, which must be the last one. The first that is found
    /// follows one of a segment that is gone, or none.
    fn linked(&self, segment: &Segment<'_>, offset: usize, named: Link) -> Result<(), ScanError> {
        let last = self.tail.as_ref().map(|tail| tail.previous).unwrap_or_default();
        let follows = if last == Link::default() { named.lsn < self.first_lsn } else { named == last };
        if follows {
            return Ok(());
        }
        let found = format!(
            "one that follows a batch at place {}, where none is; the last is at {}",
            named.lsn, last.lsn
        );
        let damage = segment.bad(offset, "a batch that follows the last one", &found);
        Err(ScanError::Damage(self.stop.clone().unwrap_or(damage)))
    }

    fn advanced(&mut self, segment: &Segment<'_>, offset: usize, link: Link) {
        let lsn = segment.layout.lsn(segment.seq, offset as u64);
        self.advance_to(segment.seq, offset as u64, lsn, segment.salt, link);
    }

    fn advance_to(&mut self, segment: u64, offset: u64, lsn: Lsn, salt: u64, previous: Link) {
        let tail = Tail { lsn, segment, offset, segments_count: segment + 1, torn: None, salt, previous };
        assert!(self.tail.as_ref().is_none_or(|before| before.lsn < lsn), "a scan goes forward");
        self.tail = Some(tail);
    }

    /// Behind a bad batch, nothing of this log may lie.
    fn nothing_behind(&self, segment: &Segment<'_>, stop_offset: usize) -> Result<(), ScanError> {
        let mut offset = stop_offset + BLOCK_BYTES;
        while offset < segment.bytes.len() {
            match segment.batch_at(offset) {
                Err(SealedError::NoBatch { .. }) => offset += BLOCK_BYTES,
                Ok(_) | Err(SealedError::Broken { .. }) => {
                    let stop = segment.bad(stop_offset, "a batch", "none");
                    return Err(ScanError::Damage(self.stop.clone().unwrap_or(stop)));
                }
            }
        }
        Ok(())
    }
}

const ZEROS: &str = "zeros";
const END: &str = "the end of the segment";

/// One segment's bytes while they are read.
struct Segment<'a> {
    seq: u64,
    bytes: &'a [u8],
    layout: Layout,
    salt: u64,
}

impl<'a> Segment<'a> {
    fn batch_at(&self, offset: usize) -> Result<Sealed<'a>, SealedError> {
        let lsn = self.layout.lsn(self.seq, offset as u64);
        batch::decode(&self.bytes[offset..], lsn, self.salt)
    }

    fn damage(&self, offset: usize, error: &SealedError) -> Damage {
        match error {
            SealedError::NoBatch { found } => self.bad(offset, "a batch of this log", found),
            SealedError::Broken { expected, found, .. } => {
                let expected = format!("a batch with checksum {expected:#010x}");
                self.bad(offset, &expected, &format!("bytes with {found:#010x}"))
            }
        }
    }

    fn bad(&self, offset: usize, expected: &str, found: &str) -> Damage {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        Damage { segment: self.seq, offset: offset as u64, expected, found }
    }
}

/// Visits the frames of a whole batch. Its checksum fits, so a frame that does not read was written by another program.
fn frames(
    segment: &Segment<'_>,
    offset: usize,
    sealed: &Sealed<'_>,
    visit: &mut impl FnMut(Lsn, Item<'_>),
) -> Result<(), ScanError> {
    let (mut rest, mut frames_count) = (sealed.payload, 0);
    while !rest.is_empty() {
        let (frame, behind) = frame::decode(rest).map_err(|error| match error {
            FrameError::Unknown { kind, version } => {
                ScanError::OtherFrame { segment: segment.seq, offset: offset as u64, kind, version }
            }
            FrameError::Malformed(expected) => {
                ScanError::Damage(segment.bad(offset, expected, "other bytes"))
            }
            FrameError::Entry(error) => {
                ScanError::Damage(segment.bad(offset, "a whole entry", &error.to_string()))
            }
        })?;
        visit(
            sealed.link.lsn,
            match frame {
                Frame::Entry(entry) => Item::Entry(entry),
                Frame::HardState(state) => Item::HardState(state),
                Frame::Start(start) => Item::Start(start),
            },
        );
        frames_count += 1;
        rest = behind;
    }
    if frames_count != sealed.frames_count {
        let expected = format!("{} frames", sealed.frames_count);
        return Err(ScanError::Damage(segment.bad(offset, &expected, &format!("{frames_count}"))));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
