//! The first block of a segment file: whose log it belongs to, and its place in it.
//!
//! The magic, the place of the checksum and the place of the format version are the same in all versions of the
//! format, so that a newer or older daemon can say *another version* instead of *damaged*.

use wire::id::{NodeId, ShardId};
use zerocopy::byteorder::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::crc::crc32c;
use crate::limits::SEGMENT_HEADER_BYTES;
use crate::place::Layout;

/// The version of everything in a segment but the records, which have versions of their own.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"SWsg";

/// Where the bytes begin that the checksum covers.
const COVERED_FROM: usize = 8;

/// Whose log a segment belongs to. A segment of another identity is never read as if it were one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, a random number drawn when it was made.
    pub cluster: u128,
    /// The daemon that writes the log.
    pub node: NodeId,
    /// The shard that writes the log.
    pub shard: ShardId,
    /// How many shards the node had: with another count, partitions lie in other shards' logs.
    pub shards: u16,
    /// How many partitions the cluster has.
    pub partitions: u16,
}

/// What a segment's first block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose log it belongs to.
    pub identity: Identity,
    /// A random number of the log, repeated in each batch: nobody who sends us text can know it, so no text can imitate
    /// a batch.
    pub salt: u64,
    /// The segment's number in the log, from 0.
    pub seq: u64,
    /// The sizes of the log's parts.
    pub layout: Layout,
}

/// Why a first block is no segment header of this format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The block is all zeros: the file was made and never headed.
    Zeros,
    /// The block is not what was written. What was expected in it, and what was found.
    Damaged(&'static str),
    /// The block is whole, in another version of the format.
    OtherFormat(u16),
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    magic: [u8; 4],
    crc32c: U32,
    format: U16,
    reserved: U16,
    node: U32,
    cluster: U128,
    salt: U64,
    seq: U64,
    base_lsn: U64,
    segment_bytes: U64,
    shard: U16,
    shards: U16,
    partitions: U16,
    reserved_2: U16,
}

impl Header {
    /// The block, as it is written to the head of a prepared segment.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut raw = Raw {
            magic: MAGIC,
            crc32c: U32::ZERO,
            format: U16::new(FORMAT_VERSION),
            reserved: U16::ZERO,
            node: U32::new(self.identity.node.0),
            cluster: U128::new(self.identity.cluster),
            salt: U64::new(self.salt),
            seq: U64::new(self.seq),
            base_lsn: U64::new(self.layout.lsn(self.seq, 0).0),
            segment_bytes: U64::new(self.layout.segment_bytes()),
            shard: U16::new(self.identity.shard.0),
            shards: U16::new(self.identity.shards),
            partitions: U16::new(self.identity.partitions),
            reserved_2: U16::ZERO,
        };
        let mut block = [0; SEGMENT_HEADER_BYTES];
        block[..size_of::<Raw>()].copy_from_slice(raw.as_bytes());
        raw.crc32c = U32::new(crc32c(&block[COVERED_FROM..]));
        block[..size_of::<Raw>()].copy_from_slice(raw.as_bytes());
        assert_eq!(Self::decode(&block), Ok(*self), "a segment header must read as it was written");
        block
    }

    /// Reads the first block of a segment.
    ///
    /// # Errors
    /// Says whether the block is empty, damaged or of another format.
    pub fn decode(block: &[u8]) -> Result<Self, HeaderError> {
        let Some(block) = block.get(..SEGMENT_HEADER_BYTES) else {
            return Err(HeaderError::Damaged("a block of 4096 bytes"));
        };
        if block.iter().all(|&byte| byte == 0) {
            return Err(HeaderError::Zeros);
        }
        let Ok((raw, _)) = Raw::ref_from_prefix(block) else {
            return Err(HeaderError::Damaged("a block of 4096 bytes"));
        };
        if raw.magic != MAGIC {
            return Err(HeaderError::Damaged("the segment magic \"SWsg\""));
        }
        if raw.crc32c.get() != crc32c(&block[COVERED_FROM..]) {
            return Err(HeaderError::Damaged("a header whose checksum fits"));
        }
        if raw.format.get() != FORMAT_VERSION {
            return Err(HeaderError::OtherFormat(raw.format.get()));
        }
        let (Ok(layout), seq) = (Layout::new(raw.segment_bytes.get()), raw.seq.get()) else {
            return Err(HeaderError::Damaged("a segment size that is allowed"));
        };
        if seq.checked_mul(layout.segment_bytes()) != Some(raw.base_lsn.get()) {
            return Err(HeaderError::Damaged("a base place that fits its number"));
        }
        let identity = Identity {
            cluster: raw.cluster.get(),
            node: NodeId(raw.node.get()),
            shard: ShardId(raw.shard.get()),
            shards: raw.shards.get(),
            partitions: raw.partitions.get(),
        };
        Ok(Self { identity, salt: raw.salt.get(), seq, layout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let identity =
            Identity { cluster: 7 << 100, node: NodeId(3), shard: ShardId(1), shards: 2, partitions: 16 };
        Header { identity, salt: 0xFEED, seq: 5, layout: Layout::default() }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        let block = header().encode();
        for bit in 0..block.len() * 8 {
            let mut flipped = block;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Header::decode(&flipped), Err(HeaderError::Damaged(_))), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut block = header().encode();
        block[8] = 2;
        let crc = crc32c(&block[COVERED_FROM..]);
        block[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&block), Err(HeaderError::OtherFormat(2)));
        assert_eq!(Header::decode(&[0; SEGMENT_HEADER_BYTES]), Err(HeaderError::Zeros));
    }
}
