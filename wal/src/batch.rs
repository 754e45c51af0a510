//! A batch: all that a shard gathered for one write and one sync.
//!
//! ```text
//! | header 56 | frame | frame | ... | zeros to a multiple of 4096 |
//! ```
//!
//! The header names the place of the batch and that of the batch before it, under one checksum with everything up to
//! the end of the padding. So a block that was written for another place, or for another turn of a recycled segment, is
//! never taken for one of this log, and a batch that is missing between two others is noticed. The header has a checksum
//! of its own as well: a torn batch whose header is whole still tells what came before it, and that it was synced.
//!
//! One buffer is filled again and again. It is made of whole blocks, so that its address suits direct IO.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::crc::crc32c;
use crate::entry::Entry;
use crate::frame::{Frame, HardState, Start};
use crate::limits::BLOCK_BYTES;
use crate::place::Lsn;
use crate::segment::FORMAT_VERSION;

/// The bytes of a batch before its first frame.
pub const BATCH_HEADER_BYTES: usize = size_of::<RawBatch>();

const MAGIC: [u8; 4] = *b"SWba";

/// Where the bytes begin that both checksums cover.
const COVERED_FROM: usize = 8;

/// Where the header's own checksum lies, and ends to cover.
const HEADER_CRC_AT: usize = 48;

/// The batch before this one, which a header names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) lsn: Lsn,
    pub(crate) crc32c: u32,
}

/// Where a batch is going to lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) lsn: Lsn,
    pub(crate) salt: u64,
    pub(crate) previous: Link,
    pub(crate) room_bytes: usize,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawBatch {
    magic: [u8; 4],
    crc32c: U32,
    salt: U64,
    lsn: U64,
    previous_lsn: U64,
    previous_crc32c: U32,
    payload_bytes: U32,
    frames_count: U32,
    format: U16,
    reserved: U16,
    header_crc32c: U32,
    reserved_2: U32,
}

const _: () = assert!(BATCH_HEADER_BYTES == 56);

impl RawBatch {
    /// What the batch takes on disk.
    fn bytes_len(&self) -> usize {
        let payload_bytes = self.payload_bytes.get() as usize;
        BATCH_HEADER_BYTES.saturating_add(payload_bytes).next_multiple_of(BLOCK_BYTES)
    }
}

/// One block of the buffer.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Clone, Copy)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// The batch that a shard is gathering. One per shard; [`crate::Log::begin`] opens it, [`crate::Log::seal`] closes it.
pub struct Batch {
    blocks: Vec<Block>,
    /// Bytes used, header included.
    used_bytes: usize,
    frames_count: u32,
    spot: Option<Spot>,
}

impl core::fmt::Debug for Batch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Batch")
            .field("spot", &self.spot)
            .field("used_bytes", &self.used_bytes)
            .field("frames_count", &self.frames_count)
            .finish_non_exhaustive()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// A batch that has no place yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { blocks: Vec::new(), used_bytes: BATCH_HEADER_BYTES, frames_count: 0, spot: None }
    }

    /// Empties the batch and gives it a place.
    pub(crate) fn begin(&mut self, spot: Spot) {
        assert!(spot.room_bytes.is_multiple_of(BLOCK_BYTES), "a batch is made of whole blocks");
        assert!(spot.lsn.0.is_multiple_of(BLOCK_BYTES as u64), "a batch begins at a block");
        self.used_bytes = BATCH_HEADER_BYTES;
        self.frames_count = 0;
        self.spot = Some(spot);
    }

    /// Where the batch is going to lie: what rests on it is durable once the log is durable beyond this place.
    ///
    /// # Panics
    /// When the batch was not begun.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.spot().lsn
    }

    /// Whether nothing has been pushed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames_count == 0
    }

    /// How many bytes the batch takes on disk, with header and padding.
    #[must_use]
    pub const fn bytes_len(&self) -> usize {
        self.used_bytes.next_multiple_of(BLOCK_BYTES)
    }

    /// How many bytes of frames still fit.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        self.spot().room_bytes - self.used_bytes
    }

    /// Adds an entry. It takes [`crate::frame::ENTRY_FRAME_BYTES`] and its payload.
    ///
    /// # Panics
    /// When it does not fit: look at [`Batch::room_bytes`] first.
    pub fn push_entry(&mut self, entry: &Entry<'_>) {
        self.push(&Frame::Entry(*entry));
    }

    /// Adds a group's hard state. It takes [`crate::frame::HARD_STATE_FRAME_BYTES`].
    ///
    /// # Panics
    /// When it does not fit: look at [`Batch::room_bytes`] first.
    pub fn push_hard_state(&mut self, state: &HardState) {
        self.push(&Frame::HardState(*state));
    }

    /// Adds a start of the process, the first frame after it. It takes [`crate::frame::START_FRAME_BYTES`].
    ///
    /// # Panics
    /// When it does not fit: look at [`Batch::room_bytes`] first.
    pub fn push_start(&mut self, start: &Start) {
        self.push(&Frame::Start(*start));
    }

    fn push(&mut self, frame: &Frame<'_>) {
        let bytes = frame.bytes_len();
        assert!(bytes <= self.room_bytes(), "a frame of {bytes} bytes into room for {}", self.room_bytes());
        let end = self.used_bytes + bytes;
        if end > self.blocks.len() * BLOCK_BYTES {
            let blocks = end.div_ceil(BLOCK_BYTES).max(self.blocks.len() * 2);
            self.blocks.resize(blocks, Block([0; BLOCK_BYTES]));
        }
        frame.encode_into(&mut self.blocks.as_mut_slice().as_mut_bytes()[self.used_bytes..end]);
        self.used_bytes = end;
        self.frames_count += 1;
    }

    /// Fills in header and padding. Returns the bytes to write and the link that the next batch names.
    pub(crate) fn seal(&mut self) -> (&[u8], Link) {
        assert!(self.frames_count > 0, "an empty batch is not written");
        let spot = self.spot.take().expect("a batch is begun before it is sealed");
        let (used, len) = (self.used_bytes, self.bytes_len());
        assert!(len <= spot.room_bytes, "a batch of {len} bytes is beyond its room of {}", spot.room_bytes);
        let payload_bytes =
            u32::try_from(used - BATCH_HEADER_BYTES).expect("a batch is far smaller than 4 GiB");
        let bytes = &mut self.blocks.as_mut_slice().as_mut_bytes()[..len];
        bytes[used..].fill(0);
        let raw = RawBatch {
            magic: MAGIC,
            crc32c: U32::ZERO,
            salt: U64::new(spot.salt),
            lsn: U64::new(spot.lsn.0),
            previous_lsn: U64::new(spot.previous.lsn.0),
            previous_crc32c: U32::new(spot.previous.crc32c),
            payload_bytes: U32::new(payload_bytes),
            frames_count: U32::new(self.frames_count),
            format: U16::new(FORMAT_VERSION),
            reserved: U16::ZERO,
            header_crc32c: U32::ZERO,
            reserved_2: U32::ZERO,
        };
        bytes[..BATCH_HEADER_BYTES].copy_from_slice(raw.as_bytes());
        let header_crc32c = crc32c(&bytes[COVERED_FROM..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..HEADER_CRC_AT + 4].copy_from_slice(&header_crc32c.to_le_bytes());
        let crc32c = crc32c(&bytes[COVERED_FROM..]);
        bytes[4..COVERED_FROM].copy_from_slice(&crc32c.to_le_bytes());
        (bytes, Link { lsn: spot.lsn, crc32c })
    }

    fn spot(&self) -> &Spot {
        self.spot.as_ref().expect("a batch is begun before it is filled")
    }
}

