//! The index of a segment: in which of its batches a message is.
//!
//! ```text
//! | head: whose, times, a fence for each page; blocks of 4096 | page 4096 | page 4096 | ... |
//! page:  | header 8 | entry, entry, ... in order |        entry: | half of the id's hash u32 | the batch's byte u32 |
//! ```
//!
//! A message that is over is forgotten in memory; its records stay in the log for as long as that is kept. The index finds them without
//! a scan: the head, which is kept in memory, has the first hash of each page, so that a look-up reads one page.
//!
//! Half a hash can belong to two ids. Whoever reads the batch sees whose records it has, so nothing is wrong but one read in
//! many thousands that finds nothing. An index is *derived*: one that is missing or does not read is made again from its segment.

mod gather;

pub use gather::{BatchError, Gather, batch_bytes, visit_batch};

use wire::id::MessageId;
use wire::time::WallMs;
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::crc::crc32c;
use crate::limits::{BLOCK_BYTES, INDEX_PAGES_MAX};
use crate::segment::Header;

/// The version of an index. One of another version is made again.
const VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"SWix";

/// Where the bytes begin that a head's checksum covers.
const COVERED_FROM: usize = 8;

/// The bytes of a page; it is read by itself.
pub const PAGE_BYTES: usize = BLOCK_BYTES;

const ENTRIES_PER_PAGE: usize = (PAGE_BYTES - size_of::<RawPage>()) / size_of::<u64>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawHead {
    magic: [u8; 4],
    crc32c: U32,
    version: U16,
    reserved: U16,
    pages_count: U32,
    salt: U64,
    seq: U64,
    first_ms: U64,
    last_ms: U64,
    entries_count: U32,
    reserved_2: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawPage {
    crc32c: U32,
    number: U32,
}

const _: () = assert!(size_of::<RawHead>() == 56 && size_of::<RawPage>() == 8 && ENTRIES_PER_PAGE == 511);

/// The times of a segment's records, the earliest and the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The earliest.
    pub first: WallMs,
    /// The latest.
    pub last: WallMs,
}

/// The head of an index, kept in memory; its pages stay in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    times: Times,
    entries_count: usize,
    /// The first hash of each page.
    fences: Vec<u32>,
}

/// Why bytes are not the index of a segment. It is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The bytes end too early.
    #[error("expected {expected} bytes, found {found}")]
    Short {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// Something is not what was written.
    #[error("expected {0}, found other bytes")]
    Damaged(&'static str),
    /// The index is of another version, or of another segment.
    #[error("expected an index of {what} {expected}, found {found}")]
    Other {
        /// What differs.
        what: &'static str,
        /// What was expected.
        expected: u64,
        /// What was found.
        found: u64,
    },
}

impl Index {
    /// How many bytes the head takes of a file that begins with `block`.
    ///
    /// # Errors
    /// When it is no head of this version. What it says is not checked before [`Index::decode`].
    pub fn head_bytes(block: &[u8]) -> Result<usize, IndexError> {
        let raw = raw_head(block)?;
        let pages = raw.pages_count.get();
        if pages > INDEX_PAGES_MAX {
            return Err(IndexError::Damaged("a number of pages that a segment can have"));
        }
        Ok(head_bytes(pages as usize))
    }

    /// Reads a head, whole, of the segment that has this header.
    ///
    /// # Errors
    /// When it is damaged, of another version, or another segment's.
    pub fn decode(head: &[u8], segment: &Header) -> Result<Self, IndexError> {
        let expected = Self::head_bytes(head)?;
        if head.len() != expected {
            return Err(IndexError::Short { expected, found: head.len() });
        }
        let raw = raw_head(head)?;
        if raw.crc32c.get() != crc32c(&head[COVERED_FROM..]) {
            return Err(IndexError::Damaged("a head whose checksum fits"));
        }
        let other = |what, expected, found| Err(IndexError::Other { what, expected, found });
        if raw.salt.get() != segment.salt {
            return other("a log with salt", segment.salt, raw.salt.get());
        }
        if raw.seq.get() != segment.seq {
            return other("segment", segment.seq, raw.seq.get());
        }
        let (pages, entries_count) = (raw.pages_count.get() as usize, raw.entries_count.get() as usize);
        if pages != entries_count.div_ceil(ENTRIES_PER_PAGE) {
            return Err(IndexError::Damaged("as many pages as its entries fill"));
        }
        let fences = head[size_of::<RawHead>()..].chunks_exact(4).take(pages);
        let fences = fences.map(|word| U32::from_bytes(word.try_into().expect("four bytes")).get()).collect();
        let times = Times { first: WallMs(raw.first_ms.get()), last: WallMs(raw.last_ms.get()) };
        Ok(Self { times, entries_count, fences })
    }

    /// The times of the segment's records.
    #[must_use]
    pub const fn times(&self) -> Times {
        self.times
    }

    /// How many bytes the whole file has.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.page_at(u32::try_from(self.fences.len()).expect("their number has 32 bits"))
    }

    /// The pages that may have a message: none, one, or seldom two.
    #[must_use]
    pub fn pages_of(&self, id: MessageId) -> core::ops::Range<u32> {
        let hash = hash_of(id);
        let first = self.fences.partition_point(|&fence| fence < hash).saturating_sub(1);
        let end = self.fences.partition_point(|&fence| fence <= hash);
        let number = |place: usize| u32::try_from(place).expect("their number has 32 bits");
        number(first.min(end))..number(end)
    }

    /// Where a page lies in the file, in bytes.
    #[must_use]
    pub fn page_at(&self, page: u32) -> u64 {
        head_bytes(self.fences.len()) as u64 + u64::from(page) * PAGE_BYTES as u64
    }

    /// Adds the places of the batches that may have a message, as a page says.
    ///
    /// # Errors
    /// When the page is damaged.
    pub fn find(
        &self,
        page: u32,
        bytes: &[u8],
        id: MessageId,
        batches: &mut Vec<u32>,
    ) -> Result<(), IndexError> {
        let short = IndexError::Short { expected: PAGE_BYTES, found: bytes.len() };
        let bytes: &[u8; PAGE_BYTES] = bytes.try_into().map_err(|_| short)?;
        let (raw, entries) = RawPage::ref_from_prefix(bytes).map_err(|_| short)?;
        if raw.number.get() != page || raw.crc32c.get() != crc32c(&bytes[4..]) {
            return Err(IndexError::Damaged("a page whose checksum fits"));
        }
        let before = page as usize * ENTRIES_PER_PAGE;
        let count = self.entries_count.saturating_sub(before).min(ENTRIES_PER_PAGE);
        let hash = hash_of(id);
        let entries = entries.chunks_exact(8).take(count);
        let entries = entries.map(|word| U64::from_bytes(word.try_into().expect("eight bytes")).get());
        batches.extend(entries.filter(|&entry| hash_in(entry) == hash).map(place_in));
        Ok(())
    }
}

