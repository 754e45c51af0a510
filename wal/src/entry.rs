//! Entries: what a shard gathered for one partition in one group commit, as it lies on every disk and crosses to every
//! peer, under one checksum.
//!
//! An entry knows its Raft place (partition, term, index) and nothing of the log that it lies in: the lsn belongs to the
//! frame around it and never travels.

use wire::id::Partition;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::crc::crc32c;
use crate::record::{self, RecordError, Records};

/// The bytes of an entry before its records.
pub const ENTRY_HEADER_BYTES: usize = size_of::<Raw>();

/// The version of an entry's header.
const VERSION: u8 = 1;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// Records of a partition; none in the entry with which a new home opens its term.
    Records = 0,
    /// A change of the group's members, in Raft's first form.
    Members = 1,
    /// A change of the group's members, in Raft's joint form.
    MembersJoint = 2,
}

impl EntryKind {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Records),
            1 => Some(Self::Members),
            2 => Some(Self::MembersJoint),
            _ => None,
        }
    }
}

/// One entry, borrowed from wherever its bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whose group it belongs to.
    pub partition: Partition,
    /// What it is for.
    pub kind: EntryKind,
    /// The term of the home that made it.
    pub term: u64,
    /// Its place in the group's log, from 1.
    pub index: u64,
    /// How many records it has; 0 for a change of members.
    pub records_count: u32,
    /// Its records ([`Entry::records`]), or the bytes of a change of members.
    pub payload: &'a [u8],
}

/// Why bytes are not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes end before the entry does.
    #[error("expected an entry of {expected} bytes, found {found}")]
    Short {
        /// How many bytes the entry takes.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The checksum does not fit: the bytes changed since they were sealed.
    #[error("expected an entry with checksum {expected:#010x}, found bytes with {found:#010x}")]
    Checksum {
        /// What the header says.
        expected: u32,
        /// What the bytes have.
        found: u32,
    },
    /// A kind or version that this program does not know; whoever wrote it is newer.
    #[error("entry of kind {kind}, version {version}: this program is older than the one that wrote it")]
    Unknown {
        /// The kind that was found.
        kind: u8,
        /// The version that was found.
        version: u8,
    },
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    crc32c: U32,
    partition: U16,
    kind: u8,
    version: u8,
    records_count: U32,
    payload_bytes: U32,
    term: U64,
    index: U64,
}

const COVERED_FROM: usize = 4;
const _: () = assert!(ENTRY_HEADER_BYTES == 32);

impl<'a> Entry<'a> {
    /// An entry of records, which are counted here (and so seen to be well framed before they are written).
    ///
    /// # Errors
    /// When `payload` is not a run of whole records.
    pub fn of_records(
        partition: Partition,
        term: u64,
        index: u64,
        payload: &'a [u8],
    ) -> Result<Self, RecordError> {
        let records_count = record::count(payload)?;
        Ok(Self { partition, kind: EntryKind::Records, term, index, records_count, payload })
    }

    /// How many bytes the entry takes, header and payload.
    #[must_use]
    pub const fn bytes_len(&self) -> usize {
        ENTRY_HEADER_BYTES + self.payload.len()
    }

    /// The records, in order. A change of members has none.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records::new(self.records_bytes())
    }

    /// The bytes of the records.
    pub(crate) fn records_bytes(&self) -> &'a [u8] {
        match self.kind {
            EntryKind::Records => self.payload,
            EntryKind::Members | EntryKind::MembersJoint => &[],
        }
    }

    /// Writes the entry to `out`, whose length is [`Entry::bytes_len`].
    ///
    /// # Panics
    /// When `out` has another length, or the payload is beyond what a header can say: a shard bounds its entries.
    pub fn encode_into(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.bytes_len(), "an entry is written into exactly its own room");
        assert!(self.index > 0 && self.term > 0, "Raft counts terms and indices from 1");
        let payload_bytes = u32::try_from(self.payload.len()).expect("a shard bounds its entries");
        let raw = Raw {
            crc32c: U32::ZERO,
            partition: U16::new(self.partition.0),
            kind: self.kind as u8,
            version: VERSION,
            records_count: U32::new(self.records_count),
            payload_bytes: U32::new(payload_bytes),
            term: U64::new(self.term),
            index: U64::new(self.index),
        };
        let (header, payload) = out.split_at_mut(ENTRY_HEADER_BYTES);
        header.copy_from_slice(raw.as_bytes());
        payload.copy_from_slice(self.payload);
        let crc = crc32c(&out[COVERED_FROM..]);
        out[..COVERED_FROM].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads one entry from the start of `bytes`, and checks its checksum.
    ///
    /// # Errors
    /// Says what was expected and what was found. The records themselves are checked as they are read.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let short = |expected| EntryError::Short { expected, found: bytes.len() };
        let (raw, rest) = Raw::ref_from_prefix(bytes).map_err(|_| short(ENTRY_HEADER_BYTES))?;
        let payload_bytes = raw.payload_bytes.get() as usize;
        let payload = rest
            .get(..payload_bytes)
            .ok_or_else(|| short(ENTRY_HEADER_BYTES.saturating_add(payload_bytes)))?;
        let found = crc32c(&bytes[COVERED_FROM..ENTRY_HEADER_BYTES + payload_bytes]);
        if raw.crc32c.get() != found {
            return Err(EntryError::Checksum { expected: raw.crc32c.get(), found });
        }
        let kind = EntryKind::from_byte(raw.kind).filter(|_| raw.version == VERSION);
        let kind = kind.ok_or(EntryError::Unknown { kind: raw.kind, version: raw.version })?;
        Ok(Self {
            partition: Partition(raw.partition.get()),
            kind,
            term: raw.term.get(),
            index: raw.index.get(),
            records_count: raw.records_count.get(),
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_was_written_and_every_flipped_bit_is_seen() {
        let payload = [7_u8; 40];
        let entry = Entry {
            partition: Partition(13),
            kind: EntryKind::MembersJoint,
            term: 3,
            index: 9,
            records_count: 0,
            payload: &payload,
        };
        let mut bytes = vec![0; entry.bytes_len()];
        entry.encode_into(&mut bytes);
        assert_eq!(Entry::decode(&bytes), Ok(entry));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(&flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(matches!(Entry::decode(&bytes[..len]), Err(EntryError::Short { .. })), "{len} bytes");
        }
    }

    #[test]
    fn an_entry_without_records_is_an_entry() {
        let entry = Entry::of_records(Partition(0), 1, 1, &[]).unwrap();
        let mut bytes = vec![0; entry.bytes_len()];
        entry.encode_into(&mut bytes);
        assert_eq!(bytes.len(), ENTRY_HEADER_BYTES);
        assert_eq!(Entry::decode(&bytes).unwrap().records().count(), 0);
    }
}
