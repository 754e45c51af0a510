//! The header of a frame between nodes: 24 bytes, fixed.
//!
//! ```text
//!   bytes u32 · kind u8 · version u8 · 0 u16 · number u32 · granted u32 · crc32c of what follows u32 · crc32c of the header u32
//! ```
//!
//! Little-endian. `bytes` counts what follows the header. `number` begins at 0 and counts up by one with each frame of a direction, from
//! the largest to 0 again. `granted` is so many bytes more that the other side may send of what spends credit.

use wal::crc32c;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::StreamError;
use crate::limits::FRAME_BYTES_MAX;

/// The version of the header.
const VERSION: u8 = 1;

/// The bytes of a header.
pub(super) const HEADER_BYTES: usize = size_of::<Raw>();

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    bytes: U32,
    kind: u8,
    version: u8,
    reserved: U16,
    number: U32,
    granted: U32,
    crc32c: U32,
    header_crc32c: U32,
}

const _: () = assert!(HEADER_BYTES == 24);

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Who speaks: the first frame of both.
    Hello = 1,
    /// Messages of groups, one behind the other.
    Messages = 2,
    /// Words of the nodes' brains, one behind the other, each behind its length.
    Words = 3,
    /// A piece of a partition's state.
    Piece = 4,
    /// Nothing: credit is granted, or only said that somebody is there.
    Credit = 5,
    /// Why the other one is not spoken to, in words. The last frame.
    Refusal = 6,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Hello, Self::Messages, Self::Words, Self::Piece, Self::Credit, Self::Refusal];
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) bytes: usize,
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) granted: u32,
    crc32c: u32,
}

impl Header {
    /// Reads the header at the beginning of these bytes; `None` when more are needed.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, StreamError> {
        let Ok((raw, _)) = Raw::ref_from_prefix(bytes) else { return Ok(None) };
        let found = crc32c(&bytes[..HEADER_BYTES - 4]);
        if raw.header_crc32c.get() != found {
            return Err(StreamError::Checksum { expected: raw.header_crc32c.get(), found });
        }
        let kind = Kind::ALL.into_iter().find(|&kind| kind as u8 == raw.kind && raw.version == VERSION);
        let kind = kind.ok_or(StreamError::Kind { kind: raw.kind, version: raw.version })?;
        let bytes = raw.bytes.get() as usize;
        if bytes > FRAME_BYTES_MAX {
            return Err(StreamError::Long { bytes });
        }
        let (number, granted, crc32c) = (raw.number.get(), raw.granted.get(), raw.crc32c.get());
        Ok(Some(Self { bytes, kind, number, granted, crc32c }))
    }

    /// Whether what follows is what was sent.
    pub(super) fn check(&self, body: &[u8]) -> Result<(), StreamError> {
        match crc32c(body) {
            found if found == self.crc32c => Ok(()),
            found => Err(StreamError::Checksum { expected: self.crc32c, found }),
        }
    }
}

/// Writes the header of the frame that begins at `start` and whose body is all behind it.
pub(super) fn seal(out: &mut [u8], start: usize, kind: Kind, number: u32, granted: u32) {
    let (header, body) = out[start..].split_at_mut(HEADER_BYTES);
    let mut raw = Raw {
        bytes: U32::new(u32::try_from(body.len()).expect("a frame is bounded")),
        kind: kind as u8,
        version: VERSION,
        reserved: U16::ZERO,
        number: U32::new(number),
        granted: U32::new(granted),
        crc32c: U32::new(crc32c(body)),
        header_crc32c: U32::ZERO,
    };
    raw.header_crc32c = U32::new(crc32c(&raw.as_bytes()[..HEADER_BYTES - 4]));
    header.copy_from_slice(raw.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_frame_is_seen() {
        let mut frame = vec![0; HEADER_BYTES];
        frame.extend_from_slice(b"because");
        seal(&mut frame, 0, Kind::Refusal, 7, 9);
        let header = Header::read(&frame).unwrap().unwrap();
        assert_eq!((header.kind, header.number, header.granted, header.bytes), (Kind::Refusal, 7, 9, 7));
        assert_eq!(header.check(&frame[HEADER_BYTES..]), Ok(()));
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let is_seen = match Header::read(&flipped) {
                Ok(Some(header)) => header.check(&flipped[HEADER_BYTES..]).is_err(),
                Ok(None) => false,
                Err(_) => true,
            };
            assert!(is_seen, "bit {bit}");
        }
        assert_eq!(Header::read(&frame[..HEADER_BYTES - 1]), Ok(None));
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_is_read() {
        let mut frame = vec![0; HEADER_BYTES + FRAME_BYTES_MAX + 1];
        seal(&mut frame, 0, Kind::Messages, 0, 0);
        assert_eq!(
            Header::read(&frame[..HEADER_BYTES]),
            Err(StreamError::Long { bytes: FRAME_BYTES_MAX + 1 })
        );
    }
}
