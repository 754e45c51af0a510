//! What an operator reads when a log cannot be used.

use crate::segment::FORMAT_VERSION;

/// Where a log was found damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// The byte in its file.
    pub offset: u64,
    /// What should have been there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { segment, offset, expected, found } = self;
        write!(f, "segment {segment:016x}.seg, byte {offset}: expected {expected}, found {found}")
    }
}

/// Why a log cannot be used. Each variant asks for another act of the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Something that was synced is not there any more.
    #[error(
        "the log is damaged at {0}. This is not an unfinished write: it was on disk once, and what lies behind it would \
         be lost. Restore this shard's log from a peer or a backup, and check the disk"
    )]
    Damage(Damage),
    /// The log is whole, and of another version of the format.
    #[error(
        "segment {segment:016x}.seg has format version {found}, and this program reads version {FORMAT_VERSION}. Start \
         the version of switchyard that wrote it"
    )]
    OtherFormat {
        /// The segment.
        segment: u64,
        /// The version that it has.
        found: u16,
    },
    /// A frame in a whole batch is of a kind that this program does not know.
    #[error(
        "segment {segment:016x}.seg, byte {offset}: a frame of kind {kind}, version {version}, which this program does \
         not know. Start the version of switchyard that wrote it, or a newer one"
    )]
    OtherFrame {
        /// The segment.
        segment: u64,
        /// The byte in its file where the batch begins.
        offset: u64,
        /// The kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// The segment belongs to another log.
    #[error(
        "segment {segment:016x}.seg is of another log: expected {what} {expected}, found {found}. Is this the right data \
         directory?"
    )]
    OtherLog {
        /// The segment.
        segment: u64,
        /// What is different.
        what: &'static str,
        /// What was expected.
        expected: String,
        /// What the segment says.
        found: String,
    },
    /// The log was written by a node with another number of shards: its partitions must be dealt anew.
    #[error(
        "segment {segment:016x}.seg was written by a node of {found} shards, and this one has {expected}. Start with \
         {found} shards, or let the partitions be dealt anew"
    )]
    OtherShards {
        /// The segment.
        segment: u64,
        /// How many shards this node has.
        expected: u16,
        /// How many the writer had.
        found: u16,
    },
    /// A segment between two others is not there.
    #[error("expected segment {expected:016x}.seg, found {found:016x}.seg: a file is missing, put it back")]
    MissingSegment {
        /// The number that should come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
}
