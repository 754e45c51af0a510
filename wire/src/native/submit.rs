//! Submissions by the batch.

use super::{
    FRAME_BYTES_MAX, Frame, FrameError, ITEMS_MAX, Kind, OpenFrame, Reader, put_bytes8, put_bytes16,
};
use crate::id::Class;

/// One message as its customer hands it over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitItem<'a> {
    /// `None`: the account's class.
    pub class: Option<Class>,
    /// How long it may be sent, in seconds; 0: the class's validity.
    pub validity_s: u32,
    /// The recipient's number.
    pub to: &'a str,
    /// The sender; empty: the account's.
    pub from: &'a str,
    /// The idempotency key; empty: none, and the answer's id is the only handle.
    pub key: &'a [u8],
    /// The text.
    pub text: &'a str,
}

/// A batch of submissions; the first has the frame's number, the others count up.
#[derive(Debug)]
pub struct Submit<'a> {
    left: u16,
    body: Reader<'a>,
}

impl<'a> Submit<'a> {
    /// Reads the count; the items come one by one from [`Submit::next_item`].
    ///
    /// # Errors
    /// [`FrameError`] when the count is missing or out of bounds.
    pub fn read(frame: Frame<'a>) -> Result<Self, FrameError> {
        let mut body = Reader::new(Kind::Submit, frame.body);
        Ok(Self { left: body.count()?, body })
    }

    /// How many items are still to come.
    #[must_use]
    pub const fn left(&self) -> u16 {
        self.left
    }

    /// The next item; `None` after the last.
    ///
    /// # Errors
    /// [`FrameError`] when the body ends too early, goes on too long or holds what it cannot.
    pub fn next_item(&mut self) -> Result<Option<SubmitItem<'a>>, FrameError> {
        if self.left == 0 {
            return self.body.end().map(|()| None);
        }
        self.left -= 1;
        let class = match self.body.u8()? {
            0 => None,
            byte => Some(
                Class::from_byte(byte)
                    .ok_or(FrameError::Field(Kind::Submit, "expected a class of 0 to 4"))?,
            ),
        };
        if self.body.u8()? != 0 {
            return Err(FrameError::Field(Kind::Submit, "expected flags of 0"));
        }
        Ok(Some(SubmitItem {
            class,
            validity_s: self.body.u32()?,
            to: self.body.text8()?,
            from: self.body.text8()?,
            key: self.body.bytes8()?,
            text: self.body.text16()?,
        }))
    }
}

/// Writes a batch of submissions, item by item.
#[derive(Debug)]
#[must_use = "a batch that is not closed has no length"]
pub struct SubmitWriter {
    open: OpenFrame,
    count: u16,
}

impl SubmitWriter {
    /// Begins a frame whose first item has this number.
    pub fn begin(number: u64, out: &mut Vec<u8>) -> Self {
        let open = OpenFrame::begin(Kind::Submit, number, out);
        out.extend_from_slice(&[0, 0]);
        Self { open, count: 0 }
    }

    /// Appends an item; `false`, and nothing appended, when the frame is full.
    #[must_use]
    pub fn push(&mut self, item: &SubmitItem<'_>, out: &mut Vec<u8>) -> bool {
        let bytes = 11 + item.to.len() + item.from.len() + item.key.len() + item.text.len();
        if usize::from(self.count) == ITEMS_MAX || self.open.bytes_len(out) + bytes > FRAME_BYTES_MAX {
            return false;
        }
        self.count += 1;
        out.extend_from_slice(&[item.class.map_or(0, |class| class as u8), 0]);
        out.extend_from_slice(&item.validity_s.to_le_bytes());
        put_bytes8(item.to.as_bytes(), out);
        put_bytes8(item.from.as_bytes(), out);
        put_bytes8(item.key, out);
        put_bytes16(item.text.as_bytes(), out);
        true
    }

    /// Fills in count and length.
    pub fn close(self, out: &mut [u8]) {
        let at = self.open.body_start();
        out[at..at + 2].copy_from_slice(&self.count.to_le_bytes());
        self.open.close(out);
    }
}
