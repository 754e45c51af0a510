//! What became of a message: the answer to a query.

use super::{Frame, FrameError, Kind, OpenFrame, Reader, put_bytes8};
use crate::id::MessageId;

/// One thing that happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceStep<'a> {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What (`docs/formats.md` lists them).
    pub kind: u8,
    /// The segment of a multipart message that it was about, from 0.
    pub part: u8,
    /// Why.
    pub why: u8,
    /// The attempt, from 1; 0 where there was none.
    pub attempt: u16,
    /// A status or error code of the carrier; 0 where there was none.
    pub code: u32,
    /// The carrier's name; empty where there was none.
    pub carrier: &'a str,
    /// The carrier's id of the message; empty where there was none.
    pub carrier_id: &'a [u8],
}

/// A message's state and trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceAnswer<'a> {
    /// 0 not found, else the state (`docs/formats.md` lists them).
    pub state: u8,
    /// Which message.
    pub id: MessageId,
    /// What happened, the oldest first.
    pub steps: Vec<TraceStep<'a>>,
}

impl<'a> TraceAnswer<'a> {
    /// Appends a query for a message.
    pub fn write_query(number: u64, id: MessageId, out: &mut Vec<u8>) {
        Frame::write(Kind::Query, number, &id.0.to_le_bytes(), out);
    }

    /// Reads a query.
    ///
    /// # Errors
    /// [`FrameError`] when it is not 16 bytes.
    pub fn read_query(frame: Frame<'_>) -> Result<MessageId, FrameError> {
        let mut body = Reader::new(Kind::Query, frame.body);
        let id = MessageId(body.u128()?);
        body.end()?;
        Ok(id)
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// [`FrameError`] when the body is not one.
    pub fn read(frame: Frame<'a>) -> Result<Self, FrameError> {
        let mut body = Reader::new(Kind::QueryAnswer, frame.body);
        let (id, state, count) = (MessageId(body.u128()?), body.u8()?, body.u16()?);
        let steps = (0..count)
            .map(|_| {
                Ok(TraceStep {
                    at_ms: body.u64()?,
                    kind: body.u8()?,
                    part: body.u8()?,
                    why: body.u8()?,
                    attempt: body.u16()?,
                    code: body.u32()?,
                    carrier: body.text8()?,
                    carrier_id: body.bytes8()?,
                })
            })
            .collect::<Result<Vec<_>, FrameError>>()?;
        body.end()?;
        Ok(Self { state, id, steps })
    }
}

/// Writes the answer to a query, step by step.
#[derive(Debug)]
#[must_use = "an answer that is not closed has no length"]
pub struct TraceWriter {
    open: OpenFrame,
    count: u16,
}

impl TraceWriter {
    /// Begins the answer to the query of this number.
    pub fn begin(number: u64, id: MessageId, state: u8, out: &mut Vec<u8>) -> Self {
        let open = OpenFrame::begin(Kind::QueryAnswer, number, out);
        out.extend_from_slice(&id.0.to_le_bytes());
        out.push(state);
        out.extend_from_slice(&[0, 0]);
        Self { open, count: 0 }
    }

    /// Appends a step.
    pub fn push(&mut self, step: &TraceStep<'_>, out: &mut Vec<u8>) {
        self.count += 1;
        out.extend_from_slice(&step.at_ms.to_le_bytes());
        out.extend_from_slice(&[step.kind, step.part, step.why]);
        out.extend_from_slice(&step.attempt.to_le_bytes());
        out.extend_from_slice(&step.code.to_le_bytes());
        put_bytes8(step.carrier.as_bytes(), out);
        put_bytes8(step.carrier_id, out);
    }

    /// Fills in count and length.
    pub fn close(self, out: &mut [u8]) {
        let at = self.open.body_start() + 17;
        out[at..at + 2].copy_from_slice(&self.count.to_le_bytes());
        self.open.close(out);
    }
}
