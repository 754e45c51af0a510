//! Every bound of what is on disk, and where its number comes from.

/// The unit of writing: every batch begins at a multiple of it and is padded to one. 4 KiB is the logical block of the
/// disks in use and the least alignment that direct IO accepts on all of them.
pub const BLOCK_BYTES: usize = 4096;

/// A segment's size unless the operator asks for another. At 300,000 messages a second (about 200 MB/s of records) a
/// segment fills in a third of a second, so that preparing the next one is rare beside the writes themselves.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;

/// The least segment: small enough that a simulator rolls over all the time, large enough for an entry of any record.
pub const SEGMENT_BYTES_MIN: u64 = 256 * 1024;

/// The largest segment: recovery holds one in memory.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The largest batch: one write and one sync. At 1 GB/s a disk takes 4 ms for it; more would only add to the latency.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An entry's records take at most this part of a batch, so that no partition starves the others of its shard.
pub const ENTRIES_PER_BATCH_MIN: usize = 4;

/// The largest record with its header. The longest text that is taken (255 parts of 153 septets, 39,015 characters)
/// does not fit four bytes a character; what is refused is refused at the edge, by the text's own limit.
pub const RECORD_BYTES_MAX: usize = 48 * 1024;

/// The segments that are kept prepared beyond the one in use. One is enough while preparing a segment takes less time
/// than filling one.
pub const SEGMENTS_AHEAD: u64 = 1;

/// The most pages of a segment's index: the largest segment full of the smallest records about a message (32 bytes), 511 entries a page.
pub const INDEX_PAGES_MAX: u32 = 65_665;

/// What a segment holds beside batches: its header.
pub const SEGMENT_HEADER_BYTES: usize = BLOCK_BYTES;

/// Room that every batch has beyond its largest entry, for its header, padding and small frames.
pub const BATCH_SLACK_BYTES: usize = 2 * BLOCK_BYTES;

const _: () = assert!(BLOCK_BYTES.is_power_of_two());
const _: () = assert!(SEGMENT_BYTES_MIN.is_multiple_of(BLOCK_BYTES as u64));
const _: () = assert!(SEGMENT_BYTES_DEFAULT.is_multiple_of(BLOCK_BYTES as u64));
const _: () = assert!(SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX && SEGMENT_BYTES_MAX <= u32::MAX as u64);
const _: () = assert!(BATCH_BYTES_MAX.is_multiple_of(BLOCK_BYTES));
const _: () = assert!((BATCH_BYTES_MAX + SEGMENT_HEADER_BYTES) as u64 <= SEGMENT_BYTES_DEFAULT);
// The least segment still takes an entry of the largest record, and then some.
const _: () = assert!(
    (SEGMENT_BYTES_MIN - SEGMENT_HEADER_BYTES as u64) / ENTRIES_PER_BATCH_MIN as u64
        >= RECORD_BYTES_MAX as u64
);
