//! A snapshot: the state of one partition at an index of its group, so that recovery need not read what came before.
//!
//! ```text
//! file:    | piece 0: head | piece | piece | ... | piece: end |
//! piece:   | header 24 | images | zeros to a multiple of 4096 |
//! ```
//!
//! A snapshot is a file of its own, written piece by piece while the partition goes on, and given its name when the last
//! piece is synced: a snapshot that exists is whole. Pieces are numbered and each has a checksum; the last one says how
//! many images there are, so that a file that lost something is never taken for one. What an image means is told in
//! `shards`, as with records; here is its layout.

mod handsets;
mod image;
mod members;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use handsets::{CollectedImage, KnownImage};
pub use image::{
    AccountImage, GenerationImage, Head, KeyImage, MessageImage, PartImage, PartImages, ShareImage,
};
pub use read::{KeyImages, MessageImages, Piece, Pieces, SnapshotError};
pub use write::Writer;

use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The version of everything in a snapshot. Version 1 had no shares of accounts in its head, version 2 nothing of handsets,
/// version 3 no place where the log begins, version 4 no members; all are read.
pub const SNAPSHOT_VERSION: u8 = 5;

/// The oldest version that is read.
pub const SNAPSHOT_VERSION_MIN: u8 = 1;

/// The bytes of a piece before its images.
pub const PIECE_HEADER_BYTES: usize = size_of::<RawPiece>();

const MAGIC: [u8; 4] = *b"SWsn";

/// Where the bytes begin that a piece's checksum covers.
const COVERED_FROM: usize = 8;

const KIND_HEAD: u8 = 1;
const KIND_MESSAGES: u8 = 2;
const KIND_KEYS: u8 = 3;
const KIND_END: u8 = 4;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct RawPiece {
    magic: [u8; 4],
    crc32c: U32,
    /// Of the images, without header and padding.
    bytes: U32,
    images: U32,
    number: U32,
    partition: U16,
    kind: u8,
    version: u8,
}

const _: () = assert!(PIECE_HEADER_BYTES == 24);
