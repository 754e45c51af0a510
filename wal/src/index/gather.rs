//! What a segment's index is made of, gathered from its batches; and one batch, read by itself.

use wire::id::MessageId;
use wire::time::WallMs;

use super::{Times, encode, entry, hash_in, hash_of, place_in};
use crate::batch::{self, Sealed};
use crate::frame::{self, Frame};
use crate::limits::{BLOCK_BYTES, SEGMENT_HEADER_BYTES};
use crate::record::{self, Record, RecordError};
use crate::segment::Header;

/// The messages of a segment, as far as it was read. Also the index of a segment that is still written to.
#[derive(Clone, Debug)]
pub struct Gather {
    segment: Header,
    /// Behind the last batch that was read.
    offset: u64,
    /// In the order of the batches.
    entries: Vec<u64>,
    times: Option<Times>,
    skipped: u32,
}

impl Gather {
    /// Nothing yet, of the segment that has this header.
    #[must_use]
    pub const fn new(segment: Header) -> Self {
        let offset = SEGMENT_HEADER_BYTES as u64;
        Self { segment, offset, entries: Vec::new(), times: None, skipped: 0 }
    }

    /// The header of its segment.
    #[must_use]
    pub const fn segment(&self) -> &Header {
        &self.segment
    }

    /// The byte of the segment from which on it is to be read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The times of its records; `None` while there are none.
    #[must_use]
    pub const fn times(&self) -> Option<Times> {
        self.times
    }

    /// How often something that cannot be read lay before a batch that can. It is left out: what stops a recovery must
    /// not hide the messages around it from whoever asks for one.
    #[must_use]
    pub const fn skipped(&self) -> u32 {
        self.skipped
    }

    /// Reads on: `bytes` lie at [`Gather::offset`].
    pub fn read(&mut self, bytes: &[u8]) {
        let start = self.offset;
        let (mut at, mut is_behind_gap) = (0, false);
        while at < bytes.len() {
            let place = start + at as u64;
            let lsn = self.segment.layout.lsn(self.segment.seq, place);
            let Ok(sealed) = batch::decode(&bytes[at..], lsn, self.segment.salt) else {
                is_behind_gap = true;
                at += BLOCK_BYTES;
                continue;
            };
            self.skipped += u32::from(core::mem::take(&mut is_behind_gap));
            self.batch(u32::try_from(place).expect("a segment is smaller than 4 GiB"), &sealed);
            at += sealed.bytes_len;
            self.offset = start + at as u64;
        }
    }

    fn batch(&mut self, place: u32, sealed: &Sealed<'_>) {
        let first = self.entries.len();
        let (entries, times) = (&mut self.entries, &mut self.times);
        let read = each_payload(sealed, |payload| {
            record::messages(payload, |at, id| {
                entries.extend(id.map(|id| entry(id, place)));
                let known = times.get_or_insert(Times { first: at, last: at });
                *known = Times { first: known.first.min(at), last: known.last.max(at) };
            })
        });
        self.skipped += u32::from(read.is_err());
        // A message's records often come together.
        entries[first..].sort_unstable();
        let mut kept = first;
        for next in first..entries.len() {
            if kept == first || entries[next] != entries[kept - 1] {
                entries[kept] = entries[next];
                kept += 1;
            }
        }
        entries.truncate(kept);
    }

    /// Adds the places of the batches that may have a message.
    pub fn find(&self, id: MessageId, batches: &mut Vec<u32>) {
        let hash = hash_of(id);
        batches.extend(
            self.entries.iter().filter(|&&entry| hash_in(entry) == hash).map(|&entry| place_in(entry)),
        );
    }

    /// The index as a file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        entries.sort_unstable();
        // Times that hold nothing.
        let times = self.times.unwrap_or(Times { first: WallMs(u64::MAX), last: WallMs(0) });
        encode(self.segment.salt, self.segment.seq, times, &entries)
    }
}

/// A place has no batch that can be read: it was damaged, or its segment is another one by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment:016x}.seg, byte {offset}: expected a batch, found other bytes")]
pub struct BatchError {
    /// The segment.
    pub segment: u64,
    /// The byte.
    pub offset: u32,
}

/// How many bytes the batch takes at a byte of a segment, whose first block is `block`; `None` when there is none.
#[must_use]
pub fn batch_bytes(segment: &Header, offset: u32, block: &[u8]) -> Option<usize> {
    batch::bytes_len(block, segment.layout.lsn(segment.seq, offset.into()), segment.salt)
}

/// Visits the records of one message in the batch at a byte of a segment, which is all of `bytes`.
///
/// # Errors
/// When it cannot be read.
pub fn visit_batch(
    segment: &Header,
    offset: u32,
    bytes: &[u8],
    id: MessageId,
    mut visit: impl FnMut(WallMs, &Record<'_>),
) -> Result<(), BatchError> {
    let error = BatchError { segment: segment.seq, offset };
    let lsn = segment.layout.lsn(segment.seq, offset.into());
    let sealed = batch::decode(bytes, lsn, segment.salt).map_err(|_| error)?;
    each_payload(&sealed, |payload| {
        for record in record::Records::new(payload) {
            let (at, record) = record?;
            if record.message() == Some(id) {
                visit(at, &record);
            }
        }
        Ok(())
    })
    .map_err(|Unreadable| error)
}

/// A frame or a record of a whole batch that this program does not know.
struct Unreadable;

/// Gives the records of each entry of a batch, in order.
fn each_payload<'a>(
    sealed: &Sealed<'a>,
    mut with: impl FnMut(&'a [u8]) -> Result<(), RecordError>,
) -> Result<(), Unreadable> {
    let mut rest = sealed.payload;
    while !rest.is_empty() {
        let (frame, behind) = frame::decode(rest).map_err(|_| Unreadable)?;
        if let Frame::Entry(entry) = frame {
            with(entry.records_bytes()).map_err(|_| Unreadable)?;
        }
        rest = behind;
    }
    Ok(())
}