/// A batch that was read back, whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'a> {
    pub(crate) link: Link,
    pub(crate) previous: Link,
    pub(crate) payload: &'a [u8],
    pub(crate) frames_count: u32,
    /// What it takes on disk.
    pub(crate) bytes_len: usize,
}

/// Why there is no whole batch at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealedError {
    /// The header is not one that was written for this place: the block was never written, or its first bytes are bad.
    NoBatch { found: &'static str },
    /// The header is whole and was written for this place, and something behind it is bad. It still says which batch
    /// came before.
    Broken { expected: u32, found: u32, previous: Link },
}

/// The header of the batch that should lie at `lsn`, which is where `bytes` begin; and what follows it.
fn header(bytes: &[u8], lsn: Lsn, salt: u64) -> Result<(&RawBatch, &[u8]), SealedError> {
    let Ok((raw, rest)) = RawBatch::ref_from_prefix(bytes) else {
        return Err(SealedError::NoBatch { found: "the end of the segment" });
    };
    if raw.magic != MAGIC {
        let zeros = bytes[..BATCH_HEADER_BYTES].iter().all(|&byte| byte == 0);
        return Err(SealedError::NoBatch {
            found: if zeros { "zeros" } else { "bytes without the batch magic" },
        });
    }
    if raw.salt.get() != salt {
        return Err(SealedError::NoBatch { found: "a batch header with another log's salt" });
    }
    if raw.lsn.get() != lsn.0 {
        return Err(SealedError::NoBatch { found: "a batch header of another place" });
    }
    if raw.header_crc32c.get() != crc32c(&bytes[COVERED_FROM..HEADER_CRC_AT]) {
        return Err(SealedError::NoBatch { found: "a part of a batch header" });
    }
    Ok((raw, rest))
}

/// How many bytes the batch takes that should lie at `lsn`, by its header alone; `None` when there is none.
pub(crate) fn bytes_len(bytes: &[u8], lsn: Lsn, salt: u64) -> Option<usize> {
    let (raw, _) = header(bytes, lsn, salt).ok()?;
    Some(raw.bytes_len())
}

/// Reads the batch that should lie at `lsn`, which is where `bytes` begin.
pub(crate) fn decode(bytes: &[u8], lsn: Lsn, salt: u64) -> Result<Sealed<'_>, SealedError> {
    let (raw, rest) = header(bytes, lsn, salt)?;
    let payload_bytes = raw.payload_bytes.get() as usize;
    let bytes_len = raw.bytes_len();
    let whole = bytes.get(..bytes_len);
    let (expected, found) = (raw.crc32c.get(), crc32c(&whole.unwrap_or(bytes)[COVERED_FROM..]));
    let previous = Link { lsn: Lsn(raw.previous_lsn.get()), crc32c: raw.previous_crc32c.get() };
    if whole.is_none() || expected != found {
        return Err(SealedError::Broken { expected, found, previous });
    }
    Ok(Sealed {
        link: Link { lsn, crc32c: found },
        previous,
        payload: &rest[..payload_bytes],
        frames_count: raw.frames_count.get(),
        bytes_len,
    })
}
