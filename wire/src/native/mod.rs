//! The native protocol: frames over TCP between a customer's application and a node.
//!
//! ```text
//!   0        4      5         6          8                16
//!   ┌────────┬──────┬─────────┬──────────┬────────────────┬───────────────┐
//!   │ length │ kind │ version │ reserved │     number     │  body …       │
//!   └────────┴──────┴─────────┴──────────┴────────────────┴───────────────┘
//! ```
//!
//! All integers are little-endian. `length` counts the whole frame, header included. A *text* is a length followed by
//! that many bytes; a length has one byte, for a message's text two. Batches are one frame: submissions, answers and
//! fates come by the hundred, so the header is paid once. `docs/formats.md` has every byte, for writing a client.
//!
//! The room knows bytes and nothing of sessions: who may say what when is the engine's business.

mod body;
mod handset;
mod hello;
mod submit;
mod trace;

pub use body::{AnswerItem, Answers, FateItem, Fates, Position, Positions};
pub use handset::{HandsetItem, HandsetItems, HandsetWriter};
pub use hello::{Hello, Reject, Welcome};
pub use submit::{Submit, SubmitItem, SubmitWriter};
pub use trace::{TraceAnswer, TraceStep, TraceWriter};

#[cfg(test)]
mod tests;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The version of the protocol that this code speaks.
pub const VERSION: u8 = 1;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 16;
/// The longest frame, in bytes: 1,000 submissions of the longest text would be longer, so a client splits by bytes too.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// The most items in one frame of submissions, answers or fates.
pub const ITEMS_MAX: usize = 1000;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: who I am. The first frame.
    Hello = 1,
    /// Server: welcome, and what you may do.
    Welcome = 2,
    /// Server: no, and why; the connection closes.
    Reject = 3,
    /// Client: submissions. `number` is that of the first; they count up.
    Submit = 4,
    /// Server: answers to submissions.
    Answer = 5,
    /// Client: tell me fates. The body holds credits and positions.
    Subscribe = 6,
    /// Server: fates.
    Fate = 7,
    /// Client: I have these fates; do not tell them again.
    FateAck = 8,
    /// Client: what became of this message?
    Query = 9,
    /// Server: its state and its trace.
    QueryAnswer = 10,
    /// Either: are you there?
    Ping = 11,
    /// Either: yes; `number` is the ping's.
    Pong = 12,
    /// Server: I am stopping; what was submitted is answered, send nothing more.
    Goodbye = 13,
    /// Server: messages of handsets, among the fates: sent only to accounts to which the node's operator routes some.
    Handset = 14,
}

impl Kind {
    const ALL: [Self; 14] = [
        Self::Hello,
        Self::Welcome,
        Self::Reject,
        Self::Submit,
        Self::Answer,
        Self::Subscribe,
        Self::Fate,
        Self::FateAck,
        Self::Query,
        Self::QueryAnswer,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
        Self::Handset,
    ];

    const fn from_byte(byte: u8) -> Option<Self> {
        if byte >= 1 && byte as usize <= Self::ALL.len() { Some(Self::ALL[byte as usize - 1]) } else { None }
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    length: U32,
    kind: u8,
    version: u8,
    reserved: U16,
    number: U64,
}

/// Why bytes are not a frame, or a frame's body is not what its kind says. The connection closes with the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is below the header's or above [`FRAME_BYTES_MAX`].
    #[error("frame length {0} is not within 16 to 1048576 bytes")]
    Length(u32),
    /// A kind that this version does not have.
    #[error("frame kind {0} is not known to version 1")]
    Kind(u8),
    /// Another version than the one agreed on.
    #[error("frame version {0}, expected 1")]
    Version(u8),
    /// A body that ends before what it must hold.
    #[error("the body of a {0:?} frame ends too early")]
    Short(Kind),
    /// A body that goes on after what it may hold.
    #[error("the body of a {0:?} frame has bytes left over")]
    Trailing(Kind),
    /// A count above [`ITEMS_MAX`], or zero.
    #[error("a {0:?} frame holds {1} items, expected 1 to 1000")]
    Count(Kind, u16),
    /// A text that must be UTF-8 is not.
    #[error("a text in a {0:?} frame is not UTF-8")]
    Utf8(Kind),
    /// A field has a value that it cannot have.
    #[error("a {0:?} frame: {1}")]
    Field(Kind, &'static str),
}

/// One frame, its body still bytes.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Ties an answer to what it answers.
    pub number: u64,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the first frame off `bytes` and says how many bytes it had; `None` while it is not whole.
    ///
    /// # Errors
    /// [`FrameError`] when what begins there cannot become a frame.
    pub fn split(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Ok((header, rest)) = Header::ref_from_prefix(bytes) else { return Ok(None) };
        let length = header.length.get();
        let total = usize::try_from(length).map_err(|_| FrameError::Length(length))?;
        if !(HEADER_BYTES..=FRAME_BYTES_MAX).contains(&total) {
            return Err(FrameError::Length(length));
        }
        let kind = Kind::from_byte(header.kind).ok_or(FrameError::Kind(header.kind))?;
        // A hello is read whatever its version, since its body says which versions its sender speaks.
        if header.version != VERSION && kind != Kind::Hello {
            return Err(FrameError::Version(header.version));
        }
        let Some(body) = rest.get(..total - HEADER_BYTES) else { return Ok(None) };
        Ok(Some((Self { kind, number: header.number.get(), body }, total)))
    }

