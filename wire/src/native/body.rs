//! Bodies that are a count and then items of one size: answers, fates, positions.

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Frame, FrameError, ITEMS_MAX, Kind, OpenFrame, Reader};

/// The answer to one submission: 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct AnswerItem {
    /// The submission's number.
    pub number: U64,
    /// The message's id; zero when refused.
    pub id: U128,
    /// 0 new, 1 known; anything else is the code of a refusal (`docs/formats.md` lists them).
    pub status: u8,
    /// Whether to try again: 0 never, 1 later, 2 at another node, 3 outcome unknown: repeat with the same key.
    pub retry: u8,
    /// Zero.
    pub reserved: U16,
    /// How long to wait before trying again, in milliseconds.
    pub retry_after_ms: U32,
}

/// One fate as it is told to a subscriber: 40 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FateItem {
    /// The account's place in this partition's fates; acknowledge it in a [`Position`].
    pub sequence: U64,
    /// The message.
    pub id: U128,
    /// When the fate was recorded, in milliseconds since 1970.
    pub at_ms: U64,
    /// The carrier's error code, where there was one.
    pub code: U32,
    /// The partition.
    pub partition: U16,
    /// 1 delivered, 2 failed, 3 expired, 4 cancelled, 5 unknown.
    pub fate: u8,
    /// Why (`docs/formats.md` lists them).
    pub why: u8,
}

/// How far a subscriber has the fates of a partition: 10 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Position {
    /// The partition.
    pub partition: U16,
    /// All fates up to and with this sequence.
    pub sequence: U64,
}

/// Answers to submissions.
#[derive(Debug)]
pub struct Answers;

impl Answers {
    /// The items of an answer frame.
    ///
    /// # Errors
    /// [`FrameError`] when count and length disagree.
    pub fn read(frame: Frame<'_>) -> Result<&[AnswerItem], FrameError> {
        items(Reader::new(Kind::Answer, frame.body), Kind::Answer)
    }

    /// Appends answers as frames of at most [`ITEMS_MAX`] items.
    pub fn write(answers: &[AnswerItem], out: &mut Vec<u8>) {
        for part in answers.chunks(ITEMS_MAX) {
            let open = OpenFrame::begin(Kind::Answer, 0, out);
            put_items(part, out);
            open.close(out);
        }
    }
}

/// Fates that are told.
#[derive(Debug)]
pub struct Fates;

impl Fates {
    /// The items of a fate frame.
    ///
    /// # Errors
    /// [`FrameError`] when count and length disagree.
    pub fn read(frame: Frame<'_>) -> Result<&[FateItem], FrameError> {
        items(Reader::new(Kind::Fate, frame.body), Kind::Fate)
    }

    /// Appends fates as frames of at most [`ITEMS_MAX`] items.
    pub fn write(fates: &[FateItem], out: &mut Vec<u8>) {
        for part in fates.chunks(ITEMS_MAX) {
            let open = OpenFrame::begin(Kind::Fate, 0, out);
            put_items(part, out);
            open.close(out);
        }
    }
}

/// Positions, of a subscription or an acknowledgement.
#[derive(Debug)]
pub struct Positions;

impl Positions {
    /// The credits and positions of a subscription. No positions: from the last acknowledged.
    ///
    /// # Errors
    /// [`FrameError`] when count and length disagree.
    pub fn read_subscribe(frame: Frame<'_>) -> Result<(u32, &[Position]), FrameError> {
        let mut body = Reader::new(Kind::Subscribe, frame.body);
        let credits = body.u32()?;
        if credits == 0 {
            return Err(FrameError::Field(Kind::Subscribe, "expected at least one credit"));
        }
        Ok((credits, if body.rest().is_empty() { &[] } else { items(body, Kind::Subscribe)? }))
    }

    /// Appends a subscription. `credits`: how many fates may be told and not yet acknowledged.
    pub fn write_subscribe(credits: u32, positions: &[Position], out: &mut Vec<u8>) {
        let open = OpenFrame::begin(Kind::Subscribe, 0, out);
        out.extend_from_slice(&credits.to_le_bytes());
        if !positions.is_empty() {
            put_items(positions, out);
        }
        open.close(out);
    }

    /// The positions of an acknowledgement.
    ///
    /// # Errors
    /// [`FrameError`] when count and length disagree.
    pub fn read_ack(frame: Frame<'_>) -> Result<&[Position], FrameError> {
        items(Reader::new(Kind::FateAck, frame.body), Kind::FateAck)
    }

    /// Appends an acknowledgement.
    pub fn write_ack(positions: &[Position], out: &mut Vec<u8>) {
        let open = OpenFrame::begin(Kind::FateAck, 0, out);
        put_items(positions, out);
        open.close(out);
    }
}

fn items<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    mut body: Reader<'_>,
    kind: Kind,
) -> Result<&[T], FrameError> {
    let count = usize::from(body.count()?);
    let bytes = body.take(count * size_of::<T>())?;
    body.end()?;
    <[T]>::ref_from_bytes(bytes).map_err(|_| FrameError::Short(kind))
}

fn put_items<T: IntoBytes + Immutable>(items: &[T], out: &mut Vec<u8>) {
    let count = u16::try_from(items.len()).expect("batches are cut to ITEMS_MAX");
    assert!((1..=ITEMS_MAX).contains(&items.len()), "a batch of {count} items was written");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(items.as_bytes());
}
