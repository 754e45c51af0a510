//! A snapshot read back, piece by piece.

use wire::id::Partition;
use zerocopy::FromBytes;
use zerocopy::byteorder::little_endian::U64;

use super::image::{self, RawKey};
use super::{
    COVERED_FROM, Head, KIND_END, KIND_HEAD, KIND_KEYS, KIND_MESSAGES, KeyImage, MAGIC, MessageImage,
    PIECE_HEADER_BYTES, PartImages, RawPiece, SNAPSHOT_VERSION, SNAPSHOT_VERSION_MIN,
};
use crate::crc::crc32c;
use crate::limits::BLOCK_BYTES;

/// Why a file is not a whole snapshot. One that has its name was synced whole, so all of these but another version are
/// damage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not what was written.
    #[error(
        "snapshot of partition {partition}, offset {offset}: expected {expected}, found {found}. A snapshot that has its \
         name was synced whole, so the disk has lost it; the log before it is gone: restore the data directory from a \
         copy",
        partition = .partition.0
    )]
    Damage {
        /// Whose snapshot was expected.
        partition: Partition,
        /// Where, in bytes.
        offset: usize,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// It was written by a newer program.
    #[error(
        "snapshot of partition {partition}, offset {offset}: kind {kind}, version {version}: this program is older than \
         the one that wrote it",
        partition = .partition.0
    )]
    Unknown {
        /// Whose snapshot was expected.
        partition: Partition,
        /// Where, in bytes.
        offset: usize,
        /// The kind that was found.
        kind: u8,
        /// The version that was found.
        version: u8,
    },
}

/// What a piece holds.
#[derive(Debug)]
pub enum Piece<'a> {
    /// The first piece.
    Head(Box<Head>),
    /// Messages, in no order.
    Messages(MessageImages<'a>),
    /// Keys of one generation, in no order.
    Keys {
        /// Its number.
        generation: u64,
        /// The keys.
        keys: KeyImages<'a>,
    },
}

/// The pieces of a snapshot in their order. It ends after the last piece, or after an error: without an error, it was
/// whole.
#[derive(Debug)]
pub struct Pieces<'a> {
    bytes: &'a [u8],
    partition: Partition,
    offset: usize,
    number: u32,
    messages_count: u64,
    keys_count: u64,
    is_over: bool,
}

impl<'a> Pieces<'a> {
    /// The pieces of a whole file, which is to be this partition's.
    #[must_use]
    pub const fn new(partition: Partition, bytes: &'a [u8]) -> Self {
        Self { bytes, partition, offset: 0, number: 0, messages_count: 0, keys_count: 0, is_over: false }
    }

