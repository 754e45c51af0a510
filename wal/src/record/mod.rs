//! Records: one change of one message, each.
//!
//! ```text
//! | kind u8 | version u8 | flags u16 | body bytes u32 | time ms u64 | body: rkyv, its root at the end |
//! ```
//!
//! A [`Record`] is the same value when it is decided and when it is read back: a shard applies what it is about to
//! write, and recovery applies what it reads, with one function. The time is the home's record time, and the only time
//! that `apply` may know. A body is always validated when it is read, since a disk and a peer may say anything.

mod decode;
mod kinds;
mod kinds_1;
mod number;

use rkyv::rancor::{Panic, Strategy};
use rkyv::ser::Serializer;
use rkyv::ser::allocator::SubAllocator;
use wire::id::MessageId;
use wire::time::WallMs;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use kinds::{
    Accepted, Acknowledged, Answered, Attempted, Cancelled, Collected, Discarded, Doubted, Fated, Member,
    Parked, Received, Reported, Requeued, Strayed, Withdrawn,
};

use crate::limits::RECORD_BYTES_MAX;

/// The bytes of a record before its body.
pub const RECORD_HEADER_BYTES: usize = size_of::<Raw>();

/// The version in which a kind is written today; those before are read.
const fn version_of(kind: u8) -> u8 {
    match kind {
        2 | 7 => 2,
        _ => 1,
    }
}

/// One change of one message. The number of a kind is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// 1: taken from a customer.
    Accepted(Accepted<'a>),
    /// 2: handed to a link.
    Attempted(Attempted),
    /// 3: answered by a carrier.
    Answered(Answered<'a>),
    /// 4: taken back unwritten.
    Withdrawn(Withdrawn),
    /// 5: in doubt.
    Doubted(Doubted),
    /// 6: a doubt settled by sending again.
    Requeued(Requeued),
    /// 7: a receipt.
    Reported(Reported),
    /// 8: a receipt that came early.
    Parked(Parked),
    /// 9: a receipt that fits nothing.
    Strayed(Strayed),
    /// 10: its final state.
    Fated(Fated),
    /// 11: a customer's cursor.
    Acknowledged(Acknowledged),
    /// 12: taken back by its customer.
    Cancelled(Cancelled),
    /// 13: a part of a handset's text.
    Collected(Collected<'a>),
    /// 14: a handset's message, for an account.
    Received(Received<'a>),
    /// 15: parts of a handset's text, for nobody.
    Discarded(Discarded),
    /// 16: a node of the cluster.
    Member(Member<'a>),
}

/// Why bytes are not a run of records. The offset counts from the start of the entry's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end within a record.
    #[error("record at byte {offset}: expected {expected} bytes, found {found}")]
    Short {
        /// Where the record begins.
        offset: usize,
        /// How many bytes it takes.
        expected: usize,
        /// How many are left.
        found: usize,
    },
    /// The record is larger than any that is written.
    #[error("record at byte {offset}: {bytes} bytes are more than {RECORD_BYTES_MAX}")]
    Large {
        /// Where the record begins.
        offset: usize,
        /// How many bytes it says it takes.
        bytes: usize,
    },
    /// A kind, version or flag that this program does not know; whoever wrote it is newer.
    #[error(
        "record at byte {offset}: kind {kind}, version {version}, flags {flags:#06x}: this program is older than the \
         one that wrote it"
    )]
    Unknown {
        /// Where the record begins.
        offset: usize,
        /// The kind that was found.
        kind: u8,
        /// The version that was found.
        version: u8,
        /// The flags that were found.
        flags: u16,
    },
    /// The body is not one of its kind.
    #[error("record at byte {offset}: the body is not one of kind {kind}")]
    Body {
        /// Where the record begins.
        offset: usize,
        /// Its kind.
        kind: u8,
    },
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    kind: u8,
    version: u8,
    flags: U16,
    body_bytes: U32,
    time_ms: U64,
}

const _: () = assert!(RECORD_HEADER_BYTES == 16);

impl Record<'_> {
    /// The number of its kind in a record's header.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Accepted(_) => 1,
            Self::Attempted(_) => 2,
            Self::Answered(_) => 3,
            Self::Withdrawn(_) => 4,
            Self::Doubted(_) => 5,
            Self::Requeued(_) => 6,
            Self::Reported(_) => 7,
            Self::Parked(_) => 8,
            Self::Strayed(_) => 9,
            Self::Fated(_) => 10,
            Self::Acknowledged(_) => 11,
            Self::Cancelled(_) => 12,
            Self::Collected(_) => 13,
            Self::Received(_) => 14,
            Self::Discarded(_) => 15,
            Self::Member(_) => 16,
        }
    }

    /// The customer's message that it is about; `None` of those about a receipt, a cursor, a handset's message or a node.
    #[must_use]
    pub const fn message(&self) -> Option<MessageId> {
        Some(match self {
            Self::Accepted(body) => body.id,
            Self::Attempted(body) => body.id,
            Self::Answered(body) => body.id,
            Self::Withdrawn(body) => body.id,
            Self::Doubted(body) => body.id,
            Self::Requeued(body) => body.id,
            Self::Reported(body) => body.id,
            Self::Fated(body) => body.id,
            Self::Cancelled(body) => body.id,
            Self::Parked(_) | Self::Strayed(_) | Self::Acknowledged(_) => return None,
            Self::Collected(_) | Self::Received(_) | Self::Discarded(_) | Self::Member(_) => return None,
        })
    }

    /// Appends the record to `out`, with the record time of its home. Nothing is allocated but `out`'s own growth.
    ///
    /// # Panics
    /// When the record is larger than [`RECORD_BYTES_MAX`]: text is bounded where it comes in.
    pub fn encode(&self, time: WallMs, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        match self {
            Self::Accepted(body) => append(body, out),
            Self::Attempted(body) => append(body, out),
            Self::Answered(body) => append(body, out),
            Self::Withdrawn(body) => append(body, out),
            Self::Doubted(body) => append(body, out),
            Self::Requeued(body) => append(body, out),
            Self::Reported(body) => append(body, out),
            Self::Parked(body) => append(body, out),
            Self::Strayed(body) => append(body, out),
            Self::Fated(body) => append(body, out),
            Self::Acknowledged(body) => append(body, out),
            Self::Cancelled(body) => append(body, out),
            Self::Collected(body) => append(body, out),
            Self::Received(body) => append(body, out),
            Self::Discarded(body) => append(body, out),
            Self::Member(body) => append(body, out),
        }
        let bytes = out.len() - start;
        assert!(bytes <= RECORD_BYTES_MAX, "a record of {bytes} bytes is more than {RECORD_BYTES_MAX}");
        let body_bytes = u32::try_from(bytes - RECORD_HEADER_BYTES).expect("checked against its limit above");
        let raw = Raw {
            kind: self.kind(),
            version: version_of(self.kind()),
            flags: U16::ZERO,
            body_bytes: U32::new(body_bytes),
            time_ms: U64::new(time.0),
        };
        out[start..start + RECORD_HEADER_BYTES].copy_from_slice(raw.as_bytes());
    }
}

