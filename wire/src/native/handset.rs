//! Messages of handsets, as they are told to a subscriber.
//!
//! ```text
//! | count u16 | sequence u64 · id u128 · at u64 · partition u16 · parts u8 · missing u32 · from, to: text8 · text: text16 | …
//! ```

use super::{Frame, FrameError, ITEMS_MAX, Kind, OpenFrame, Reader, put_bytes8, put_bytes16};
use crate::id::{MessageId, Partition};
use crate::time::WallMs;

/// A message of a handset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandsetItem<'a> {
    /// The account's place in this partition's fates; acknowledge it in a [`super::Position`].
    pub sequence: u64,
    /// The message.
    pub id: MessageId,
    /// When it was whole, or given up.
    pub at: WallMs,
    /// The partition.
    pub partition: Partition,
    /// How many parts it has.
    pub parts: u8,
    /// The parts that did not come, one bit each.
    pub missing: u32,
    /// The handset: digits.
    pub from: &'a str,
    /// The number that it was sent to: digits.
    pub to: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// The messages of a frame, one after the other.
#[derive(Debug)]
pub struct HandsetItems<'a> {
    left: u16,
    body: Reader<'a>,
}

impl<'a> HandsetItems<'a> {
    /// Begins to read a frame.
    ///
    /// # Errors
    /// [`FrameError`] when it holds no count that may be.
    pub fn read(frame: Frame<'a>) -> Result<Self, FrameError> {
        let mut body = Reader::new(Kind::Handset, frame.body);
        Ok(Self { left: body.count()?, body })
    }

    /// The next message; `None` behind the last.
    ///
    /// # Errors
    /// [`FrameError`] when the body ends too early or goes on.
    pub fn next_item(&mut self) -> Result<Option<HandsetItem<'a>>, FrameError> {
        if self.left == 0 {
            self.body.end()?;
            return Ok(None);
        }
        self.left -= 1;
        let body = &mut self.body;
        Ok(Some(HandsetItem {
            sequence: body.u64()?,
            id: MessageId(body.u128()?),
            at: WallMs(body.u64()?),
            partition: Partition(body.u16()?),
            parts: body.u8()?,
            missing: body.u32()?,
            from: body.text8()?,
            to: body.text8()?,
            text: body.text16()?,
        }))
    }
}

/// Bytes of a frame beyond which the next message begins another.
const FRAME_BYTES_FULL: usize = 256 << 10;

/// Writes messages, as many to a frame as fit.
#[derive(Debug, Default)]
pub struct HandsetWriter {
    open: Option<(OpenFrame, u16)>,
}

impl HandsetWriter {
    /// Appends a message.
    pub fn push(&mut self, item: &HandsetItem<'_>, out: &mut Vec<u8>) {
        let is_full = |(open, count): &(OpenFrame, u16)| {
            open.bytes_len(out) >= FRAME_BYTES_FULL || usize::from(*count) == ITEMS_MAX
        };
        if self.open.as_ref().is_some_and(is_full) {
            self.end(out);
        }
        let (_, count) = self.open.get_or_insert_with(|| {
            let open = OpenFrame::begin(Kind::Handset, 0, out);
            out.extend_from_slice(&0_u16.to_le_bytes());
            (open, 0)
        });
        *count += 1;
        out.extend_from_slice(&item.sequence.to_le_bytes());
        out.extend_from_slice(&item.id.0.to_le_bytes());
        out.extend_from_slice(&item.at.0.to_le_bytes());
        out.extend_from_slice(&item.partition.0.to_le_bytes());
        out.push(item.parts);
        out.extend_from_slice(&item.missing.to_le_bytes());
        put_bytes8(item.from.as_bytes(), out);
        put_bytes8(item.to.as_bytes(), out);
        put_bytes16(item.text.as_bytes(), out);
    }

    /// Closes the frame that is open.
    pub fn end(&mut self, out: &mut [u8]) {
        if let Some((open, count)) = self.open.take() {
            let at = open.body_start();
            out[at..at + 2].copy_from_slice(&count.to_le_bytes());
            open.close(out);
        }
    }
}

const _: () = assert!(FRAME_BYTES_FULL + u16::MAX as usize + 1024 < super::FRAME_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> HandsetItem<'_> {
        HandsetItem {
            sequence: 7,
            id: MessageId(9 << 64),
            at: WallMs(11),
            partition: Partition(3),
            parts: 2,
            missing: 1,
            from: "4915112345678",
            to: "12345",
            text,
        }
    }

    #[test]
    fn messages_go_there_and_back_in_as_many_frames_as_they_need() {
        let (long, mut out, mut writer) = ("ж".repeat(20_000), Vec::new(), HandsetWriter::default());
        let texts = ["STOP", "", &long, &long, &long, &long, &long, &long, &long, "last"];
        texts.iter().for_each(|text| writer.push(&item(text), &mut out));
        writer.end(&mut out);
        let (mut rest, mut read, mut frames) = (&out[..], Vec::new(), 0);
        while let Some((frame, bytes)) = Frame::split(rest).unwrap() {
            assert_eq!(frame.kind, Kind::Handset);
            let mut items = HandsetItems::read(frame).unwrap();
            while let Some(item) = items.next_item().unwrap() {
                read.push(item);
            }
            (rest, frames) = (&rest[bytes..], frames + 1);
        }
        assert_eq!(read, texts.map(item));
        assert_eq!((frames, rest.len()), (2, 0));
    }

    #[test]
    fn the_bytes_stay() {
        let (mut out, mut writer) = (Vec::new(), HandsetWriter::default());
        writer.push(&item("STOP"), &mut out);
        writer.end(&mut out);
        let fields = [
            &79_u32.to_le_bytes()[..],
            &[14, 1, 0, 0],
            &[0; 8],
            &[1, 0],
            &7_u64.to_le_bytes(),
            &(9_u128 << 64).to_le_bytes(),
            &11_u64.to_le_bytes(),
            &[3, 0, 2, 1, 0, 0, 0],
            b"\x0d4915112345678\x0512345",
            b"\x04\x00STOP",
        ];
        let mut expected = fields.concat();
        let length = u32::try_from(expected.len()).unwrap();
        expected[..4].copy_from_slice(&length.to_le_bytes());
        assert_eq!(out, expected);
    }

    #[test]
    fn any_body_is_messages_or_an_error() {
        bolero::check!().for_each(|body: &[u8]| {
            let frame = Frame { kind: Kind::Handset, number: 0, body };
            let Ok(mut items) = HandsetItems::read(frame) else { return };
            while let Ok(Some(_)) = items.next_item() {}
        });
    }
}
