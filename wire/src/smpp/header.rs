//! The header of every PDU (SMPP 3.4 §3.2), and where one PDU ends and the next begins.
//!
//! ```text
//! 0             4             8                12                16
//! command_length  command_id    command_status   sequence_number   body …
//! ```

use thiserror::Error;

use super::command::{CommandId, Sequence};
use super::limits::HEADER_BYTES;
use super::status::CommandStatus;

/// A PDU's header. The length is not kept: it is the length of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub command: CommandId,
    /// Zero in a request.
    pub status: CommandStatus,
    /// Ties a response to its request.
    pub sequence: Sequence,
}

/// A stream that cannot be cut into PDUs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("command_length {command_length}, expected 16 to {pdu_bytes_max}")]
pub struct FrameError {
    /// What the peer sent.
    pub command_length: u32,
    /// What was allowed.
    pub pdu_bytes_max: usize,
    /// The sequence number beside it, if so much has arrived, for the `generic_nack`.
    pub sequence: Option<Sequence>,
}

impl Header {
    /// Reads the header of a whole frame.
    #[inline]
    #[must_use]
    pub fn read(frame: &[u8; HEADER_BYTES]) -> Self {
        let word = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        Self { command: CommandId(word(4)), status: CommandStatus(word(8)), sequence: Sequence(word(12)) }
    }

    /// Appends the header with a length to be set by [`end_pdu`]; returns where it starts.
    #[inline]
    pub(crate) fn begin(self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let mut bytes = [0; HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.command.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.status.0.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.0.to_be_bytes());
        out.extend_from_slice(&bytes);
        start
    }

    /// The header of a request.
    pub(crate) const fn request(command: CommandId, sequence: Sequence) -> Self {
        Self { command, status: CommandStatus::ESME_ROK, sequence }
    }
}

/// Writes the length of the PDU that starts at `start` and ends at the end of `out`.
#[inline]
pub(crate) fn end_pdu(out: &mut [u8], start: usize) {
    let bytes = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
}

/// Appends a PDU that is nothing but its header: `enquire_link`, `unbind`, their responses, `generic_nack`.
pub fn encode_header_only(header: Header, out: &mut Vec<u8>) {
    let start = header.begin(out);
    end_pdu(out, start);
}

/// The first PDU of a stream: its header and its body. `None` when it has not all arrived.
///
/// # Errors
/// [`FrameError`] when `command_length` is less than 16 or more than `pdu_bytes_max`: the next PDU cannot be found.
#[inline]
pub fn split_pdu(stream: &[u8], pdu_bytes_max: usize) -> Result<Option<(Header, &[u8])>, FrameError> {
    let Some(length) = stream.first_chunk::<4>() else { return Ok(None) };
    let command_length = u32::from_be_bytes(*length);
    let bytes = usize::try_from(command_length).unwrap_or(usize::MAX);
    if bytes < HEADER_BYTES || bytes > pdu_bytes_max {
        let sequence = stream.get(12..16).and_then(<[u8]>::first_chunk::<4>);
        let sequence = sequence.map(|bytes| Sequence(u32::from_be_bytes(*bytes)));
        return Err(FrameError { command_length, pdu_bytes_max, sequence });
    }
    let Some(frame) = stream.get(..bytes) else { return Ok(None) };
    let Some((header, body)) = frame.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    Ok(Some((Header::read(header), body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_out_of_bounds_ends_the_stream_and_keeps_the_sequence_for_the_nack() {
        let nack =
            Header { command: CommandId::GENERIC_NACK, status: CommandStatus(2), sequence: Sequence(7) };
        let mut stream = Vec::new();
        encode_header_only(nack, &mut stream);
        assert_eq!(split_pdu(&stream, 16), Ok(Some((nack, &[][..]))));
        assert_eq!(split_pdu(&stream[..15], 16), Ok(None));
        stream[3] = 15;
        let error = split_pdu(&stream, 64).unwrap_err();
        assert_eq!(error.to_string(), "command_length 15, expected 16 to 64");
        assert_eq!(error.sequence, Some(Sequence(7)));
        stream[3] = 65;
        assert!(split_pdu(&stream, 64).is_err());
        assert_eq!(split_pdu(&stream[..3], 64), Ok(None));
        assert_eq!(split_pdu(&stream[..4], 64).unwrap_err().sequence, None);
    }
}