/// An index as a file, of entries in order.
fn encode(salt: u64, seq: u64, times: Times, entries: &[u64]) -> Vec<u8> {
    assert!(entries.is_sorted(), "an index is in order");
    let pages = entries.chunks(ENTRIES_PER_PAGE);
    let pages_count = u32::try_from(pages.len()).expect("a segment has fewer records than 2^32");
    assert!(pages_count <= INDEX_PAGES_MAX, "an index of {pages_count} pages");
    let raw = RawHead {
        magic: MAGIC,
        crc32c: U32::ZERO,
        version: U16::new(VERSION),
        reserved: U16::ZERO,
        pages_count: U32::new(pages_count),
        salt: U64::new(salt),
        seq: U64::new(seq),
        first_ms: U64::new(times.first.0),
        last_ms: U64::new(times.last.0),
        entries_count: U32::new(u32::try_from(entries.len()).expect("as above")),
        reserved_2: U32::ZERO,
    };
    let head = head_bytes(pages.len());
    let mut bytes = Vec::with_capacity(head + pages.len() * PAGE_BYTES);
    bytes.extend_from_slice(raw.as_bytes());
    for page in pages.clone() {
        bytes.extend_from_slice(&hash_in(page[0]).to_le_bytes());
    }
    bytes.resize(head, 0);
    let crc = crc32c(&bytes[COVERED_FROM..]);
    bytes[4..COVERED_FROM].copy_from_slice(&crc.to_le_bytes());
    for (number, page) in (0_u32..).zip(pages) {
        let begin = bytes.len();
        bytes.extend_from_slice(RawPage { crc32c: U32::ZERO, number: U32::new(number) }.as_bytes());
        page.iter().for_each(|entry| bytes.extend_from_slice(&entry.to_le_bytes()));
        bytes.resize(begin + PAGE_BYTES, 0);
        let crc = crc32c(&bytes[begin + 4..]);
        bytes[begin..begin + 4].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

fn raw_head(block: &[u8]) -> Result<&RawHead, IndexError> {
    let short = IndexError::Short { expected: BLOCK_BYTES, found: block.len() };
    let (raw, _) = RawHead::ref_from_prefix(block).map_err(|_| short)?;
    if raw.magic != MAGIC {
        return Err(IndexError::Damaged("the index magic \"SWix\""));
    }
    if raw.version.get() != VERSION {
        let (expected, found) = (VERSION.into(), raw.version.get().into());
        return Err(IndexError::Other { what: "version", expected, found });
    }
    Ok(raw)
}

const fn head_bytes(pages: usize) -> usize {
    (size_of::<RawHead>() + pages * size_of::<u32>()).next_multiple_of(BLOCK_BYTES)
}

/// Half of the hash of an id, the same for ever.
fn hash_of(id: MessageId) -> u32 {
    u32::try_from(xxh3_64(&id.0.to_le_bytes()) >> 32).expect("half of it")
}

/// An entry: ordered by hash, then by place.
fn entry(id: MessageId, place: u32) -> u64 {
    u64::from(hash_of(id)) << 32 | u64::from(place)
}

fn hash_in(entry: u64) -> u32 {
    u32::try_from(entry >> 32).expect("the upper half")
}

fn place_in(entry: u64) -> u32 {
    u32::try_from(entry & u64::from(u32::MAX)).expect("the lower half")
}

#[cfg(test)]
mod tests;