/// What serialises bodies: it writes straight into the entry's buffer. No body needs scratch memory or shares pointers.
type Writer<'w> = Serializer<&'w mut Vec<u8>, SubAllocator<'static>, ()>;

fn append<'w, T>(body: &T, out: &'w mut Vec<u8>)
where
    T: for<'s> rkyv::Serialize<Strategy<Writer<'s>, Panic>>,
{
    let mut serializer = Serializer::new(&mut *out, SubAllocator::empty(), ());
    let Ok(_) = rkyv::api::serialize_using::<Writer<'_>, Panic>(body, &mut serializer);
}

/// The records of an entry, in order. After an error it ends.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    /// Reads records from `bytes`, which hold whole ones only.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The next record's header and body, not looked into.
    fn next_framed(&mut self) -> Option<Result<Framed<'a>, RecordError>> {
        let (bytes, offset) = (&self.bytes[self.offset..], self.offset);
        if bytes.is_empty() {
            return None;
        }
        let framed = Framed::at(bytes, offset);
        self.offset = framed
            .as_ref()
            .map_or(self.bytes.len(), |framed| offset + RECORD_HEADER_BYTES + framed.body.len());
        Some(framed)
    }
}

/// A record's header and body, and where it begins.
struct Framed<'a> {
    raw: &'a Raw,
    body: &'a [u8],
    offset: usize,
}

impl<'a> Framed<'a> {
    fn at(bytes: &'a [u8], offset: usize) -> Result<Self, RecordError> {
        let short = |expected| RecordError::Short { offset, expected, found: bytes.len() };
        let (raw, rest) = Raw::ref_from_prefix(bytes).map_err(|_| short(RECORD_HEADER_BYTES))?;
        let bytes = RECORD_HEADER_BYTES.saturating_add(raw.body_bytes.get() as usize);
        if bytes > RECORD_BYTES_MAX {
            return Err(RecordError::Large { offset, bytes });
        }
        let body = rest.get(..bytes - RECORD_HEADER_BYTES).ok_or_else(|| short(bytes))?;
        Ok(Self { raw, body, offset })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(WallMs, Record<'a>), RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.next_framed()?.and_then(|Framed { raw, body, offset }| {
            let record = decode::body(raw, body, offset)?;
            Ok((WallMs(raw.time_ms.get()), record))
        });
        if record.is_err() {
            self.offset = self.bytes.len();
        }
        Some(record)
    }
}

/// How many records `bytes` hold, by their headers alone.
///
/// # Errors
/// When the bytes end within a record, or one is larger than any that is written.
pub fn count(bytes: &[u8]) -> Result<u32, RecordError> {
    let mut records = Records::new(bytes);
    let mut count = 0;
    while let Some(record) = records.next_framed() {
        record?;
        count += 1;
    }
    Ok(count)
}

/// Names the time of each record and the message that it is about ([`Record::message`]), from headers and the place of the
/// id alone: nothing else of a body is looked at.
///
/// # Errors
/// When the bytes are not a run of records that this program knows.
pub fn messages(bytes: &[u8], mut with: impl FnMut(WallMs, Option<MessageId>)) -> Result<(), RecordError> {
    let mut records = Records::new(bytes);
    while let Some(framed) = records.next_framed() {
        let Framed { raw, body, offset } = framed?;
        with(WallMs(raw.time_ms.get()), decode::message(raw, body, offset)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
