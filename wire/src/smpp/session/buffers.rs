//! The two byte streams of a session, between the caller's socket and its PDUs.

use core::ops::Range;

use super::super::header::{FrameError, Header, split_pdu};
use super::super::limits::{HEADER_BYTES, INPUT_BYTES_HIGH, INPUT_BYTES_MAX, REQUEST_OUTPUT_BYTES_MAX};
use super::tap::Tap;

/// Somebody looks on, and has seen what comes before this place, at which a PDU begins.
type Onlooker<Place> = Option<Box<(Tap, Place)>>;

/// Bytes that came and were not polled. Those of the PDU polled last stay until the next bytes come.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    onlooker: Onlooker<usize>,
}

/// A whole PDU, and where its body lies in the input.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) body: Range<usize>,
}

impl Input {
    /// Appends; `false` when that would be more than [`INPUT_BYTES_MAX`].
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        if self.start > 0 {
            self.show();
            self.bytes.drain(..self.start);
            self.start = 0;
            if let Some(onlooker) = &mut self.onlooker {
                onlooker.1 = 0;
            }
            if self.bytes.is_empty() {
                self.bytes.shrink_to(INPUT_BYTES_HIGH);
            }
        }
        let has_room = self.bytes.len() + bytes.len() <= INPUT_BYTES_MAX;
        if has_room {
            self.bytes.extend_from_slice(bytes);
        }
        has_room
    }

    #[inline]
    pub(super) fn next_frame(&mut self, pdu_bytes_max: usize) -> Result<Option<Frame>, FrameError> {
        let Some((header, body)) = split_pdu(&self.bytes[self.start..], pdu_bytes_max)? else {
            return Ok(None);
        };
        let body_start = self.start + HEADER_BYTES;
        let body = body_start..body_start + body.len();
        self.start = body.end;
        Ok(Some(Frame { header, body }))
    }

    #[inline]
    pub(super) fn body(&self, body: Range<usize>) -> &[u8] {
        &self.bytes[body]
    }

    pub(super) fn bytes_waiting(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn tap(&mut self) {
        let start = self.start;
        self.onlooker.get_or_insert_with(|| Box::new((Tap::default(), start)));
    }

    pub(super) fn untap(&mut self) {
        self.onlooker = None;
    }

    /// The tap, with all that was framed.
    pub(super) fn tapped(&mut self) -> Option<&mut Tap> {
        self.show();
        self.onlooker.as_mut().map(|onlooker| &mut onlooker.0)
    }

    fn show(&mut self) {
        if let Some(onlooker) = &mut self.onlooker {
            let (tap, seen) = &mut **onlooker;
            tap.keep(&self.bytes[*seen..self.start]);
            *seen = self.start;
        }
    }
}

/// Bytes that were queued and not handed to the kernel.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    start: usize,
    /// The stream offset of `bytes[0]`.
    base: u64,
    onlooker: Onlooker<u64>,
}

impl Output {
    pub(super) fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// All bytes ever queued.
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// All bytes ever handed to the kernel.
    pub(super) fn consumed(&self) -> u64 {
        self.base + self.start as u64
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.bytes.len() - self.start, "no more is consumed than was pending");
        self.show();
        self.start += bytes;
        if self.start == self.bytes.len() {
            self.base += self.start as u64;
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(REQUEST_OUTPUT_BYTES_MAX);
        }
    }

    /// Where to append a PDU.
    #[inline]
    pub(super) fn writer(&mut self) -> &mut Vec<u8> {
        // What was consumed is cut off once it is the greater part, so that each byte moves at most once.
        if self.start > REQUEST_OUTPUT_BYTES_MAX && self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
        &mut self.bytes
    }

    pub(super) fn tap(&mut self) {
        // A bind is queued by who makes the session.
        let seen = if self.consumed() == 0 { 0 } else { self.end() };
        self.onlooker.get_or_insert_with(|| Box::new((Tap::default(), seen)));
    }

    pub(super) fn untap(&mut self) {
        self.onlooker = None;
    }

    /// The tap, with all that was queued.
    pub(super) fn tapped(&mut self) -> Option<&mut Tap> {
        self.show();
        self.onlooker.as_mut().map(|onlooker| &mut onlooker.0)
    }

    /// Shows what was queued, before any of it is dropped.
    fn show(&mut self) {
        let end = self.end();
        if let Some(onlooker) = &mut self.onlooker {
            let (tap, seen) = &mut **onlooker;
            let unseen = usize::try_from(*seen - self.base).expect("what is not shown is not dropped");
            tap.keep(&self.bytes[unseen..]);
            *seen = end;
        }
    }

    #[inline]
    pub(super) fn bytes_waiting(&self) -> usize {
        self.bytes.len() - self.start
    }
}
