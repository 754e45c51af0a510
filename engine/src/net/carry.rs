//! The unfinished end of what was received, kept until the rest comes.
//!
//! A stream has no frames: a receive may end in the middle of one. Most do not, so the common case hands the receive
//! buffer through without a copy.

use thiserror::Error;

/// Keeps the bytes of an unfinished frame between two receives of one connection.
#[derive(Debug, Default)]
pub struct Carry {
    kept: Vec<u8>,
}

/// A frame is longer than its reader allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an unfinished frame of {bytes} bytes, more than the {most} that are allowed")]
pub struct CarryFull {
    /// Bytes of it that came so far.
    pub bytes: usize,
    /// Bytes that are allowed.
    pub most: usize,
}

impl Carry {
    /// Shows `bytes`, behind what was kept, to `take`, which answers how many bytes from the start it has consumed (whole
    /// frames only), and keeps the rest.
    ///
    /// # Errors
    ///
    /// When more than `most` bytes would be kept: no frame is that long, so the peer is not speaking our language.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        most: usize,
        take: impl FnOnce(&[u8]) -> usize,
    ) -> Result<(), CarryFull> {
        if self.kept.is_empty() {
            let consumed = take(bytes);
            self.kept.extend_from_slice(&bytes[consumed..]);
        } else {
            self.kept.extend_from_slice(bytes);
            let consumed = take(&self.kept);
            self.kept.drain(..consumed);
        }
        if self.kept.is_empty() {
            self.kept.shrink_to(super::limits::SEND_BUFFER_KEEP_BYTES);
        }
        match self.kept.len() {
            bytes if bytes > most => Err(CarryFull { bytes, most }),
            _ => Ok(()),
        }
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether the last receive ended with a frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Forgets what was kept: the connection is gone.
    pub fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of a length byte and as many bytes.
    fn frames(view: &[u8], into: &mut Vec<Vec<u8>>) -> usize {
        let mut at = 0;
        while let Some(&len) = view.get(at) {
            let Some(body) = view.get(at + 1..at + 1 + usize::from(len)) else { break };
            into.push(body.to_vec());
            at += 1 + usize::from(len);
        }
        at
    }

    #[test]
    fn every_split_of_a_stream_gives_the_same_frames() {
        let stream = b"\x03abc\x00\x05hello\x01x";
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let (mut carry, mut got) = (Carry::default(), Vec::new());
                for part in [&stream[..first], &stream[first..second], &stream[second..]] {
                    carry.feed(part, 10, |view| frames(view, &mut got)).unwrap();
                }
                assert_eq!(got, [&b"abc"[..], b"", b"hello", b"x"]);
                assert!(carry.is_empty());
            }
        }
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut carry = Carry::default();
        carry.feed(b"\xff1234", 8, |_| 0).unwrap();
        assert_eq!(carry.len(), 5);
        assert_eq!(carry.feed(b"5678", 8, |_| 0), Err(CarryFull { bytes: 9, most: 8 }));
    }
}
