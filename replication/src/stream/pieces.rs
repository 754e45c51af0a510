//! A partition's state on its way, in pieces.
//!
//! ```text
//!   partition u16 · 0 u16 · from u32 · to u32 · term u64 · last term u64 · last index u64 · whole bytes u64 · offset u64     52 bytes
//!   the piece's bytes
//! ```

use bytes::{Bytes, BytesMut};
use wire::id::{NodeId, Partition};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::StreamError;
use crate::limits::{INSTALL_BYTES_MAX, PIECE_BYTES};
use crate::message::Install;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Raw {
    partition: U16,
    reserved: U16,
    from: U32,
    to: U32,
    term: U64,
    last_term: U64,
    last_index: U64,
    whole: U64,
    offset: U64,
}

/// A state that is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    partition: Partition,
    install: Install,
    sent: usize,
}

impl Outgoing {
    pub(super) const fn new(partition: Partition, install: Install) -> Self {
        Self { partition, install, sent: 0 }
    }

    /// Appends the next piece; `true` when it was the last.
    pub(super) fn put_piece(&mut self, out: &mut Vec<u8>) -> bool {
        let Install { from, to, term, last: (last_term, last_index), snapshot } = &self.install;
        let until = snapshot.len().min(self.sent + PIECE_BYTES);
        let raw = Raw {
            partition: U16::new(self.partition.0),
            reserved: U16::ZERO,
            from: U32::new(from.0),
            to: U32::new(to.0),
            term: U64::new(*term),
            last_term: U64::new(*last_term),
            last_index: U64::new(*last_index),
            whole: U64::new(snapshot.len() as u64),
            offset: U64::new(self.sent as u64),
        };
        out.extend_from_slice(raw.as_bytes());
        out.extend_from_slice(&snapshot[self.sent..until]);
        self.sent = until;
        until == snapshot.len()
    }
}

/// A state that comes.
#[derive(Debug)]
pub(super) struct Incoming {
    partition: Partition,
    install: Install,
    whole: usize,
    bytes: BytesMut,
}

impl Incoming {
    /// Takes a piece; the state, when it was the last. A first piece begins another one, whatever was there.
    pub(super) fn take(
        incoming: &mut Option<Self>,
        piece: &[u8],
    ) -> Result<Option<(Partition, Install)>, StreamError> {
        let (raw, bytes) = Raw::ref_from_prefix(piece).map_err(|_| StreamError::Cut)?;
        let whole = raw.whole.get();
        if whole > INSTALL_BYTES_MAX {
            return Err(StreamError::State { bytes: whole });
        }
        if raw.offset.get() == 0 {
            *incoming = Some(Self::new(raw));
        }
        let state = incoming.as_mut().filter(|state| state.goes_on_with(raw)).ok_or(StreamError::Piece)?;
        state.bytes.extend_from_slice(bytes);
        if state.bytes.len() < state.whole {
            return Ok(None);
        }
        let Self { partition, install, whole, bytes } = incoming.take().expect("it was just there");
        if bytes.len() > whole {
            return Err(StreamError::Piece);
        }
        Ok(Some((partition, Install { snapshot: bytes.freeze(), ..install })))
    }

    fn new(raw: &Raw) -> Self {
        let install = Install {
            from: NodeId(raw.from.get()),
            to: NodeId(raw.to.get()),
            term: raw.term.get(),
            last: (raw.last_term.get(), raw.last_index.get()),
            snapshot: Bytes::new(),
        };
        let whole = usize::try_from(raw.whole.get()).expect("it is bounded");
        Self { partition: Partition(raw.partition.get()), install, whole, bytes: BytesMut::new() }
    }

    /// Whether a piece is the next one of this state.
    fn goes_on_with(&self, raw: &Raw) -> bool {
        let Self { partition, install, whole, bytes } = self;
        *partition == Partition(raw.partition.get())
            && install.term == raw.term.get()
            && install.last == (raw.last_term.get(), raw.last_index.get())
            && *whole as u64 == raw.whole.get()
            && bytes.len() as u64 == raw.offset.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(bytes: usize) -> Outgoing {
        let snapshot: Bytes = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let install = Install { from: NodeId(1), to: NodeId(2), term: 5, last: (4, 9), snapshot };
        Outgoing::new(Partition(3), install)
    }

    #[test]
    fn a_state_arrives_as_it_was_sent_whatever_was_begun_before() {
        for bytes in [0, 1, PIECE_BYTES, 3 * PIECE_BYTES + 1] {
            let (mut broken, mut state, mut incoming) = (outgoing(2 * PIECE_BYTES), outgoing(bytes), None);
            let mut piece = Vec::new();
            assert!(!broken.put_piece(&mut piece));
            assert_eq!(Incoming::take(&mut incoming, &piece), Ok(None));
            let arrived = loop {
                piece.clear();
                let is_last = state.put_piece(&mut piece);
                let arrived = Incoming::take(&mut incoming, &piece).unwrap();
                assert_eq!(arrived.is_some(), is_last);
                if let Some(arrived) = arrived {
                    break arrived;
                }
            };
            assert_eq!(arrived, (Partition(3), outgoing(bytes).install));
        }
    }

    #[test]
    fn a_piece_that_is_missing_or_comes_twice_is_seen() {
        let (mut state, mut incoming) = (outgoing(3 * PIECE_BYTES), None);
        let mut pieces = [const { Vec::new() }; 3];
        for piece in &mut pieces {
            state.put_piece(piece);
        }
        assert_eq!(Incoming::take(&mut incoming, &pieces[1]), Err(StreamError::Piece));
        assert_eq!(Incoming::take(&mut incoming, &pieces[0]), Ok(None));
        assert_eq!(Incoming::take(&mut incoming, &pieces[2]), Err(StreamError::Piece));
        assert_eq!(Incoming::take(&mut incoming, &pieces[0][..20]), Err(StreamError::Cut));
    }
}
