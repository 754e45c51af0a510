//! A snapshot being written: images go in one by one, pieces come out.

use wire::id::Partition;
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U16, U32, U64};

use super::{
    COVERED_FROM, Head, KIND_END, KIND_HEAD, KIND_KEYS, KIND_MESSAGES, KeyImage, MAGIC, MessageImage,
    PIECE_HEADER_BYTES, PartImage, RawPiece, SNAPSHOT_VERSION,
};
use crate::crc::crc32c;
use crate::limits::BLOCK_BYTES;

/// Gathers the images of one snapshot.
#[derive(Debug)]
pub struct Writer {
    partition: Partition,
    /// The number of the next piece.
    number: u32,
    head: Vec<u8>,
    messages: Open,
    keys: Open,
    /// The generation whose keys are gathered.
    generation: u64,
    messages_count: u64,
    keys_count: u64,
}

/// Images of one kind that are gathered, behind room for a header.
#[derive(Debug)]
struct Open {
    bytes: Vec<u8>,
    images: u32,
}

impl Open {
    fn new() -> Self {
        Self { bytes: vec![0; PIECE_HEADER_BYTES], images: 0 }
    }
}

impl Writer {
    /// A snapshot that begins with this head.
    #[must_use]
    pub fn new(head: &Head) -> Self {
        let mut bytes = vec![0; PIECE_HEADER_BYTES];
        head.encode(&mut bytes);
        Self {
            partition: head.group.partition,
            number: 0,
            head: bytes,
            messages: Open::new(),
            keys: Open::new(),
            generation: 0,
            messages_count: 0,
            keys_count: 0,
        }
    }

    /// Adds a message.
    pub fn push_message(
        &mut self,
        image: &MessageImage<'_>,
        parts: impl ExactSizeIterator<Item = PartImage>,
    ) {
        image.encode(parts, &mut self.messages.bytes);
        self.messages.images += 1;
        self.messages_count += 1;
    }

    /// Adds a key of a generation. The keys of a generation are not known to be all there before the end.
    ///
    /// # Panics
    /// When keys of another generation are still gathered: take that piece first.
    pub fn push_key(&mut self, generation: u64, image: &KeyImage) {
        if self.keys.images == 0 {
            self.generation = generation;
            self.keys.bytes.extend_from_slice(&generation.to_le_bytes());
        }
        assert_eq!(self.generation, generation, "a piece holds keys of one generation");
        image.encode(&mut self.keys.bytes);
        self.keys.images += 1;
        self.keys_count += 1;
    }

    /// The generation whose keys are gathered; `None` while there are none.
    #[must_use]
    pub const fn open_generation(&self) -> Option<u64> {
        if self.keys.images > 0 { Some(self.generation) } else { None }
    }

    /// How many bytes are gathered.
    #[must_use]
    pub const fn open_bytes(&self) -> usize {
        self.messages.bytes.len() + self.keys.bytes.len()
    }

    /// Whether nothing is gathered that was not taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_empty() && self.keys.images == 0 && self.messages.images == 0
    }

    /// Closes the piece that is open, whole blocks of 4096 bytes; `None` when nothing is gathered. The head comes first.
    pub fn take_piece(&mut self) -> Option<Vec<u8>> {
        if !self.head.is_empty() {
            let head = core::mem::take(&mut self.head);
            return Some(self.seal(head, KIND_HEAD, 1));
        }
        let (open, kind) = if self.keys.images > 0 {
            (core::mem::replace(&mut self.keys, Open::new()), KIND_KEYS)
        } else if self.messages.images > 0 {
            (core::mem::replace(&mut self.messages, Open::new()), KIND_MESSAGES)
        } else {
            return None;
        };
        Some(self.seal(open.bytes, kind, open.images))
    }

    /// The last piece, which makes it a snapshot.
    ///
    /// # Panics
    /// When images are gathered that were not taken.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        assert!(self.is_empty(), "all images are taken before the end");
        let mut bytes = vec![0; PIECE_HEADER_BYTES];
        bytes.extend_from_slice(U64::new(self.messages_count).as_bytes());
        bytes.extend_from_slice(U64::new(self.keys_count).as_bytes());
        self.seal(bytes, KIND_END, 0)
    }

    fn seal(&mut self, mut bytes: Vec<u8>, kind: u8, images: u32) -> Vec<u8> {
        let used =
            u32::try_from(bytes.len() - PIECE_HEADER_BYTES).expect("a piece is far smaller than 4 GiB");
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        let raw = RawPiece {
            magic: MAGIC,
            crc32c: U32::ZERO,
            bytes: U32::new(used),
            images: U32::new(images),
            number: U32::new(self.number),
            partition: U16::new(self.partition.0),
            kind,
            version: SNAPSHOT_VERSION,
        };
        bytes[..PIECE_HEADER_BYTES].copy_from_slice(raw.as_bytes());
        let crc32c = crc32c(&bytes[COVERED_FROM..]);
        bytes[4..COVERED_FROM].copy_from_slice(&crc32c.to_le_bytes());
        self.number += 1;
        bytes
    }
}