    fn next_piece(&mut self) -> Result<Option<Piece<'a>>, SnapshotError> {
        let (raw, images, len) = self.framed()?;
        let unreadable = || self.damage("images that can be read", "others");
        let piece = match (raw.kind, self.number) {
            (KIND_HEAD, 0) => {
                let head = Head::decode(images).ok_or_else(unreadable)?;
                if head.group.partition != self.partition {
                    let found = format!("a snapshot of partition {}", head.group.partition.0);
                    return Err(self.damage("its head", &found));
                }
                Some(Piece::Head(Box::new(head)))
            }
            (KIND_MESSAGES, 1..) => {
                let images = MessageImages::new(images, raw.images.get()).ok_or_else(unreadable)?;
                self.messages_count += u64::from(raw.images.get());
                Some(Piece::Messages(images))
            }
            (KIND_KEYS, 1..) => {
                let (generation, rest) = U64::ref_from_prefix(images).map_err(|_| unreadable())?;
                let count = raw.images.get() as usize;
                let keys = <[RawKey]>::ref_from_bytes_with_elems(rest, count).map_err(|_| unreadable())?;
                self.keys_count += u64::from(raw.images.get());
                Some(Piece::Keys { generation: generation.get(), keys: KeyImages(keys.iter()) })
            }
            (KIND_END, 1..) => {
                let counts = <[U64; 2]>::ref_from_bytes(images).map_err(|_| unreadable())?;
                let [messages, keys] = [counts[0].get(), counts[1].get()];
                if (messages, keys) != (self.messages_count, self.keys_count) {
                    let expected = format!("{messages} messages and {keys} keys before it");
                    let found = format!("{} and {}", self.messages_count, self.keys_count);
                    return Err(self.damage(&expected, &found));
                }
                None
            }
            (kind @ (KIND_HEAD | KIND_MESSAGES | KIND_KEYS | KIND_END), number) => {
                let found = format!("piece {number} of kind {kind}");
                return Err(self.damage("a head, images, and an end", &found));
            }
            (kind, _) => {
                let (partition, offset) = (self.partition, self.offset);
                return Err(SnapshotError::Unknown { partition, offset, kind, version: raw.version });
            }
        };
        self.offset += len;
        self.number += 1;
        Ok(piece)
    }

    /// The piece at the offset, its checksum checked: header, images, and what it takes in the file.
    fn framed(&self) -> Result<(RawPiece, &'a [u8], usize), SnapshotError> {
        let bytes = &self.bytes[self.offset..];
        let Ok((raw, _)) = RawPiece::ref_from_prefix(bytes) else {
            return Err(self.damage("a piece, or the end of the snapshot", "the end of the file"));
        };
        if raw.magic != MAGIC {
            return Err(self.damage("the magic \"SWsn\"", "other bytes"));
        }
        let used = PIECE_HEADER_BYTES.saturating_add(raw.bytes.get() as usize);
        let len = used.next_multiple_of(BLOCK_BYTES);
        let Some(piece) = bytes.get(..len) else {
            return Err(self.damage(&format!("{len} bytes"), &format!("{}", bytes.len())));
        };
        let (expected, found) = (raw.crc32c.get(), crc32c(&piece[COVERED_FROM..]));
        if expected != found {
            return Err(self.damage(&format!("a checksum of {expected:#010x}"), &format!("{found:#010x}")));
        }
        if !(SNAPSHOT_VERSION_MIN..=SNAPSHOT_VERSION).contains(&raw.version) {
            let (partition, offset) = (self.partition, self.offset);
            let (kind, version) = (raw.kind, raw.version);
            return Err(SnapshotError::Unknown { partition, offset, kind, version });
        }
        let place = (raw.partition.get(), raw.number.get());
        if place != (self.partition.0, self.number) {
            let expected = format!("piece {} of partition {}", self.number, self.partition.0);
            let found = format!("piece {} of partition {}", place.1, place.0);
            return Err(self.damage(&expected, &found));
        }
        Ok((*raw, &piece[PIECE_HEADER_BYTES..used], len))
    }

    fn damage(&self, expected: &str, found: &str) -> SnapshotError {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        SnapshotError::Damage { partition: self.partition, offset: self.offset, expected, found }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let piece = self.next_piece().transpose();
        self.is_over = !matches!(piece, Some(Ok(_)));
        piece
    }
}

/// The messages of a piece.
#[derive(Clone, Debug)]
pub struct MessageImages<'a> {
    bytes: &'a [u8],
}

impl<'a> MessageImages<'a> {
    /// `None` when the bytes are not that many messages.
    fn new(bytes: &'a [u8], count: u32) -> Option<Self> {
        let mut rest = bytes;
        for _ in 0..count {
            rest = image::message(rest)?.2;
        }
        rest.is_empty().then_some(Self { bytes })
    }
}

impl<'a> Iterator for MessageImages<'a> {
    type Item = (MessageImage<'a>, PartImages<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (image, parts, rest) = image::message(self.bytes)?;
        self.bytes = rest;
        Some((image, parts))
    }
}

/// The keys of a piece.
#[derive(Clone, Debug)]
pub struct KeyImages<'a>(core::slice::Iter<'a, RawKey>);

impl Iterator for KeyImages<'_> {
    type Item = KeyImage;

    fn next(&mut self) -> Option<KeyImage> {
        self.0.next().map(KeyImage::from)
    }
}