    /// Appends a frame with a body of bytes that are already laid out.
    pub fn write(kind: Kind, number: u64, body: &[u8], out: &mut Vec<u8>) {
        let open = OpenFrame::begin(kind, number, out);
        out.extend_from_slice(body);
        open.close(out);
    }
}

/// A frame that is being written: its length is filled in when it is closed.
#[derive(Debug)]
#[must_use = "a frame that is not closed has no length"]
pub(crate) struct OpenFrame {
    start: usize,
}

impl OpenFrame {
    pub(crate) fn begin(kind: Kind, number: u64, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        let header = Header {
            length: U32::ZERO,
            kind: kind as u8,
            version: VERSION,
            reserved: U16::ZERO,
            number: U64::new(number),
        };
        out.extend_from_slice(header.as_bytes());
        Self { start }
    }

    pub(crate) fn bytes_len(&self, out: &[u8]) -> usize {
        out.len() - self.start
    }

    pub(crate) fn close(self, out: &mut [u8]) {
        let length =
            u32::try_from(out.len() - self.start).expect("writers keep a frame below FRAME_BYTES_MAX");
        assert!(length as usize <= FRAME_BYTES_MAX, "a frame of {length} bytes was written");
        out[self.start..self.start + 4].copy_from_slice(&length.to_le_bytes());
    }

    pub(crate) fn body_start(&self) -> usize {
        self.start + HEADER_BYTES
    }
}

/// Reads a body from front to back; every step says which kind of frame was too short.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(kind: Kind, body: &'a [u8]) -> Self {
        Self { kind, rest: body }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(FrameError::Short(self.kind))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(FrameError::Short(self.kind))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FrameError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, FrameError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// Bytes behind a length of one byte.
    pub(crate) fn bytes8(&mut self) -> Result<&'a [u8], FrameError> {
        let count = self.u8()?;
        self.take(usize::from(count))
    }

    /// UTF-8 behind a length of one byte.
    pub(crate) fn text8(&mut self) -> Result<&'a str, FrameError> {
        core::str::from_utf8(self.bytes8()?).map_err(|_| FrameError::Utf8(self.kind))
    }

    /// UTF-8 behind a length of two bytes.
    pub(crate) fn text16(&mut self) -> Result<&'a str, FrameError> {
        let count = self.u16()?;
        core::str::from_utf8(self.take(usize::from(count))?).map_err(|_| FrameError::Utf8(self.kind))
    }

    /// A count of items between 1 and [`ITEMS_MAX`].
    pub(crate) fn count(&mut self) -> Result<u16, FrameError> {
        let count = self.u16()?;
        let fits = (1..=ITEMS_MAX).contains(&usize::from(count));
        if fits { Ok(count) } else { Err(FrameError::Count(self.kind, count)) }
    }

    /// All that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn end(&self) -> Result<(), FrameError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FrameError::Trailing(self.kind)) }
    }
}

/// Appends bytes behind a length of one byte.
pub(crate) fn put_bytes8(bytes: &[u8], out: &mut Vec<u8>) {
    let count = u8::try_from(bytes.len()).expect("short texts are checked before they are written");
    out.push(count);
    out.extend_from_slice(bytes);
}

/// Appends bytes behind a length of two bytes.
pub(crate) fn put_bytes16(bytes: &[u8], out: &mut Vec<u8>) {
    let count = u16::try_from(bytes.len()).expect("long texts are checked before they are written");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(bytes);
}
