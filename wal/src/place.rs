//! Places in a log, and how large its parts may be.

use core::fmt;

use crate::limits::{
    BATCH_BYTES_MAX, BATCH_SLACK_BYTES, BLOCK_BYTES, ENTRIES_PER_BATCH_MIN, SEGMENT_BYTES_DEFAULT,
    SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES,
};

/// A place in one shard's log: the byte position, as if all its segments since the first lay in one file. It belongs to
/// this log alone and never travels.
///
/// *Durable up to* a place means that every byte before it is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The start of the log: before every batch.
    pub const ZERO: Self = Self(0);

    /// The place `bytes` further on.
    #[must_use]
    pub fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The sizes of a log's parts, which follow from the size of its segments. Fixed for a log's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    segment_bytes: u64,
}

/// Why a segment size cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "segments of {0} bytes: expected a multiple of {BLOCK_BYTES} between {SEGMENT_BYTES_MIN} and {SEGMENT_BYTES_MAX}"
)]
pub struct LayoutError(pub u64);

impl Default for Layout {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES_DEFAULT }
    }
}

impl Layout {
    /// The layout of a log with segments of this size.
    ///
    /// # Errors
    /// When the size is not a multiple of a block or outside of [`SEGMENT_BYTES_MIN`] and [`SEGMENT_BYTES_MAX`].
    pub fn new(segment_bytes: u64) -> Result<Self, LayoutError> {
        let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes);
        if !fits || !segment_bytes.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(LayoutError(segment_bytes));
        }
        Ok(Self { segment_bytes })
    }

    /// The size of a segment's file.
    #[must_use]
    pub const fn segment_bytes(self) -> u64 {
        self.segment_bytes
    }

    /// The most bytes of one batch, with header and padding.
    #[must_use]
    pub fn batch_bytes_max(self) -> usize {
        let segment = usize::try_from(self.segment_bytes).unwrap_or(usize::MAX);
        BATCH_BYTES_MAX.min(segment - SEGMENT_HEADER_BYTES)
    }

    /// The most bytes of records in one entry.
    #[must_use]
    pub fn records_bytes_max(self) -> usize {
        self.batch_bytes_max() / ENTRIES_PER_BATCH_MIN
    }

    /// The least room that a batch begins with: an entry of the largest size, and small frames beside it. A segment
    /// with less left is done with.
    #[must_use]
    pub fn room_bytes_min(self) -> usize {
        self.records_bytes_max() + BATCH_SLACK_BYTES
    }

    /// The place of a byte of a segment.
    #[must_use]
    pub fn lsn(self, segment: u64, offset: u64) -> Lsn {
        assert!(offset <= self.segment_bytes, "offset {offset} is outside of its segment");
        Lsn(segment * self.segment_bytes + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_holds_an_entry_in_a_batch_and_a_batch_in_a_segment() {
        for segment_bytes in [SEGMENT_BYTES_MIN, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX] {
            let layout = Layout::new(segment_bytes).unwrap();
            assert!(layout.room_bytes_min() <= layout.batch_bytes_max());
            assert!(
                layout.batch_bytes_max() + SEGMENT_HEADER_BYTES <= usize::try_from(segment_bytes).unwrap()
            );
            assert!(layout.batch_bytes_max().is_multiple_of(BLOCK_BYTES));
        }
        assert_eq!(Layout::new(SEGMENT_BYTES_MIN + 1), Err(LayoutError(SEGMENT_BYTES_MIN + 1)));
        assert_eq!(Layout::new(4096), Err(LayoutError(4096)));
    }
}
